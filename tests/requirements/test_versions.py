"""The grammar of version requirements, its laws, and reading what tools print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.requirements import versions
from ota.requirements.versions import VersionError, accepts, parse_requirement
from support.version_outputs import OUTPUTS, Output

parts = st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=4)
operators = st.sampled_from(["", "=", "==", ">=", ">", "<=", "<", "^", "~"])


def text_of(numbers: list[int]) -> str:
    return ".".join(map(str, numbers))


clauses = st.builds(lambda operator, numbers: operator + text_of(numbers), operators, parts)
requirements = st.one_of(st.just("*"), st.lists(clauses, min_size=1, max_size=3).map(",".join))


@pytest.mark.parametrize(
    ("requirement", "accepted", "refused"),
    [
        ("22", ["22", "22.15.1", "v22.1.0", "22-ea"], ["21.9", "220.1", "2.2"]),
        ("3.12", ["3.12", "3.12.4", "Python 3.12.4"], ["3.1", "3.120", "3.13.0", "3"]),
        ("=24.15.0", ["24.15.0", "24.15.0.1"], ["24.15", "24.15.1"]),
        ("==1.2", ["1.2.9"], ["1.3"]),
        ("1.85", ["1.85", "1.85.0"], ["1.8"]),
        ("^22.12.0", ["22.12.0", "22.12", "22.99.1"], ["22.11.9", "23", "23.0.0", "21"]),
        ("^3.11", ["3.11", "3.14.1"], ["3.10.9", "4", "4.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.2.2", "0.3", "1.0"]),
        ("^0.0.3", ["0.0.3", "0.0.3.5"], ["0.0.4", "0.1"]),
        ("^0", ["0", "0.9.9"], ["1"]),
        ("^0.0", ["0.0", "0.9"], ["1.0"]),
        ("~1.2.3", ["1.2.3", "1.2.99"], ["1.2.2", "1.3", "2"]),
        ("~1.2", ["1.2", "1.2.9"], ["1.3"]),
        ("~1", ["1.0", "1.99"], ["2.0", "0.9"]),
        (">=3.12,<3.14", ["3.12", "3.12.0", "3.13.9", "3.13.0rc1"], ["3.11.9", "3.14", "3.14.0"]),
        (">=3.12 <3.14", ["3.13"], ["3.14"]),
        (" >= 3.12 , < 3.14 ", ["3.13"], ["3.14"]),
        (">=1.8", ["1.8", "1.10", "17"], ["1.7.9"]),
        (">=10.5.0", ["10.5", "10.5.0", "11"], ["10.4.9", "9.9.9"]),
        (">1.2", ["1.2.1", "1.3"], ["1.2", "1.2.0"]),
        ("<=1.2", ["1.2", "1.2.0", "1.1.9"], ["1.2.1"]),
        ("<2", ["1.99"], ["2", "2.0.0", "2.1"]),
        ("18 || ^20.1 || >=22", ["18.9", "20.1", "22", "24"], ["19", "20.0", "21.9"]),
        ("v1.2", ["1.2.3", "v1.2"], ["1.3"]),
        ("21.0.1-tem", ["21.0.1", "21.0.1-open"], ["21.0.2"]),
        ("*", ["1", "no digits", ""], []),
    ],
)
def test_what_a_requirement_accepts(requirement: str, accepted: list[str], refused: list[str]) -> None:
    parsed = parse_requirement(requirement)
    assert [text for text in accepted if not accepts(parsed, text)] == []
    assert [text for text in refused if accepts(parsed, text)] == []


def test_a_version_without_digits_satisfies_only_presence() -> None:
    assert not accepts(parse_requirement(">=0"), "unknown")
    assert accepts(parse_requirement("*"), "unknown")
    assert parse_requirement("*").is_presence_only
    assert parse_requirement("1 || *").is_presence_only
    assert not parse_requirement("1").is_presence_only


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  22 ", "22"),
        ("=1.2", "1.2"),
        ("== 1.2", "1.2"),
        (">= 3.12 , <3.14", ">=3.12,<3.14"),
        (">=1.2 <2", ">=1.2,<2"),
        ("v1 ||*", "1 || *"),
        ("22.04", "22.04"),
    ],
)
def test_the_canonical_text_has_one_form(text: str, canonical: str) -> None:
    parsed = parse_requirement(text)
    assert parsed.text == canonical
    assert parse_requirement(parsed.text) == parsed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (",", "comma"),
        (">=1,", "comma"),
        (",1", "comma"),
        ("1,,2", "comma"),
        ("||", "`||`"),
        ("1 ||", "`||`"),
        (">=", "not an operator and a version"),
        ("3.x", "write `3`"),
        ("3.12.*", "write `3.12`"),
        ("v22.X.x", "write `22`"),
        ("stable", "only the rust toolchain"),
        (">=stable", "cannot be compared"),
        ("1 2", "without an operator"),
        (">=1,*", "stands alone"),
        ("*,1", "stands alone"),
        ("=>1", "not an operator"),
        ("latest", "not a version"),
        ("1..2", "single dots"),
        ("1.", "single dots"),
        (".1", "single dots"),
        ("!=1", "not a version"),
        ("1" * 19, "too long"),
        ("1." * 150 + "1", "longer than"),
        ("١٢", "not a version"),
        ("1|2", "not an operator"),
    ],
)
def test_a_malformed_requirement_says_why(text: str, reason: str) -> None:
    with pytest.raises(VersionError) as refused:
        parse_requirement(text)
    assert reason in refused.value.reason


def test_channels_belong_to_rust() -> None:
    stable = parse_requirement("stable", channels=True)
    nightly = parse_requirement("nightly-2024-05-01", channels=True)
    assert accepts(stable, "1.95.0")
    assert not accepts(stable, "1.80.0-nightly")
    assert accepts(nightly, "1.80.0-nightly")
    assert accepts(parse_requirement("beta", channels=True), "1.80.0-beta.3")
    assert parse_requirement(stable.text, channels=True) == stable


def test_java_eight_is_known_by_both_of_its_names() -> None:
    assert versions.satisfies(parse_requirement("8"), "java", "1.8.0_392")
    assert versions.satisfies(parse_requirement("1.8"), "java", "1.8.0_392")
    assert not versions.satisfies(parse_requirement(">=11"), "java", "1.8.0_392")
    assert not versions.satisfies(parse_requirement("8"), "node", "1.8.0")


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: f"{output.name} {output.version}")
def test_the_version_in_a_real_output_is_found(output: Output) -> None:
    executable = {"maven": "mvn", "rust": "rustc", "bundler": "bundle", "kotlin": "kotlinc"}.get(output.name)
    names = [output.name, executable or output.name]
    found = versions.observed_version(output.stdout, output.stderr, names=names)
    assert found == output.version
    if found is not None:
        assert accepts(parse_requirement(">=0"), found)


def test_there_are_many_real_outputs() -> None:
    assert len(OUTPUTS) > 100


@given(requirements)
def test_parsing_the_canonical_text_gives_the_same_record(text: str) -> None:
    parsed = parse_requirement(text)
    assert parse_requirement(parsed.text) == parsed


@given(clauses, clauses, parts)
def test_a_comma_is_and_and_two_bars_are_or(left: str, right: str, installed: list[int]) -> None:
    one = accepts(parse_requirement(left), text_of(installed))
    other = accepts(parse_requirement(right), text_of(installed))
    assert accepts(parse_requirement(f"{left},{right}"), text_of(installed)) == (one and other)
    assert accepts(parse_requirement(f"{left} || {right}"), text_of(installed)) == (one or other)


@given(parts, parts)
def test_exactly_one_of_less_equal_greater_holds(wanted: list[int], installed: list[int]) -> None:
    def holds(operator: str) -> bool:
        return accepts(parse_requirement(operator + text_of(wanted)), text_of(installed))

    assert holds("<") != holds(">=")
    assert holds(">") != holds("<=")
    assert (holds(">=") and holds("<=")) == (not holds("<") and not holds(">"))


@given(parts, parts)
def test_exact_caret_and_tilde_imply_at_least(wanted: list[int], installed: list[int]) -> None:
    at_least = accepts(parse_requirement(">=" + text_of(wanted)), text_of(installed))
    for operator in ("=", "^", "~"):
        if accepts(parse_requirement(operator + text_of(wanted)), text_of(installed)):
            assert at_least


@given(parts, parts)
def test_tilde_is_within_caret_above_zero(wanted: list[int], installed: list[int]) -> None:
    if wanted[0] > 0 and accepts(parse_requirement("~" + text_of(wanted)), text_of(installed)):
        assert accepts(parse_requirement("^" + text_of(wanted)), text_of(installed))


@given(parts, parts)
def test_an_exact_clause_is_a_prefix_of_parts(wanted: list[int], further: list[int]) -> None:
    parsed = parse_requirement(text_of(wanted))
    assert accepts(parsed, text_of(wanted + further))
    for operator in ("^", "~", ">="):
        assert accepts(parse_requirement(operator + text_of(wanted)), text_of(wanted))


@given(
    parts,
    st.sampled_from(["v", "go", "V", "version ", "(", "x-"]),
    st.sampled_from(["", "-tem", "rc1", "+1"]),
)
def test_installed_text_reduces_to_its_first_dotted_run(numbers: list[int], before: str, after: str) -> None:
    assert versions.numeric_parts(before + text_of(numbers) + after) == tuple(numbers)


@given(requirements, parts)
def test_accepting_does_not_depend_on_decoration(requirement: str, installed: list[int]) -> None:
    parsed = parse_requirement(requirement)
    assert accepts(parsed, text_of(installed)) == accepts(parsed, f"v{text_of(installed)}-build")


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_with_a_reason(text: str) -> None:
    try:
        parsed = parse_requirement(text, channels=True)
    except VersionError as error:
        assert error.reason
    else:
        assert parse_requirement(parsed.text, channels=True) == parsed


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_output_is_read(stdout: str, stderr: str) -> None:
    found = versions.observed_version(stdout, stderr, names=["tool"])
    assert found is None or versions.numeric_parts(found) is not None


def test_a_flood_of_output_is_read_in_bounded_work() -> None:
    assert versions.observed_version("!" * 1_000_000 + "\n" + "(" * 1_000_000, "1.2.3\n") == "1.2.3"
    assert versions.numeric_parts("9" * 100_000) is not None
