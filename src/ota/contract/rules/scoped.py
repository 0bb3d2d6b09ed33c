"""Rules of `tasks.*.requirements`: what a task asks for beyond the contract's own lists.

Source: contract specification 15.11; appendix A V480 to V490.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.requirements import AlternativeRequirements, TaskRequirements
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys
from ota.contract.rules.requirements import runtime_problems, tool_owners, tool_problems
from ota.contract.rules.values import owner_of, unknown
from ota.contract.rules.wording import broken, unknown_all

_LISTS = ("runtimes", "tools", "toolchains", "native", "env", "checks")


class Scope(Struct, frozen=True, kw_only=True):
    """One set of requirements: a task's, a variant's, or one alternative."""

    path: FieldPath
    requirements: TaskRequirements | AlternativeRequirements
    toolchains: frozenset[str]
    """Toolchains in force here: the scope's own, those it stands under, those of the contexts."""


def _scopes(subject: Subject) -> Iterator[Scope]:
    for _, task, path in subject.tasks():
        places: list[tuple[FieldPath, TaskRequirements | None]] = [(path, task.requirements)]
        for index, variant in enumerate(task.variants):
            places.append(((*path, "variants", index), variant.requirements))
        stated = [(place, found) for place, found in places if found is not None]
        if not stated:
            continue
        around: set[str] = set(task.requirements.toolchains) if task.requirements is not None else set()
        for plane in subject.planes.planes_of(task):
            inherited = subject.planes.choose(task, asked=plane).context.requirements
            if inherited is not None:
                around.update(inherited.toolchains or ())
        for place, found in stated:
            where = (*place, "requirements")
            here = frozenset(around | set(found.toolchains))
            yield Scope(path=where, requirements=found, toolchains=here)
            for index, each in enumerate(found.any_of):
                yield Scope(
                    path=(*where, "any_of", index),
                    requirements=each,
                    toolchains=here | set(each.toolchains),
                )


def runtimes_and_tools(subject: Subject) -> Iterator[Violation]:
    """V480: the same grammar as the contract's own runtimes and tools, under one number."""
    for scope in subject.collected(_scopes):
        for key in ("runtimes", "tools"):
            stated: Mapping[str, object] = getattr(scope.requirements, key)
            if stated:
                yield from empty_keys("V480", (*scope.path, key), owner_of(scope.path)[0], stated)
        for name, runtime in sorted(scope.requirements.runtimes.items()):
            for problem in runtime_problems((*scope.path, "runtimes", name), runtime):
                yield replace(problem, rule="V480")
        for name, tool in sorted(scope.requirements.tools.items()):
            for problem in tool_problems((*scope.path, "tools", name), tool):
                yield replace(problem, rule="V480")


def unknown_toolchain(subject: Subject) -> Iterator[Violation]:
    """V481."""
    for scope in subject.collected(_scopes):
        yield from _unknown_all(
            subject, "V481", scope, "toolchains", "toolchain", subject.contract.toolchains
        )


def _unknown_all(
    subject: Subject, rule: str, scope: Scope, key: str, kind: str, known: Mapping[str, object]
) -> Iterator[Violation]:
    names: tuple[str, ...] = getattr(scope.requirements, key)
    if names:
        yield from unknown_all(subject, rule, (*scope.path, key), kind, names, known)


def owned_tool(subject: Subject) -> Iterator[Violation]:
    """V482."""
    if not subject.contract.toolchains:
        return
    owners = tool_owners(subject.contract.toolchains)
    for scope in subject.collected(_scopes):
        for tool in sorted(scope.requirements.tools):
            owner = owners.get(tool)
            if owner is not None and tool not in subject.contract.tools and owner not in scope.toolchains:
                yield broken(
                    "V482",
                    (*scope.path, "tools", tool),
                    f"asks for `{tool}`, which toolchain `{owner}` owns",
                    f"`requirements.toolchains` does not list `{owner}`, and no global tool has the name",
                    f"declare `toolchains: [{owner}]` here",
                )


