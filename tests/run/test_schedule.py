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
