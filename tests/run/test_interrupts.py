"""Ctrl-C, TERM and HUP: forwarded to everything, classified honestly, nothing left."""

import io
import os
import signal
import time

import pexpect
import psutil
import pytest

from support.project import OTA
from support.servers import SERVER, free_port, is_listening, service

pytestmark = pytest.mark.edge

CONTRACT = """
version: 1
project: {name: stops}
tasks:
  long: {run: "echo begun; sleep 300"}
  dep: {run: "echo dep-begun; sleep 300"}
  parent: {run: "echo never", depends_on: [dep]}
  stubborn: {run: "trap '' INT TERM; echo begun; while true; do sleep 0.2; done"}
  polite: {run: "trap 'echo cleaning; exit 0' INT TERM; echo begun; while true; do sleep 0.1; done"}
  child-ignores: {run: "(trap '' TERM INT HUP; while true; do sleep 0.2; done) & echo begun; sleep 300"}
  strays: {run: "setsid sleep 300 & echo begun; sleep 300"}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


def terminal(repo, *args: str) -> pexpect.spawn:
    """`ota` on a pseudo-terminal of its own; everything it shows is kept in `shown`."""
    child = pexpect.spawn(OTA[0], [*OTA[1:], *args], cwd=str(repo.path), env=repo.environment(), timeout=30)
    child.shown = child.logfile_read = io.BytesIO()
    return child


@pytest.mark.proves("S000-13")
@pytest.mark.proves("S000-18")
def test_ctrl_c_on_a_terminal_ends_a_streamed_run_as_interrupted(repo):
    child = terminal(repo, "run", "long", "--stream", "--receipt")
    child.expect("begun")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    text = child.shown.getvalue().decode()
    assert "interrupted" in text[text.index("RUN SUMMARY") :]
    assert "INTERRUPTED" in text and "task interrupted by user" in text
    assert "Task Failed" not in text
    assert child.exitstatus == 130


@pytest.mark.proves("S000-14")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_receipt_of_an_interrupted_run_says_so(repo, assert_schema, number, code):
    live = repo.start("run", "long", "--json")
    live.wait_for("begun")
    live.signal(number)
    result = live.finish()
    document = result.json
    assert_schema(document, "run")
    assert result.code == code == document["exit_code"]
    assert document["receipt"]["status"] == "interrupted"
    (step,) = document["receipt"]["steps"]
    assert step["status"] == "INTERRUPTED"
    assert "task interrupted by user" in step["detail"]


@pytest.mark.proves("S000-15")
def test_a_service_stopped_on_a_terminal_is_interrupted(project):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER})
    child = terminal(repo, "run", "web")
    child.expect("External: ")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    text = child.shown.getvalue().decode()
    assert "interrupted" in text
    assert child.exitstatus == 130
    assert not is_listening(port)


@pytest.mark.proves("S000-119")
@pytest.mark.proves("S000-120")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_ota_stops_the_listener_below_a_shell(project, number):
    port = free_port()
    body = "sh -c 'sh -c \"python3 server.py; true\"; true'"
    repo = project({"ota.yaml": service(port, body=body), "server.py": SERVER})
    live = repo.start("run", "web", "--stream")
    live.wait_for("External: ")
    live.signal(number)
    live.finish()
    assert not is_listening(port)


def test_an_interrupt_during_a_dependency_ends_the_run_and_the_task_never_starts(repo, assert_schema):
    live = repo.start("run", "parent", "--json")
    live.wait_for("dep-begun")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert result.code == 130
    assert_schema(result.json, "run")
    assert result.json["status"] == "interrupted"
    assert [step["label"] for step in result.json["receipt"]["steps"]] == ["dep"]


def test_a_task_that_ignores_the_signal_is_killed_after_the_grace_and_counts_as_interrupted(repo):
    live = repo.start("run", "stubborn", "--stream")
    live.wait_for("begun")
    began = time.monotonic()
    live.signal(signal.SIGINT)
    result = live.finish()
    assert result.code == 130
    assert "interrupted" in result.err
    assert 4.0 < time.monotonic() - began < 20.0


def test_a_second_signal_shortens_the_grace_and_still_cleans(repo):
    live = repo.start("run", "stubborn", "--stream")
    live.wait_for("begun")
    began = time.monotonic()
    live.signal(signal.SIGINT)
    live.signal(signal.SIGTERM)
    assert live.finish().code in (130, 143)
    assert time.monotonic() - began < 4.0


def test_a_task_that_cleans_up_and_ends_well_was_still_interrupted(repo):
    live = repo.start("run", "polite", "--stream")
    live.wait_for("begun")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert "cleaning" in result.out
    assert result.code == 130


@pytest.mark.parametrize("task", ["child-ignores", "strays"])
def test_nothing_a_stopped_task_started_survives(repo, task):
    live = repo.start("run", task, "--stream")
    live.wait_for("begun")
    mine = psutil.Process(live.pid).children(recursive=True)
    live.signal(signal.SIGTERM)
    result = live.finish()
    assert "left behind: nothing" in result.err
    assert not [each for each in mine if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.proves("S000-19")
def test_an_interrupt_after_a_concrete_failure_leaves_the_failure(project, assert_schema):
    repo = project({"ota.yaml": "version: 1\nproject: {name: late}\ntasks:\n  bad: {run: exit 7}\n"})
    result = repo.run("run", "bad", "--json", env={"OTA_FAULT": "body.after:INT"})
    assert result.code == 7
    assert_schema(result.json, "run")
    assert result.json["receipt"]["status"] == "failed"
    assert result.json["receipt"]["steps"][0]["exit_code"] == 7


def test_killing_ota_outright_leaves_no_process_of_the_run(project):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER})
    live = repo.start("run", "web", "--stream")
    live.wait_for("External: ")
    children = psutil.Process(live.pid).children(recursive=True)
    os.kill(live.pid, signal.SIGKILL)
    live.finish()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []
    assert not is_listening(port)
    assert repo.run("run", "web", "--dry-run").code == 0


def test_a_body_that_signals_itself_is_not_said_to_be_interrupted_by_the_user(project):
    repo = project({"ota.yaml": "version: 1\nproject: {name: p}\ntasks:\n  t: {run: 'kill -TERM $$'}\n"})
    result = repo.run("run", "t")
    assert result.code == 143
    assert "task interrupted by SIGTERM" in result.err
    assert "by user" not in result.err
