"""What an earlier run proved: equal to proving again, never stale, never believed from somebody else."""

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.reading import FIXTURES, HEAD, parsed
from ota.contract import cache
from ota.contract.cache import KEPT_ENTRIES, Memory, Proven, Recalled, build_identity
from ota.contract.load import load, load_bytes
from ota.errors import ContractError, Finding, Place

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EVERYTHING = FIXTURES / "contracts" / "everything.yaml"
SMALL = HEAD + "tasks: {hello: {run: echo hello}}\n"


def written(folder: Path, text: str = SMALL, name: str = "ota.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def remembered(folder: Path, text: str = SMALL) -> Path:
    """A contract of which an earlier command kept what it proved."""
    path = written(folder, text)
    load(path, "ota.yaml").remember()
    assert entry_of(path).is_file()
    return path


def entry_of(path: Path) -> Path:
    return path.parent / ".ota" / "state" / "cache" / f"{path.name}.msgpack"


def recalled(path: Path) -> Recalled | None:
    return Memory(path).recall(path.read_bytes(), "ota.yaml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/ota.yaml")), ids=lambda path: path.parent.name)
def test_what_is_recalled_equals_what_is_proven(path: Path, tmp_path: Path) -> None:
    copy = remembered(tmp_path, path.read_text(encoding="utf-8"))
    again = load(copy, "ota.yaml")
    proven = load_bytes(copy.read_bytes(), copy, "ota.yaml")
    assert again.memory is None
    assert again.contract == proven.contract
    assert again.warnings == proven.warnings
    assert repr(again.contract) == repr(proven.contract)


def test_every_record_survives_the_round_trip(tmp_path: Path) -> None:
    path = remembered(tmp_path)
    contract = parsed(EVERYTHING.read_text(encoding="utf-8"))
    Memory(path).keep(path.read_bytes(), Proven(contract=contract, warnings=()))
    kept = recalled(path)
    assert kept is not None
    assert repr(kept.contract()) == repr(contract)


NAMES = st.text("abcdefgh-_", min_size=1, max_size=8).filter(lambda name: not name.startswith("x-"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc é\n'\"#:", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


TEXTS = st.text("ab ").filter(str.strip)
TASKS = st.dictionaries(st.sampled_from(["description", "run", "notes"]), TEXTS, min_size=1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tasks=st.dictionaries(NAMES, TASKS, max_size=4), open_values=VALUES)
def test_any_contract_is_recalled_as_it_was_proven(
    tasks: dict[str, dict[str, str]], open_values: object, tmp_path: Path
) -> None:
    document = {"version": 1, "project": {"name": "demo"}, "tasks": tasks, "artifacts": open_values}
    path = written(tmp_path, msgspec.json.encode(document).decode())
    shutil.rmtree(tmp_path / ".ota", ignore_errors=True)
    try:
        proven = load(path, "ota.yaml")
    except ContractError:
        return
    proven.remember()
    again = load(path, "ota.yaml")
    assert (again.contract, again.warnings) == (proven.contract, proven.warnings)


def test_warnings_are_shown_where_the_contract_is_seen_from(tmp_path: Path) -> None:
    path = remembered(tmp_path, SMALL + "artifacts: {later: true}\n")
    again = load(path, "../ota.yaml")
    assert again.memory is None
    assert [finding.place and finding.place.file for finding in again.warnings] == ["../ota.yaml"]


def test_places_of_a_recalled_contract_are_looked_up_in_its_file(tmp_path: Path) -> None:
    again = load(remembered(tmp_path), "ota.yaml")
    assert again.memory is None
    assert again.place(("tasks", "hello", "run")) == Place(
        file="ota.yaml", field="tasks.hello.run", line=3, column=17
    )


def test_a_recalled_contract_is_not_written_again(tmp_path: Path) -> None:
    path = remembered(tmp_path)
    before = entry_of(path).stat().st_mtime_ns
    load(path, "ota.yaml").remember()
    assert entry_of(path).stat().st_mtime_ns == before


def test_loading_alone_writes_nothing(tmp_path: Path) -> None:
    load(written(tmp_path), "ota.yaml")
    assert not (tmp_path / ".ota").exists()


def test_an_edited_contract_is_proven_again(tmp_path: Path) -> None:
    path = remembered(tmp_path)
    written(tmp_path, SMALL.replace("echo hello", "echo other"))
    assert load(path, "ota.yaml").contract.tasks["hello"].run == "echo other"


def test_a_contract_that_became_wrong_is_refused(tmp_path: Path) -> None:
    path = remembered(tmp_path)
    written(tmp_path, SMALL + "unknown_key: 1\n")
    with pytest.raises(ContractError):
        load(path, "ota.yaml")


def test_another_build_does_not_believe_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = remembered(tmp_path)
    monkeypatch.setattr(cache, "VERSION", "0.1.1")
    assert recalled(path) is None


def test_an_edit_of_a_rule_makes_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "contract"
    (sources / "rules").mkdir(parents=True)
    rule = sources / "rules" / "root.py"
    rule.write_text("RULES = ()\n")
    monkeypatch.setattr(cache.ota.contract, "__path__", [str(sources)])
    before = build_identity()
    assert build_identity() == before
    os.utime(rule, ns=(1, 1))
    assert build_identity() != before


def test_every_module_that_decides_what_a_contract_means_is_part_of_the_build() -> None:
    rooms = {
        name.rpartition(".")[0] for name in sys.modules if name.startswith(("ota.contract.", "ota.source."))
    }
    names = {f"{folder}/" for folder in cache._source_folders()}
    for room in rooms:
        assert any(name.endswith("/" + room.replace(".", "/") + "/") for name in names), room


def test_an_entry_that_was_copied_with_the_repository_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    remembered(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copy2)
    assert recalled(tmp_path / "one" / "ota.yaml") is not None
    assert recalled(tmp_path / "two" / "ota.yaml") is None


def _truncate(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-7])


def _empty(entry: Path) -> None:
    entry.write_bytes(b"")


def _garble(entry: Path) -> None:
    entry.write_bytes(os.urandom(500))


def _nest(entry: Path) -> None:
    entry.write_bytes(b"\x91" * 100_000)


def _open_to_others(entry: Path) -> None:
    entry.chmod(0o644)


def _open_folder(entry: Path) -> None:
    entry.parent.chmod(0o755)


def _link(entry: Path) -> None:
    entry.rename(entry.with_name("elsewhere"))
    entry.symlink_to("elsewhere")


def _link_folder(entry: Path) -> None:
    entry.parent.rename(entry.parents[1] / "elsewhere")
    entry.parent.symlink_to("elsewhere")


def _pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry, 0o600)


