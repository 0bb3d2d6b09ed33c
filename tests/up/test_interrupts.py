"""An end in the middle of each phase: what is documented to stay stays, and nothing else."""

import signal
import time

import psutil
import pytest

from services.conftest import host_service
from support.servers import free_port, is_listening
from support.waiting import wait_until
from up.conftest import contract, steps_of, web

pytestmark = pytest.mark.edge

PHASES = ("prepare", "preconditions", "services", "setup", "run", "post-up diagnosis")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAIT = "touch began; while test ! -e go; do sleep 0.05; done"
PREPARE = "  prep: {run: echo prep >> order.txt}\n"
SETUP = "  setup: {run: echo setup >> order.txt}\n"
WORKFLOW = (
    "    prepare: {task: prep}\n    setup: {task: setup}\n    run: {task: dev}\n"
    "    services: {required: [db]}\n    readiness: {checks: [healthy]}\n"
)


class Path:
    """A repository in which one phase waits until it is told to go on."""

    def __init__(self, upped, slow: str) -> None:
        self.port, self.db = free_port(), free_port()
        quick = dict.fromkeys(PHASES, "true")
        body = {**quick, slow: WAIT}
        checks = "".join(
            f"  - {{name: {name}, kind: {kind}, severity: error, run: '{body[phase]}', timeout: 60s}}\n"
            for name, kind, phase in (
                ("fit", "precondition", "preconditions"),
                ("healthy", "health", "post-up diagnosis"),
            )
        )
        tasks = (
            f"  prep: {{run: 'echo prep >> order.txt; {body['prepare']}'}}\n"
            f"  setup: {{run: 'echo setup >> order.txt; {body['setup']}'}}\n"
            + web(self.port, body=f"{body['run']}; exec python3 server.py")
        )
        delay_s = 60 if slow == "services" else 0
        services = host_service("db", self.db, delay_s=delay_s).replace("retries: 200", "retries: 2000")
        workflow = WORKFLOW.replace("checks: [healthy]", "checks: [fit, healthy]")
        self.slow = slow
        self.repo = upped(contract(services=services, checks=checks, tasks=tasks, workflow=workflow))

    def start(self, *more: str):
        live = self.repo.start("up", "--json", *more)
        if self.slow == "services":
            wait_until(lambda: (self.repo.path / "db.pid").exists(), "the start of the service")
        else:
            wait_until(lambda: (self.repo.path / "began").exists(), f"the middle of {self.slow}")
        return live

    def go_on(self) -> None:
        (self.repo.path / "go").touch()

    @property
    def service_is_there(self) -> bool:
        file = self.repo.path / "db.pid"
        return file.exists() and psutil.pid_exists(int(file.read_text()))


def nothing_but_the_service(path: Path) -> bool:
    """Whether no body of the path lives: neither a waiting one nor the run task."""
    root = str(path.repo.path)
    for process in psutil.process_iter():
        try:
            is_here = process.cwd() == root and process.status() != psutil.STATUS_ZOMBIE
            if is_here and "daemon.py" not in " ".join(process.cmdline()):
                return False
        except psutil.Error:
            continue
    return not is_listening(path.port)


def check_what_stays(path: Path, *, is_service_begun: bool) -> None:
    """Services that were started stay; nothing else does."""
    assert path.service_is_there == is_service_begun
    assert nothing_but_the_service(path)
    active = path.repo.path / ".ota/state/active"
    assert list(active.iterdir()) == []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_in_the_middle_of_a_phase_ends_it_and_nothing_else(upped, assert_schema, phase, number):
    path = Path(upped, phase)
    live = path.start()
    live.signal(number)
    result = live.finish()
    assert result.code == 128 + number, result
    assert_schema(result.json, "up")
    assert (result.json["status"], result.json["phase"]) == ("INTERRUPTED", phase)
    assert result.json["exit_code"] == 128 + number
    assert result.json["receipt"]["status"] == "interrupted"
    check_what_stays(path, is_service_begun=PHASES.index(phase) >= PHASES.index("services"))


@pytest.mark.parametrize("phase", PHASES)
def test_after_a_kill_in_the_middle_of_a_phase_the_next_up_gets_ready(upped, phase):
    path = Path(upped, phase)
    live = path.start()
    live.signal(signal.SIGKILL)
    assert live.finish().code == -signal.SIGKILL
    wait_until(lambda: nothing_but_the_service(path), "the guardian")
    if phase == "services":  # it listens much later than anybody wants to wait here
        psutil.Process(int(path.repo.read("db.pid"))).kill()
        path.repo.write({"ota.yaml": path.repo.read("ota.yaml").replace('"60"', '"0"')})
    path.go_on()
    again = path.repo.run("up", "--json")
    assert (again.code, again.json["status"]) == (0, "READY"), again
    if phase in ("setup", "run", "post-up diagnosis"):
        assert "already running, not started" in steps_of(again.json)["service db"]["detail"]
        assert path.repo.read("started.txt").split() == ["db"]
    check_what_stays(path, is_service_begun=True)


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_between_two_phases_is_not_lost(upped, phase):
    port, db = free_port(), free_port()
    checks = "  - {name: healthy, kind: health, severity: error, run: 'true', timeout: 60s}\n"
    tasks = PREPARE + SETUP + web(port)
    repo = upped(contract(services=host_service("db", db), checks=checks, tasks=tasks, workflow=WORKFLOW))
    result = repo.run("up", "--json", env={"OTA_FAULT": f"up.{phase}:INT"})
    assert result.code == 130, result
    assert (result.json["status"], result.json["phase"]) == ("INTERRUPTED", phase)
    assert not is_listening(port)
    assert is_listening(db) == (PHASES.index(phase) > PHASES.index("services"))


def test_what_failed_before_the_interrupt_stays_the_reason(upped):
    tasks = "  setup: {run: 'trap \"exit 3\" INT; touch began; while :; do sleep 0.05; done'}\n"
    repo = upped(contract(tasks=tasks, workflow="    setup: {task: setup}\n"))
    live = repo.start("up", "--json")
    wait_until(lambda: (repo.path / "began").exists(), "setup")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert result.code == 3
    assert (result.json["status"], result.json["phase"]) == ("SETUP FAILED", "setup")


def test_a_second_interrupt_hurries(upped):
    tasks = "  setup: {run: 'trap \"\" INT TERM; touch began; while :; do sleep 0.05; done'}\n"
    repo = upped(contract(tasks=tasks, workflow="    setup: {task: setup}\n"))
    live = repo.start("up", "--json")
    wait_until(lambda: (repo.path / "began").exists(), "setup")
    began = time.monotonic()
    live.signal(signal.SIGINT)
    live.signal(signal.SIGTERM)  # two of a kind may become one on their way
    assert live.finish().code in (130, 143)
    assert time.monotonic() - began < 4.5


def test_an_interrupt_while_somebody_else_brings_the_task_up_ends_the_waiting(upped):
    path = Path(upped, "run")
    first = path.start()
    second = path.repo.start("up")
    second.wait_for("task dev is being brought up elsewhere")
    second.signal(signal.SIGINT)
    assert second.finish().code == 130
    assert first.is_running
    path.go_on()
    assert first.finish().code == 0
