"""Containers that stay: reused, recreated with the reason told, shared, never pulled from under a run."""

import signal
import threading

import pytest

from container.conftest import HTTPD, READY, listener, service
from support.servers import free_port

pytestmark = pytest.mark.engine


def identity(repo) -> str:
    (name,) = repo.containers("persistent")
    return repo.inspect(name)["Id"]


def note(result) -> str:
    return next(line for line in result.err.splitlines() if "persistent container" in line)


@pytest.mark.proves("S000-80")
@pytest.mark.proves("S000-84")
@pytest.mark.proves("S000-85")
def test_an_equal_shape_is_reused_and_the_note_says_so_everywhere(contained, assert_schema):
    repo = contained({"hi": {"run": "echo hi", "env": {"A": "1"}}}, lifecycle="persistent")
    assert "persistent container created" in note(repo.run("run", "hi"))
    first = identity(repo)
    repo.write({"hi": {"run": "echo another body", "env": {"A": "2"}}}, lifecycle="persistent")
    document = repo.run("run", "hi", "--json").json
    assert_schema(document, "run")
    (step,) = document["receipt"]["steps"]
    assert identity(repo) == first
    assert step["detail"] == "requested task; persistent container reused"
    assert step["container_reconciliation"] == {
        "action": "reused",
        "container": document["receipt"]["target"],
        "engine": repo.engine.name,
    }
    assert "Note:        persistent container reused" in repo.run("run", "hi").err


@pytest.mark.proves("S000-73")
@pytest.mark.proves("S000-81")
@pytest.mark.proves("S000-83")
def test_a_drifted_shape_is_recreated_and_all_that_drifted_is_told(contained, assert_schema):
    tasks = {"hi": {"run": "echo hi"}}
    repo = contained(tasks, lifecycle="persistent")
    repo.run("run", "hi")
    first = identity(repo)
    repo.write(
        tasks,
        lifecycle="persistent",
        container={"image": "ota-test/kv", "resources": {"memory": {"default": "128MiB"}}},
        attachments={"isolated_paths": ["node_modules"]},
    )
    document = repo.run("run", "hi", "--json").json
    assert_schema(document, "run")
    assert identity(repo) != first
    (step,) = document["receipt"]["steps"]
    said = "image changed, dependency isolation changed, memory changed"
    assert step["container_reconciliation"]["action"] == "recreated"
    assert step["container_reconciliation"]["reason"] == said
    assert step["detail"] == f"requested task; persistent container recreated ({said})"
    # the image alone, and in the summary
    repo.write(tasks, lifecycle="persistent")
    repo.run("run", "hi")
    first = identity(repo)
    repo.write(tasks, lifecycle="persistent", container={"image": "ota-test/kv"})
    assert note(repo.run("run", "hi")).endswith("persistent container recreated (image changed)")
    assert identity(repo) != first
    assert "persistent container reused" in note(repo.run("run", "hi"))


@pytest.mark.proves("S000-82")
def test_another_publication_is_another_container(contained):
    one, other = free_port(), free_port()
    repo = contained({"web": service(HTTPD, READY, http=listener(host=one))}, lifecycle="persistent")

    def served(*flags: str):
        live = repo.start("run", "web", "--stream", *flags)
        live.wait_for("External: ")
        live.signal(signal.SIGINT)
        return live.finish()

    assert "persistent container created" in note(served())
    first = identity(repo)
    assert "recreated (published ports changed)" in note(served("--host-port", str(other)))
    assert identity(repo) != first


@pytest.mark.proves("S001-63")
@pytest.mark.proves("S001-157")
def test_an_automatic_port_of_a_container_that_stays_is_the_one_published_now(contained):
    repo = contained({"web": service(HTTPD, READY)}, lifecycle="persistent")

    def served() -> str:
        live = repo.start("run", "web", "--stream")
        live.wait_for("External: ")
        live.signal(signal.SIGINT)
        line = next(each for each in live.finish().err.splitlines() if each.startswith("External: "))
        return line.rsplit(":", 1)[1].strip("/ ")

    def published() -> str:
        (name,) = repo.containers("persistent")
        return repo.engine.run("port", name, "8080/tcp").stdout.split(":")[-1].strip()

    first = served()
    assert first == published() == served()
    (name,) = repo.containers("persistent")
    repo.engine.run("restart", "-t", "0", name)
    assert served() == published()


