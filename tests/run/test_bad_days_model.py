"""A model of a repository's bad days: random runs, interrupts, kills and edits, checked after every step."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.leaks import MARK, marked_processes
from support.project import Project
from support.waiting import wait_until

pytestmark = [pytest.mark.edge, pytest.mark.slow, pytest.mark.timeout(300)]

BODIES = {
    "ends": ("echo did-run", 0),
    "fails": ("echo did-run; exit 7", 7),
    "leaves": ("sleep 300 >/dev/null 2>&1 & echo did-run", 0),
    "wanders": ("setsid sleep 300 >/dev/null 2>&1 & echo did-run; exit 5", 5),
}
WAITS = "sleep 300 & setsid sleep 300 & echo begun; sleep 300"
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


class BadDays(RuleBasedStateMachine):
    """One repository; the model is how many receipts there are and what the newest one says."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "home").mkdir()
        (self.folder / "repo").mkdir()
        self.repo = Project(self.folder / "repo", self.folder / "home")
        self.body = "ends"
        self.receipts: list[str] = []
        self.edit("ends")

    def teardown(self):
        self.repo.discard()
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(body=st.sampled_from(sorted(BODIES)))
    def edit(self, body):
        self.body = body
        tasks = f"  task: {{run: '{BODIES[body][0]}', depends_on: [dep]}}\n  waits: {{run: '{WAITS}'}}\n"
        tasks += "  dep: {run: ':'}\n  quick: {run: 'echo quick-ran'}\n"
        self.repo.write({"ota.yaml": f"version: 1\nproject: {{name: model}}\ntasks:\n{tasks}"})

    @rule(jobs=st.sampled_from(["1", "3"]))
    def run(self, jobs):
        result = self.repo.run("run", "task", "--json", "--archive", "--jobs", jobs)
        code = BODIES[self.body][1]
        assert result.code == code, result
        assert result.json["status"] == ("success" if code == 0 else "failed")
        self.receipts.append("success" if code == 0 else "failed")

    @rule(number=st.sampled_from(sorted(SIGNALS)))
    def interrupt(self, number):
        live = self.repo.start("run", "waits", "--json", "--archive")
        live.wait_for("begun")
        live.signal(number)
        result = live.finish()
        assert result.code == SIGNALS[number], result
        assert result.json["status"] == "interrupted"
        self.receipts.append("interrupted")

    @rule(with_guardian=st.booleans())
    def kill(self, with_guardian):
        live = self.repo.start("run", "waits", "--stream", "--archive")
        live.wait_for("begun")
        children = psutil.Process(live.pid).children()
        guardians = [each for each in children if each.name() == "ota-guardian"]
        assert len(guardians) == 1
        os.kill(live.pid, signal.SIGKILL)
        if with_guardian:
            guardians[0].kill()
        live.finish()

    @invariant()
    def one_ordinary_command_leaves_nothing(self):
        result = self.repo.run("run", "quick", "--stream")
        assert result.code == 0 and "quick-ran" in result.out, result
        wait_until(lambda: all(map(is_dead, marked_processes(os.environ[MARK]))), "every process to end")
        active = self.repo.path / ".ota/state/active"
        assert not active.exists() or list(active.iterdir()) == []

    @invariant()
    def the_receipts_agree_with_the_model(self):
        history = self.repo.run("receipt", "--history", "--json")
        if not self.receipts:
            return
        assert history.code == 0, history
        stored = sorted((self.repo.path / ".ota/receipts").rglob("*.json"))
        assert len([path for path in stored if "latest" not in path.name]) == len(self.receipts)
        newest = self.repo.run("receipt", "--show", "latest", "--json").json
        assert self.receipts[-1] in str(newest)


def is_dead(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


TestBadDays = BadDays.TestCase
TestBadDays.settings = settings(
    max_examples=6,
    stateful_step_count=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
