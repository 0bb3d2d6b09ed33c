"""Rules of what a workflow gives its tasks: env profile, Compose env files, adapter inputs.

Source: contract specification 16 (`env`, `adapter_inputs`); appendix A V519 to V525.
"""

from collections.abc import Iterator

from ota.contract.model.bodies import (
    BuildContainerImage,
    DependencyHydration,
    EnsureBundle,
    LaunchCompose,
    ResetComposeServiceVolume,
)
from ota.contract.model.tasks import AdapterInputs, AdapterOverlay
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.bindings import FAMILIES
from ota.contract.rules.holders import compose_bodies, holders, prepare_bodies, prepare_steps, task_actions
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import unknown
from ota.contract.rules.wording import broken
from ota.contract.rules.workflows import entries


def unknown_profile(subject: Subject) -> Iterator[Violation]:
    """V519."""
    for path, workflow in entries(subject):
        if workflow.env is not None and workflow.env.profile is not None:
            where = (*path, "env", "profile")
            known = subject.contract.env.profiles
            yield from unknown(subject, "V519", where, "env profile", workflow.env.profile, known)


def env_file_services(subject: Subject) -> Iterator[Violation]:
    """V520, V521, V522."""
    for path, workflow in entries(subject):
        env = workflow.env
        if env is None or not env.compose_env_file_services:
            continue
        where = (*path, "env", "compose_env_file_services")
        profile = subject.contract.env.profiles.get(env.profile or "")
        rendered = profile.render.dotenv if profile is not None and profile.render is not None else None
        if rendered is None and (env.profile is None or profile is not None):
            yield broken(
                "V521",
                where,
                "has no dotenv to hand over",
                f"profile `{env.profile}` declares no `render.dotenv`"
                if env.profile
                else "no `profile` is set",
                "declare `render.dotenv.path` on the env profile",
            )
        for index, name in enumerate(env.compose_env_file_services):
            yield from _env_file_service(subject, (*where, index), name, rendered.path if rendered else None)


def _env_file_service(
    subject: Subject, path: FieldPath, name: str, rendered: str | None
) -> Iterator[Violation]:
    service = subject.contract.services.get(name)
    manager = service.manager if service is not None else None
    if service is None:
        yield from unknown(subject, "V520", path, "service", name, subject.contract.services)
    elif manager is None or manager.kind != "compose":
        yield broken(
            "V520",
            path,
            f"names service `{name}`, which has no compose manager",
            "only Compose reads an env file",
            f"declare `services.{name}.manager.kind: compose`, or remove the entry",
        )
    elif rendered is not None:
        stated = [*([manager.env_file] if manager.env_file else []), *(manager.env_files or ())]
        if stated and rendered not in stated:
            yield broken(
                "V522",
                path,
                f"names service `{name}`, whose manager declares another env file",
                f"it declares {listed(stated)}; the profile renders `{rendered}`",
                f"set `services.{name}.manager.env_file: {rendered}`, or remove it",
            )


def unused_family(subject: Subject) -> Iterator[Violation]:
    """V524."""
    for path, workflow in entries(subject):
        places = [((*path, "adapter_inputs"), workflow.adapter_inputs)]
        if workflow.env is not None:
            places.append(((*path, "env", "adapter_inputs"), workflow.env.adapter_inputs))
        if all(inputs is None for _, inputs in places):
            continue
        roots = [ref.task for ref in (workflow.setup, workflow.run, workflow.attach) if ref is not None]
        if workflow.prepare is not None and workflow.prepare.task is not None:
            roots.append(workflow.prepare.task)
        reached = subject.graph.closure(roots, activated=True)
        used = {family for name in reached for family in _families_by_task(subject).get(name, ())}
        for where, inputs in places:
            for family in _families_of(inputs):
                if family not in used:
                    yield broken(
                        "V524",
                        (*where, "overlays", family)
                        if inputs is not None and family in inputs.overlays
                        else (*where, family),
                        f"states `{family}` inputs that no task reads",
                        f"no task of the workflow's closure uses {family}",
                        f"remove `{family}`, or add a task that uses it",
                    )


def _families_of(inputs: AdapterInputs | None) -> tuple[str, ...]:
    if inputs is None:
        return ()
    return tuple(f for f in FAMILIES if f in inputs.overlays or getattr(inputs, f) is not None)


def _families_by_task(subject: Subject) -> dict[str, set[str]]:
    return dict(subject.collected(_task_families))


def _task_families(subject: Subject) -> Iterator[tuple[str, set[str]]]:
    """Adapter families each task uses: through its body, its own inputs, or a required tool."""
    found: dict[str, set[str]] = {name: set() for name in subject.contract.tasks}
    for holder in holders(subject):
        used = found[holder.task_name]
        used.update(_families_of(holder.record.adapter_inputs))
        if isinstance(getattr(holder.record, "launch", None), LaunchCompose):
            used.add("compose")
        requirements = holder.task.requirements
        if requirements is not None:
            if "helm" in requirements.tools:
                used.add("helm")
            if "docker" in requirements.tools or "podman" in requirements.tools:
                used.update(("compose", "bake"))
    for holder, _, _ in compose_bodies(subject):
        found[holder.task_name].add("compose")
    for holder, path, prepare in prepare_bodies(subject):
        for _, step in prepare_steps(path, prepare):
            if step.source.kind == "helm":
                found[holder.task_name].add("helm")
            if step.source.compose is not None or (
                isinstance(step, DependencyHydration) and step.medium == "container_images"
            ):
                found[holder.task_name].add("compose")
    for path, action in task_actions(subject):
        steps = action.steps if isinstance(action, EnsureBundle) else (action,)
        for each in steps:
            if path[0] == "tasks" and isinstance(each, ResetComposeServiceVolume):
                found[str(path[1])].add("compose")
            if path[0] == "tasks" and isinstance(each, BuildContainerImage):
                found[str(path[1])].add("bake")
    yield from found.items()


def legacy_alias(subject: Subject) -> Iterator[Violation]:
    """V525."""
    for path, workflow in entries(subject):
        env, canonical = workflow.env, workflow.adapter_inputs
        if env is None or canonical is None:
            continue
        compose = canonical.overlays.get("compose") or canonical.compose or AdapterOverlay()
        stated = {
            "adapter_inputs": env.adapter_inputs is not None,
            "compose_files": None not in (env.compose_files, compose.files),
            "compose_project_name": None not in (env.compose_project_name, compose.project_name),
        }
        for key, both in stated.items():
            if both:
                yield broken(
                    "V525",
                    (*path, "env", key),
                    "stands beside `adapter_inputs`",
                    f"`env.{key}` is a legacy spelling of the same field",
                    "keep `adapter_inputs`",
                )


RULES: tuple[Rule, ...] = (
    unknown_profile,
    env_file_services,
    unused_family,
    legacy_alias,
)
