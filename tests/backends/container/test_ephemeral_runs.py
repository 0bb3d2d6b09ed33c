"""A fresh container for one body, on real Docker and Podman."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ota.backends.container.ephemeral import EphemeralRun, observe_end, release_ephemeral
from ota.backends.container.signalling import signal_all
from ota.errors import HostError
from support.container_bench import Bench, MakeBench, listener
from support.engines import Engine
from support.waiting import wait_until

pytestmark = pytest.mark.engine


def test_a_body_runs_in_the_checkout_with_its_environment_and_code(bench: Bench) -> None:
    (bench.root / "source.txt").write_text("from the host\n")
    ran = bench.ephemeral(
        'cat source.txt; echo "$WORD"; echo said >&2; exit 7', {"WORD": "two words & 'more'"}
    )
    assert (ran.code, ran.out, ran.err) == (7, "from the host\ntwo words & 'more'\n", "said\n")
    assert bench.end(ran).exit_code == 7


def test_the_container_is_gone_after_its_release_and_nothing_else_is_left(bench: Bench) -> None:
    ran = bench.ephemeral("true")
    assert bench.names() == [ran.prepared.name]
    assert bench.release(ran) is None
    assert bench.names() == []
    assert release_ephemeral(bench.engine, ran.prepared.name) is None  # twice is once


def test_an_ephemeral_run_costs_five_engine_calls(bench: Bench) -> None:
    """List, create, inspect and remove beside the attached start; nothing asks whether the engine is up."""
    assert bench.token
    engine = bench.engine
    run = bench.ephemeral_run("true", engine=engine)
    ran = bench.enter(run.prepare())
    observe_end(engine, ran.prepared.name)
    release_ephemeral(engine, ran.prepared.name)
    assert [call[0] for call in engine.count.calls] == ["ps", "create", "inspect", "rm"]


def test_a_secret_stands_in_no_command_line(bench: Bench) -> None:
    run = bench.ephemeral_run('printf %s "$TOKEN"', {"OPEN": "1"}, TOKEN="s3cret value")
    engine = bench.engine
    run = EphemeralRun(engine, bench.work('printf %s "$TOKEN"'), run._environment_of, bench.scene)
    prepared = run.prepare()
    assert bench.enter(prepared).out == "s3cret value"
    words = [word for call in engine.count.calls for word in call] + list(prepared.argv)
    assert "OPEN=1" in words and not any("s3cret" in word for word in words)


def test_a_secret_that_would_redirect_the_engine_is_refused(bench: Bench) -> None:
    with pytest.raises(HostError) as refused:
        bench.ephemeral_run("true", DOCKER_HOST="tcp://example.invalid:1").prepare()
    assert refused.value.findings[0].code == "OTA_CONTAINER_SECRET_REFUSED"
    assert bench.names() == []


def test_labels_say_whose_the_container_is(bench: Bench) -> None:
    prepared = bench.ephemeral_run("true").prepare()
    labels = bench.raw.inspect(prepared.name)[0]["Config"]["Labels"]
    assert labels["dev.ota.managed"] == "true"
    assert labels["dev.ota.lifecycle"] == "ephemeral"
    assert labels["dev.ota.repo"] == (bench.root / ".ota/state/ownership-id").read_text().strip()
    assert labels["dev.ota.owner_pid"] == str(os.getpid())
    assert labels["dev.ota.run"] == bench.run_id


def test_the_journal_knows_the_container_before_the_engine_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[bool] = []

    def at(point: str) -> None:
        if point == "create.before":
            text = bench.journal.path.read_text()
            known.append('"step":"container"' in text and "ota-ephemeral-" in text and bench.token in text)

    monkeypatch.setattr("ota.backends.container.ephemeral.fault_point", at)
    bench.ephemeral_run("true").prepare()
    assert known == [True]


def test_memory_is_what_the_plan_says(bench: Bench) -> None:
    prepared = bench.ephemeral_run(bench.work("true", memory_bytes=64 << 20)).prepare()
    assert bench.raw.inspect(prepared.name)[0]["HostConfig"]["Memory"] == 64 << 20


def test_running_out_of_memory_is_seen_whatever_the_engine_noticed(bench: Bench) -> None:
    work = bench.work("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", memory_bytes=24 << 20)
    ran = bench.ephemeral(work)
    assert ran.code == 137
    assert ran.mark.saw_oom_kill


def test_being_killed_is_not_running_out_of_memory(bench: Bench) -> None:
    ran = bench.ephemeral(bench.work("sh -c 'kill -9 $$'", memory_bytes=64 << 20))
    assert (ran.code, ran.mark.saw_oom_kill) == (137, False)


def test_init_reaps_and_the_body_is_not_process_one(bench: Bench) -> None:
    ran = bench.ephemeral("echo $$; tr '\\0' ' ' </proc/1/cmdline")
    own, first, *_ = ran.out.splitlines()
    assert own != "1" and "init" in first


def test_the_path_of_a_task_may_build_on_that_of_the_image(bench: Bench) -> None:
    ran = bench.ephemeral("echo $PATH", {"PATH": "/workspace/my bin:$PATH"})
    first, *rest = ran.out.strip().split(":")
    assert first == "/workspace/my bin" and "/bin" in rest


def test_git_takes_the_checkout_for_safe_unless_told_otherwise(bench: Bench) -> None:
    assert "safe.directory" in bench.ephemeral("echo $GIT_CONFIG_KEY_0").out
    told = bench.ephemeral("echo $GIT_CONFIG_KEY_0", {"GIT_CONFIG_COUNT": "0"})
    assert told.out == "\n"


def test_output_of_a_body_arrives_as_it_is(bench: Bench) -> None:
    ran = bench.ephemeral("printf 'a\\002ota:b\\377\\n'; printf 'x\\002ota:\\n\\001' >&2")
    assert ran.out == "a\x02ota:b\ufffd\n"
    assert ran.err == "x\x02ota:\n\x01"


def test_a_body_with_a_syntax_error_fails_as_a_body(bench: Bench) -> None:
    ran = bench.ephemeral("if then ( done")
    assert ran.mark.is_started and ran.code == 2 and "syntax error" in ran.err


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "hi"', "naïve-ü-漢", "with:colon", "c,omma", "#[x]$HOME;"]
)
@pytest.mark.dealt
def test_any_path_can_be_mounted(make_bench: MakeBench, name: str) -> None:
    bench = make_bench(name)
    (bench.root / "seen").write_text("yes")
    assert bench.ephemeral("cat seen; echo no >written").out == "yes"
    assert (bench.root / "written").read_text() == "no\n"


def test_a_path_with_colon_comma_and_quote_can_be_mounted_in_a_container_that_stays(
    make_bench: MakeBench,
) -> None:
    bench = make_bench('all: "of, it')
    assert bench.persistent("pwd; echo no >written").out == "/workspace\n"
    assert (bench.root / "written").exists()


# -- interrupting --------------------------------------------------------------------------------------------

_STUBBORN = "sh -c 'trap \"echo closing; exit 3\" INT TERM; echo up; while :; do sleep 0.1; done'"


@pytest.mark.proves("S000-121")
def test_everything_in_the_container_hears_of_an_interrupt(bench: Bench) -> None:
    attached = bench.start(
        bench.ephemeral_run(f"(sleep 600 & sleep 601 & {_STUBBORN}); echo never").prepare()
    )
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    signal_all(bench.engine, attached.prepared.name, "INT")
    assert attached.wait() == 130
    assert b"closing" in attached.out and b"never" not in attached.out
    assert observe_end(bench.engine, attached.prepared.name).is_running is False


def test_a_body_that_ignores_every_request_goes_with_its_container(bench: Bench) -> None:
    prepared = bench.ephemeral_run("trap '' INT TERM HUP; echo up; while :; do sleep 0.2; done").prepare()
    attached = bench.start(prepared)
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    signal_all(bench.engine, prepared.name, "TERM")
    assert release_ephemeral(bench.engine, prepared.name) is None
    attached.wait()
    assert bench.names() == []


def test_killing_the_client_leaves_nothing_once_the_container_is_released(bench: Bench) -> None:
    prepared = bench.ephemeral_run(bench.work("echo up; sleep 600", listeners=[listener()])).prepare()
    attached = bench.start(prepared)
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    attached.kill()
    assert observe_end(bench.engine, prepared.name).is_running is True
    assert release_ephemeral(bench.engine, prepared.name) is None
    port = prepared.publications[0].host_port
    assert port is not None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_a_container_removed_by_hand_is_told_from_one_that_ended(bench: Bench) -> None:
    prepared = bench.ephemeral_run("echo up; sleep 600").prepare()
    attached = bench.start(prepared)
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    bench.raw.run("rm", "-f", prepared.name)
    attached.wait()
    end = observe_end(bench.engine, prepared.name)
    assert (end.is_running, end.exit_code) == (None, None) and "does not exist" in end.error
    assert release_ephemeral(bench.engine, prepared.name) is None


# -- what is missing -----------------------------------------------------------------------------------------


def test_a_missing_image_is_fetched_or_named_with_a_next_step(bench: Bench) -> None:
    with pytest.raises(HostError) as missing:
        bench.ephemeral(bench.work("true", image="ota-test/does-not-exist:9"))
    (finding,) = missing.value.findings
    assert finding.code == "OTA_CONTAINER_IMAGE_UNAVAILABLE"
    assert "ota-test/does-not-exist:9" in finding.summary and "build -t" in finding.next
    assert bench.said == [f"fetching image ota-test/does-not-exist:9 with {bench.raw.name}"]
    assert bench.names() == []


@pytest.fixture
def image_without_shell(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """An image of one file that is no program."""
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "README").write_text("nothing here\n")
    archive = subprocess.run(
        ["tar", "-C", tmp_path / "layer", "-c", "."], check=True, capture_output=True
    ).stdout
    tag = f"ota-test/no-shell:{uuid.uuid4().hex[:8]}"
    subprocess.run([engine.name, "import", "-", tag], input=archive, check=True, capture_output=True)
    yield tag
    engine.run("rmi", "-f", tag, check=False)


def test_an_image_without_a_shell_is_named(bench: Bench, image_without_shell: str) -> None:
    with pytest.raises(HostError) as refused:
        bench.ephemeral(bench.work("true", image=image_without_shell))
    assert refused.value.findings[0].code == "OTA_CONTAINER_NO_SHELL"
    assert bench.names() == []


def test_an_image_without_a_shell_is_named_for_a_container_that_stays(
    bench: Bench, image_without_shell: str
) -> None:
    with pytest.raises(HostError) as refused:
        bench.persistent(bench.work("true", image=image_without_shell))
    assert refused.value.findings[0].code == "OTA_CONTAINER_NO_SHELL"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, to be made read-only or full."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "ota-test", place]).returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_read_only_checkout_that_has_its_token_runs(make_bench: MakeBench, small_disk: Path) -> None:
    bench = make_bench(f"{small_disk.name}/repo")
    assert bench.token
    bench.journal.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ran = bench.ephemeral("touch /workspace/new 2>/dev/null || echo refused")
    assert ran.out == "refused\n"
    assert bench.release(ran) is None


def test_a_read_only_checkout_without_a_token_is_refused_by_name(
    make_bench: MakeBench, small_disk: Path
) -> None:
    bench = make_bench(f"{small_disk.name}/repo")
    bench.journal.close()
    shutil.rmtree(bench.root / ".ota")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(HostError) as refused:
        bench.ephemeral_run("true").prepare()
    said = f"{refused.value.findings[0].summary} {refused.value.findings[0].why}"
    assert str(bench.root) in said and "ead-only" in said
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
