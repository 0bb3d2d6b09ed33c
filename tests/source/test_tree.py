"""The located tree: limits, encodings, core types, positions."""

import errno
import os
from pathlib import Path

import pytest

from ota.errors import ContractUnreadableError, Finding
from ota.source import reading
from ota.source import tree as source
from ota.source.reading import read_bytes
from ota.source.tree import Tree, compose, dotted, plain_value, scalar_type


def value_of(text: str) -> object:
    root = plain_value(compose("ota.yaml", text.encode()).root)
    assert isinstance(root, dict)
    return root["a"]


def refused(data: bytes) -> Finding:
    with pytest.raises(ContractUnreadableError) as caught:
        compose("ota.yaml", data)
    (finding,) = caught.value.findings
    assert finding.place is not None
    assert finding.place.file == "ota.yaml"
    assert finding.summary
    assert finding.why
    assert finding.next
    assert "\n" not in finding.summary + finding.why + finding.next
    return finding


def at(finding: Finding) -> tuple[int, int]:
    assert finding.place is not None
    return finding.place.line, finding.place.column


# --- core schema ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("yes", "str", "yes"),
        ("on", "str", "on"),
        ("No", "str", "No"),
        ("22:22", "str", "22:22"),
        ("1_000", "str", "1_000"),
        ("2024-01-01", "str", "2024-01-01"),
        ("0b101", "str", "0b101"),
        ("=", "str", "="),
        ("tRue", "str", "tRue"),
        ("-x", "str", "-x"),
        ("1.2.3", "str", "1.2.3"),
        ('"5"', "str", "5"),
        ("'true'", "str", "true"),
        ("!!str 5", "str", "5"),
        ("true", "bool", True),
        ("True", "bool", True),
        ("FALSE", "bool", False),
        ("~", "null", None),
        ("", "null", None),
        ("null", "null", None),
        ("NULL", "null", None),
        ("0o7", "int", 7),
        ("010", "int", 10),
        ("0x1F", "int", 31),
        ("-12", "int", -12),
        ("+3", "int", 3),
        ("!!int 5", "int", 5),
        (".5", "float", 0.5),
        ("1e3", "float", 1000.0),
        ("1.", "float", 1.0),
        ("3.10", "float", 3.1),
        ("-2.5E-1", "float", -0.25),
        (".inf", "float", float("inf")),
        ("-.INF", "float", float("-inf")),
    ],
)
def test_plain_scalars_have_the_core_type_of_yaml_1_2(written: str, kind: str, value: object) -> None:
    root = compose("ota.yaml", f"a: {written}\n".encode()).root
    node = root.value[0][1]
    assert scalar_type(node) == kind
    assert plain_value(node) == value


def test_not_a_number_is_a_float() -> None:
    value = value_of("a: .nan\n")
    assert isinstance(value, float)
    assert value != value


def test_scalars_keep_their_source_text() -> None:
    root = compose("ota.yaml", b"a: [3.10, 0x1F, 1e3, 007, '3.10']\n").root
    assert [item.value for item in root.value[0][1].value] == ["3.10", "0x1F", "1e3", "007", "3.10"]


def test_a_number_of_five_thousand_digits_stays_text() -> None:
    assert value_of(f"a: {'1' * 5000}\n") == "1" * 5000


def test_block_scalars_are_strings() -> None:
    assert value_of("a: |\n  5\n") == "5\n"
    assert value_of("a: >-\n  true\n  false\n") == "true false"


def test_anchors_and_aliases_give_equal_values() -> None:
    root = plain_value(compose("ota.yaml", b"a: &x {k: [1, 2]}\nb: *x\n").root)
    assert root == {"a": {"k": [1, 2]}, "b": {"k": [1, 2]}}


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a:\n\tb: 1\n", (2, 1)),
        (b"a:\n  b: 1\n\tc: 2\n", (3, 1)),
        (b"\ta: 1\n", (1, 1)),
    ],
)
def test_a_tab_that_indents_is_named(data: bytes, place: tuple[int, int]) -> None:
    finding = refused(data)
    assert finding.code == "OTA_YAML_SYNTAX"
    assert "tab" in finding.why
    assert finding.next == "indent with spaces"
    assert at(finding) == place