@pytest.mark.proves("S000-74")
@pytest.mark.proves("S000-75")
@pytest.mark.proves("S000-68")
@pytest.mark.proves("S001-56")
@pytest.mark.proves("S001-107")
@pytest.mark.parametrize(
    "lifecycle",
    [
        pytest.param("ephemeral", marks=[pytest.mark.proves("S000-71"), pytest.mark.proves("S001-146")]),
        pytest.param("persistent", marks=[pytest.mark.proves("S000-72"), pytest.mark.proves("S001-147")]),
    ],
)
def test_memory_for_one_run_reaches_the_engine_summary_and_receipt(contained, assert_schema, lifecycle):
    memory = {"resources": {"memory": {"minimum": "64MiB", "default": "96MiB"}}}
    repo = contained({"wait": {"run": "echo begun; sleep 600"}}, lifecycle=lifecycle, container=memory)

    def limit(*flags: str) -> tuple[int, str]:
        live = repo.start("run", "wait", "--stream", *flags)
        live.wait_for("begun")
        (name,) = repo.containers(lifecycle)
        found = repo.inspect(name)["HostConfig"]["Memory"]
        live.signal(signal.SIGINT)
        return found, live.finish().err

    bytes_, shown = limit("--memory", "4GiB")
    assert bytes_ == 4 * 1024**3
    assert "Memory:      4GiB" in shown
    bytes_, shown = limit()
    assert bytes_ == 96 * 1024**2
    assert "Memory:      96MiB" in shown
    repo.write({"wait": {"run": "true"}}, lifecycle=lifecycle, container=memory)
    document = repo.run("run", "wait", "--json", "--memory", "128MiB").json
    assert_schema(document, "run")
    assert document["receipt"]["container_memory_bytes"] == 128 * 1024**2
    repo.write(
        {"wait": {"run": "echo begun; sleep 600"}},
        lifecycle=lifecycle,
        container={"resources": {"memory": {"minimum": "64MiB"}}},
    )
    assert limit()[0] == 64 * 1024**2


def test_what_a_body_leaves_running_in_a_container_that_stays_is_told(contained):
    leaves = "(sleep 300 >/dev/null 2>&1 &); setsid sleep 301 >/dev/null 2>&1 & exit 0"
    repo = contained(
        {"leaves": {"run": leaves}, "clean": {"run": "sleep 0.1 & wait"}}, lifecycle="persistent"
    )
    result = repo.run("run", "leaves", "--json")
    assert result.code == 0, result
    (left,) = result.json["receipt"]["footprint"]["left_behind"]
    (name,) = repo.containers("persistent")
    assert left.startswith(f"inside {name}: pid ")
    assert len(left.split(", ")) == 2
    # what an earlier body left is not this one's
    again = repo.run("run", "clean")
    assert "left behind: nothing" in again.err
    assert "still running" not in again.err
    assert f"still running inside {name}: pid" in repo.run("run", "leaves").err


@pytest.mark.proves("S001-58")
def test_less_memory_than_the_declared_minimum_is_refused_before_the_engine(contained):
    repo = contained({"hi": {"run": "true"}}, container={"resources": {"memory": {"minimum": "64MiB"}}})
    repo.shim()
    result = repo.run("run", "hi", "--memory", "32MiB", env=repo.shimmed)
    assert result.code == 1
    assert "64MiB" in result.err
    assert repo.calls == []


