"""A container that stays: reused, recreated and entered by several at once, on real Docker and Podman."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ota.backends.container.persistent import PersistentRun, end_body, signal_body
from ota.errors import HostError
from support.container_bench import Attached, Bench, changed, environment, listener
from support.engines import BUSYBOX, KV
from support.waiting import wait_until

pytestmark = pytest.mark.engine

CREATED = "persistent container created"
REUSED = "persistent container reused"


def ids(bench: Bench) -> list[str]:
    return [each["Id"] for each in bench.raw.inspect(*bench.names())] if bench.names() else []


def test_the_second_run_enters_the_container_of_the_first(bench: Bench) -> None:
    first = bench.persistent("echo kept >/tmp/here")
    before = ids(bench)
    second = bench.persistent("cat /tmp/here; exit 5", {"ANY": "env"})
    assert (second.code, second.out) == (5, "kept\n")
    assert [ran.prepared.notes[-1] for ran in (first, second)] == [CREATED, REUSED]
    assert [ran.prepared.was for ran in (first, second)] == ["created", "reused"]
    assert ids(bench) == before


def test_reuse_costs_one_list_before_the_exec(bench: Bench) -> None:
    bench.persistent("true")
    engine = bench.engine
    run = bench.persistent_run("true", engine=engine)
    prepared = run.prepare()
    prepared.leave()
    assert [call[0] for call in engine.count.calls] == ["ps"]
    assert prepared.argv[1] == "exec"


def test_tasks_of_one_context_share_a_container_when_they_publish_nothing(bench: Bench) -> None:
    one = bench.persistent(bench.work("true", task="lint"))
    other = bench.persistent(bench.work("true", task="test"))
    assert one.prepared.name == other.prepared.name
    assert other.prepared.notes[-1] == REUSED


def test_a_secret_travels_with_the_exec_and_in_no_command_line(bench: Bench) -> None:
    ran = bench.persistent('printf %s "$TOKEN"', TOKEN="s3cret value")
    assert ran.out == "s3cret value"
    assert not any("s3cret" in word for word in ran.prepared.argv)
    inspected = str(bench.raw.inspect(ran.prepared.name))
    assert "s3cret" not in inspected


@pytest.mark.parametrize(
    ("changes", "edit"),
    [
        ("image", {"image": KV}),
        ("memory", {"memory_bytes": 96 << 20}),
        ("dependency isolation", {"isolated_paths": ("node_modules",)}),
        ("user", {"user": "1000:1000"}),
        ("networks", {"compose_projects": ("otatest-shape",)}),
    ],
)
@pytest.mark.dealt
def test_another_shape_recreates_the_container_and_says_what_changed(
    bench: Bench, changes: str, edit: dict[str, object]
) -> None:
    work = bench.work("true", memory_bytes=64 << 20)
    bench.persistent(work)
    before = ids(bench)
    again = bench.persistent(changed(work, **edit))
    assert again.prepared.notes[-1] == f"persistent container recreated ({changes} changed)"
    assert again.prepared.was == "recreated"
    assert len(bench.names()) == 1 and ids(bench) != before
    assert bench.persistent(changed(work, **edit)).prepared.notes[-1] == REUSED


def test_another_publication_recreates_the_container(bench: Bench) -> None:
    bench.persistent(bench.work("true", listeners=[listener(bind=8080)]))
    again = bench.persistent(bench.work("true", listeners=[listener(bind=8081)]))
    assert again.prepared.notes[-1] == "persistent container recreated (published ports changed)"
    assert len(bench.names()) == 1


def test_memory_is_what_the_plan_says(bench: Bench) -> None:
    ran = bench.persistent(bench.work("true", memory_bytes=64 << 20))
    assert bench.raw.inspect(ran.prepared.name)[0]["HostConfig"]["Memory"] == 64 << 20


def test_running_out_of_memory_is_seen_inside_and_counts_once(bench: Bench) -> None:
    work = bench.work("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", memory_bytes=24 << 20)
    first = bench.persistent(work)
    assert (first.code, first.mark.saw_oom_kill) == (137, True)
    second = bench.persistent(bench.work("sh -c 'kill -9 $$'", memory_bytes=24 << 20))
    assert (second.code, second.mark.saw_oom_kill) == (137, False)


def test_a_stopped_container_is_replaced(bench: Bench) -> None:
    ran = bench.persistent("true")
    bench.raw.run("stop", "-t", "0", ran.prepared.name)
    again = bench.persistent("true")
    said = "persistent container recreated (existing container was stopped before execution)"
    assert again.prepared.notes[-1] == said


def test_a_container_that_stops_between_look_and_exec_is_replaced_once(bench: Bench) -> None:
    run = bench.persistent_run("echo ran")
    prepared = run.prepare()
    bench.raw.run("stop", "-t", "0", prepared.name)
    ran = bench.enter(prepared)
    assert not ran.mark.is_started
    run.not_started(prepared, ran.mark.said)
    prepared = run.prepare()
    said = "persistent container recreated (container stopped and was recreated before exec)"
    assert prepared.notes[-1] == said
    assert bench.enter(prepared).out == "ran\n"
    prepared.leave()


def test_a_container_removed_by_hand_is_created_again(bench: Bench) -> None:
    run = bench.persistent_run("echo ran")
    prepared = run.prepare()
    bench.raw.run("rm", "-f", prepared.name)
    ran = bench.enter(prepared)
    run.not_started(prepared, ran.mark.said)
    prepared = run.prepare()
    assert bench.enter(prepared).out == "ran\n"
    prepared.leave()


# -- who may take it away ------------------------------------------------------------------------------------


def test_a_container_somebody_is_in_is_not_taken_away(bench: Bench) -> None:
    work = bench.work("echo up; sleep 600", memory_bytes=64 << 20)
    inside = bench.start(bench.persistent_run(work).prepare())
    wait_until(lambda: b"up" in inside.out, "the body to be up")
    with pytest.raises(HostError) as refused:
        bench.persistent_run(changed(work, memory_bytes=96 << 20)).prepare()
    assert refused.value.findings[0].code == "OTA_CONTAINER_IN_USE"
    assert len(bench.names()) == 1
    end_body(bench.engine, inside.prepared.name, inside.prepared.body_mark, grace_s=0.5)
    inside.wait()
    inside.prepared.leave()
    assert bench.persistent(bench.work("true", memory_bytes=96 << 20)).prepared.was == "recreated"


def test_eight_runs_at_once_make_one_container(bench: Bench) -> None:
    works = [bench.work(f"echo {number}") for number in range(8)]
    engine, scene = bench.engine, bench.scene
    outcomes: list[str] = []

    def run(number: int) -> None:
        prepared = PersistentRun(engine, works[number], environment({}, {}), scene).prepare()
        ran = bench.enter(prepared)
        prepared.leave()
        outcomes.append(f"{prepared.was} {ran.code} {ran.out.strip() == str(number)}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert sorted(outcomes) == ["created 0 True"] + ["reused 0 True"] * 7
    assert len(bench.names()) == 1


def test_a_container_of_another_checkout_with_our_name_is_not_touched(bench: Bench) -> None:
    prepared = bench.persistent_run("true").prepare()
    prepared.leave()
    bench.raw.run("rm", "-f", prepared.name)
    labels = ("--label", "dev.ota.managed=true", "--label", "dev.ota.repo=feedfeedfeedfeed")
    mine = ("--label", f"dev.ota.test={bench.raw.token}")
    bench.raw.run("run", "-d", "--init", "--name", prepared.name, *labels, *mine, BUSYBOX, "sleep", "600")
    with pytest.raises(HostError) as refused:
        bench.persistent_run("true").prepare()
    assert refused.value.findings[0].code == "OTA_CONTAINER_NAME_TAKEN"
    assert bench.raw.inspect(prepared.name)[0]["State"]["Running"]


# -- earlier versions ----------------------------------------------------------------------------------------


def legacy(bench: Bench, name: str, root: Path, *options: str) -> None:
    """A container as versions without labels made it."""
    mine = ("--label", f"dev.ota.test={bench.raw.token}")
    words = ("run", "-d", "--init", "--name", name, *mine, "-v", f"{root}:/workspace", *options)
    bench.raw.run(*words, BUSYBOX, "sh", "-c", "while true; do sleep 3600; done")


@pytest.mark.proves("S000-89")
def test_an_unlabelled_container_of_this_checkout_gives_back_a_wanted_port(
    bench: Bench, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, other_port = free_port(), free_port()
    (tmp_path / "elsewhere").mkdir()
    legacy(bench, f"ota-{port:016x}", bench.root, "-p", f"127.0.0.1:{port}:8080")
    legacy(bench, f"ota-{other_port:016x}", bench.root, "-p", f"127.0.0.1:{other_port}:8080")
    ran = bench.persistent(bench.work("true", listeners=[listener(port=port)]))
    assert ran.prepared.publications[0].host_port == port
    assert "reclaimed 1 conflicting persistent backend before starting task" in ran.prepared.notes
    assert bench.raw.run("inspect", f"ota-{port:016x}", check=False).returncode != 0
    assert bench.raw.inspect(f"ota-{other_port:016x}")[0]["State"]["Running"]


@pytest.mark.proves("S000-89")
def test_an_unlabelled_container_of_another_checkout_keeps_its_port(
    bench: Bench, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    (tmp_path / "elsewhere").mkdir()
    legacy(bench, f"ota-{port:016x}", tmp_path / "elsewhere", "-p", f"127.0.0.1:{port}:8080")
    with pytest.raises(HostError) as refused:
        bench.persistent_run(bench.work("true", listeners=[listener(port=port)])).prepare()
    (finding,) = refused.value.findings
    assert finding.code == "OTA_HOST_PUBLICATION_CONFLICT"
    assert f"ota-{port:016x}" in finding.why + finding.next
    assert bench.raw.inspect(f"ota-{port:016x}")[0]["State"]["Running"]


# -- ports ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("S001-63")
def test_an_automatic_port_is_what_the_engine_reports_and_stays(bench: Bench) -> None:
    work = bench.work("echo $PORT_HTTP", listeners=[listener()])
    first, second = bench.persistent(work), bench.persistent(changed(work))
    told = bench.raw.address(first.prepared.name, 8080)[1]
    assert (first.out, second.out) == (f"{told}\n", f"{told}\n")
    assert second.prepared.notes[-1] == REUSED


@pytest.mark.proves("S001-157")
def test_a_container_restarted_by_hand_has_its_new_port_reported(bench: Bench) -> None:
    work = bench.work("echo $PORT_HTTP", listeners=[listener()])
    name = bench.persistent(work).prepared.name
    bench.raw.run("restart", "-t", "0", name)
    again = bench.persistent(changed(work))
    assert again.out == f"{bench.raw.address(name, 8080)[1]}\n"


def test_a_port_taken_inside_a_reused_container_is_named(bench: Bench) -> None:
    work = bench.work("echo up; nc -l -p 8080 -e true", listeners=[listener()])
    inside = bench.start(bench.persistent_run(work).prepare())
    wait_until(lambda: b"up" in inside.out, "the body to be up")

    def is_refused() -> bool:
        try:
            bench.persistent_run(changed(work)).prepare().leave()
        except HostError as error:
            finding = error.findings[0]
            assert finding.code == "OTA_LISTENER_BIND_CONFLICT" and "ota clean" in finding.next
            assert ":8080" in finding.summary and inside.prepared.name in finding.summary
            return True
        return False

    wait_until(is_refused, "the port to be taken inside")
    end_body(bench.engine, inside.prepared.name, inside.prepared.body_mark, grace_s=0.5)
    inside.wait()
    inside.prepared.leave()


# -- ending a body -------------------------------------------------------------------------------------------


def processes(bench: Bench, name: str) -> str:
    return bench.raw.run("exec", name, "ps", "-o", "pid,args").stdout


def started(bench: Bench, body: str) -> Attached:
    attached = bench.start(bench.persistent_run(body).prepare())
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    return attached


@pytest.mark.proves("S000-121")
def test_an_interrupt_reaches_everything_of_one_body_and_nothing_of_another(bench: Bench) -> None:
    other = started(bench, "echo up; sleep 701")
    one = started(bench, "setsid sleep 702 & (sleep 703; echo never) & echo up; sleep 704; echo never")
    assert signal_body(bench.engine, one.prepared.name, one.prepared.body_mark, "TERM") >= 3
    assert one.wait() == 143
    left = processes(bench, one.prepared.name)
    assert "sleep 701" in left and "sleep 702" not in left and "sleep 704" not in left
    assert b"never" not in one.out
    assert end_body(bench.engine, other.prepared.name, other.prepared.body_mark).ended >= 1
    assert other.wait() == 143
    one.prepared.leave()
    other.prepared.leave()


def test_what_ignores_term_clears_its_environment_or_leaves_the_session_is_ended_too(bench: Bench) -> None:
    body = (
        "(trap '' TERM INT; while :; do sleep 0.2; done) & "
        "setsid sh -c 'env -i sleep 711 & sleep 712' & echo up; sleep 713"
    )
    attached = started(bench, body)
    ending = end_body(bench.engine, attached.prepared.name, attached.prepared.body_mark, grace_s=0.3)
    assert ending.ended >= 4 and ending.survived == () and ending.finding is None
    attached.wait()
    assert "sleep 71" not in processes(bench, attached.prepared.name)
    assert "sleep 3600" in processes(bench, attached.prepared.name)
    attached.prepared.leave()


def test_killing_the_client_leaves_a_body_that_can_still_be_ended(bench: Bench) -> None:
    attached = started(bench, "echo up; sleep 721")
    os.kill(attached.pid, signal.SIGKILL)
    attached.wait()
    assert "sleep 721" in processes(bench, attached.prepared.name)
    assert end_body(bench.engine, attached.prepared.name, attached.prepared.body_mark).ended >= 1
    assert "sleep 721" not in processes(bench, attached.prepared.name)
    attached.prepared.leave()


def test_ending_a_body_in_a_container_that_is_gone_or_stopped_is_nothing(bench: Bench) -> None:
    ran = bench.persistent("true")
    assert end_body(bench.engine, ran.prepared.name, ran.prepared.body_mark).ended == 0
    bench.raw.run("stop", "-t", "0", ran.prepared.name)
    assert end_body(bench.engine, ran.prepared.name, ran.prepared.body_mark).finding is None
    assert end_body(bench.engine, "ota-0000000000000000", "feed").finding is None