def test_a_tab_inside_a_value_is_fine() -> None:
    assert value_of("a: x\ty\n") == "x\ty"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a: 'x\n", (2, 1)),
        (b"a: b: c\n", (1, 5)),
        (b"a: {b\n", (2, 1)),
        (b"a: @x\n", (1, 4)),
        (b"a: *x\n", (1, 4)),
        (b"a: |\n  t\n b\n", (3, 2)),
        (b"%YAML 2.0\n---\na: 1\n", (1, 1)),
        (b'a: "\\uD800"\n', (1, 7)),
    ],
)
def test_broken_yaml_has_its_position(data: bytes, place: tuple[int, int]) -> None:
    finding = refused(data)
    assert finding.code == "OTA_YAML_SYNTAX"
    assert at(finding) == place


def test_an_undefined_alias_says_what_to_define() -> None:
    assert refused(b"a: *nowhere\n").next == "define the anchor before its alias"


def test_several_documents_are_refused_at_the_second() -> None:
    finding = refused(b"a: 1\n---\nb: 2\n")
    assert finding.why == "the file holds more than one YAML document"
    assert at(finding) == (2, 1)


def test_one_document_may_carry_its_markers() -> None:
    assert value_of("%YAML 1.2\n---\na: 1\n...\n") == 1


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# remarks only\n", b"---\n", b"~\n", b"\xef\xbb\xbf"])
def test_a_file_without_content_is_empty(data: bytes) -> None:
    assert refused(data).code == "OTA_CONTRACT_EMPTY"


@pytest.mark.parametrize(
    "tag",
    [
        "!!binary aGk=",
        "!mine 1",
        "!!timestamp 2001-01-01",
        "!!set {x}",
        "!!omap []",
        "!!python/object:os.system {}",
        "!!int x",
        "!!bool yes",
        "!!null x",
        "!!map []",
        "!!seq {}",
    ],
)
def test_tags_outside_the_core_schema_are_refused(tag: str) -> None:
    finding = refused(f"a: {tag}\n".encode())
    assert finding.code == "OTA_YAML_TAG"
    assert at(finding) == (1, 4)


def test_the_wrong_tag_on_the_root_is_refused() -> None:
    assert refused(b"!mine x\n").code == "OTA_YAML_TAG"
    assert refused(b"!mine {a: 1}\n").code == "OTA_YAML_TAG"


def test_core_tags_are_accepted() -> None:
    assert value_of("a: !!map {b: !!seq [!!float 1]}\n") == {"b": [1]}


# --- encodings -----------------------------------------------------------------------------------


def test_a_byte_order_mark_is_skipped() -> None:
    root = compose("ota.yaml", b"\xef\xbb\xbfa: 1\n")
    assert plain_value(root.root) == {"a": 1}
    assert root.place(("a",)).column == 1


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ("a: é\n".encode("latin-1"), (1, 4)),
        ("a: 1\n# ä: ö\nb: é\n".encode("latin-1"), (2, 3)),
        ("a: 1\n".encode("utf-16"), (1, 1)),
        (b"ok: \xc3\xa9\nbad: \xc3\n", (2, 6)),
        (b"a: \xed\xa0\x80\n", (1, 4)),
        (b"a: \xc0\xaf\n", (1, 4)),
    ],
)
def test_other_encodings_are_named(data: bytes, place: tuple[int, int]) -> None:
    finding = refused(data)
    assert finding.code == "OTA_YAML_ENCODING"
    assert finding.next == "save the file as UTF-8"
    assert at(finding) == place


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a: \x00\n", (1, 4)),
        (b"a: 1\nb: x\x07\n", (2, 5)),
        (b"a: \x1b[31m\n", (1, 4)),
        ("é: \x01\n".encode(), (1, 4)),
        ("a: 1\n".encode("utf-16-le"), (1, 2)),
    ],
)
def test_control_characters_are_named_with_their_place(data: bytes, place: tuple[int, int]) -> None:
    finding = refused(data)
    assert finding.code == "OTA_YAML_ENCODING"
    assert at(finding) == place


