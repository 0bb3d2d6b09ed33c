"""Advice about contexts, requirements, services and the agent boundary. Warns, never fails.

Advice about task bodies is in `body_advice`; W09 stands beside its rules in `effects`, W13 in
`prepare`, W20 in `bindings`. W21 belongs to doctor.

Source: contract specification appendix A, advisories; 11.5, 17, B.2; decision D2.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from ota.contract.grammar import check_boundary_path, normalise_boundary_path, path_within, paths_overlap
from ota.contract.graph import plane_of_dependency
from ota.contract.model.agent import Agent
from ota.contract.model.execution import Context
from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Task
from ota.contract.planes import branch_of
from ota.contract.rules.agent import path_lists, sensitive_lists
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.runtime_readiness import readiness_listener
from ota.contract.rules.runtimes_walk import declared_runtimes
from ota.contract.rules.wording import advice

CACHE_VARIABLES = {
    ".m2": "MAVEN_OPTS",
    ".nuget/packages": "NUGET_PACKAGES",
    ".npm": "NPM_CONFIG_CACHE",
    ".pnpm-store": "PNPM_STORE_DIR",
    ".gradle": "GRADLE_USER_HOME",
    ".pip-cache": "PIP_CACHE_DIR",
    ".pypoetry-cache": "POETRY_CACHE_DIR",
}
"""Isolated cache paths and the tool variable each derives (B.2)."""

YARN_RELEASES = ".yarn/releases"


# --- boundaries ------------------------------------------------------------------------------------


class _Boundary(Struct, frozen=True):
    plane: Plane
    context: str | None
    lifecycle: str | None
    shared: str | None


def crossed_boundary(subject: Subject) -> Iterator[Violation]:
    """W01, on the task's default plane. Native actions prepare files for any plane."""
    tasks = subject.contract.tasks
    own: dict[tuple[str | None, ...], _Boundary] = {}

    def boundary(name: str, plane: Plane) -> _Boundary:
        task = tasks[name]
        # most tasks say nothing else of where they run: one answer for all that say the same
        is_plain = task.execution is None and task.runtime is None
        key = (plane, task.context, task.lifecycle, None if is_plain else name)
        found = own.get(key)
        if found is None:
            found = own[key] = _boundary(subject, task, plane)
        return found

    for name, task, path in subject.tasks():
        if not task.depends_on or task.aggregate is not None:
            continue
        plane = subject.planes.plane_of(task)[0]
        branch = branch_of(task, plane)
        if branch is not None and branch.depends_on is not None:
            continue
        here = boundary(name, plane)
        for index, dependency in enumerate(task.depends_on):
            other = tasks.get(dependency)
            if other is None or other.action is not None or other.aggregate is not None:
                continue
            there = boundary(dependency, plane_of_dependency(subject.planes, other, plane))
            difference = _difference(here, there)
            if difference is not None:
                yield advice(
                    "W01",
                    (*path, "depends_on", index),
                    f"crosses a boundary to `{dependency}`",
                    difference,
                    "check that the result is visible there: only the checkout is shared",
                )


def _boundary(subject: Subject, task: Task, plane: Plane) -> _Boundary:
    choice = subject.planes.choose(task, asked=plane)
    return _Boundary(plane, choice.name, choice.lifecycle, subject.planes.binding_of(task, plane))


def _difference(here: _Boundary, there: _Boundary) -> str | None:
    for field, word in (("plane", "plane"), ("context", "context"), ("lifecycle", "lifecycle")):
        before, after = getattr(here, field), getattr(there, field)
        if before != after:
            return f"{word} {before or 'none'} here, {after or 'none'} there"
    if here.shared != there.shared and here.shared is not None and there.shared is not None:
        return f"shared backend {here.shared} here, {there.shared} there"
    return None


# --- isolated paths --------------------------------------------------------------------------------


def _isolating(subject: Subject) -> Iterator[tuple[FieldPath, str, Context, str]]:
    for name, context in subject.planes.stated.items():
        paths = context.attachments.isolated_paths if context.attachments is not None else None
        for index, text in enumerate(paths or ()):
            if check_boundary_path(text) is None:
                where = ("execution", "contexts", name, "attachments", "isolated_paths", index)
                yield where, name, context, normalise_boundary_path(text)


def cache_elsewhere(subject: Subject) -> Iterator[Violation]:
    """W02."""
    for path, name, context, isolated in subject.collected(_isolating):
        variable = CACHE_VARIABLES.get(isolated)
        value = context.env.get(variable) if variable is not None else None
        if value is not None and isolated not in value:
            yield advice(
                "W02",
                path,
                f"isolates `{isolated}`, but `{variable}` points elsewhere",
                f"context `{name}` sets `{variable}: {value}`",
                f"remove `{variable}`, or point it below `/workspace/{isolated}`",
            )


