"""Output of what outlives ota: masked to its last line, bounded, and nobody waits for it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.backends.container.body import Marks
from ota.backends.kept_output import KeptOutput
from ota.backends.output_keeper import decode_orders, encode_orders
from ota.env.masking import Masker
from ota.system.journal import RunStep
from ota.system.locks import SharedUse
from ota.system.processes import Identity, is_alive, observe_identity
from support.waiting import wait_until

pytestmark = pytest.mark.edge
TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@contextmanager
def writer(
    log: Path, *secrets: str, limit_bytes: int = 1_000_000
) -> Iterator[tuple[KeptOutput, "subprocess.Popen[bytes]"]]:
    """A `cat` whose output is kept: what is written to it comes out, as long as it lives."""
    with KeptOutput(log, Masker(secrets), limit_bytes=limit_bytes) as kept:
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=kept.write_end)
        kept.handed_over()
        try:
            yield kept, cat
        finally:
            assert cat.stdin is not None
            cat.stdin.close()
            cat.wait(10)


def say(cat: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert cat.stdin is not None
    cat.stdin.write(data)
    cat.stdin.flush()


def keeper() -> psutil.Process:
    """The only child of this process with that name."""
    (found,) = living_keepers()
    return found


def this_process() -> Identity:
    found = observe_identity(os.getpid())
    assert found is not None
    return found


def living_keepers() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children()
        if each.status() != psutil.STATUS_ZOMBIE and each.name() == "ota-output"
    ]


def test_secrets_are_masked_also_after_ota_has_seen_enough(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "db.log"
    with writer(log, "hunter22") as (kept, cat):
        say(cat, b"password hunter22\n")
        wait_until(lambda: log.exists() and b"password" in log.read_bytes(), "the first line")
        assert kept.finish() == b"password ***\n"
        say(cat, b"again hunt")
        say(cat, b"er22 and more\n")
        wait_until(lambda: b"more" in log.read_bytes(), "the second line")
        assert kept.read() == b""
    wait_until(lambda: log.read_bytes() == b"password ***\nagain *** and more\n", "the whole log")
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_log_is_bounded_and_keeps_the_newest_lines(tmp_path: Path) -> None:
    log = tmp_path / "db.log"
    lines = [b"line %06d %s\n" % (number, b"x" * 86) for number in range(5_000)]
    with writer(log, limit_bytes=50_000) as (kept, cat):
        kept.finish()
        say(cat, b"".join(lines))
    wait_until(lambda: not living_keepers(), "the keeper to go")
    older = log.with_name("db.log.1")
    assert older.stat().st_size + log.stat().st_size <= 2 * (50_000 + 65_536)
    kept_text = older.read_bytes() + log.read_bytes()
    assert b"".join(lines).endswith(kept_text)
    assert kept_text.startswith(b"line ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["db.log", "db.log.1"]


def test_the_keeper_goes_with_the_last_writer_and_not_on_signals(tmp_path: Path) -> None:
    log = tmp_path / "db.log"
    with writer(log) as (kept, cat):
        say(cat, b"one\n")
        wait_until(lambda: log.exists() and log.read_bytes() == b"one\n", "the first line")
        process = keeper()
        kept.finish()
        for number in (1, 2, 3, 15):
            process.send_signal(number)
        say(cat, b"two\n")
        wait_until(lambda: log.read_bytes() == b"one\ntwo\n", "the second line")
        assert process.cwd() == "/"
    assert process.wait(10) == 0


def test_a_writer_waits_for_no_disk(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "db.log"
    with writer(log, limit_bytes=1_000) as (kept, cat):
        say(cat, b"one\n")
        wait_until(log.exists, "the log")
        kept.finish()
        shutil.rmtree(log.parent)
        say(cat, b"more and more\n" * 50_000)
    assert cat.returncode == 0
    assert not log.exists()


def test_a_new_start_begins_a_new_log_and_an_older_writer_does_not_spoil_it(tmp_path: Path) -> None:
    log = tmp_path / "db.log"
    with writer(log, limit_bytes=1_000) as (first, old):
        say(old, b"old\n")
        wait_until(lambda: log.exists() and log.read_bytes() == b"old\n", "the first log")
        first.finish()
        with writer(log) as (_, new):
            say(new, b"new\n")
            wait_until(lambda: log.read_bytes() == b"new\n", "the second log")
            say(old, b"still here\n" * 1_000)
    wait_until(lambda: not living_keepers(), "both keepers to go")
    assert log.read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [log]


def test_a_writer_that_never_rests_does_not_keep_ota(tmp_path: Path) -> None:
    with KeptOutput(tmp_path / "db.log", Masker(()), limit_bytes=100_000) as kept:
        yes = subprocess.Popen(["yes"], stdout=kept.write_end)
        try:
            kept.handed_over()
            began = time.monotonic()
            assert kept.finish(limit_s=30.0).startswith(b"y\n")
            assert time.monotonic() - began < 15
        finally:
            yes.kill()
            yes.wait(10)


@given(st.text(TEXT), st.lists(st.text(TEXT)))
def test_orders_arrive_as_they_were_given(log: str, secrets: list[str]) -> None:
    said = encode_orders(log, 7, tuple(secrets))
    assert decode_orders(said[:-1]) is None
    assert decode_orders(said + b"E") == ([log, "7", *secrets], b"E")


def test_a_path_that_is_no_text_is_kept_as_it_is() -> None:
    odd = os.fsdecode(b"/tmp/\xff.log")
    decoded = decode_orders(encode_orders(odd, 1, ()))
    assert decoded == ([odd, "1"], b"")


def test_a_keeper_that_owns_something_is_inside_until_it_has_taken_the_rest_away(tmp_path: Path) -> None:
    log, journal, lock = tmp_path / "dev.log", tmp_path / "run-1.jsonl", tmp_path / "inside.lock"
    run = RunStep(run_id="run-1", repo=str(tmp_path), task="dev", started_at="", ota=this_process())
    journal.write_bytes(msgspec.json.encode(run) + b"\n")
    marks = Marks(nonce="4f2a")
    start = marks.prefix + b"start" + marks.end
    with KeptOutput(log, Masker(("secret-value",)), may_own=True) as kept:
        kept.tell_marks(marks.prefix, marks.end)
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=kept.write_end)
        kept.handed_over()
        said = b"said by an engine\n" + start + start + b"one secret-" + b"value\n"
        say(cat, said)
        read = bytearray()
        wait_until(lambda: len(read.extend(kept.read()) or read) >= len(said), "all of it, as it is")
        assert bytes(read) == said
        use = SharedUse.begin(lock)
        assert use is not None
        kept.give(journal, lock)
        use.release()
        say(cat, marks.prefix + b"oom" + marks.end + b"two")
        assert SharedUse.try_alone(lock) is None
    assert journal.exists()
    assert cat.stdin is not None
    cat.stdin.close()
    cat.wait(10)
    wait_until(lambda: not journal.exists(), "the rest to be taken away")
    wait_until(lambda: not is_alive(kept.keeper), "its end")
    alone = SharedUse.try_alone(lock)
    assert alone is not None
    alone.release()
    assert log.read_text() == "one ***\ntwo"
