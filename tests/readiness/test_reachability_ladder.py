"""The reachability ladder: which rung is broken first, and what would mend it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ota.readiness.ladder import (
    RUNGS,
    Expected,
    Ladder,
    NativeWorkload,
    Observations,
    climb,
    observe_ladder,
)
from ota.readiness.probes import HttpProbe, Probe, TcpProbe
from ota.readiness.results import ProbeResult
from ota.system.sockets import ProcessListener
from readiness.liar_services import answer, answering, closing, serving, silent, unused_port

EXPECTED = Expected(
    subject="task `dev`",
    listener="http",
    bind_address="127.0.0.1",
    bind_port=8080,
    host_address="127.0.0.1",
    host_port=8080,
)
OPEN = ProbeResult(ok=True, reached="connection", cause="ok", detail="accepts connections", elapsed_ms=1)


def bound(*listeners: tuple[str, int]) -> tuple[ProcessListener, ...]:
    return tuple(ProcessListener(address=address, port=port, pids=(7,)) for address, port in listeners)


def alive(**more: object) -> Observations:
    return Observations(is_alive=True, **more)  # type: ignore[arg-type]


def standings(ladder: Ladder) -> list[str]:
    return [record.standing for record in ladder.rungs]


def test_a_dead_process_breaks_the_first_rung_and_nothing_above_was_reached() -> None:
    ladder = climb(EXPECTED, Observations(is_alive=False, exit_code=3))
    assert ladder.broken == "process_alive"
    assert "exit code 3" in ladder.why
    assert standings(ladder) == ["broken"] + ["not_reached"] * 5
    assert [record.rung for record in ladder.rungs] == list(RUNGS)


def test_a_server_that_forks_and_ends_is_told_to_stay() -> None:
    assert "foreground" in climb(EXPECTED, Observations(is_alive=False, exit_code=0)).fix


def test_nothing_listening_and_nothing_printed() -> None:
    ladder = climb(EXPECTED, alive(bound=(), has_printed=False))
    assert ladder.broken == "socket_bound"
    assert ladder.why == "nothing of task `dev` listens on a TCP port, and it has printed nothing so far"
    assert "127.0.0.1:8080" in ladder.fix


def test_bound_on_the_other_loopback() -> None:
    ladder = climb(EXPECTED, alive(bound=bound(("::1", 8080))))
    assert ladder.broken == "socket_bound"
    assert ladder.why == "bound on ::1, which 127.0.0.1 does not reach"
    assert "bind 127.0.0.1" in ladder.fix
    assert "`project.host.address`" in ladder.fix


def test_bound_on_another_port() -> None:
    ladder = climb(EXPECTED, alive(bound=bound(("127.0.0.1", 5173))))
    assert ladder.why == "bound on 127.0.0.1:5173 instead of 127.0.0.1:8080"
    assert "port 5173" in ladder.fix


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_bind_that_covers_the_projection_holds(address: str) -> None:
    ladder = climb(EXPECTED, alive(bound=bound((address, 8080)), in_plane=OPEN, from_host=OPEN))
    assert ladder.broken is None
    assert standings(ladder) == ["holds", "holds", "holds", "not_applicable", "holds", "not_applicable"]


def test_loopback_inside_a_container_is_out_of_reach() -> None:
    inside = Expected(
        subject="task `dev`", listener="http", bind_address="0.0.0.0", bind_port=3000,
        host_address="127.0.0.1", host_port=41000, is_translated=True,
    )  # fmt: skip
    ladder = climb(inside, alive(bound=bound(("127.0.0.1", 3000))))
    assert ladder.broken == "socket_bound"
    assert "bind 0.0.0.0" in ladder.fix
    unpublished = climb(inside, alive(bound=bound(("0.0.0.0", 3000)), in_plane=OPEN, is_published=False))
    assert unpublished.broken == "published"


@pytest.mark.parametrize(
    ("result", "rung", "fix"),
    [
        (("answer", "status", "status 404 (expected 200)", 404), "content", "no such route"),
        (("answer", "status", "status 503 (expected 200)", 503), "content", "not ready"),
        (("answer", "status", "status 401 (expected 200)", 401), "content", "no login"),
        (("answer", "redirect", "redirect 302 to /x", 302), "content", "success.status"),
        (("answer", "body", "body lacks", 200), "content", "body.contains"),
        (("connection", "no_answer", "no answer within 2 s", None), "answers_from_host", "silent"),
        (("connection", "closed_at_once", "closed", None), "answers_from_host", "hangs up"),
        (("connection", "malformed", "speaks TLS", None), "answers_from_host", "protocol: https"),
        (("nothing", "refused", "refused", None), "answers_from_host", "project.host"),
    ],
)  # fmt: skip
def test_each_failure_above_the_socket_has_its_own_fix(
    result: tuple[str, str, str, int | None], rung: str, fix: str
) -> None:
    reached, cause, detail, status = result
    failed = ProbeResult(ok=False, reached=reached, cause=cause, detail=detail, elapsed_ms=1, status=status)  # type: ignore[arg-type]
    ladder = climb(EXPECTED, alive(bound=bound(("127.0.0.1", 8080)), in_plane=OPEN, from_host=failed))
    assert ladder.broken == rung
    assert ladder.why == detail
    assert fix in ladder.fix
    assert any(detail in line and "broken" in line for line in ladder.lines)


# -- observed on real sockets ----------------------------------------------------------------------------


def expected_at(port: int, address: str = "127.0.0.1") -> Expected:
    return Expected(
        subject="task `dev`", listener="http", bind_address=address, bind_port=port,
        host_address=address, host_port=port,
    )  # fmt: skip


THIS_PROCESS = NativeWorkload(pids=lambda: [os.getpid()], exit_code=lambda: None)


def observe(port: int, probe: Probe | None = None, workload: NativeWorkload = THIS_PROCESS) -> Ladder:
    probe = probe or HttpProbe(host="127.0.0.1", port=port, path="/health", timeout_s=0.3)
    return observe_ladder(expected_at(port), workload, probe)


@pytest.mark.edge
def test_an_honest_service_holds_every_rung_with_times() -> None:
    with serving(answering(answer())) as service:
        ladder = observe(service.port)
    assert ladder.broken is None
    assert standings(ladder) == ["holds", "holds", "holds", "not_applicable", "holds", "holds"]
    assert all(record.elapsed_ms is not None for record in ladder.rungs[1:3])


@pytest.mark.edge
def test_real_liars_break_the_rung_they_lie_on() -> None:
    with serving(answering(answer(404))) as service:
        assert observe(service.port).broken == "content"
    with serving(silent) as service:
        assert observe(service.port).broken == "answers_from_host"
        assert observe(service.port, TcpProbe(host="127.0.0.1", port=service.port)).broken is None
    with serving(closing) as service:
        assert observe(service.port).broken == "answers_from_host"
    with serving(answering(answer()), "::1") as service:
        ladder = observe(service.port)
        assert (ladder.broken, ladder.why) == ("socket_bound", "bound on ::1, which 127.0.0.1 does not reach")


@contextmanager
def idle_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.edge
def test_a_stranger_on_the_port_is_named() -> None:
    with serving(answering(answer())) as service, idle_process() as process:
        workload = NativeWorkload(pids=lambda: [process.pid], exit_code=process.poll)
        ladder = observe(service.port, workload=workload)
    assert ladder.broken == "socket_bound"
    assert f"held by pid {os.getpid()}" in ladder.why


@pytest.mark.edge
def test_a_process_that_listens_nowhere_is_told_so() -> None:
    with idle_process() as process:
        workload = NativeWorkload(
            pids=lambda: [process.pid], exit_code=process.poll, has_printed=lambda: False
        )
        ladder = observe(unused_port(), workload=workload)
    assert "listens on a TCP port, and it has printed nothing" in ladder.why
