"""Running the suite side by side: how many workers, in which order, and who runs alone.

Most of a test's time is waiting for processes, so `-n auto` means more workers than processors. Long tests
begin first, so that none of them is what all others wait for at the end. While a test marked `alone` runs,
no other test of the same run does; it measures time, or looks at the whole machine. That is a lock and not a
schedule, so it holds for workers that are ahead or behind.

Does not own: the leak check and the record (conftest.py), which work alike with one process and with many.
"""

import fcntl
import functools
import json
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

WORKERS_PER_PROCESSOR = 2
_FOLDER = "ota_shared_folder"
_GROUPS = "groups.json"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    return WORKERS_PER_PROCESSOR * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Let `-n` alone mean: groups stay together (`Host`), and the order is the one of `Turns`."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"
        config.option.loadscopereorder = False


def shared_folder(config: pytest.Config) -> Path | None:
    """The folder that all workers of this run share; `None` where tests run one after the other."""
    given: dict[str, str] = getattr(config, "workerinput", {})
    return Path(given[_FOLDER]) if _FOLDER in given else None


class Host:
    """The process that hands out tests: it keeps the workers' shared folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ota-tests-")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_FOLDER] = self._folder.name

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        if config.option.dist != "loadgroup":
            return None
        from xdist.scheduler import LoadScopeScheduling

        groups = functools.cache(lambda: json.loads((Path(self._folder.name) / _GROUPS).read_text()))

        class Grouped(LoadScopeScheduling):  # type: ignore[misc]
            def _split_scope(self, nodeid: str) -> str:
                return str(groups().get(nodeid, nodeid))

        return Grouped(config, log)

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


class Room:
    """Holds any number of ordinary tests, or one that wants to be alone and waits no longer than others."""

    def __init__(self, folder: Path) -> None:
        self._door = (folder / "door.lock").open("w")
        self._room = (folder / "room.lock").open("w")
        self._is_ours_alone = False

    def enter(self, *, alone: bool) -> None:
        if self._is_ours_alone:
            return
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        self._is_ours_alone = alone

    def leave(self, *, next_is_alone: bool) -> None:
        """Tests that want to be alone and follow each other hold up the others once."""
        if not (self._is_ours_alone and next_is_alone):
            fcntl.flock(self._room, fcntl.LOCK_UN)
            self._is_ours_alone = False

    def close(self) -> None:
        self._door.close()
        self._room.close()


class Turns:
    """Sorts the tests of a worker, and lets each enter the room before it begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._room = Room(folder)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: (_is("alone", item), not _is("slow", item)))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell the host which tests belong together; all workers collect, and tell, the same."""
        groups = {item.nodeid: group for item in session.items if (group := _group(item))}
        partial = self._folder / f"groups.{os.getpid()}"
        partial.write_text(json.dumps(groups), encoding="utf-8")
        partial.replace(self._folder / _GROUPS)

    # Outermost, so that waiting for a turn does not count against the time limit of the test.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        self._room.enter(alone=_is("alone", item))
        try:
            return (yield)
        finally:
            self._room.leave(next_is_alone=nextitem is not None and _is("alone", nextitem))

    def pytest_unconfigure(self) -> None:
        self._room.close()


def _group(item: pytest.Item) -> str:
    """Tests of one group are run by one worker, in a row."""
    if _is("alone", item):
        return "alone"
    if (mark := item.get_closest_marker("xdist_group")) is not None:
        return str(mark.args[0])
    definitions = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    shared = [each[-1].argname for each in definitions.values() if each[-1].scope == "module"]
    # What is made once for a module would be made once by each worker that gets a test of it.
    return str(item.path) if shared else ""


def _is(mark: str, item: pytest.Item) -> bool:
    return item.get_closest_marker(mark) is not None


def pytest_configure(config: pytest.Config) -> None:
    if (folder := shared_folder(config)) is not None:
        config.pluginmanager.register(Turns(folder), "turns")
    elif config.getoption("numprocesses", None):
        config.pluginmanager.register(Host(), "host")
