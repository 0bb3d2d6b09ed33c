"""Dotenv files: what is read, what is refused and where, and what setting a key leaves alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.env.dotenv import LARGEST_BYTES, read_dotenv, read_dotenv_text, with_values
from ota.errors import HostError


def values(text: str) -> dict[str, str]:
    reading = read_dotenv_text(text, ".env")
    assert not reading.is_broken, reading.findings
    return dict(reading.values)


def slips(text: str) -> list[tuple[int, int, str]]:
    reading = read_dotenv_text(text, ".env")
    assert reading.values == {}
    places = [finding.place for finding in reading.findings]
    return [
        (place.line, place.column, finding.why)
        for place, finding in zip(places, reading.findings, strict=True)
        if place is not None
    ]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("  export\tA=b", "b"),
        ("A = b ", "b"),
        ("A=", ""),
        ("A=   ", ""),
        ("A=b c", "b c"),
        ("A=b # note", "b"),
        ("A=b\t#note", "b"),
        ("A=b#c", "b#c"),
        ("A=#c", "#c"),
        ("A=#c # note", "#c"),
        ("A= # note", ""),
        ("A= #note", ""),
        ("A='b # c'", "b # c"),
        ("A='b' # note", "b"),
        ("A='$X ${Y} \\n'", "$X ${Y} \\n"),
        ('A="b"', "b"),
        ('A=""', ""),
        ("A=''", ""),
        ('A="b\\nc\\t\\"d\\" \\\\ \\$e \\` \\\' \\d"', 'b\nc\t"d" \\ $e ` \' \\d'),
        ('A="one\ntwo"', "one\ntwo"),
        ('A="one\r\ntwo"', "one\ntwo"),
        ("A='one\ntwo'", "one\ntwo"),
        ("A=${B}/c", "${B}/c"),
        ("A=C:\\new", "C:\\new"),
        ("A=a=b==", "a=b=="),
        ("A=it's", "it's"),
        ("A=`b`", "`b`"),
        ("A=\u2028x\x85", "\u2028x\x85"),
        ("A=päß", "päß"),
    ],
)
def test_values(line: str, value: str) -> None:
    assert values(line) == {"A": value}
    assert values(f"# first\n\n{line}\r\nZ=1\r") == {"A": value, "Z": "1"}


def test_keys_are_used_as_written() -> None:
    assert values("lower=1\nWith.Dots=2\nwith-dash=3\n_x9=4") == {
        "lower": "1",
        "With.Dots": "2",
        "with-dash": "3",
        "_x9": "4",
    }


def test_byte_order_mark_and_crlf_are_no_part_of_a_value() -> None:
    reading = read_dotenv(b"\xef\xbb\xbfA=1\r\nB=2\r\n", ".env")
    assert reading.values == {"A": "1", "B": "2"}
    assert reading.lines == {"A": 1, "B": 2}


def test_lines_are_counted_through_multi_line_values_and_every_line_end() -> None:
    reading = read_dotenv_text('A="1\n2\r\n3"\rB=1\r\n\nC=2', ".env")
    assert reading.lines == {"A": 1, "B": 4, "C": 6}


def test_the_last_of_repeated_keys_wins_with_a_note() -> None:
    reading = read_dotenv_text("A=1\nB=2\n  A=3\n", "config/.env")
    assert reading.values == {"A": "3", "B": "2"}
    assert reading.lines["A"] == 3
    (note,) = reading.findings
    assert (note.severity, note.summary) == ("info", "config/.env:3:3 sets `A` again")
    assert "line 1" in note.why


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("A", 1, 1, "no `=`"),
        ("export A", 1, 1, "no `=`"),
        ("A=1\n  what is this\n", 2, 3, "no `=`"),
        ("A: b", 1, 1, "not `:`"),
        ("=b", 1, 1, "no key"),
        ("1A=b", 1, 1, "the key may hold"),
        ("A B=c", 1, 1, "more than one word"),
        ("ä=1", 1, 1, "the key may hold"),
        ("A='b", 1, 3, "no closing '"),
        ('\nA = "b\n\n', 2, 5, 'no closing "'),
        ('A="b\\"', 1, 3, 'no closing "'),
        ("A='b'c", 1, 6, "follows the closing '"),
        ("A='b'#c", 1, 6, "follows the closing '"),
        ('A="1\n2" x', 2, 3, 'follows the closing "'),
        ("A=b\0c", 1, 4, "NUL"),
        ("A='b\0c'", 1, 3, "NUL"),
    ],
)
def test_a_broken_line_is_named_with_line_and_column(text: str, line: int, column: int, reason: str) -> None:
    ((found_line, found_column, why),) = slips(text)
    assert (found_line, found_column) == (line, column)
    assert reason in why


def test_every_broken_line_is_reported_and_nothing_is_used() -> None:
    assert [(line, column) for line, column, _ in slips("GOOD=1\nbad one\n=x\nGOOD2=2\n")] == [(2, 1), (3, 1)]


def test_a_finding_never_quotes_the_value() -> None:
    reading = read_dotenv_text("A='hunter22\nB='hunter22'hunter22\nhunter22 hunter22\n", ".env")
    assert reading.is_broken
    assert "hunter22" not in repr(reading.findings)


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (b"A=1\nB=\xff\n", "not UTF-8", 2),
        (b"\xef\xbb\xbfA=1\n\n\xff", "not UTF-8", 3),
        ("A=1\n".encode("utf-16"), "UTF-16", 1),
        (b"#" * (LARGEST_BYTES + 1), "larger than", 0),
    ],
)
def test_bytes_that_are_no_text_are_a_finding(content: bytes, reason: str, line: int) -> None:
    reading = read_dotenv(content, ".env")
    (finding,) = reading.findings
    assert reading.is_broken
    assert reason in finding.why
    assert finding.place is not None
    assert finding.place.line == line


def test_thousands_of_lines_are_read() -> None:
    text = "".join(f'KEY_{number}="value {number}" # note\n' for number in range(10_000))
    reading = read_dotenv_text(text, ".env")
    assert len(reading.values) == 10_000
    assert reading.lines["KEY_9999"] == 10_000


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    reading = read_dotenv(content, ".env")
    assert reading.is_broken == any(finding.severity == "error" for finding in reading.findings)
    assert not (reading.is_broken and reading.values)


@given(st.text(alphabet="A=1'\"\\ \n\r\t#$ex", max_size=60))
def test_text_of_awkward_characters_is_read_or_refused(text: str) -> None:
    read_dotenv_text(text, ".env")


# --- writing ---------------------------------------------------------------------------------------------

SAMPLE = """\
# database
export DB_URL=old # keep me
EMPTY=
  QUOTED = "a b"   # and me
