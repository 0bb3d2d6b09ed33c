"""Run tasks in containers that are left running: who owns them, what ends them, and what comes after."""

import json
import os
import signal

import psutil
import pytest

from support.engines import BUSYBOX
from support.servers import free_port, is_listening
from support.waiting import wait_until
from up.conftest import codes_of, steps_of
from up.test_in_containers import contained, owned

pytestmark = pytest.mark.engine

SECRET = "a-most-secret-value"
SERVE = (
    "echo begun secret=$TOKEN; mkdir -p /tmp/www; echo ok > /tmp/www/index.html; "
    "while [ ! -e /workspace/again ]; do sleep 0.1; done && echo later=$TOKEN & "
    "while [ ! -e /workspace/enough ]; do sleep 0.1; done && kill $$ & "
    "exec httpd -f -p 8080 -h /tmp/www"
)
STOP = ("up", "--workflow", "app", "--stop")


@pytest.fixture
def path(project, engine):
    """A path in containers of each engine, with a secret; what is left of it goes with the test."""
    port = free_port()
    repo = project()

    def make(lifecycle: str, change=lambda document: None):
        document = json.loads(contained(engine.name, port, lifecycle=lifecycle, serve=SERVE))
        document["env"] = {"vars": {"TOKEN": {"secret": True, "required": True}}}
        change(document)
        repo.write({"ota.yaml": json.dumps(document)})
        return repo, port

    yield make
    repo.run("up", "--stop", timeout=110)
    engine.remove(owned(repo, engine))


def up(repo, *words: str):
    return repo.run("up", *words, "--json", env={"TOKEN": SECRET}, timeout=110)


def record_of(repo, key: str = "dev") -> dict:
    return json.loads((repo.path / f".ota/state/workloads/{key}.json").read_text())


def log_of(repo) -> str:
    return (repo.path / ".ota/state/workloads/dev.log").read_text()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def body_of(engine, record: dict) -> str:
    """The processes of the body in a container that stays, as the engine sees them."""
    return engine.run("top", record["container"]["name"]).stdout


def is_over(repo, engine, record: dict) -> bool:
    """Whether nothing of it is anywhere: container or body, client, keeper, journal."""
    if record["container"]["body"]:
        is_inside = "httpd" in body_of(engine, record)
    else:
        is_inside = bool(owned(repo, engine)["container"])
    left = [each for each in ("leader", "keeper") if not is_gone(record[each]["pid"])]
    return not is_inside and not left and not list((repo.path / ".ota/state/active").iterdir())


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_it_goes_on_is_found_and_is_ended(path, engine, assert_schema, lifecycle):
    repo, port = path(lifecycle)
    result = up(repo, "--detach")
    assert result.code == 0, result
    assert_schema(result.json, "up")
    record = record_of(repo)
    name = record["container"]["name"]
    note = steps_of(result.json)["dev"]["detail"]
    assert f"left running: container {name} ({engine.name}), prints to" in note
    assert "end it with `ota up --workflow app --stop`" in note
    assert is_listening(port) and not is_gone(record["keeper"]["pid"])
    found = repo.run("tasks", "--workflow", "app", env={"TOKEN": SECRET})
    assert f"container {name}" in found.out, found
    # another run neither takes it for something dead nor starts it again
    assert repo.run("run", "setup", env={"TOKEN": SECRET}, timeout=110).code == 0
    beside = repo.run("run", "dev", env={"TOKEN": SECRET}, timeout=110)
    assert beside.code == 1 and "with `ota up --workflow app --stop`" in beside.out + beside.err, beside
    again = up(repo, "--detach")
    assert (again.code, again.json["status"]) == (0, "READY"), again
    assert "already running, not started" in steps_of(again.json)["dev"]["detail"]
    assert again.json["receipt"]["runtime"]["primary_endpoint"]["confirmed"]
    assert record_of(repo) == record
    refused = repo.run("clean")
    assert refused.code == 1 and "stop it with `ota up --workflow app --stop`" in refused.err, refused
    # what it prints is kept without secrets and without the marks of its shell
    repo.write({"again": ""})
    wait_until(lambda: "later=" in log_of(repo), "what it prints now")
    assert log_of(repo) == "begun secret=***\nlater=***\n"
    state = [each for each in (repo.path / ".ota").rglob("*") if each.is_file()]
    assert not any(SECRET in each.read_text(errors="replace") for each in state)
    argv = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert not any(SECRET in each for each in argv)
    stopped = repo.run(*STOP, "--json", timeout=110)
    assert stopped.code == 0, stopped
    assert_schema(stopped.json, "up")
    (task,) = stopped.json["tasks"]
    assert (task["status"], task["container"]) == ("stopped", name)
    assert is_over(repo, engine, record)
    assert bool(owned(repo, engine)["container"]) == (lifecycle == "persistent")
    assert repo.run(*STOP, "--json").json["summary"]["stopped_count"] == 0


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
@pytest.mark.dealt
def test_when_it_ends_by_itself_its_keeper_takes_the_rest_away(path, engine, lifecycle):
    repo, port = path(lifecycle)
    assert up(repo, "--detach").code == 0
    first = record_of(repo)
    repo.write({"enough": ""})
    wait_until(lambda: is_over(repo, engine, first), "the keeper to be done", 40)
    (repo.path / "enough").unlink()
    anew = up(repo, "--detach")
    assert anew.code == 0, anew
    assert "already running" not in steps_of(anew.json)["dev"]["detail"]
    assert record_of(repo)["leader"] != first["leader"] and is_listening(port)