def hidden_yarn(subject: Subject) -> Iterator[Violation]:
    """W03."""
    for path, _, _, isolated in subject.collected(_isolating):
        if path_within(YARN_RELEASES, isolated):
            yield advice(
                "W03",
                path,
                f"isolates `{isolated}`, which hides a committed Yarn release",
                f"Yarn itself is often committed below `{YARN_RELEASES}`; the volume starts empty",
                "isolate `.yarn/cache` instead",
            )


# --- requirements ----------------------------------------------------------------------------------


def node_without_toolchain(subject: Subject) -> Iterator[Violation]:
    """W05."""
    contract = subject.contract
    managers = [name for name in ("pnpm", "yarn") if name in contract.tools]
    if "node" in contract.runtimes and managers and "node" not in contract.toolchains:
        yield advice(
            "W05",
            ("tools", managers[0]),
            "stands beside `runtimes.node`",
            "a node toolchain owns node and its package managers together",
            f"declare `toolchains.node` with `package_managers.{managers[0]}`",
        )


def legacy_provider(subject: Subject) -> Iterator[Violation]:
    """W14."""
    for name, toolchain in sorted(subject.contract.toolchains.items()):
        if toolchain.provider is not None:
            yield advice(
                "W14",
                ("toolchains", name, "provider"),
                "is a legacy key",
                "the source of a toolchain is `fulfillment.source`",
                f"write `fulfillment: {{source: {toolchain.provider}}}`",
            )


def standalone_poetry(subject: Subject) -> Iterator[Violation]:
    """W18."""
    if "poetry" in subject.contract.tools:
        yield advice(
            "W18",
            ("tools", "poetry"),
            "is declared as a standalone tool",
            "poetry is a package manager of the python toolchain",
            "declare `toolchains.python.package_managers.poetry`",
        )


# --- services, remote, defaults --------------------------------------------------------------------


def unready_service(subject: Subject) -> Iterator[Violation]:
    """W15."""
    for name, service in sorted(subject.contract.services.items()):
        if service.required and not (service.readiness or service.healthcheck or service.producer):
            yield advice(
                "W15",
                ("services", name),
                "is required, but declares no readiness",
                "it counts as ready as soon as its start command succeeded",
                "declare `readiness`",
            )


_TARGETS = {
    "ssh": (r"[^@\s/]+@[^@\s/]+|[A-Za-z0-9_.-]+", "user@host"),
    "tsh": (r"[^@\s/]+@[^@\s/]+", "user@host"),
    "kubectl": (r"[A-Za-z0-9.-]+/[A-Za-z0-9.-]+", "pod/name"),
    "daytona": (r"[A-Za-z0-9._-]+", "sandbox-dev"),
}
"""Usual shapes. A host alias of the ssh configuration is as good as `user@host`."""


def odd_remote_target(subject: Subject) -> Iterator[Violation]:
    """W16."""
    places: list[tuple[FieldPath, Context]] = [
        (("execution", "contexts", name), context) for name, context in subject.planes.stated.items()
    ]
    places.append((("execution", "backends"), subject.planes.root_context("remote")))
    for path, context in places:
        remote = context.remote
        if remote is None or not remote.target or remote.provider not in _TARGETS:
            continue
        shape, example = _TARGETS[remote.provider]
        if not re.fullmatch(shape, remote.target):
            yield advice(
                "W16",
                (*path, "remote", "target"),
                f"looks odd for {remote.provider}: `{remote.target}`",
                f"expected a shape such as `{example}`",
                "check the target",
            )


def repeated_default(subject: Subject) -> Iterator[Violation]:
    """W17."""
    execution = subject.planes.execution
    backends = execution.backends
    for name, context in sorted(execution.contexts.items()):
        path: FieldPath = ("execution", "contexts", name)
        if context.lifecycle is not None and context.lifecycle == execution.lifecycle:
            yield _repeated((*path, "lifecycle"), "execution.lifecycle")
        if backends is None:
            continue
        for plane in ("container", "remote"):
            here, root = getattr(context, plane), getattr(backends, plane)
            if here is None or root is None:
                continue
            for field in here.__struct_fields__:
                value = getattr(here, field)
                if value is not None and value == getattr(root, field):
                    yield _repeated((*path, plane, field), f"execution.backends.{plane}.{field}")


def _repeated(path: FieldPath, root: str) -> Violation:
    return advice(
        "W17",
        path,
        "repeats a root default",
        f"`{root}` says the same",
        "say it in one place",
    )