def _folder(entry: Path) -> None:
    entry.unlink()
    entry.mkdir(mode=0o700)


SPOILERS = [
    _truncate,
    _empty,
    _garble,
    _nest,
    _open_to_others,
    _open_folder,
    _link,
    _link_folder,
    _pipe,
    _folder,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_damage_means_proving_again(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = remembered(tmp_path)
    spoil(entry_of(path))
    again = load(path, "ota.yaml")
    assert again.memory is not None
    assert again.contract.tasks["hello"].run == "echo hello"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_an_entry_of_another_user_is_not_believed(tmp_path: Path) -> None:
    path = remembered(tmp_path)
    os.chown(entry_of(path), 12345, 12345)
    assert recalled(path) is None


@pytest.mark.parametrize(
    ("records", "inside"),
    [
        (["ota.contract.model:Contract"], [0, {"version": 1, "project": "demo", "colour": "red"}]),
        (["ota.contract.model:Contract"], [1, {}]),
        (["ota.contract.model:NoSuchRecord"], [0, {}]),
        (["os:system"], [0, {"command": "true"}]),
        (["ota.contract.model:Contract"], []),
    ],
    ids=["unknown field", "unknown number", "unknown record", "no record", "nothing"],
)
def test_records_that_cannot_be_made_mean_proving_again(
    records: list[str], inside: list[object], tmp_path: Path
) -> None:
    path = remembered(tmp_path)
    outside = msgspec.msgpack.decode(entry_of(path).read_bytes())
    content = [*outside[:3], records, [-1], inside]
    entry_of(path).write_bytes(msgspec.msgpack.encode(content))
    assert load(path, "ota.yaml").contract.tasks["hello"].run == "echo hello"


def test_a_recalled_contract_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    again = load(remembered(tmp_path), "ota.yaml")
    assert again.contract is again.contract


def test_a_number_no_entry_can_hold_is_no_trouble(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL + "artifacts: {big: 123456789012345678901234567890}\n")
    load(path, "ota.yaml").remember()
    assert recalled(path) is None


def test_a_folder_that_cannot_be_made_is_no_trouble(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / ".ota").write_text("in the way")
    load(path, "ota.yaml").remember()
    assert recalled(path) is None


def test_only_a_few_entries_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT_ENTRIES + 3):
        path = written(tmp_path, name=f"{number}.yaml")
        load(path, path.name).remember()
        os.utime(entry_of(path), ns=(number, number))
    left = sorted(each.name for each in entry_of(path).parent.iterdir())
    assert left == [f"{number}.yaml.msgpack" for number in range(3, KEPT_ENTRIES + 3)]


def test_two_commands_may_write_at_once(tmp_path: Path) -> None:
    path = written(tmp_path)
    proven = [load(path, "ota.yaml") for _ in range(4)]
    threads = [threading.Thread(target=each.remember) for each in proven for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recalled(path) is not None
    assert [each.name for each in entry_of(path).parent.iterdir()] == ["ota.yaml.msgpack"]


def test_what_is_kept_is_private(tmp_path: Path) -> None:
    entry = entry_of(remembered(tmp_path))
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_findings_survive_the_round_trip(tmp_path: Path) -> None:
    path = remembered(tmp_path)
    finding = Finding(code="OTA_W01", severity="warn", summary="s", why="w", next="n", place=None)
    contract = load(path, "ota.yaml").contract
    Memory(path).keep(path.read_bytes(), Proven(contract=contract, warnings=(finding,)))
    kept = recalled(path)
    assert kept is not None
    assert kept.warnings == (finding,)
