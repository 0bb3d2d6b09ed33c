"""The scheduler alone: what a piece of work raises reaches its visit, and nobody waits for ever."""

import threading

import pytest

from ota.errors import Finding, HostError
from ota.execute.schedule import Need, Scheduler, Work

JOBS = pytest.mark.parametrize("jobs", [1, 3])


def refuse():
    raise HostError(Finding(code="OTA_FILE_MISSING", summary="gone", why="", next=""))


@JOBS
def test_what_work_raises_is_raised_in_the_visit_that_asked(jobs):
    def visit(_step):
        try:
            yield Work(refuse)
        except HostError as error:
            return error.findings[0].summary

    assert Scheduler(visit, jobs=jobs).run("a") == "gone"


@JOBS
def test_a_bug_in_work_comes_out_and_the_rest_is_told_to_stop(jobs):
    stopped = threading.Event()

    def visit(step):
        if step == "root":
            yield Need(("bug", "service"))
        elif step == "bug":
            yield Work(lambda: 1 // 0)
        else:
            yield Work(lambda: stopped.wait(30))

    with pytest.raises(ZeroDivisionError):
        Scheduler(visit, jobs=jobs, stop_all=stopped.set).run("root")
    assert stopped.is_set() or jobs == 1


@JOBS
def test_steps_that_wait_for_each_other_are_a_bug_and_not_a_hang(jobs):
    def visit(step):
        yield Need(("b",) if step == "a" else ("a",))

    with pytest.raises(AssertionError, match="waits for another"):
        Scheduler(visit, jobs=jobs).run("a")


@pytest.mark.parametrize("order", ["p1, p3", "p3, p1"])
def test_failures_side_by_side_are_both_told_each_with_its_own_output(project, order):
    text = (
        "version: 1\nproject: {name: two}\ntasks:\n"
        '  p1: {run: "touch begun; until test -e over; do sleep 0.01; done; echo REASON-P1 >&2; exit 4"}\n'
        '  p3: {run: "until test -e begun; do sleep 0.01; done; echo REASON-P3; touch over; exit 5"}\n'
        f'  par: {{depends_on: [{order}], run: "true"}}\n'
    )
    repo = project({"ota.yaml": text})
    done = repo.run("run", "par", "--jobs", "2")
    code, named, other = (4, "P1", "P3") if order == "p1, p3" else (5, "P3", "P1")
    assert done.code == code
    head, _, rest = done.err.partition("Output:")
    assert f"task `{named.lower()}` exited with code {code}" in head
    assert f"task `{other.lower()}` exited with code {9 - code} as well" in head
    own, _, beside = rest.partition(f"Output of `{other.lower()}`:")
    assert (f"REASON-{named}" in own, f"REASON-{other}" in own) == (True, False)
    assert f"REASON-{other}" in beside
    for name in ("begun", "over"):
        (repo.path / name).unlink()
    document = repo.run("run", "par", "--jobs", "2", "--json", "--quiet").json
    assert f"REASON-{named}" in document.get("stdout", "") + document.get("stderr", "")
    codes = {step["task"]: step.get("exit_code") for step in document["receipt"]["steps"]}
    assert (codes["p1"], codes["p3"]) == (4, 5)
