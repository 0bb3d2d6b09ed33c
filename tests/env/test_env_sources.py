"""Declared env sources: statuses, formats, flattening, key normalisation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.contract.model.env import EnvSource, SourceKind
from ota.env.dotenv import LARGEST_BYTES
from ota.env.sources import (
    LoadedSource,
    load_source,
    load_sources,
    normalise_key,
    parse_source,
    source_finding,
)

KINDS: list[SourceKind] = ["dotenv", "properties", "json", "yaml", "toml"]


def parse(kind: SourceKind, text: str | bytes) -> LoadedSource:
    content = text if isinstance(text, bytes) else text.encode()
    return parse_source(EnvSource(kind=kind, path=f"config.{kind}"), content)


def values(kind: SourceKind, text: str | bytes) -> dict[str, str]:
    loaded = parse(kind, text)
    assert (loaded.status, loaded.detail) == ("loaded", "")
    return dict(loaded.values)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("app.port", "APP_PORT"),
        ("feature flags.beta-enabled", "FEATURE_FLAGS_BETA_ENABLED"),
        ("  a/b:c\td ", "A_B_C_D"),
        ("a..b__c-_d", "A_B_C_D"),
        ("Already_UPPER", "ALREADY_UPPER"),
        ("_x", "_X"),
    ],
)
def test_keys_are_normalised(key: str, name: str) -> None:
    assert normalise_key(key) == name
    assert normalise_key(name) == name


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_a_status(kind: SourceKind) -> None:
    optional = load_source(EnvSource(kind=kind, path="x"), lambda path: None)
    required = load_source(EnvSource(kind=kind, path="x", must_exist=True), lambda path: None)
    assert (optional.status, optional.is_blocking, optional.label) == ("missing_optional", False, f"{kind}:x")
    assert (required.status, required.is_blocking) == ("missing_required", True)
    assert source_finding(optional) is None
    finding = source_finding(required)
    assert finding is not None
    assert finding.code == "OTA_ENV_SOURCE_MISSING_REQUIRED"
    assert finding.summary == f"Missing required environment source: {kind}:x"
    assert "Create `x`" in finding.next


def test_an_unreadable_file_is_a_status_too() -> None:
    def refuse(path: str) -> bytes | None:
        raise IsADirectoryError(21, "Is a directory")

    loaded = load_source(EnvSource(kind="json", path="x"), refuse)
    assert loaded.status == "parse_failed"
    assert "Is a directory" in loaded.detail


def test_one_failing_source_does_not_stop_the_others() -> None:
    files = {".env": b"A=1", "bad.json": b"{", "ok.toml": b"b = 2"}
    declared = [
        EnvSource(kind="dotenv", path=".env"),
        EnvSource(kind="json", path="bad.json"),
        EnvSource(kind="yaml", path="absent.yaml"),
        EnvSource(kind="toml", path="ok.toml"),
    ]
    statuses = [loaded.status for loaded in load_sources(declared, files.get)]
    assert statuses == ["loaded", "parse_failed", "missing_optional", "loaded"]


NESTED = {"APP_PORT": "8080", "APP_NAME": "shop", "APP_DEBUG": "true", "RATIO": "3.10"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '{"app": {"port": 8080, "name": "shop", "debug": true}, "ratio": 3.10}'),
        ("yaml", "app:\n  port: 8080\n  name: shop\n  debug: True\nratio: 3.10\n"),
        ("toml", 'ratio = 3.10\n[app]\nport = 8080\nname = "shop"\ndebug = true\n'),
        ("properties", "app.port=8080\napp.name: shop\napp.debug true\nratio = 3.10\n"),
    ],
)
def test_structured_kinds_say_the_same(kind: SourceKind, text: str) -> None:
    assert values(kind, text) == NESTED
    assert values(kind, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == NESTED


def test_dotenv_keys_are_used_as_written() -> None:
    assert values("dotenv", "app.port=1\nAPP_PORT=2") == {"app.port": "1", "APP_PORT": "2"}


def test_a_repeated_dotenv_key_is_a_note() -> None:
    loaded = parse("dotenv", "A=1\nA=2")
    assert loaded.values == {"A": "2"}
    assert [note.severity for note in loaded.notes] == ["info"]


@pytest.mark.parametrize(
    ("kind", "text", "lines"),
    [
        ("dotenv", "\nA=1", {"A": 2}),
        ("properties", "# c\n\na = \\\n 1\nb=2", {"A": 3, "B": 5}),
        ("yaml", "a:\n  b: 1\n  c: 2\n", {"A_B": 2, "A_C": 3}),
        ("json", '{"a": 1}', {}),
    ],
)
def test_lines_are_known_where_the_format_tells_them(
    kind: SourceKind, text: str, lines: dict[str, int]
) -> None:
    assert parse(kind, text).lines == lines


@pytest.mark.parametrize(
    ("kind", "text", "detail"),
    [
        ("json", '{"a.b": 1, "a": {"b": 2}}', "`a.b` is set twice"),
        ("json", '{"a-b": 1, "a_b": 2}', "`a-b` and `a_b` both become `A_B`"),
        ("json", '{"a": 1, "a": 2}', "`a` is set twice"),
        ("yaml", "a.b: 1\na_b: 2\n", "line 2: `a.b` and `a_b` both become `A_B`"),
        ("yaml", "a: 1\na: 2\n", "line 2: `a` is set twice"),
        ("toml", "a-b = 1\nA_B = 2\n", "`a-b` and `A_B` both become `A_B`"),
        ("properties", "a=1\nA=2\n", "line 2: `a` and `A` both become `A`"),
    ],
)
def test_two_keys_with_one_name_fail_the_source(kind: SourceKind, text: str, detail: str) -> None:
    loaded = parse(kind, text)
    assert (loaded.status, loaded.values, loaded.detail) == ("collision", {}, detail)
    finding = source_finding(loaded)
    assert finding is not None
    assert finding.code == "OTA_ENV_SOURCE_KEY_COLLISION"


@pytest.mark.parametrize(
    ("kind", "text", "detail"),
    [
        ("json", "[1]", "root"),
        ("json", '"x"', "root"),
        ("json", "null", "root"),
        ("json", '{"a": null}', "`a` is null"),
        ("json", '{"a": {"b": [1]}}', "`a.b` is a list"),
        ("json", '{"": 1}', "cannot name"),
        ("json", '{"a=b": 1}', "cannot name"),
        ("json", '{"a": "\\u0000"}', "not text"),
        ("json", '{"a": "\\ud800"}', "not text"),
        ("json", '{"a":' * 200 + "1" + "}" * 200, "nested deeper"),
        ("json", '{"a":' * 50_000 + "1" + "}" * 50_000, "nested deeper"),
        ("yaml", "", "root"),
        ("yaml", "# nothing\n", "root"),
        ("yaml", "- a\n", "root"),
        ("yaml", "a: ~\n", "`a` is null"),
        ("yaml", "a:\n", "line 1, column 1: `a` is null"),
        ("yaml", "a: {b: [1]}\n", "`a.b` is a list"),
        ("yaml", "? [a]\n: 1\n", "not plain text"),
        ("yaml", "x: &x {a: 1}\ny: {<<: *x}\n", "merge keys"),
        ("toml", "a = [1]\n", "`a` is a list"),
        ("toml", "a = 2024-01-01\n", "`a` is a date or time"),
        ("toml", "a = 12:00:00\n", "`a` is a date or time"),
        ("toml", "[[a]]\nb = 1\n", "`a` is a list"),
        ("properties", "=x\n", "cannot name"),
    ],
)
def test_leaves_must_be_strings_numbers_or_booleans(kind: SourceKind, text: str, detail: str) -> None:
    loaded = parse(kind, text)
    assert (loaded.status, loaded.values) == ("invalid_structure", {})
    assert detail in loaded.detail


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join('*' + before for _ in range(9))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("kind", "text", "detail"),
    [
        ("dotenv", "A=1\nnonsense\n", "line 2, column 1"),
        ("dotenv", "A='x\n", "line 1, column 3"),
        ("dotenv", "a\nb\nc\n", "2 more broken lines"),
        ("json", "", "line 1, column 1"),
        ("json", '{"a": 1,}', "line 1"),
        ("json", '{"a": NaN}', "NaN"),
        ("yaml", "a: [1\n", "YAML"),
        ("yaml", "a: 1\n---\nb: 2\n", "more than one"),
        ("yaml", "a: *nowhere\n", "YAML"),
        ("yaml", "a: &a {b: *a}\n", "inside its own value"),
        ("yaml", BOMB, "YAML"),
        ("yaml", "a: !!python/object:os.system x\n", "YAML"),
        ("toml", "a = \n", "line 1"),
        ("toml", "a = 1\na = 2\n", "TOML"),
        ("toml", "a = '", "TOML"),
        ("toml", "a = 1" + "0" * 5000, "TOML"),
        ("properties", "a=\\u12", "line 1: `\\u` needs four"),
    ],
)
def test_broken_text_is_a_parse_failure_with_its_place(kind: SourceKind, text: str, detail: str) -> None:
    loaded = parse(kind, text)
    assert (loaded.status, loaded.values) == ("parse_failed", {})
    assert detail in loaded.detail
    finding = source_finding(loaded)
    assert finding is not None
    assert finding.code == "OTA_ENV_SOURCE_PARSE_FAILED"
    assert finding.place is not None
    assert finding.place.file == f"config.{kind}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"a\xff: 1", b"\xff\xfea\0", b"#" * (LARGEST_BYTES + 1)])
def test_bytes_that_are_no_text_fail_every_kind(kind: SourceKind, content: bytes) -> None:
    assert parse(kind, content).status == "parse_failed"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("dotenv", "A='hunter22\n"),
        ("dotenv", "hunter22 hunter22\n"),
        ("json", '{"a": "hunter22" "hunter22"}'),
        ("json", '{"a": hunter22}'),
        ("yaml", "a: 'hunter22\n"),
        ("yaml", "a: hunter22: hunter22\n"),
        ("yaml", "a: [hunter22]\n"),
        ("yaml", "a: *hunter22\n"),
        ("yaml", "a: !hunter22 x\n"),
        ("yaml", "a: !!hunter22 x\n"),
        ("yaml", "a: !!int hunter22\n"),
        ("yaml", "a: &hunter22 [1\n"),
        ("yaml", "a: %hunter22\n"),
        ("yaml", "a: @hunter22\n"),
        ("yaml", "a: '\\' 'hunter22'\n"),
        ("yaml", 'a: "\\hunter22"\n'),
        ("toml", "a = hunter22\n"),
        ("toml", "a = 'hunter22\n"),
        ("properties", "a=\\uhunter22\n"),
    ],
)
def test_no_detail_quotes_a_value(kind: SourceKind, text: str) -> None:
    loaded = parse(kind, text)
    assert loaded.is_blocking
    assert "hunter22" not in repr(loaded)


def test_yaml_scalars_follow_the_core_schema() -> None:
    text = "a: yes\nb: 22:22\nc: 0o17\nd: FALSE\ne: '~'\nf: 2024-01-01\ng: 1_000\nh: |\n  two\n  lines\n"
    assert values("yaml", text) == {
        "A": "yes",
        "B": "22:22",
        "C": "0o17",
        "D": "false",
        "E": "~",
        "F": "2024-01-01",
        "G": "1_000",
        "H": "two\nlines\n",
    }


def test_yaml_aliases_are_followed() -> None:
    assert values("yaml", "a: &x {b: 1}\nc: *x\n") == {"A_B": "1", "C_B": "1"}


def test_properties_follow_the_java_format() -> None:
    text = (
        "! comment\n  key\\ one = v1  \nkey\\#two:v\\ttab\nlong = a, \\\n    b, \\\n    c\n"
        "empty\nempty2=\nslash=c:\\\\dir\\\\\nuni=\\u00e9\\ud834\\udd1e\n#x=1\nends=\\"
    )
    assert values("properties", text) == {
        "KEY_ONE": "v1  ",
        "KEY#TWO": "v\ttab",
        "LONG": "a, b, c",
        "EMPTY": "",
        "EMPTY2": "",
        "SLASH": "c:\\dir\\",
        "UNI": "é𝄞",
        "ENDS": "",
    }


def test_empty_toml_and_properties_are_empty_tables() -> None:
    assert values("toml", "") == {}
    assert values("properties", "") == {}
    assert values("dotenv", "") == {}


def test_large_json_numbers_stay_as_written() -> None:
    digits = "9" * 6000
    assert values("json", '{"a": ' + digits + ', "b": 1e400}') == {"A": digits, "B": "1e400"}


tree = st.recursive(
    st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(tree)
def test_any_json_tree_gives_a_status(value: object) -> None:
    loaded = parse("json", json.dumps(value))
    assert loaded.status in ("loaded", "invalid_structure", "collision")


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_bytes_give_a_status(kind: SourceKind, content: bytes) -> None:
    loaded = parse(kind, content)
    assert (loaded.status == "loaded") == (source_finding(loaded) is None)


@given(st.sampled_from(KINDS), st.text(alphabet="ab=:.[]{}\"'\\#&*!- \n\t1u", max_size=50))
def test_any_awkward_text_gives_a_status(kind: SourceKind, text: str) -> None:
    loaded = parse(kind, text)
    assert loaded.status != "missing_required"
    for name, value in loaded.values.items():
        assert name
        assert "\0" not in value