@pytest.mark.parametrize("how", ["run", "stop"])
@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
@pytest.mark.dealt
def test_when_its_keeper_is_killed_the_next_command_takes_it_away(path, engine, lifecycle, how):
    repo, port = path(lifecycle)
    assert up(repo, "--detach").code == 0
    record = record_of(repo)
    os.kill(record["keeper"]["pid"], signal.SIGKILL)
    wait_until(lambda: is_gone(record["keeper"]["pid"]), "its end")
    assert is_listening(port)
    if how == "stop":
        ended = repo.run(*STOP, timeout=110)
        assert "dev: ended what was left of it in container" in ended.out
    else:
        ended = repo.run("run", "setup", env={"TOKEN": SECRET}, timeout=110)
        assert "left by run" in ended.out + ended.err
    assert ended.code == 0, ended
    assert is_over(repo, engine, record)


@pytest.mark.parametrize("point", ["handed_over.before", "ended.before"])
@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
@pytest.mark.dealt
def test_killed_while_it_lets_go_ota_leaves_nothing(path, engine, lifecycle, point):
    repo, _ = path(lifecycle, lambda document: document["workflows"]["app"].pop("setup"))
    killed = repo.run("up", "--detach", env={"TOKEN": SECRET, "OTA_FAULT": f"{point}:KILL"}, timeout=110)
    assert killed.code == -signal.SIGKILL, killed
    record = record_of(repo)
    wait_until(lambda: is_gone(record["keeper"]["pid"]), "its keeper's end", 40)
    repo.run(*STOP, timeout=110)
    repo.run("up", "--stop", timeout=110)
    assert repo.run("clean", timeout=110).code == 0
    assert not owned(repo, engine)["container"]


@pytest.mark.parametrize("point", ["attach.before", "started.after"])
@pytest.mark.dealt
def test_without_its_keeper_it_does_not_go_on(path, engine, point):
    repo, _ = path("ephemeral", lambda document: document["workflows"]["app"].pop("setup"))
    live = repo.start("up", "--detach", env={"TOKEN": SECRET, "OTA_FAULT": f"{point}:STOP"})
    ota = psutil.Process(live.pid)
    wait_until(lambda: ota.status() == psutil.STATUS_STOPPED, "the moment")
    (keeper,) = [each for each in ota.children() if each.name() == "ota-output"]
    keeper.kill()
    wait_until(lambda: is_gone(keeper.pid), "its end")
    ota.resume()
    result = live.finish(110)
    assert result.code == 1, result
    assert not owned(repo, engine)["container"]
    assert not list((repo.path / ".ota/state/workloads").glob("*.json"))


