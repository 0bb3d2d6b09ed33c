"""Containers that somebody pauses or renames while a task runs in them: nothing of the task stays on."""

import signal

import pytest

pytestmark = pytest.mark.engine

TASKS = {"wait": {"run": "echo begun; exec sleep 612"}}


def ids(repo) -> set[str]:
    words = ("ps", "-aq", "--no-trunc", "--filter", f"label=dev.ota.repo={repo.token}")
    return set(repo.engine.run(*words).stdout.split())


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_a_paused_container_does_not_keep_a_task_that_was_interrupted(contained, lifecycle):
    repo = contained(TASKS, lifecycle=lifecycle)
    live = repo.start("run", "wait", "--stream")
    live.wait_for("begun")
    (name,) = repo.containers(lifecycle)
    repo.engine.run("pause", name)
    live.signal(signal.SIGTERM)
    result = live.finish(40)
    assert result.code == 143
    assert "left behind: nothing" in result.err
    assert len(ids(repo)) == (lifecycle == "persistent")
    if lifecycle == "persistent":
        assert repo.inspect(name)["State"]["Status"] == "paused", "as somebody wanted it"
        repo.engine.run("unpause", name)
        assert "612" not in repo.engine.run("exec", name, "ps").stdout


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_a_renamed_container_does_not_keep_a_task_that_was_interrupted(contained, lifecycle):
    repo = contained(TASKS, lifecycle=lifecycle)
    live = repo.start("run", "wait", "--stream")
    live.wait_for("begun")
    (name,) = repo.containers(lifecycle)
    renamed = f"renamed-{name}"
    repo.engine.run("rename", name, renamed)
    live.signal(signal.SIGTERM)
    assert live.finish(40).code == 143
    assert len(ids(repo)) == (lifecycle == "persistent")
    if lifecycle == "persistent":
        assert "612" not in repo.engine.run("exec", renamed, "ps").stdout
