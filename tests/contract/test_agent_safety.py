"""Which tasks an agent may run, and why not."""

from ota.contract.agent_safety import AgentSafety
from ota.contract.model import Contract, Project
from ota.contract.model.agent import Agent
from ota.contract.model.tasks import Effects, Task


def contract(agent: Agent | None = None, **tasks: Task) -> Contract:
    return Contract(version=1, project=Project(name="p"), tasks=tasks, agent=agent)


def test_flag_and_agent_list_mean_the_same() -> None:
    made = contract(
        Agent(safe_tasks=("b",)), a=Task(run="a", safe_for_agent=True), b=Task(run="b"), c=Task(run="c")
    )
    assert AgentSafety(made).effective == {"a", "b"}


def test_one_unmarked_task_of_the_closure_refuses_all_that_reach_it() -> None:
    made = contract(
        top=Task(run="t", safe_for_agent=True, depends_on=("mid",)),
        mid=Task(run="m", safe_for_agent=True, after_failure=("deploy",)),
        deploy=Task(run="d"),
        lint=Task(run="l", safe_for_agent=True),
    )
    assert AgentSafety(made).effective == {"lint"}
    (reason,) = AgentSafety(made).reasons("top")
    assert (reason.kind, reason.task, reason.route) == ("not_marked", "deploy", ("top", "mid", "deploy"))
    assert "top -> mid -> deploy" in reason.why
    assert AgentSafety(made).reasons("lint") == ()


def test_writes_outside_the_boundary_are_reasons() -> None:
    writes = Effects(writes=("dist", "secrets/key", "other"), workspace_writes=("../cache",))
    made = contract(
        Agent(writable_paths=("dist", "secrets"), protected_paths=("secrets",)),
        a=Task(run="a", safe_for_agent=True, effects=writes),
    )
    assert [reason.kind for reason in AgentSafety(made).reasons("a")] == [
        "protected_path",
        "outside_boundary",
        "workspace_writes",
    ]
    assert AgentSafety(made).effective == frozenset()


def test_network_and_external_state_alone_do_not_refuse() -> None:
    effects = Effects(network=True, external_state=("queue",))
    assert AgentSafety(contract(a=Task(run="a", safe_for_agent=True, effects=effects))).effective == {"a"}


def test_reasons_and_the_whole_answer_agree_also_in_cycles() -> None:
    made = contract(
        a=Task(run="a", safe_for_agent=True, depends_on=("b",)),
        b=Task(run="b", safe_for_agent=True, depends_on=("a", "c")),
        c=Task(run="c"),
        d=Task(run="d", safe_for_agent=True, depends_on=("d",)),
    )
    safety = AgentSafety(made)
    assert safety.effective == {"d"}
    assert {name for name in made.tasks if not safety.reasons(name)} == {"d"}