def unattached_listener(subject: Subject) -> Iterator[Violation]:
    """W19, where the contract names its endpoints by surfaces at all."""
    if not subject.contract.surfaces:
        return
    for declared in declared_runtimes(subject):
        name = readiness_listener(subject, declared)
        listener = declared.listeners.get(name or "")
        attached = {each.name for each in declared.runtime.surfaces}
        if listener is not None and listener.host is not None and name not in attached:
            yield advice(
                "W19",
                (*declared.path, "readiness"),
                f"asks listener `{name}`, which is attached to no surface",
                "an endpoint that others wait for deserves a name of its own",
                f"declare `surfaces.{name}` and attach it",
            )


# --- agent -----------------------------------------------------------------------------------------

_LOCKFILES = (
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "uv.lock",
    "poetry.lock",
    "Pipfile.lock",
    "Cargo.lock",
    "go.sum",
    "Gemfile.lock",
    "composer.lock",
    "packages.lock.json",
    "gradle.lockfile",
)

SENSITIVE = {
    "repo contract": ("ota.yaml", "ota.workspace.yaml", ".ota/org-policy.yaml"),
    "CI workflow": (".github/workflows", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml", "Jenkinsfile"),
    "env or config": (".env", ".env.local", ".env.production", ".npmrc", ".pypirc", ".netrc"),
    "lockfile": _LOCKFILES,
    "container or workspace topology": (
        "Dockerfile",
        "Containerfile",
        "compose.yaml",
        "compose.yml",
        "docker-compose.yaml",
        "docker-compose.yml",
        "pnpm-workspace.yaml",
        ".devcontainer",
    ),
}
"""Paths an agent should change only with a stated reason, by category (17)."""

PERMITTED = {
    "readiness_strict": frozenset[str](),
    "contract_authoring": frozenset({"repo contract"}),
    "infra_authoring": frozenset({"CI workflow", "container or workspace topology"}),
}


def _sensitivity(agent: Agent, path: str) -> str | None:
    """The category of a path that is itself sensitive, or lies below one that is."""
    for category, names in SENSITIVE.items():
        if category not in PERMITTED[agent.posture] and any(path_within(path, name) for name in names):
            return category
    return None


def sensitive_writable(subject: Subject) -> Iterator[Violation]:
    """W06."""
    agent = subject.contract.agent
    if agent is None:
        return
    allowed = [text for _, entries in sensitive_lists(agent) for text in entries]
    (path, writable), *_ = path_lists(agent)
    for index, text in enumerate(writable):
        if check_boundary_path(text) is not None:
            continue
        category = _sensitivity(agent, text)
        if category is not None and not any(_overlaps(text, each) for each in allowed):
            yield advice(
                "W06",
                (*path, index),
                f"lets agents write the {category} file `{text}`",
                f"posture `{agent.posture}` does not cover it",
                "remove it, or list it in `agent.exceptions.sensitive_writes`",
            )


def _overlaps(left: str, right: str) -> bool:
    return check_boundary_path(right) is None and paths_overlap(left, right)


def needless_exception(subject: Subject) -> Iterator[Violation]:
    """W07."""
    agent = subject.contract.agent
    if agent is None:
        return
    for path, entries in sensitive_lists(agent):
        for index, text in enumerate(entries):
            if check_boundary_path(text) is not None or _sensitivity(agent, text) is not None:
                continue
            if any(paths_overlap(text, name) for names in SENSITIVE.values() for name in names):
                why = f"posture `{agent.posture}` permits it, or it only holds sensitive files"
            else:
                why = "no sensitive category covers it"
            yield advice("W07", (*path, index), f"needs no exception: `{text}`", why, "remove the entry")


_RELEASE = r"v?[0-9]+\.[0-9]+\.[0-9]+|[0-9a-f]{40}"


def unpinned_bootstrap(subject: Subject) -> Iterator[Violation]:
    """W08."""
    agent = subject.contract.agent
    ota = agent.bootstrap.ota if agent is not None and agent.bootstrap is not None else None
    if ota is None:
        return
    path: FieldPath = ("agent", "bootstrap", "ota")
    if ota.source is not None:
        if ota.source.kind == "branch":
            yield advice(
                "W08",
                (*path, "source", "kind"),
                "is `branch`, which moves",
                "an agent should get the same ota every time",
                "pin `kind: version` or `kind: git_rev`",
            )
        return
    for key in ("sh", "powershell"):
        command = getattr(ota, key)
        if command and not re.search(_RELEASE, command):
            yield advice(
                "W08",
                (*path, key),
                "names no version",
                "an agent should get the same ota every time",
                "pin a release in the command, or declare `source`",
            )


RULES: tuple[Rule, ...] = (
    crossed_boundary,
    cache_elsewhere,
    hidden_yarn,
    node_without_toolchain,
    sensitive_writable,
    needless_exception,
    unpinned_bootstrap,
    legacy_provider,
    unready_service,
    odd_remote_target,
    repeated_default,
    standalone_poetry,
    unattached_listener,
)
