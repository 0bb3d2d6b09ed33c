"""Rules of process input: `env_bindings` from services, adapter inputs.

Source: contract specification 15.8; appendix A V370 to V384.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ota.contract.grammar import check_env_key, check_repo_path
from ota.contract.model.scalars import Plane
from ota.contract.model.services import Service
from ota.contract.model.tasks import AdapterInputs, AdapterOverlay, EnvBinding, FromService, Task
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import empty_entries, empty_text, refused_text, unknown
from ota.contract.rules.wording import advice, broken

FAMILIES = {
    "compose": ("cwd", "env_files", "files", "profiles", "project_name"),
    "bake": ("cwd", "files"),
    "helm": ("cwd", "values_files", "chart", "release_name", "namespace"),
}
"""Which keys an adapter family knows."""

_TEXT_FIELDS = ("view", "endpoint", "scheme", "username", "password", "password_env", "database")


class Binding(Struct, frozen=True, kw_only=True):
    """One env binding and where it stands."""

    path: FieldPath
    """Of the variable, `("tasks", "dev", "env_bindings", "URL")`."""
    variable: str
    source: FromService
    level_env: Mapping[str, str]
    """`env` of the same level."""
    task: Task
    planes: tuple[Plane, ...]

    @property
    def where(self) -> FieldPath:
        """The path of `from_service`."""
        return (*self.path, "from_service")


def _bindings(subject: Subject) -> Iterator[Binding]:
    for _, task, path in subject.tasks():
        if not (task.env_bindings or task.execution or task.variants):
            continue
        planes = subject.planes.planes_of(task)
        levels: list[tuple[FieldPath, Mapping[str, EnvBinding], Mapping[str, str], tuple[Plane, ...]]]
        levels = [(path, task.env_bindings, task.env, planes)]
        if task.execution is not None:
            for plane, branch in sorted(task.execution.modes.items()):
                place = (*path, "execution", "modes", plane)
                levels.append((place, branch.env_bindings, branch.env, (plane,)))
        for index, variant in enumerate(task.variants):
            levels.append(((*path, "variants", index), variant.env_bindings, variant.env, planes))
        for place, bindings, env, runs_on in levels:
            for variable, binding in sorted(bindings.items()):
                yield Binding(
                    path=(*place, "env_bindings", variable),
                    variable=variable,
                    source=binding.from_service,
                    level_env=env,
                    task=task,
                    planes=runs_on,
                )


def two_owners(subject: Subject) -> Iterator[Violation]:
    """V370."""
    for binding in subject.collected(_bindings):
        if binding.variable in binding.level_env:
            yield broken(
                "V370",
                binding.path,
                f"sets `{binding.variable}`, which `env` sets as well",
                "a variable has one owner per level",
                f"remove `{binding.variable}` from `env`, or the binding",
            )


def unknown_service(subject: Subject) -> Iterator[Violation]:
    """V371."""
    for binding in subject.collected(_bindings):
        yield from unknown(
            subject,
            "V371",
            (*binding.where, "service"),
            "service",
            binding.source.service,
            subject.contract.services,
        )


def _with_service(subject: Subject) -> Iterator[tuple[Binding, Service]]:
    for binding in subject.collected(_bindings):
        service = subject.contract.services.get(binding.source.service)
        if service is not None:
            yield binding, service


def no_endpoints(subject: Subject) -> Iterator[Violation]:
    """V372."""
    for binding, service in _with_service(subject):
        if not service.endpoints:
            yield broken(
                "V372",
                (*binding.where, "service"),
                f"is `{binding.source.service}`, which has no endpoints",
                "a binding takes its address from an endpoint",
                f"declare `services.{binding.source.service}.endpoints`",
            )


def _views(service: Service) -> dict[str, list[str]]:
    """Endpoint names by the context that reaches them."""
    found: dict[str, list[str]] = {}
    for name, endpoint in sorted(service.endpoints.items()):
        found.setdefault(endpoint.context or name, []).append(name)
    return found


def _wanted_views(subject: Subject, binding: Binding) -> tuple[str, ...]:
    """The stated view, else the context of each plane; every one falls back to `host`."""
    if binding.source.view is not None:
        return (binding.source.view,)
    names = [subject.planes.choose(binding.task, asked=plane).name for plane in binding.planes]
    return tuple(dict.fromkeys(name or "host" for name in names)) or ("host",)


def unknown_view(subject: Subject) -> Iterator[Violation]:
    """V373."""
    for binding, service in _with_service(subject):
        if not service.endpoints or binding.source.view == "" or binding.source.endpoint is not None:
            continue
        views = _views(service)
        missing = [view for view in _wanted_views(subject, binding) if view not in views]
        if missing and "host" not in views:
            stated = binding.source.view is not None
            yield broken(
                "V373",
                (*binding.where, "view") if stated else binding.where,
                f"wants view `{missing[0]}`, which service `{binding.source.service}` does not have",
                f"it has {listed(views)}, and no `host` to fall back to",
                f"declare an endpoint for context `{missing[0]}`, or set `view` to one of {listed(views)}",
            )


def empty_field(subject: Subject) -> Iterator[Violation]:
    """V374."""
    for binding in subject.collected(_bindings):
        for field in _TEXT_FIELDS:
            yield from empty_text("V374", (*binding.where, field), getattr(binding.source, field))


def two_passwords(subject: Subject) -> Iterator[Violation]:
    """V375."""
    for binding in subject.collected(_bindings):
        if binding.source.password is not None and binding.source.password_env is not None:
            yield broken(
                "V375",
                (*binding.where, "password_env"),
                "stands beside `password`",
                "a password has one source",
                "keep `password_env`, and remove `password`",
            )


def _with_password(subject: Subject) -> Iterator[tuple[Binding, str]]:
    for binding in subject.collected(_bindings):
        for field in ("password_env", "password"):
            if getattr(binding.source, field) is not None:
                yield binding, field
                break


def password_without_user(subject: Subject) -> Iterator[Violation]:
    """V376."""
    for binding, field in _with_password(subject):
        if binding.source.username is None:
            yield broken(
                "V376",
                (*binding.where, field),
                "needs `username`",
                "a password belongs to a user",
                "add `username`",
            )


def password_format(subject: Subject) -> Iterator[Violation]:
    """V377."""
    for binding, field in _with_password(subject):
        if binding.source.format != "url":
            yield broken(
                "V377",
                (*binding.where, field),
                f"has no place in format `{binding.source.format}`",
                "only a URL carries a password",
                f"use `format: url`, or remove `{field}`",
            )


def password_in_the_open(subject: Subject) -> Iterator[Violation]:
    """V378."""
    for binding, field in _with_password(subject):
        var = subject.contract.env.vars.get(binding.variable)
        if var is None or not var.secret:
            yield broken(
                "V378",
                (*binding.where, field),
                f"makes `{binding.variable}` carry a password, but it is no declared secret",
                "a value with a password must be masked everywhere",
                f"declare `env.vars.{binding.variable}.secret: true`",
            )


def password_variable(subject: Subject) -> Iterator[Violation]:
    """V379."""
    for binding in subject.collected(_bindings):
        name = binding.source.password_env
        if not name:
            continue
        where = (*binding.where, "password_env")
        var = subject.contract.env.vars.get(name)
        if (reason := check_env_key(name)) is not None:
            yield broken("V379", where, f"is not a variable name: `{name}`", reason, "name a variable")
        elif var is None or not var.secret:
            found = "is not declared in `env.vars`" if var is None else "is no declared secret"
            yield broken(
                "V379",
                where,
                f"names `{name}`, which {found}",
                "a password comes from a declared secret",
                f"declare `env.vars.{name}.secret: true`",
            )


def endpoint_choice(subject: Subject) -> Iterator[Violation]:
    """V380."""
    for binding, service in _with_service(subject):
        name = binding.source.endpoint
        if not service.endpoints or name == "":
            continue
        if name is not None:
            yield from unknown(
                subject, "V380", (*binding.where, "endpoint"), "endpoint", name, service.endpoints
            )
            continue
        views = _views(service)
        for view in _wanted_views(subject, binding):
            names = views.get(view) or views.get("host") or []
            if len(names) > 1:
                yield broken(
                    "V380",
                    binding.where,
                    f"must select an endpoint of service `{binding.source.service}`",
                    f"{listed(names)} share the view",
                    f"set `endpoint` to one of {listed(names)}",
                )
                break


# --- adapter inputs --------------------------------------------------------------------------------


def adapter_places(subject: Subject) -> Iterator[tuple[FieldPath, AdapterInputs]]:
    """Every place that states adapter inputs, tasks first."""
    for _, task, path in subject.tasks():
        places: list[tuple[FieldPath, AdapterInputs | None]] = [(path, task.adapter_inputs)]
        if task.execution is not None:
            for plane, branch in sorted(task.execution.modes.items()):
                places.append(((*path, "execution", "modes", plane), branch.adapter_inputs))
        for index, variant in enumerate(task.variants):
            places.append(((*path, "variants", index), variant.adapter_inputs))
        for place, inputs in places:
            if inputs is not None:
                yield (*place, "adapter_inputs"), inputs
    for name, workflow in sorted(subject.contract.workflows.entries.items()):
        if workflow.adapter_inputs is not None:
            yield ("workflows", name, "adapter_inputs"), workflow.adapter_inputs
        if workflow.env is not None and workflow.env.adapter_inputs is not None:
            yield ("workflows", name, "env", "adapter_inputs"), workflow.env.adapter_inputs
        if workflow.instances is not None:
            for each, instance in sorted(workflow.instances.named.items()):
                for task_name, overlay in sorted(instance.tasks.items()):
                    if overlay.adapter_inputs is not None:
                        place = ("workflows", name, "instances", each, "tasks", task_name, "adapter_inputs")
                        yield place, overlay.adapter_inputs


def _families(subject: Subject) -> Iterator[tuple[FieldPath, str, AdapterOverlay]]:
    for path, inputs in subject.collected(adapter_places):
        for family, overlay in sorted(inputs.overlays.items()):
            yield (*path, "overlays", family), family, overlay
        for family in FAMILIES:
            alias = getattr(inputs, family)
            if alias is not None:
                yield (*path, family), family, alias


def _stated(overlay: AdapterOverlay) -> tuple[str, ...]:
    return tuple(key for key in overlay.__struct_fields__ if getattr(overlay, key) is not None)


def adapter_family(subject: Subject) -> Iterator[Violation]:
    """V382."""
    for path, family, overlay in _families(subject):
        if family not in FAMILIES:
            yield broken(
                "V382",
                path,
                f"names unsupported adapter family `{family}`",
                f"supported: {listed(FAMILIES)}",
                f"use one of {listed(FAMILIES)}",
            )
            continue
        for key in _stated(overlay):
            if key not in FAMILIES[family]:
                yield broken(
                    "V382",
                    (*path, key),
                    f"does not belong to family `{family}`",
                    f"it knows {listed(FAMILIES[family])}",
                    f"remove `{key}`",
                )


def adapter_value(subject: Subject) -> Iterator[Violation]:
    """V383."""
    inside = "write a path relative to the contract, inside the repository"
    for path, _, overlay in _families(subject):
        yield from refused_text("V383", (*path, "cwd"), overlay.cwd, check_repo_path, inside)
        for key in ("env_files", "files", "values_files"):
            for index, text in enumerate(getattr(overlay, key) or ()):
                yield from refused_text("V383", (*path, key, index), text, check_repo_path, inside)
        yield from empty_entries("V383", (*path, "profiles"), overlay.profiles)
        for key in ("project_name", "chart", "release_name", "namespace"):
            yield from empty_text("V383", (*path, key), getattr(overlay, key))


def adapter_alias(subject: Subject) -> Iterator[Violation]:
    """V384."""
    for path, inputs in subject.collected(adapter_places):
        for family in FAMILIES:
            alias, canonical = getattr(inputs, family), inputs.overlays.get(family)
            if alias is None or canonical is None:
                continue
            for key in _stated(alias):
                if key in _stated(canonical):
                    yield broken(
                        "V384",
                        (*path, family, key),
                        f"is set in `overlays.{family}` as well",
                        f"`{family}` is another spelling of `overlays.{family}`",
                        f"keep `overlays.{family}.{key}`",
                    )


def empty_family(subject: Subject) -> Iterator[Violation]:
    """W20."""
    for path, family, overlay in _families(subject):
        if family in FAMILIES and not any(getattr(overlay, key) for key in overlay.__struct_fields__):
            yield advice(
                "W20",
                path,
                "is empty",
                f"family `{family}` gets no value from it",
                "state a value, or remove it",
            )


RULES: tuple[Rule, ...] = (
    two_owners,
    unknown_service,
    no_endpoints,
    unknown_view,
    empty_field,
    two_passwords,
    password_without_user,
    password_format,
    password_in_the_open,
    password_variable,
    endpoint_choice,
    adapter_family,
    adapter_value,
    adapter_alias,
    empty_family,
)
