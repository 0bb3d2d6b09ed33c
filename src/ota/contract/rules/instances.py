"""Rules of `workflows.*.instances`: names, generated ranges, topology, overlays, ports.

Source: contract specification 16 (instances); appendix A V530 to V538.
"""

from collections.abc import Iterator

from msgspec import Struct

from ota.contract.grammar import is_empty
from ota.contract.graph import find_cycles, shown_route
from ota.contract.listeners import effective_listeners
from ota.contract.model.workflows import GeneratedInstances, Instance, Instances
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.values import unknown
from ota.contract.rules.wording import broken

LARGEST_FAMILY = 10_000
"""More instances than ports exist to serve them; a larger range is a typing error."""

LAST_PORT = 65_535


class Declared(Struct, frozen=True, kw_only=True):
    """One named instance or one template."""

    path: FieldPath
    instance: Instance
    family: GeneratedInstances | None


def _blocks(subject: Subject) -> Iterator[tuple[FieldPath, Instances]]:
    for name, workflow in sorted(subject.contract.workflows.entries.items()):
        if workflow.instances is not None:
            yield ("workflows", name, "instances"), workflow.instances


def _instances(subject: Subject) -> Iterator[Declared]:
    for path, block in _blocks(subject):
        for name, instance in sorted(block.named.items()):
            yield Declared(path=(*path, name), instance=instance, family=None)
        for name, family in sorted(block.generated.items()):
            place = (*path, "generated", name, "template")
            yield Declared(path=place, instance=family.template, family=family)


def _numbers(family: GeneratedInstances) -> range:
    is_sane = not is_empty(family.prefix) and 0 <= family.end - family.start < LARGEST_FAMILY
    return range(family.start, family.end + 1) if is_sane else range(0)


def expanded(block: Instances) -> dict[str, Instance]:
    """Every instance by name, generated ones as their template."""
    found = dict(block.named)
    for _, family in sorted(block.generated.items()):
        for number in _numbers(family):
            found.setdefault(f"{family.prefix}{number}", family.template)
    return found


def unknown_default(subject: Subject) -> Iterator[Violation]:
    """V530."""
    for path, block in _blocks(subject):
        yield from unknown(subject, "V530", (*path, "default"), "instance", block.default, expanded(block))


def invalid_range(subject: Subject) -> Iterator[Violation]:
    """V531."""
    for path, block in _blocks(subject):
        for name, family in sorted(block.generated.items()):
            where = (*path, "generated", name)
            if is_empty(family.prefix):
                yield broken("V531", (*where, "prefix"), "is empty", "it begins every name", "name a prefix")
            elif family.start > family.end or family.start < 0:
                yield broken(
                    "V531",
                    (*where, "start"),
                    f"starts no range: {family.start} to {family.end}",
                    "instances are numbered from start to end, inclusive",
                    "write a start of at least 0 and not above the end",
                )
            elif family.end - family.start >= LARGEST_FAMILY:
                yield broken(
                    "V531",
                    (*where, "end"),
                    f"makes {family.end - family.start + 1} instances",
                    f"a family has at most {LARGEST_FAMILY}",
                    "write a smaller range",
                )


def name_collision(subject: Subject) -> Iterator[Violation]:
    """V532."""
    for path, block in _blocks(subject):
        taken = dict.fromkeys([*block.named, "default", "generated"], "a declared name")
        for name, family in sorted(block.generated.items()):
            for number in _numbers(family):
                made = f"{family.prefix}{number}"
                if made in taken:
                    yield broken(
                        "V532",
                        (*path, "generated", name),
                        f"expands onto `{made}`",
                        f"`{made}` is {taken[made]} already",
                        "use another prefix or range",
                    )
                    break
                taken[made] = f"made by `{name}`"


def topology(subject: Subject) -> Iterator[Violation]:
    """V533."""
    for path, block in _blocks(subject):
        known = expanded(block)
        edges: dict[str, list[str]] = {}
        for name, instance in sorted(block.named.items()):
            required = _required(instance)
            edges[name] = list(required)
            where = (*path, name, "topology", "requires_instances")
            for index, other in enumerate(required):
                yield from unknown(subject, "V533", (*where, index), "instance", other, known)
        for name, family in sorted(block.generated.items()):
            told: set[int] = set()
            where = (*path, "generated", name, "template", "topology", "requires_instances")
            for number in _numbers(family):
                made = f"{family.prefix}{number}"
                required = tuple(_filled(text, made, number) for text in _required(family.template))
                edges.setdefault(made, list(required))
                for index, other in enumerate(required):
                    if other not in known and index not in told:
                        told.add(index)
                        yield from unknown(subject, "V533", (*where, index), "instance", other, known)
        for cycle in find_cycles(edges):
            yield broken(
                "V533",
                (*path, cycle[0], "topology", "requires_instances"),
                f"closes a cycle: {shown_route(cycle)}",
                "a required instance is brought up first",
                "remove one link of the cycle",
            )


