"""A checkout whose containers run on a real engine, removed with everything it owns there."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.container_bench import Bench, MakeBench
from support.engines import Engine, Session


@pytest.fixture
def make_bench(engine: Engine, tmp_path: Path) -> Iterator[MakeBench]:
    """Make a bench in a folder: `make_bench("a folder")`; each engine in turn."""
    made: list[Bench] = []

    def make(name: str = "repo", on: Engine = engine) -> Bench:
        bench = Bench(on, tmp_path / name)
        made.append(bench)
        return bench

    yield make
    for each in made:
        each.discard()


@pytest.fixture
def bench_on(
    engine_session: Session,
    no_process_left_behind: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[MakeBench]:
    """Make a bench on the engine of that name: for tests in which something else chooses it."""
    made: list[Bench] = []

    def make(name: str) -> Bench:
        engine = engine_session.engine(name)
        for variable, value in engine.environment.items():
            monkeypatch.setenv(variable, value)
        made.append(Bench(engine, tmp_path / "repo"))
        return made[-1]

    yield make
    for each in made:
        each.discard()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """A bench in a plain folder."""
    return make_bench()


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """Ports nobody holds at this moment, each another one."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in given:
                given.add(port)
                return port

    yield find