@pytest.mark.parametrize("escape", ["\\0", "\\x00", "\\u0000", "\\U00000000"])
def test_an_escaped_nul_is_refused_where_it_stands(escape: str) -> None:
    finding = refused(f'a: 1\nb: [x, "y{escape}"]\n'.encode())
    assert finding.code == "OTA_YAML_ENCODING"
    assert at(finding) == (2, 8)


def test_a_backslash_zero_that_is_no_escape_is_kept() -> None:
    assert value_of("a: printf 'x\\0'\n") == "printf 'x\\0'"


def test_other_escapes_are_values() -> None:
    assert value_of('a: "\\x1b[1m\\u00e9"\n') == "\x1b[1mé"


# --- limits --------------------------------------------------------------------------------------


def test_a_file_above_the_size_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SIZE_LIMIT_BYTES", 10)
    finding = refused(b"a: 123456789\n")
    assert finding.code == "OTA_YAML_TOO_LARGE"
    assert "13 bytes" in finding.why


@pytest.mark.parametrize("open_", [b"[", b"{a: ", b"- ", b"? "])
def test_a_hundred_thousand_levels_do_not_overflow(open_: bytes) -> None:
    finding = refused(open_ * 100_000)
    assert finding.code in ("OTA_YAML_DEPTH", "OTA_YAML_SYNTAX")


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_depth_is_allowed_up_to_the_limit() -> None:
    compose("ota.yaml", f"a: {nested(source.DEPTH_LIMIT - 1)}\n".encode())
    finding = refused(f"a: {nested(source.DEPTH_LIMIT)}\n".encode())
    assert finding.code == "OTA_YAML_DEPTH"
    assert at(finding)[0] == 1


def test_aliases_do_not_hide_depth() -> None:
    half = source.DEPTH_LIMIT // 2 + 5
    text = f"a: &deep {nested(half)}\nb: {'[' * half}*deep{']' * half}\n"
    assert refused(text.encode()).code == "OTA_YAML_DEPTH"


def test_a_chain_of_aliases_does_not_hide_depth() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000)]
    finding = refused("\n".join(lines).encode())
    assert finding.code == "OTA_YAML_DEPTH"


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    for previous, name in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True):
        lines.append(f"{name}: &{name} [{', '.join(['*' + previous] * 9)}]")
    finding = refused("\n".join(lines).encode())
    assert finding.code == "OTA_YAML_ALIAS"
    assert "would become more than 10^12" in finding.why


def test_ordinary_reuse_through_aliases_is_fine() -> None:
    lines = ["base: &base {A: x, B: y}"] + [f"k{n}: *base" for n in range(3000)]
    compose("ota.yaml", "\n".join(lines).encode())


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: &x {b: {c: *x}}\n", "&x {? *x : 1}\n"])
def test_an_alias_inside_its_own_anchor_is_refused(text: str) -> None:
    assert refused(text.encode()).code == "OTA_YAML_ALIAS"


def test_the_collector_runs_again_after_reading() -> None:
    import gc

    compose("ota.yaml", b"a: 1\n")
    assert gc.isenabled()
    refused(b"a: [\n")
    assert gc.isenabled()


# --- positions -----------------------------------------------------------------------------------

TEXT = """\
version: 1

tasks:
  dev:
    run: x   # remark
    depends_on: [a, "b"]
  "set up":
    env: {K: v}
    depends_on:
      - first
      -   second
"""


