"""What becomes of the run task: ended, left running on the record, stayed with, or found running."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request

import psutil
import pytest

from services.conftest import host_service
from support.servers import SERVER, free_port, is_listening
from support.waiting import wait_until
from up.conftest import contract, steps_of, web

pytestmark = pytest.mark.edge

SETUP = "  setup: {run: echo setup >> order.txt}\n"
APP = "    setup: {task: setup}\n    run: {task: dev}\n"
PRINTING = "echo pid=$$ secret=$TOKEN; exec python3 server.py"


def record_of(repo, key: str = "dev") -> dict:
    return json.loads((repo.path / f".ota/state/workloads/{key}.json").read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


STOP = "ota up --workflow app --stop"


def stop(repo, command: str = STOP):
    """Run the command that the report names."""
    ota, *words = shlex.split(command)
    assert ota == "ota"
    return repo.run(*words)


@pytest.fixture
def app(upped):
    port = free_port()
    return upped(contract(tasks=SETUP + web(port, body=PRINTING), workflow=APP)), port


def test_a_detached_run_task_goes_on_and_what_ends_it_is_named(app, assert_schema):
    repo, port = app
    result = repo.run("up", "--detach", "--json")
    assert result.code == 0, result
    assert_schema(result.json, "up")
    pid = record_of(repo)["leader"]["pid"]
    step = steps_of(result.json)["dev"]
    assert (step["status"], result.json["status"]) == ("READY", "READY")
    assert (
        f"left running: pid {pid}, prints to .ota/state/workloads/dev.log; end it with `{STOP}`"
        in (step["detail"])
    )
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.status == 200
    ended = stop(repo, result.json["receipt"]["next_steps"][0].split("`")[1])
    assert ended.code == 0, ended
    assert f"dev: ended pid {pid}" in ended.out
    assert is_gone(pid) and not is_listening(port)


def test_ending_takes_all_of_it_once_and_nothing_else(app, assert_schema):
    repo, port = app
    assert repo.run("up", "--stop").out == "UP ./ota.yaml\n\nSTOPPED\n\nNothing was left running.\n"
    repo.write({"ota.yaml": repo.read("ota.yaml").replace("exec python3", "setsid sleep 300 & exec python3")})
    assert repo.run("up", "--detach").code == 0
    record = record_of(repo)
    (away,) = [each for each in psutil.Process(record["leader"]["pid"]).children() if each.name() == "sleep"]
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as bystander:
        repo.write({"ota.yaml": "{"})  # a broken contract keeps nobody from ending what it left
        done = repo.run("up", "--stop", "--json")
        assert (done.code, done.err) == (0, "")
        assert_schema(done.json, "up")
        assert done.json["summary"] == {"stopped_count": 1, "not_running_count": 0, "failed_count": 0}
        (task,) = done.json["tasks"]
        assert (task["task"], task["status"], task["pid"]) == ("dev", "stopped", record["leader"]["pid"])
        assert is_gone(task["pid"]) and is_gone(away.pid) and not is_listening(port)
        assert bystander.poll() is None
        bystander.kill()
    assert not (repo.path / ".ota/state/workloads/dev.json").exists()
    assert (repo.path / ".ota/state/workloads/dev.log").exists(), "why it ended may still be asked"
    again = repo.run("up", "--stop", "--json")
    assert (again.code, again.json["tasks"]) == (0, [])


@pytest.mark.parametrize("words", [(), ("--member", "api"), ("--member", "web", "--member", "api")])
def test_what_a_member_left_running_is_ended_whatever_became_of_the_contracts(upped, assert_schema, words):
    root = "version: 1\nproject: {name: shop}\nworkspace: {type: monorepo, members: [apps/web, api]}\n"
    port = free_port()
    member = "execution: {contexts: {host: {backend: native}}}\n"
    member += f"tasks:\n{web(port)}workflows: {{default: app, app: {{run: {{task: dev}}}}}}\n"
    repo = upped(
        root,
        **{"apps/web/ota.yaml": "project: {name: web}\n", "api/ota.yaml": member, "api/server.py": SERVER},
    )
    try:
        assert repo.run("up", "--member", "api", "--detach").code == 0
        repo.write({"ota.yaml": f"{root}nope: 1\n", "apps/web/ota.yaml": "{"})
        done = repo.run("up", "--stop", *words, "--json")
        assert (done.code, done.json["summary"]["stopped_count"]) == (0, 1)
        assert_schema(done.json, "up")
        assert not is_listening(port)
        again = repo.run("up", "--stop", *words)
        assert (again.code, again.out.count("Nothing was left running.")) == (0, len(words) // 2 or 3)
    finally:
        repo.run("up", "api", "--stop")


def test_one_workflow_is_ended_without_the_other(upped):
    one, two = free_port(), free_port()
    other = "  other:\n    run: {task: second}\n  plain:\n    run: {task: setup}\n"
    repo = upped(contract(tasks=SETUP + web(one) + web(two, name="second"), workflow=APP + other))
    assert repo.run("up", "--detach").code == 0
    assert repo.run("up", "--detach", "--workflow", "other").code == 0
    assert "Nothing was left running." in repo.run("up", "--stop", "--workflow", "plain").out
    assert stop(repo).code == 0
    assert not is_listening(one) and is_listening(two)
    os.killpg(record_of(repo, "second")["leader"]["pid"], signal.SIGKILL)
    wait_until(lambda: not is_listening(two), "its end")
    assert "second: was over already" in repo.run("up", "--stop").out
    away = "(setsid sleep 300 & echo $! > away.pid); exec python3"
    repo.write({"ota.yaml": repo.read("ota.yaml").replace("python3", away)})
    assert repo.run("up", "--detach").code == 0
    os.killpg(record_of(repo)["leader"]["pid"], signal.SIGKILL)
    ended = stop(repo)
    away_pid = repo.read("away.pid").strip()
    assert (ended.code, f"ended what it had left behind: pid {away_pid};" in ended.out) == (0, True)
    assert is_gone(int(away_pid)), "what it moved away goes, although it has gone itself"


def test_what_cannot_be_proven_is_not_ended(app, assert_schema):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    record, good = repo.path / ".ota/state/workloads/dev.json", record_of(repo)
    for bad in (
        "{",
        json.dumps({**good, "pid_namespace": "pid:[1]"}),
        json.dumps({**good, "version": 99}),
        json.dumps({**good, "run_id": ""}),
    ):
        record.write_text(bad)
        done = repo.run("up", "--stop", "--json")
        assert (done.code, done.json["ok"], done.json["summary"]["failed_count"]) == (1, False, 1)
        assert_schema(done.json, "up")
        assert [each["code"] for each in done.json["findings"]] == ["OTA_KEPT_SERVICE_UNPROVEN"]
        assert is_listening(port) and record.exists()
    text = repo.run("up", "--stop")
    assert (text.code, "NOT STOPPED" in text.out) == (1, True)
    record.write_text(json.dumps({**good, "run_id": "else", "leader": {**good["leader"], "start_ticks": 1}}))
    assert "was over already" in repo.run("up", "--stop").out, "another process with that pid is a stranger"
    assert is_listening(port)
    os.killpg(good["leader"]["pid"], signal.SIGKILL)


def test_state_that_cannot_be_read_is_no_proof_that_nothing_runs(upped, assert_schema):
    repo = upped(contract(tasks=SETUP + web(free_port()), workflow=APP))
    folder = repo.path / ".ota/state/workloads"
    repo.write({".ota/state/workloads/%zz.json": "{}"})
    text = repo.run("up", "--stop")
    assert (text.code, "%zz.json: cannot tell" in " ".join(text.out.split())) == (1, True), text
    assert (folder / "%zz.json").exists()
    shutil.rmtree(folder)
    folder.symlink_to("workloads")  # nobody can follow it, whoever asks
    done = repo.run("up", "--stop", "--json")
    assert (done.code, done.json["summary"]["failed_count"]) == (1, 1)
    assert_schema(done.json, "up")
    assert "go round in circles" in done.json["findings"][0]["why"]
    found = repo.run("up", "--detach", "--json")
    assert (found.code, "OTA_BUG" in found.out) == (1, False)


def test_a_second_up_finds_it_running_and_starts_nothing(app):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    pid = record_of(repo)["leader"]["pid"]
    for more in ((), ("--detach",)):
        again = repo.run("up", "--json", *more)
        assert again.code == 0, again
        step = steps_of(again.json)["dev"]
        assert f"already running, not started (pid {pid}, left running since" in step["detail"]
        assert "workloads" not in again.json["receipt"]
        assert again.json["receipt"]["runtime"]["primary_endpoint"]["confirmed"]
        assert f"`{STOP}` ends `dev`" in again.json["receipt"]["next"]
        assert record_of(repo)["leader"]["pid"] == pid
    assert not is_gone(pid) and is_listening(port)


def test_what_was_left_running_carries_no_marker_of_a_run_and_survives_later_runs(app):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    record = record_of(repo)
    environment = psutil.Process(record["leader"]["pid"]).environ()
    assert environment["OTA_RUN_MARKER"] == record["run_id"]
    assert repo.run("run", "setup").code == 0
    live = repo.start("run", "setup")
    live.finish()
    assert is_listening(port)
    blocked = repo.run("run", "dev")
    assert blocked.code == 1
    assert "started by ota as task `dev`" in blocked.err
    assert is_listening(port)


def test_a_run_task_that_ended_meanwhile_is_started_anew(app):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    first = record_of(repo)["leader"]["pid"]
    os.killpg(first, signal.SIGKILL)
    wait_until(lambda: not is_listening(port), "its end")
    result = repo.run("up", "--detach", "--json")
    assert result.code == 0, result
    assert "already running" not in steps_of(result.json)["dev"]["detail"]
    assert record_of(repo)["leader"]["pid"] != first


def test_what_it_prints_is_kept_without_secrets_also_after_ota_has_gone(upped):
    port, secret = free_port(), "a-most-secret-value"
    more = "env:\n  vars:\n    TOKEN: {secret: true, required: true}\n"
    later = "while [ ! -e again ]; do sleep 0.05; done; echo later=$TOKEN"
    body = f"echo pid=$$ secret=$TOKEN; ({later}) & exec python3 server.py"
    repo = upped(contract(tasks=SETUP + web(port, body=body), workflow=APP, more=more))
    result = repo.run("up", "--detach", "--json", env={"TOKEN": secret})
    assert result.code == 0, result
    log = repo.path / ".ota/state/workloads/dev.log"
    assert "secret=***" in log.read_text()
    (repo.path / "again").touch()
    wait_until(lambda: "later=" in log.read_text(), "what it prints now")
    assert "later=***" in log.read_text()
    kept = [path.read_text() for path in log.parent.iterdir()]
    assert not any(secret in text for text in (result.out, result.err, *kept))
    assert log.stat().st_mode & 0o077 == 0


def test_a_detached_run_task_that_never_gets_ready_is_ended_and_shows_its_output(upped, assert_schema):
    port = free_port()
    ready = "{kind: http, listener: http, path: /nowhere, interval: 50ms, retries: 20}"
    body = "echo begun; exec python3 server.py"
    repo = upped(contract(tasks=SETUP + web(port, body=body, ready=ready), workflow=APP))
    result = repo.run("up", "--detach", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"]) == (1, "RUN FAILED")
    assert "begun" in result.json["stdout"]
    assert not is_listening(port)
    assert not (repo.path / ".ota/state/workloads/dev.json").exists()


def test_a_path_that_is_not_ready_leaves_nothing_running(upped):
    port = free_port()
    checks = "  - {name: never, kind: health, severity: error, run: exit 1, timeout: 5s}\n"
    workflow = APP + "    readiness: {checks: [never]}\n"
    repo = upped(contract(checks=checks, tasks=SETUP + web(port), workflow=workflow))
    result = repo.run("up", "--detach", "--json")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "NOT READY", "post-up diagnosis")
    assert not is_listening(port)
    assert not (repo.path / ".ota/state/workloads/dev.json").exists()


def test_a_damaged_record_is_told_and_not_believed(app):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    record = repo.path / ".ota/state/workloads/dev.json"
    good = record.read_bytes()
    record.write_text("{")
    result = repo.run("up", "--json")
    record.write_bytes(good)
    assert (result.code, result.json["status"]) == (1, "RUN FAILED")
    assert [each["code"] for each in result.json["findings"]] == ["OTA_KEPT_SERVICE_UNPROVEN"]
    assert is_listening(port)


def test_a_record_of_a_reused_pid_is_not_mistaken_for_the_task(app):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    record = repo.path / ".ota/state/workloads/dev.json"
    data = record_of(repo)
    os.killpg(data["leader"]["pid"], signal.SIGKILL)
    wait_until(lambda: not is_listening(port), "its end")
    with subprocess.Popen(["sleep", "300"]) as stranger:
        data["leader"]["pid"] = stranger.pid
        record.write_text(json.dumps(data))
        assert repo.run("up", "--json").json["status"] == "READY"
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_attached_it_is_shown_until_an_interrupt_and_ends_with_it(upped, number):
    port = free_port()
    body = "python3 server.py & while :; do echo still here; sleep 0.2; done"
    repo = upped(contract(tasks=SETUP + web(port, body=body), workflow=APP))
    live = repo.start("up", "--attach")
    live.wait_for("staying with dev until Ctrl-C")
    live.wait_for("still here")
    assert is_listening(port)
    live.signal(number)
    result = live.finish()
    assert result.code == 128 + number
    assert "INTERRUPTED" in result.out and "Status:      interrupted" in result.out
    assert f"External:    http://127.0.0.1:{port}/" in result.out
    assert not is_listening(port)


def test_attached_to_what_was_running_an_interrupt_ends_the_watching_alone(app):
    repo, port = app
    assert repo.run("up", "--detach").code == 0
    live = repo.start("up", "--attach")
    live.wait_for("staying with dev until Ctrl-C")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert result.code == 130
    assert f"end it with `{STOP}`" in result.out
    assert is_listening(port)


def test_attached_it_ends_when_the_run_task_does(upped):
    port = free_port()
    body = "python3 server.py & while [ ! -e enough ]; do sleep 0.05; done; kill $!"
    ends = contract(tasks=SETUP + web(port, body=body), workflow=APP)
    repo = upped(ends)

    def attached():
        live = repo.start("up", "--attach")
        live.wait_for("staying with dev until Ctrl-C")
        (repo.path / "enough").touch()
        result = live.finish()
        (repo.path / "enough").unlink()
        return result

    assert attached().code == 0
    repo.write({"ota.yaml": ends.replace("kill $!", "kill $!; exit 6")})
    result = attached()
    assert result.code == 6
    assert "Phase: run (RUN FAILED)" in result.out


def test_the_attach_task_has_the_foreground_and_ends_the_run_task_with_it(upped):
    port = free_port()
    tasks = SETUP + web(port) + '  peek: {run: python3 -c \'print("peeked")\' && test -n "$(ls)"}\n'
    repo = upped(contract(tasks=tasks, workflow=APP + "    attach: {task: peek}\n"))
    without = repo.run("up", "--json")
    assert "peek" not in steps_of(without.json)
    result = repo.run("up", "--attach")
    assert result.code == 0, result
    assert "peeked" in result.out
    assert not is_listening(port)


def test_a_run_in_another_terminal_is_used_and_never_ended(app):
    repo, port = app
    other = repo.start("run", "dev", "--stream")
    other.wait_for("External: ")
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    detail = steps_of(document)["dev"]["detail"]
    assert re.search(r"already running, not started \(pid \d+, started by run \S+-dev-", detail)
    assert other.is_running and is_listening(port)
    other.signal(signal.SIGINT)
    other.finish()


def test_a_task_of_another_repository_on_the_port_is_a_stranger(app, upped):
    repo, port = app
    neighbour = upped(contract(tasks=SETUP + web(port), workflow=APP))
    other = neighbour.start("run", "dev", "--stream")
    other.wait_for("External: ")
    result = repo.run("up", "--json")
    assert (result.code, result.json["status"]) == (1, "RUN FAILED")
    assert str(neighbour.path) in json.dumps(result.json["findings"])
    other.signal(signal.SIGINT)
    other.finish()


def test_two_at_the_same_moment_start_the_run_task_once(app):
    repo, _ = app
    both = [repo.start("up", "--detach", "--json") for _ in range(3)]
    results = [each.finish() for each in both]
    assert [each.code for each in results] == [0, 0, 0], results
    found = [steps_of(each.json)["dev"]["detail"] for each in results]
    assert sum("already running" in detail for detail in found) == 2
    assert len(list((repo.path / ".ota/state/workloads").glob("*.json"))) == 1


def test_ups_after_one_another_do_not_end_each_others_run_task(app):
    repo, port = app
    both = [repo.start("up", "--json") for _ in range(3)]
    results = [each.finish() for each in both]
    assert [each.code for each in results] == [0, 0, 0], results
    assert not is_listening(port)


def test_services_stay_and_a_second_up_says_so(upped):
    port, db = free_port(), free_port()
    repo = upped(
        contract(
            services=host_service("db", db),
            tasks=SETUP + web(port),
            workflow=APP + "    services: {required: [db]}\n",
        )
    )
    assert repo.run("up").code == 0
    pid = int(repo.read("db.pid"))
    again = repo.run("up", "--json")
    assert "already running, not started" in steps_of(again.json)["service db"]["detail"]
    assert not is_gone(pid)
    assert repo.read("started.txt").split() == ["db"]


@pytest.mark.parametrize("point", ["handed_over.before", "handed_over.after"])
def test_killed_at_the_hand_over_it_is_either_ended_or_on_the_record(app, point):
    repo, port = app
    killed = repo.run("up", "--detach", env={"OTA_FAULT": f"{point}:KILL"})
    assert killed.code == -signal.SIGKILL
    record = repo.path / ".ota/state/workloads/dev.json"
    if point == "handed_over.after":
        assert record.exists() and is_listening(port)
        detail = steps_of(repo.run("up", "--json").json)["dev"]["detail"]
        assert "already running" in detail
    else:
        wait_until(lambda: not is_listening(port), "the guardian")
        assert "already running" not in steps_of(repo.run("up", "--json").json)["dev"]["detail"]
        assert not is_listening(port)


def test_the_pieces_of_a_workflow_say_what_of_it_is_seen_running(upped, assert_schema):
    port, db = free_port(), free_port()
    repo = upped(
        contract(
            services=host_service("db", db),
            tasks=SETUP + web(port),
            workflow=APP + "    services: {required: [db]}\n",
        )
    )

    def seen() -> dict:
        document = repo.run("tasks", "--workflow", "app", "--json").json
        assert_schema(document, "tasks")
        return {each["name"]: each["state"] for each in document["observed"]}

    assert seen() == {"dev": "not_seen", "db": "not_seen"}
    assert not (repo.path / ".ota/state/workloads").exists()
    assert repo.run("up", "--detach").code == 0
    assert seen() == {"dev": "running", "db": "listening"}
    pid = record_of(repo)["leader"]["pid"]
    text = repo.run("tasks", "--workflow", "app").out
    assert f"run task dev: running: pid {pid}, left running since" in text
    assert f"Ends with: `{STOP}`" in text
    assert f"service db: somebody listens on 127.0.0.1:{db}: pid {repo.read('db.pid')}" in text
    os.killpg(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid), "its end")
    assert seen() == {"dev": "not_seen", "db": "listening"}
    assert (repo.path / ".ota/state/workloads/dev.json").exists(), "looking changes nothing"


def test_a_server_that_setup_moved_away_on_purpose_stays_and_is_told(upped):
    port = free_port()
    tasks = "  setup: {run: 'exec >/dev/null 2>&1; setsid sleep 300 & echo $! > away.pid'}\n" + web(
        port, body="setsid sleep 300 & exec python3 server.py"
    )
    repo = upped(contract(tasks=tasks, workflow=APP))
    result = repo.run("up", "--json")
    assert result.code == 0, result
    away = int(repo.read("away.pid"))
    (left,) = result.json["receipt"]["footprint"]["left_behind"]
    assert left == f"pid {away} (sleep 300)", "what the run task moved away has ended with it"
    assert not is_gone(away)
    psutil.Process(away).kill()


def test_after_a_failure_nothing_of_setup_stays_either(upped):
    tasks = "  setup: {run: 'exec >/dev/null 2>&1; setsid sleep 300 & echo $! > away.pid'}\n" + web(
        free_port(), body="exit 3"
    )
    repo = upped(contract(tasks=tasks, workflow=APP))
    assert repo.run("up").code == 3
    assert is_gone(int(repo.read("away.pid")))


def test_a_disk_that_cannot_be_written_is_told_and_keeps_nobody_from_proving_a_path(upped):
    port = free_port()
    repo = upped(contract(tasks=web(port), workflow="    run: {task: dev}\n"))
    (repo.path / ".ota").write_text("in the way")
    result = repo.run("up", "--json")
    assert (result.code, result.json["status"]) == (0, "READY"), result
    assert result.json["receipt"]["summary"]["warn_count"] >= 1
    detached = repo.run("up", "--detach", "--json")
    assert detached.code == 1
    assert not is_listening(port)