def _required(instance: Instance) -> tuple[str, ...]:
    return instance.topology.requires_instances if instance.topology is not None else ()


def _filled(text: str, name: str, number: int) -> str:
    index = text.replace("${OTA_WORKFLOW_INSTANCE_INDEX}", str(number))
    return index.replace("${OTA_WORKFLOW_INSTANCE}", name)


def unknown_task(subject: Subject) -> Iterator[Violation]:
    """V534."""
    for each in subject.collected(_instances):
        for name in sorted(each.instance.tasks):
            where = (*each.path, "tasks", name)
            yield from unknown(subject, "V534", where, "task", name, subject.contract.tasks)


def runtime_overlay(subject: Subject) -> Iterator[Violation]:
    """V535."""
    for each in subject.collected(_instances):
        for name, overlay in sorted(each.instance.tasks.items()):
            task = subject.contract.tasks.get(name)
            if task is None or overlay.runtime is None:
                continue
            where = (*each.path, "tasks", name, "runtime")
            if task.runtime is None:
                yield broken(
                    "V535",
                    where,
                    f"has nothing to adjust: task `{name}` declares no `runtime`",
                    "an instance adjusts the task's own runtime, it does not make one",
                    f"declare `tasks.{name}.runtime`, or remove the overlay",
                )
                continue
            known = effective_listeners(task.runtime, subject.contract.surfaces)
            for listener in sorted(overlay.runtime.listeners):
                path = (*where, "listeners", listener)
                yield from unknown(subject, "V535", path, "listener", listener, known)


def unknown_surface(subject: Subject) -> Iterator[Violation]:
    """V536."""
    for each in subject.collected(_instances):
        for name in sorted(each.instance.surfaces):
            where = (*each.path, "surfaces", name)
            yield from unknown(subject, "V536", where, "surface", name, subject.contract.surfaces)


class PortRule(Struct, frozen=True, kw_only=True):
    """One port an instance states or inherits, and how it grows with the number."""

    path: FieldPath
    value: int | None
    stride: int | None
    stride_key: str


def _ports(subject: Subject) -> Iterator[tuple[Declared, PortRule]]:
    for each in subject.collected(_instances):
        for name, surface in sorted(each.instance.surfaces.items()):
            base = subject.contract.surfaces.get(name)
            yield (
                each,
                PortRule(
                    path=(*each.path, "surfaces", name),
                    value=surface.port if surface.port is not None else base.port if base else None,
                    stride=surface.port_stride,
                    stride_key="port_stride",
                ),
            )
        for name, overlay in sorted(each.instance.tasks.items()):
            task = subject.contract.tasks.get(name)
            listeners = overlay.runtime.listeners if overlay.runtime is not None else {}
            known = (
                effective_listeners(task.runtime, subject.contract.surfaces)
                if task is not None and task.runtime is not None
                else {}
            )
            for listener, stated in sorted(listeners.items()):
                where = (*each.path, "tasks", name, "runtime", "listeners", listener)
                base_listener = known.get(listener)
                bind = stated.bind.port if stated.bind is not None else None
                if bind is not None:
                    inherited = base_listener.bind.port.value if base_listener is not None else None
                    yield (
                        each,
                        PortRule(
                            path=(*where, "bind", "port"),
                            value=bind.value or inherited,
                            stride=bind.stride,
                            stride_key="stride",
                        ),
                    )
                host = stated.project.host if stated.project is not None else None
                if host is not None and host.port is not None:
                    own = base_listener.host if base_listener is not None else None
                    yield (
                        each,
                        PortRule(
                            path=(*where, "project", "host", "port"),
                            value=host.port.value or (own.port.value if own is not None else None),
                            stride=host.port.stride,
                            stride_key="stride",
                        ),
                    )


def stride_outside_template(subject: Subject) -> Iterator[Violation]:
    """V537."""
    for each, port in subject.collected(_ports):
        if each.family is None and port.stride is not None:
            yield broken(
                "V537",
                (*port.path, port.stride_key),
                "belongs to a template",
                "only generated instances have a number to multiply",
                f"remove `{port.stride_key}`, and state the port",
            )


def port_out_of_range(subject: Subject) -> Iterator[Violation]:
    """V538."""
    for each, port in subject.collected(_ports):
        if port.value is None:
            continue
        numbers = _numbers(each.family) if each.family is not None else range(1)
        if not numbers:
            continue
        stride = port.stride or 0 if each.family is not None else 0
        made = [port.value + number * stride for number in (numbers[0], numbers[-1])]
        wrong = next((value for value in made if not 1 <= value <= LAST_PORT), None)
        if wrong is not None:
            yield broken(
                "V538",
                port.path,
                f"gives port {wrong}",
                f"ports are 1 to {LAST_PORT}; a generated port is the value plus number times stride",
                "lower the port, the stride or the range",
            )


RULES: tuple[Rule, ...] = (
    unknown_default,
    invalid_range,
    name_collision,
    topology,
    unknown_task,
    runtime_overlay,
    unknown_surface,
    stride_outside_template,
    port_out_of_range,
)
