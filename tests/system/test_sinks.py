"""Output sinks: everything arrives or is dropped from one point on; nobody is waited for after a stop."""

import os
import signal
import threading

import pytest

from ota.system.clock import FakeClock
from ota.system.interrupts import Interrupts
from ota.system.sinks import OutputSink, TextSink

pytestmark = pytest.mark.edge


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for descriptor in (read_end, write_end):
        try:
            os.close(descriptor)
        except OSError:
            continue


@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_reader_gets_everything(pipe, blocking):
    read_end, write_end = pipe
    os.set_blocking(write_end, blocking)
    data = os.urandom(500_000)
    received = bytearray()

    def read():
        while len(received) < len(data):
            received.extend(os.read(read_end, 777))

    reader = threading.Thread(target=read)
    reader.start()
    OutputSink(write_end).write(data)
    reader.join(30)
    assert bytes(received) == data


def test_a_place_that_is_full_after_all_is_asked_again(pipe, monkeypatch):
    """Another writer may have filled it between the look and the write."""
    read_end, write_end = pipe
    refusals = [BlockingIOError(), BlockingIOError()]
    write = os.write

    def often_full(descriptor, data):
        if refusals:
            raise refusals.pop()
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", often_full)
    sink = OutputSink(write_end)
    sink.write(b"all of it")
    assert os.read(read_end, 99) == b"all of it"
    assert not sink.is_lost


def test_a_reader_that_left_is_forgotten_without_a_word(pipe):
    read_end, write_end = pipe
    os.close(read_end)
    sink = OutputSink(write_end)
    sink.write(b"x")
    sink.write(b"y")
    assert sink.is_lost


def test_a_closed_descriptor_and_a_full_disk_are_forgotten_too(pipe):
    read_end, _ = pipe
    for descriptor in (read_end, 987):
        sink = OutputSink(descriptor)
        sink.write(b"x")
        assert sink.is_lost
    with open("/dev/full", "wb") as full:
        sink = OutputSink(full.fileno())
        sink.write(b"x")
        assert sink.is_lost


def test_a_stuck_reader_is_given_up_once_a_stop_was_requested(pipe):
    _, write_end = pipe
    with Interrupts():
        signal.raise_signal(signal.SIGINT)
        sink = OutputSink(write_end)
        sink.write(b"x" * 1_000_000)
    assert sink.is_lost


def test_a_hurried_sink_gives_up_by_its_own_clock(pipe):
    _, write_end = pipe

    class Ticking(FakeClock):
        def monotonic_s(self):
            self.advance(0.6)
            return super().monotonic_s()

    sink = OutputSink(write_end, is_hurried=True, clock=Ticking())
    sink.write(b"x" * 1_000_000)
    assert sink.is_lost


def test_text_that_the_encoding_lacks_is_spelled_out(pipe):
    read_end, write_end = pipe
    assert TextSink(OutputSink(write_end), encoding="ascii").write("ü\ud800") == 2
    assert os.read(read_end, 99) == b"\\xfc\\ud800"