@pytest.mark.proves("S001-35")
@pytest.mark.proves("S001-36")
@pytest.mark.proves("S001-37")
@pytest.mark.proves("S001-08")
@pytest.mark.proves("S000-145")
@pytest.mark.proves("S000-146")
@pytest.mark.proves("S000-149")
@pytest.mark.proves("S000-150")
def test_an_isolated_path_is_shared_by_containers_and_apart_from_the_host(contained):
    tasks = {
        "setup": {"run": "echo inside >node_modules/x; echo from inside >made"},
        "dev": {"run": "cat node_modules/x source", "context": "app", "lifecycle": "ephemeral"},
    }
    isolated = {"isolated_paths": ["node_modules"]}
    repo = contained(tasks, lifecycle="persistent", attachments=isolated)
    repo.project.write({"node_modules/x": "host\n", "source": "one\n"})
    result = repo.run("run", "setup")
    assert result.code == 0
    assert "Isolated:    /workspace/node_modules" in result.err
    repo.project.write({"source": "two\n"})
    document = repo.run("run", "dev", "--json").json
    assert document["stdout"] == "inside\ntwo\n"
    assert document["receipt"]["steps"][-1]["isolated_paths"] == ["/workspace/node_modules"]
    assert repo.project.read("node_modules/x") == "host\n"
    assert repo.project.read("made") == "from inside\n"
    (volume,) = repo.owned()["volume"]
    labels = repo.engine.run("volume", "inspect", volume).stdout
    assert volume.startswith("ota-isolated-")
    for label in ("dev.ota.managed", "dependency-isolation", repo.token, "node_modules"):
        assert label in labels


def test_a_listener_that_is_taken_inside_a_reused_container_is_named(contained):
    repo = contained({"web": service(HTTPD, READY)}, lifecycle="persistent")
    first = repo.start("run", "web", "--stream")
    first.wait_for("External: ")
    second = repo.run("run", "web")
    assert second.code == 1
    assert "Listener bind conflict" in second.err
    assert "ota clean" in second.err
    first.signal(signal.SIGINT)
    assert first.finish().code == 130


def test_eight_runs_at_once_share_one_container(contained):
    repo = contained({"hi": {"run": "echo $$; sleep 0.2"}}, lifecycle="persistent")
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(repo.run("run", "hi", "--json"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.code for result in results] == [0] * 8, results
    actions = [each.json["receipt"]["steps"][0]["container_reconciliation"]["action"] for each in results]
    assert sorted(actions) == ["created"] + ["reused"] * 7
    assert len(repo.containers("persistent")) == 1


def test_eight_fresh_containers_at_once_do_not_meet(contained):
    repo = contained({"web": service(f"echo up; {HTTPD}", READY)})
    lives = [repo.start("run", "web", "--stream") for _ in range(8)]
    for live in lives:
        live.wait_for("External: ", 90)
    assert len(repo.containers()) == 8
    urls = {next(line for line in live.err.splitlines() if line.startswith("External: ")) for live in lives}
    assert len(urls) == 8
    for live in lives:
        live.signal(signal.SIGINT)
    assert {live.finish(90).code for live in lives} == {130}
    assert repo.containers() == []


def test_a_container_in_use_is_not_replaced_under_its_run(contained):
    repo = contained({"wait": {"run": "echo begun; sleep 600"}}, lifecycle="persistent")
    live = repo.start("run", "wait", "--stream")
    live.wait_for("begun")
    second = repo.run("run", "wait", "--memory", "256MiB")
    assert second.code == 1
    assert "a run is in it" in second.err
    assert live.is_running
    live.signal(signal.SIGINT)
    assert live.finish().code == 130


LOST = 'case "$1" in exec) real "$@"; code=$?; [ $code = 137 ] && exit 255; exit $code ;; esac'
"""Podman's `exec` has sometimes lost the code of a body whose container went, and says 255."""


@pytest.mark.parametrize(
    ("lifecycle", "client"),
    [("ephemeral", ""), ("persistent", ""), ("persistent", LOST)],
    ids=["ephemeral", "persistent", "persistent, code lost"],
)
def test_a_container_removed_by_hand_ends_the_run_and_is_told(contained, lifecycle, client):
    repo = contained({"wait": {"run": "echo begun; sleep 600"}}, lifecycle=lifecycle)
    repo.shim(client)
    live = repo.start("run", "wait", "--stream", env=repo.shimmed)
    live.wait_for("begun")
    repo.engine.remove({"container": repo.containers(lifecycle)})
    result = live.finish(30)
    assert result.code != 0
    assert "removed while the task ran" in result.err
    assert repo.run("run", "wait", "--dry-run").code == 0