def unknown_env(subject: Subject) -> Iterator[Violation]:
    """V483."""
    for scope in subject.collected(_scopes):
        yield from _unknown_all(subject, "V483", scope, "env", "env variable", subject.contract.env.vars)


def unknown_native(subject: Subject) -> Iterator[Violation]:
    """V484."""
    known = subject.contract.native_prerequisites
    for scope in subject.collected(_scopes):
        yield from _unknown_all(subject, "V484", scope, "native", "native prerequisite", known)


def unknown_check(subject: Subject) -> Iterator[Violation]:
    """V485."""
    for scope in subject.collected(_scopes):
        yield from _unknown_all(subject, "V485", scope, "checks", "check", subject.checks)


def health_check(subject: Subject) -> Iterator[Violation]:
    """V486."""
    for scope in subject.collected(_scopes):
        for index, name in enumerate(scope.requirements.checks):
            check = subject.checks.get(name)
            if check is not None and check.kind == "health":
                yield broken(
                    "V486",
                    (*scope.path, "checks", index),
                    f"names the health check `{name}`",
                    "a requirement holds before anything starts; health is observed afterwards",
                    "name a precondition, file, env or changed_files check",
                )


def _alternatives(
    subject: Subject,
) -> Iterator[tuple[FieldPath, tuple[AlternativeRequirements, ...]]]:
    for scope in subject.collected(_scopes):
        if isinstance(scope.requirements, TaskRequirements) and scope.requirements.any_of:
            yield (*scope.path, "any_of"), scope.requirements.any_of


def empty_alternative(subject: Subject) -> Iterator[Violation]:
    """V487."""
    for path, alternatives in _alternatives(subject):
        for index, each in enumerate(alternatives):
            if not any(getattr(each, key) for key in _LISTS):
                yield broken(
                    "V487",
                    (*path, index),
                    "requires nothing",
                    "an alternative needs at least one requirement",
                    "declare a requirement, or remove the entry",
                )


def alternative_selector(subject: Subject) -> Iterator[Violation]:
    """V488."""
    for path, alternatives in _alternatives(subject):
        for index, each in enumerate(alternatives):
            if each.when.context is None and each.when.backend is None:
                yield broken(
                    "V488",
                    (*path, index, "when"),
                    "selects nothing",
                    "an alternative says for which context or backend it is",
                    "add `when.context` or `when.backend`",
                )


def selector_mismatch(subject: Subject) -> Iterator[Violation]:
    """V489."""
    contexts = subject.planes.execution.contexts
    for path, alternatives in _alternatives(subject):
        for index, each in enumerate(alternatives):
            name = each.when.context
            if name is None:
                continue
            where = (*path, index, "when", "context")
            yield from unknown(subject, "V489", where, "context", name, contexts)
            context = subject.planes.contexts.get(name)
            if context is not None and each.when.backend not in (None, context.backend):
                yield broken(
                    "V489",
                    where,
                    f"is `{name}`, a {context.backend} context",
                    f"`when.backend` says {each.when.backend}",
                    "keep one of the two, or make them agree",
                )


def repeated_selector(subject: Subject) -> Iterator[Violation]:
    """V490."""
    for path, alternatives in _alternatives(subject):
        seen: set[tuple[str | None, str | None]] = set()
        for index, each in enumerate(alternatives):
            selector = (each.when.context, each.when.backend)
            if selector in seen and selector != (None, None):
                yield broken(
                    "V490",
                    (*path, index, "when"),
                    "repeats a selector",
                    "only one alternative applies to one context or backend",
                    "merge the two entries",
                )
            seen.add(selector)


RULES: tuple[Rule, ...] = (
    runtimes_and_tools,
    unknown_toolchain,
    owned_tool,
    unknown_env,
    unknown_native,
    unknown_check,
    health_check,
    empty_alternative,
    alternative_selector,
    selector_mismatch,
    repeated_selector,
)