this line is unknown
TWICE=1
TWICE=2
"""


def test_missing_sets_only_what_no_line_assigns() -> None:
    changed = with_values(
        SAMPLE, {"DB_URL": ("x", "missing"), "EMPTY": ("x", "missing"), "NEW": ("y", "missing")}
    )
    assert changed == SAMPLE + "NEW=y\n"


def test_replace_keeps_prefix_comment_and_order() -> None:
    changed = with_values(
        SAMPLE,
        {
            "DB_URL": ("new one", "replace"),
            "EMPTY": ("full", "replace"),
            "QUOTED": ("c", "replace"),
            "TWICE": ("3", "replace"),
        },
    )
    assert (
        changed
        == """\
# database
export DB_URL='new one' # keep me
EMPTY=full
  QUOTED = c   # and me
this line is unknown
TWICE=1
TWICE=3
"""
    )


def test_replacing_an_empty_value_before_a_comment_keeps_the_comment() -> None:
    changed = with_values("A= # note\n", {"A": ("b", "replace")})
    assert values(changed) == {"A": "b"}
    assert changed.endswith("# note\n")
    assert values(with_values(changed, {"A": ("", "replace")})) == {"A": ""}


def test_a_line_that_already_holds_the_value_is_not_touched() -> None:
    assert with_values('A="b"  # note\n', {"A": ("b", "replace")}) == 'A="b"  # note\n'


def test_remove_drops_every_assignment_and_nothing_else() -> None:
    changed = with_values(SAMPLE, {"TWICE": ("", "remove"), "ABSENT": ("", "remove")})
    assert changed == SAMPLE.replace("TWICE=1\nTWICE=2\n", "")
    assert with_values('A="1\n2" # x\nB=1', {"A": ("", "remove")}) == "B=1"


def test_line_ends_and_byte_order_mark_are_kept() -> None:
    changed = with_values("\ufeffA=1\r\nB=2", {"A": ("3", "replace"), "C": ("4", "missing")})
    assert changed == "\ufeffA=3\r\nB=2\r\nC=4\r\n"
    assert with_values("", {"A": ("1", "missing")}) == "A=1\n"


def test_an_open_quote_is_refused_before_anything_is_written() -> None:
    with pytest.raises(HostError) as error:
        with_values("A=1\nB='x\n", {"C": ("1", "missing")})
    assert error.value.findings[0].place is not None
    assert error.value.findings[0].place.line == 2


@pytest.mark.parametrize(("key", "value"), [("A B", "x"), ("", "x"), ("A", "a\0b"), ("A", "\udcff")])
def test_what_no_dotenv_file_can_hold_is_refused(key: str, value: str) -> None:
    with pytest.raises(HostError):
        with_values("", {key: (value, "missing")})


writable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,5}", fullmatch=True)
awkward = st.text(alphabet="A=1'\"\\ \n\r\t#$ex", max_size=60)


@given(st.dictionaries(keys, writable, max_size=6))
def test_what_is_written_is_read_back(wanted: dict[str, str]) -> None:
    text = with_values("", {key: (value, "missing") for key, value in wanted.items()})
    assert values(text) == wanted


@given(awkward, st.sampled_from(["A", "e", "x1"]), st.one_of(writable, awkward))
def test_replacing_sets_the_value_in_any_readable_text_and_is_idempotent(
    text: str, key: str, value: str
) -> None:
    reading = read_dotenv_text(text, ".env")
    if reading.is_broken:
        return
    changed = with_values(text, {key: (value, "replace")})
    assert values(changed) == {**reading.values, key: value}
    assert with_values(changed, {key: (value, "replace")}) == changed
    gone = with_values(changed, {key: ("", "remove")})
    assert values(gone) == {k: v for k, v in reading.values.items() if k != key}


@given(awkward, writable)
def test_writing_into_any_text_succeeds_or_is_refused_with_findings(text: str, value: str) -> None:
    try:
        with_values(text, {"A": (value, "replace"), "NEW": (value, "missing"), "e": ("", "remove")})
    except HostError as error:
        assert error.findings