def test_two_that_let_go_at_once_leave_one(path, engine):
    repo, _ = path("ephemeral")
    lives = [repo.start("up", "--detach", env={"TOKEN": SECRET}) for _ in range(2)]
    results = [live.finish(110) for live in lives]
    assert [result.code for result in results] == [0, 0], results
    assert sorted("already running, not started" in result.out for result in results) == [False, True]
    assert len(owned(repo, engine)["container"]) == 1


def test_what_never_gets_ready_leaves_neither_container_nor_record(path, engine, assert_schema):
    def broken(document: dict) -> None:
        document["tasks"]["dev"]["run"] = "echo begun; exec sleep 300"

    repo, _ = path("ephemeral", broken)
    result = up(repo, "--detach", "--ready-timeout", "2s")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["stdout"]) == (1, "RUN FAILED", "begun\n"), result
    assert not owned(repo, engine)["container"]
    assert not list((repo.path / ".ota/state/workloads").glob("*.json"))


def test_a_packaged_image_goes_on_and_stays_stopped(path, engine):
    def packaged(document: dict) -> None:
        listener = document["tasks"]["dev"]["runtime"]["listeners"]["http"]
        del listener["protocol"]
        listener["project"]["host"] |= {"path": "/hostname", "primary": True}
        document["surfaces"] = {"web": {"kind": "http", "port": 8080}}
        document["execution"]["default_context"] = "host"
        document["tasks"]["dev"] = {
            "launch": {
                "kind": "container",
                "image": BUSYBOX,
                "engine": engine.name,
                "args": ["httpd", "-f", "-v", "-p", "8080", "-h", "/etc"],
            },
            "runtime": {"kind": "service", "surfaces": {"web": listener}},
        }
        document["workflows"]["app"].pop("setup")

    repo, port = path("ephemeral", packaged)
    result = up(repo, "--detach")
    assert result.code == 0, result
    record = record_of(repo)
    assert is_listening(port)
    assert up(repo, "--detach").code == 0
    assert repo.run(*STOP, timeout=110).code == 0
    assert engine.inspect(record["container"]["name"])[0]["State"]["Running"] is False
    assert is_gone(record["keeper"]["pid"]) and not is_listening(port)


def test_an_instance_in_a_container_is_up_whoever_brought_it_up(path, engine):
    more = free_port()

    def instances(document: dict) -> None:
        listener = {"project": {"host": {"port": {"mode": "fixed", "value": more}}}}
        overlay = {"dev": {"runtime": {"listeners": {"http": listener}}}}
        document["workflows"]["app"] |= {
            "instances": {
                "default": "base",
                "base": {},
                "more": {"topology": {"requires_instances": ["base"]}, "tasks": overlay},
            }
        }

    repo, _ = path("ephemeral", instances)
    blocked = up(repo, "--workflow", "app@more")
    assert codes_of(blocked.json) == ["OTA_UP_INSTANCE_UNSUPPORTED"]
    assert "`ota up --workflow app@base --detach`" in blocked.json["findings"][0]["next"]
    live = repo.start("up", "--workflow", "app@base", "--attach", env={"TOKEN": SECRET})
    live.wait_for("staying with dev until Ctrl-C", timeout=100)
    assert up(repo, "--workflow", "app@more").code == 0
    live.signal(signal.SIGINT)
    live.finish(60)
    assert up(repo, "--workflow", "app@more", "--dry-run").code == 1
    assert up(repo, "--workflow", "app@base", "--detach").code == 0
    assert up(repo, "--workflow", "app@more", "--dry-run").code == 0
