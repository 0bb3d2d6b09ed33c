"""Stop signals are counted, wake whoever waits, and kill nobody."""

import os
import signal
import threading
from pathlib import Path

import pytest

from ota.system.interrupts import STOP_SIGNALS, Interrupts
from ota.system.workload import Workload
from system.following import follow_interrupts
from system.system_tools import Output, eventually, shell

pytestmark = pytest.mark.edge


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_stop_signal_is_counted_and_survived(number: int) -> None:
    with Interrupts() as interrupts:
        epoch = interrupts.epoch()
        assert interrupts.since(epoch) is None
        os.kill(os.getpid(), number)
        assert interrupts.wait(5.0)
        found = interrupts.since(epoch)
    assert found is not None
    assert (found.number, found.count, found.exit_code) == (number, 1, 128 + number)


def test_an_interrupt_before_the_step_does_not_count_for_it() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        epoch = interrupts.epoch()
        assert interrupts.since(epoch) is None
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        found = interrupts.since(epoch)
    assert found is not None
    assert (found.number, found.count) == (signal.SIGTERM, 2)


def test_the_handlers_of_before_are_back_afterwards() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with Interrupts() as interrupts:
        assert interrupts.is_installed
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_another_thread_installs_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with Interrupts() as interrupts:
            seen.append((interrupts.is_installed, interrupts.wait(0), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, False, before)]


def test_wakers_are_called_only_while_they_are_registered() -> None:
    calls: list[str] = []
    with Interrupts() as interrupts:
        with interrupts.waking(lambda: calls.append("woken")):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert calls == ["woken"]


def test_an_interrupt_is_forwarded_to_the_workload_and_a_second_one_hurries(tmp_path: Path) -> None:
    script = "trap 'touch first' INT; trap '' TERM; touch ready; while :; do sleep 0.01; done"
    with Interrupts() as interrupts, Workload(shell(script, cwd=tmp_path), interrupts=interrupts) as workload:
        eventually((tmp_path / "ready").exists)
        forward = follow_interrupts(workload, interrupts, interrupts.epoch(), grace_s=3600)
        os.kill(os.getpid(), signal.SIGINT)
        assert workload.supervise(Output(), on_wake=forward, limit_s=0.1) is None
        eventually((tmp_path / "first").exists)
        os.kill(os.getpid(), signal.SIGINT)
        end = workload.supervise(Output(), on_wake=forward, limit_s=30)
    assert end is not None
    assert (end.stopped_by, end.was_killed) == (signal.SIGINT, True)


def test_an_interrupt_reaches_a_workload_supervised_in_another_thread(tmp_path: Path) -> None:
    ends = []
    with Interrupts() as interrupts, Workload(shell("exec sleep 60", cwd=tmp_path)) as workload:
        forward = follow_interrupts(workload, interrupts, interrupts.epoch())
        with interrupts.waking(workload.wake):
            thread = threading.Thread(
                target=lambda: ends.append(workload.supervise(Output(), on_wake=forward, limit_s=30))
            )
            thread.start()
            os.kill(os.getpid(), signal.SIGTERM)
            interrupts.wait(5.0)
            thread.join()
    assert [end.exit_code for end in ends] == [143]


def test_a_signal_while_the_loop_is_being_woken_does_not_block(tmp_path: Path) -> None:
    with Interrupts() as interrupts, Workload(shell("exec sleep 60", cwd=tmp_path)) as workload:
        with interrupts.waking(workload.wake), workload._wake_lock:
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.epoch() == 1


def test_a_signal_that_was_ignored_before_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert interrupts.since(0) is None
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_stop_can_be_requested_without_a_signal() -> None:
    woken: list[int] = []
    with Interrupts() as interrupts, interrupts.waking(lambda: woken.append(1)):
        interrupts.request(signal.SIGTERM)
        found = interrupts.since(0)
    assert found is not None and found.exit_code == 143
    assert woken == [1]
