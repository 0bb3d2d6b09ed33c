"""What one diagnosis is about: contract, host, the selected path, and how the asking may be stopped.

Owns the selection of the path (a workflow's tasks, or the repo-wide default) and the environment that
path resolves to. Findings are made by the neighbours of this module.

Source: doctor specification 5; contract specification 16 (selection); commands specification 1.4.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import chain

from ota.contract.load import Loaded
from ota.contract.model.workflows import WorkflowReadiness
from ota.contract.planes import Planes
from ota.env.masking import Masker
from ota.env.resolution import ResolvedEnv, resolve_env
from ota.env.sources import ReadFile
from ota.readiness.asker import Asker
from ota.resolve.env_layers import contract_layers, layers_at_start
from ota.resolve.injection import injection
from ota.resolve.plan import Request, TaskPlan
from ota.resolve.scope import Scope, select_workflow
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.host import HostFacts


class Scene:
    """One contract on one host, seen along one path."""

    def __init__(
        self,
        loaded: Loaded,
        host: HostFacts,
        environ: Mapping[str, str],
        read_file: ReadFile,
        *,
        workflow: str | None = None,
        path: tuple[TaskPlan, ...] | None = None,
        rerun: str = "ota doctor",
        target: str = "",
        run_id: str = "",
        should_stop: Callable[[], bool] = lambda: False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`path`: the tasks that count, where the caller has planned them; otherwise those of the workflow.
        `rerun` is the command to type again after a repair, `target` what other commands repeat of it;
        `run_id` marks everything that is started.

        Raises:
            PlanError: no such workflow.
        """
        self.loaded = loaded
        self.contract = loaded.contract
        self.host = host
        self.environ = environ
        self.read_file = _read_once(read_file)
        self.rerun = rerun
        self.run_id = run_id
        self.should_stop = should_stop
        self.clock = clock
        self.scope = Scope(loaded, Request(workflow=workflow, target=target), host)
        self.selection = self.scope.selection = select_workflow(loaded, workflow)
        self.contract = self.scope.contract
        """As the selected instance sees it."""
        self._workflow = workflow
        self._path = path

    @property
    def planes(self) -> Planes:
        """The contract's answers about planes and contexts."""
        return self.scope.planes

    @property
    def target(self) -> str:
        """What follow-up commands append to name the same repository, with its blank."""
        return self.scope.request.target

    def command_of(self, task: str) -> str:
        """What runs a task of this repository."""
        return self.scope.request.command_of(task)

    # --- the path --------------------------------------------------------------------------------

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The tasks the path starts from, in phase order.

        Without a workflow: the implicit setup, and what an agent or a person would run by default.
        """
        workflow = self.selection.workflow
        if workflow is not None:
            prepare = workflow.prepare.task if workflow.prepare is not None else None
            phases = (workflow.setup, workflow.run)
            named = [prepare, *(phase.task if phase is not None else None for phase in phases)]
        else:
            agent = self.contract.agent
            entry = (agent.default_task or agent.entrypoint) if agent is not None else None
            named = ["setup", entry]
        tasks = self.contract.tasks
        return tuple(dict.fromkeys(name for name in named if name is not None and name in tasks))

    @property
    def task(self) -> str | None:
        """The task the path is about: what it runs, else what it prepares with."""
        return self.roots[-1] if self.roots else None

    @cached_property
    def path(self) -> tuple[TaskPlan, ...]:
        """Every task the path runs, each on the plane a run would give it."""
        if self._path is not None:
            return self._path
        if not self.roots:
            return ()
        from ota.resolve.planner import plan_run  # paid only by those who have a path

        found: dict[tuple[str, str], TaskPlan] = {}
        for root in self.roots:
            asked = Request(task=root, workflow=self._workflow, target=self.target)
            plan = plan_run(self.loaded, asked, self.host)
            for step in plan.steps.values():
                found.setdefault((step.task.name, step.task.context.plane), step.task)
        return tuple(found.values())

    @property
    def readiness(self) -> WorkflowReadiness:
        """What the workflow names as its readiness; nothing without one."""
        workflow = self.selection.workflow
        return (workflow.readiness if workflow is not None else None) or WorkflowReadiness()

    @cached_property
    def is_narrowed(self) -> bool:
        """Whether a workflow's tasks say themselves what they need, so that only that counts."""
        return self.selection.workflow is not None and any(
            self.contract.tasks[task.name].requirements is not None for task in self.path
        )

    @property
    def asker(self) -> Asker:
        """On whose behalf containers are entered for an answer: nobody's who makes anything."""
        return Asker(
            root=self.loaded.root,
            environ=self.environ,
            run_id=self.run_id,
            should_stop=lambda: self.should_stop(),
            clock=self.clock,
        )

    # --- the environment -------------------------------------------------------------------------

    @cached_property
    def env(self) -> ResolvedEnv:
        """The contract's own variables."""
        return resolve_env(
            contract_layers(self.scope), self.environ, self.read_file, locate=self.loaded.place
        )

    def env_of(self, task: TaskPlan, *, at_start: bool = False) -> ResolvedEnv:
        """The environment a run would give a task of the path, or what the task begins with."""
        own = injection(task, self.loaded.root, self.host)
        return resolve_env(
            layers_at_start(task) if at_start else task.env,
            self.environ,
            self.read_file,
            injected=own.values,
            fallbacks=own.fallbacks,
            locate=self.loaded.place,
            inherits=task.context.plane == "native",
        )

    @cached_property
    def masker(self) -> Masker:
        """Hides every secret value the contract's variables have anywhere: also those a task gives them."""
        names = {name for name, var in self.scope.contract.env.vars.items() if var.secret}
        own = (
            self.env_of(task).secrets
            for task in (self.path if names else ())
            if any(layer.file is not None or names & layer.values.keys() for layer in task.env.overlay)
        )
        return Masker(chain(self.env.secrets, *own))


def _read_once(read: ReadFile) -> ReadFile:
    """A reader that keeps what it read: many tasks look into the same few files."""
    kept: dict[str, bytes | None] = {}

    def reading(path: str) -> bytes | None:
        if path not in kept:
            kept[path] = read(path)
        return kept[path]

    return reading