@pytest.fixture
def located() -> Tree:
    return compose("ota.yaml", TEXT.encode())


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ((), 1, 1),
        (("version",), 1, 1),
        (("tasks",), 3, 1),
        (("tasks", "dev"), 4, 3),
        (("tasks", "dev", "run"), 5, 5),
        (("tasks", "dev", "depends_on", 1), 6, 21),
        (("tasks", "set up", "env", "K"), 8, 11),
        (("tasks", "set up", "depends_on", 1), 11, 11),
        (("tasks", "dev", "runtime", "kind"), 4, 3),
        (("tasks", "dev", "depends_on", 7), 6, 5),
        (("tasks", "dev", "run", "deeper"), 5, 5),
        (("nowhere",), 1, 1),
    ],
)
def test_a_field_is_found_at_its_key_or_nearest_written_ancestor(
    located: Tree, path: tuple[str | int, ...], line: int, column: int
) -> None:
    place = located.place(path)
    assert (place.line, place.column) == (line, column)
    assert place.field == dotted(path)


def test_columns_count_characters_and_lines_count_every_kind_of_break() -> None:
    located = compose("ota.yaml", "é: {ü: 1, x: 2}\r\nb: 1\r\n".encode())
    assert located.place(("é", "x")).column == 11
    assert located.place(("b",)).line == 2


def test_nodes_are_found_by_path(located: Tree) -> None:
    node = located.node(("tasks", "dev", "run"))
    assert node is not None
    assert node.value == "x"
    assert located.node(("tasks", "dev", "nothing")) is None
    assert located.node(("tasks", "dev", "depends_on", 2)) is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("tasks", "dev", "depends_on", 1), "tasks.dev.depends_on[1]"),
        (("tasks", "a.b"), 'tasks."a.b"'),
        (("tasks", "set up"), 'tasks."set up"'),
        (("tasks", ""), 'tasks.""'),
        (("tasks", "db:migrate"), "tasks.db:migrate"),
        (("tasks", "a\nb"), 'tasks."a\\nb"'),
        (("tasks", "a\x1b"), "tasks.a\\x1b"),
        (("k" * 200,), "k" * 77 + "..."),
    ],
)
def test_field_paths_are_one_line(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


# --- files ---------------------------------------------------------------------------------------


def why_unreadable(path: Path) -> str:
    with pytest.raises(ContractUnreadableError) as caught:
        read_bytes(path, "ota.yaml")
    (finding,) = caught.value.findings
    assert finding.code == "OTA_CONTRACT_UNREADABLE"
    assert finding.summary == "ota.yaml could not be read"
    assert finding.next
    return finding.why


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "ota.yaml").write_bytes(b"version: 1\n")
    assert read_bytes(tmp_path / "ota.yaml", "ota.yaml") == b"version: 1\n"


def test_reading_stops_just_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SIZE_LIMIT_BYTES", 100)
    (tmp_path / "ota.yaml").write_bytes(b"x" * 5000)
    assert len(read_bytes(tmp_path / "ota.yaml", "ota.yaml")) == 101


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert why_unreadable(tmp_path / "ota.yaml") == "there is no such file"


def test_a_broken_link_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "ota.yaml").symlink_to(tmp_path / "gone")
    assert why_unreadable(tmp_path / "ota.yaml") == "there is no such file"


def test_a_link_to_itself_is_said(tmp_path: Path) -> None:
    (tmp_path / "ota.yaml").symlink_to(tmp_path / "ota.yaml")
    assert "symbolic links" in why_unreadable(tmp_path / "ota.yaml")


def test_a_directory_is_said(tmp_path: Path) -> None:
    assert why_unreadable(tmp_path) == "it is a directory"


def test_a_file_below_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    assert why_unreadable(tmp_path / "x" / "ota.yaml") == "Not a directory"


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ota.yaml")
    assert why_unreadable(tmp_path / "ota.yaml") == "it is not a regular file"


def test_a_device_is_refused() -> None:
    assert why_unreadable(Path("/dev/zero")) == "it is not a regular file"


def test_a_name_no_file_can_have_is_said() -> None:
    assert why_unreadable(Path("/tmp/a\0b"))
    assert "too long" in why_unreadable(Path("/tmp/" + "x" * 5000))


def test_an_unreadable_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ota.yaml").write_bytes(b"version: 1\n")
    (tmp_path / "ota.yaml").chmod(0)
    if os.geteuid() == 0:  # root reads every file, so the answer of the system is given here

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "open", refuse)
    assert why_unreadable(tmp_path / "ota.yaml") == "Permission denied"
