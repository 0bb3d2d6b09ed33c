"""Rules of `execution`: the shorthand, named contexts, their inheritance and plane-bound settings.

A context whose `extends` chain is broken is reported once, where it breaks; what depends on it is
not guessed at. Shared backends: `ota.contract.rules.shared_backends`.

Source: contract specification 11.1 to 11.7; appendix A, V020 to V062; decisions D2, D27.
"""

from collections.abc import Iterator, Mapping

from ota.contract.grammar import (
    GrammarError,
    check_arch_token,
    check_boundary_path,
    check_container_platform,
    is_empty,
    normalise_boundary_path,
    parse_memory,
)
from ota.contract.graph import find_cycles, shown_route
from ota.contract.model.execution import (
    ContainerSettings,
    Context,
    Execution,
    MemoryResources,
    RemoteSettings,
)
from ota.contract.model.scalars import Plane
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import (
    empty_entries,
    empty_text,
    refused_text,
    said,
    system_tokens,
    token_list,
    unexpected,
    unknown,
)

REMOTE_PROVIDERS = ("daytona", "ssh", "tsh", "kubectl")
"""Transports built into ota; any other provider is an extension."""

_CONTEXTS: FieldPath = ("execution", "contexts")
_BACKENDS: FieldPath = ("execution", "backends")
_TARGET_EXAMPLES = {
    "daytona": "sandbox-dev",
    "ssh": "user@host",
    "tsh": "user@host",
    "kubectl": "pod/name",
}


def _execution(subject: Subject) -> Execution:
    return subject.planes.execution


def _contexts(subject: Subject) -> Iterator[tuple[str, Context, FieldPath]]:
    """Every context as written, with its path, in key order."""
    for name, context in sorted(_execution(subject).contexts.items()):
        yield name, context, (*_CONTEXTS, name)


def _on_plane(subject: Subject, *planes: Plane) -> Iterator[tuple[str, Context, Context, FieldPath]]:
    """Contexts whose chain is sound and whose plane is one of these: name, as written, merged, path."""
    for name, context, path in _contexts(subject):
        merged = subject.planes.contexts.get(name)
        if merged is not None and merged.backend in planes:
            yield name, context, merged, path


# --- the two declaration modes ----------------------------------------------------------------------


def default_context(subject: Subject) -> Iterator[Violation]:
    """V020, V021."""
    name = _execution(subject).default_context
    path = ("execution", "default_context")
    if name is None:
        return
    if is_empty(name):
        yield from empty_text("V020", path, name)
    else:
        yield from unknown(subject, "V021", path, "context", name, _execution(subject).contexts)


def preferred_beside_contexts(subject: Subject) -> Iterator[Violation]:
    """V022."""
    if not _mixes_models(_execution(subject)):
        return
    plane = _execution(subject).preferred
    yield Violation(
        rule="V022",
        path=("execution", "preferred"),
        summary="`execution` mixes the shorthand `preferred` with named contexts",
        why=(
            "there are two models: the shorthand (`preferred`, `lifecycle`, `backends`) and named contexts "
            "(`default_context`, `contexts`); beside each other nobody can tell which one selects the plane"
        ),
        next=(
            "use contexts to select the plane: remove `preferred` and let `default_context` name a "
            f"{plane} context; or drop contexts: remove `default_context` and `contexts` and keep `preferred`"
        ),
    )


def _mixes_models(execution: Execution) -> bool:
    return execution.preferred is not None and bool(
        execution.contexts or execution.default_context is not None
    )


def preferred_supported(subject: Subject) -> Iterator[Violation]:
    """V023."""
    execution = _execution(subject)
    if execution.preferred and execution.supported and execution.preferred not in execution.supported:
        yield Violation(
            rule="V023",
            path=("execution", "preferred"),
            summary=f"`execution.preferred` is `{execution.preferred}`, which `supported` does not contain",
            why=f"supported: {listed(execution.supported)}",
            next=f"add `{execution.preferred}` to `execution.supported`, or prefer a supported plane",
        )


def preferred_is_configured(subject: Subject) -> Iterator[Violation]:
    """V024 to V027; silent beside contexts, where V022 asks a question that comes first."""
    execution = _execution(subject)
    if execution.preferred is None or _mixes_models(execution):
        return
    root = subject.planes.root_context(execution.preferred)
    if execution.preferred == "container":
        if root.container is None or root.container.image is None:
            yield _missing(
                "V024", "`execution.preferred: container`", (*_BACKENDS, "container", "image"), IMAGE
            )
        if execution.lifecycle is None:
            yield _missing("V025", "`execution.preferred: container`", ("execution", "lifecycle"), LIFECYCLE)
    if execution.preferred == "remote":
        provider = root.remote.provider if root.remote is not None else None
        if provider is None:
            yield _missing(
                "V026", "`execution.preferred: remote`", (*_BACKENDS, "remote", "provider"), PROVIDER
            )
        elif root.remote is not None and root.remote.target is None:
            yield _missing(
                "V027",
                "`execution.preferred: remote`",
                (*_BACKENDS, "remote", "target"),
                target_hint(provider),
            )


IMAGE = "name an image, such as `image: debian:12`"
LIFECYCLE = "say `lifecycle: ephemeral` or `lifecycle: persistent`"
PROVIDER = f"name a provider: {listed(REMOTE_PROVIDERS)}, or a `backend_provider` extension"


def target_hint(provider: str) -> str:
    """How a target of this provider looks."""
    example = _TARGET_EXAMPLES.get(provider)
    return f"name a target, such as `target: {example}`" if example else "name the target of the provider"


def _missing(rule: str, owner: str, path: FieldPath, hint: str) -> Violation:
    field = str(path[-1])
    article = "an" if field == "image" else "an explicit" if field == "lifecycle" else "a"
    return Violation(
        rule=rule,
        path=path,
        summary=f"{owner} needs {article} {field}",
        why=f"neither it nor the root of `execution` declares `{field}`",
        next=hint,
    )


# --- container, remote and memory settings, wherever they are written ---------------------------------


def _containers(subject: Subject) -> Iterator[tuple[ContainerSettings, FieldPath]]:
    backends = _execution(subject).backends
    if backends is not None and backends.container is not None:
        yield backends.container, (*_BACKENDS, "container")
    for _, context, path in _contexts(subject):
        if context.container is not None:
            yield context.container, (*path, "container")


def _remotes(subject: Subject) -> Iterator[tuple[RemoteSettings, FieldPath]]:
    backends = _execution(subject).backends
    if backends is not None and backends.remote is not None:
        yield backends.remote, (*_BACKENDS, "remote")
    for _, context, path in _contexts(subject):
        if context.remote is not None:
            yield context.remote, (*path, "remote")


def container_image(subject: Subject) -> Iterator[Violation]:
    """V028."""
    for container, path in _containers(subject):
        yield from empty_text("V028", (*path, "image"), container.image)


def remote_values(subject: Subject) -> Iterator[Violation]:
    """V029, V030, V031, V036."""
    for remote, path in _remotes(subject):
        yield from empty_text("V029", (*path, "provider"), remote.provider)
        yield from empty_text("V030", (*path, "target"), remote.target)
        yield from empty_text("V031", (*path, "cwd"), remote.cwd)
        if remote.ssh is not None:
            for field in ("config_file", "identity_file"):
                yield from empty_text("V036", (*path, "ssh", field), getattr(remote.ssh, field))


def remote_provider(subject: Subject) -> Iterator[Violation]:
    """V032, V033, V034."""
    extensions = subject.contract.extensions
    for remote, remote_path in _remotes(subject):
        provider, path = remote.provider, (*remote_path, "provider")
        if provider is None or is_empty(provider) or provider in REMOTE_PROVIDERS:
            continue
        extension = extensions.get(provider)
        if extension is None:
            yield Violation(
                rule="V032",
                path=path,
                summary=said(path, f"names the unsupported provider `{provider}`"),
                why=f"built in: {listed(REMOTE_PROVIDERS)}; no extension is called `{provider}`",
                next=f"use one of them, or declare `extensions.{provider}` with `kind: backend_provider`",
            )
        elif extension.kind != "backend_provider":
            yield Violation(
                rule="V033",
                path=path,
                summary=said(path, f"names extension `{provider}`, which is no backend provider"),
                why=f"its kind is `{extension.kind}`; a remote provider must be `backend_provider`",
                next=f"write `kind: backend_provider` in `extensions.{provider}`, or name another provider",
            )
        elif extension.api_version != 1:
            yield Violation(
                rule="V034",
                path=path,
                summary=said(path, f"names extension `{provider}`, which needs `api_version: 1`"),
                why=f"it declares api_version {extension.api_version}; this build speaks 1",
                next=f"write `api_version: 1` in `extensions.{provider}`",
            )


def ssh_settings(subject: Subject) -> Iterator[Violation]:
    """V035. Told where ssh settings or a foreign provider are written, not again at every child."""
    backends = _execution(subject).backends
    if backends is not None and backends.remote is not None:
        yield from _foreign_ssh(backends.remote, backends.remote, (*_BACKENDS, "remote"))
    for _, context, merged, path in _on_plane(subject, "remote"):
        if context.remote is not None and merged.remote is not None:
            yield from _foreign_ssh(context.remote, merged.remote, (*path, "remote"))


def _foreign_ssh(written: RemoteSettings, effective: RemoteSettings, path: FieldPath) -> Iterator[Violation]:
    if effective.ssh is None or effective.provider in (None, "ssh"):
        return
    if written.ssh is not None or written.provider is not None:
        yield Violation(
            rule="V035",
            path=(*path, "ssh"),
            summary=said((*path, "ssh"), f"is only for provider `ssh`, and this is `{effective.provider}`"),
            why="`config_file` and `identity_file` are settings of the ssh client",
            next="remove `ssh`, or write `provider: ssh`",
        )


def memory_sizes(subject: Subject) -> Iterator[Violation]:
    """V037."""
    for container, path in _containers(subject):
        memory = container.resources.memory if container.resources is not None else MemoryResources()
        for field in ("minimum", "default"):
            text = getattr(memory, field)
            where = (*path, "resources", "memory", field)
            if text is not None and (reason := _memory(text)[1]):
                yield Violation(
                    rule="V037",
                    path=where,
                    summary=said(where, f"is not a valid size: `{text}`"),
                    why=reason,
                    next="write a size such as `512MiB` or `2GiB`",
                )


def memory_order(subject: Subject) -> Iterator[Violation]:
    """V038, on merged values, where one of the two is written."""
    backends = _execution(subject).backends
    if backends is not None and backends.container is not None:
        yield from _too_small(backends.container, backends.container, (*_BACKENDS, "container"))
    for _, context, merged, path in _on_plane(subject, "container"):
        if context.container is not None and merged.container is not None:
            yield from _too_small(context.container, merged.container, (*path, "container"))


def _too_small(
    written: ContainerSettings, effective: ContainerSettings, path: FieldPath
) -> Iterator[Violation]:
    if written.resources is None or effective.resources is None:
        return
    memory = effective.resources.memory
    if memory.minimum is None or memory.default is None or written.resources.memory == MemoryResources():
        return
    minimum, default = _memory(memory.minimum)[0], _memory(memory.default)[0]
    if minimum and default and default < minimum:
        where = (*path, "resources", "memory", "default")
        yield Violation(
            rule="V038",
            path=where,
            summary=said(where, f"is too small: {memory.default} is less than the minimum {memory.minimum}"),
            why="`default` is what a run asks for, `minimum` what it cannot do without",
            next=f"write `default: {memory.minimum}` or more, or lower `minimum`",
        )


def _memory(text: str) -> tuple[int, str]:
    """The size, or 0 and the reason."""
    try:
        return parse_memory(text), ""
    except GrammarError as error:
        return 0, error.reason


def container_platform(subject: Subject) -> Iterator[Violation]:
    """V061."""
    for container, path in _containers(subject):
        yield from refused_text(
            "V061",
            (*path, "platform"),
            container.platform,
            check_container_platform,
            "write `linux/<arch>`, such as `linux/amd64` or `linux/arm64/v8`",
        )


# --- names and inheritance --------------------------------------------------------------------------


def context_names(subject: Subject) -> Iterator[Violation]:
    """V039."""
    yield from empty_keys("V039", _CONTEXTS, "`execution`", _execution(subject).contexts)


def extends_known(subject: Subject) -> Iterator[Violation]:
    """V040, V041."""
    for _, context, context_path in _contexts(subject):
        if context.extends is None:
            continue
        path = (*context_path, "extends")
        if is_empty(context.extends):
            yield from empty_text("V040", path, context.extends)
        else:
            yield from unknown(
                subject, "V041", path, "context", context.extends, _execution(subject).contexts
            )


def extends_cycle(subject: Subject) -> Iterator[Violation]:
    """V042, once per cycle."""
    parents = {
        name: [context.extends] if context.extends is not None else []
        for name, context, _ in _contexts(subject)
    }
    for cycle in find_cycles(parents):
        yield Violation(
            rule="V042",
            path=(*_CONTEXTS, cycle[0], "extends"),
            summary=f"context `{cycle[0]}` extends itself",
            why=f"inheritance cycle {shown_route(cycle)}",
            next=f"remove `extends` from one of {listed(dict.fromkeys(cycle))}",
        )


def extends_across_planes(subject: Subject) -> Iterator[Violation]:
    """V043, where the chain leaves its plane; the contexts below it are not told again."""
    for name, context, path in _contexts(subject):
        parent = subject.planes.stated.get(context.extends or "")
        if parent is None or context.backend is None or parent.backend in (None, context.backend):
            continue
        yield Violation(
            rule="V043",
            path=(*path, "backend"),
            summary=f"context `{name}` extends `{context.extends}` across backend families",
            why=f"`{context.extends}` is {parent.backend}, `{name}` says {context.backend}",
            next=(
                f"define a separate base for the {context.backend} family and let `{name}` extend that, "
                f"or remove `backend` from `{name}`"
            ),
        )


def context_backend(subject: Subject) -> Iterator[Violation]:
    """V044; a child of a context without plane is not told as well."""
    stated: Mapping[str, Context] = subject.planes.stated
    for name, context, path in _contexts(subject):
        merged = stated.get(name)
        if merged is None or merged.backend is not None:
            continue
        if context.extends is not None and stated[context.extends].backend is None:
            continue
        yield Violation(
            rule="V044",
            path=(*path, "backend"),
            summary=f"context `{name}` has no backend",
            why="neither it nor a context it extends says where it runs",
            next="write `backend: native`, `container` or `remote`, or extend a context that does",
        )


# --- one context -------------------------------------------------------------------------------------


def host_support(subject: Subject) -> Iterator[Violation]:
    """V045, V046."""
    for _, context, path in _contexts(subject):
        yield from system_tokens("V045", (*path, "only_on"), context.only_on)
        yield from token_list(
            "V046", (*path, "only_arch"), context.only_arch, check_arch_token, "use tokens like x64 or arm64"
        )


def foreign_settings(subject: Subject) -> Iterator[Violation]:
    """V047 to V049, V052, V055: settings of another plane."""
    for name, context, _, path in _on_plane(subject, "native", "container", "remote"):
        plane = subject.planes.contexts[name].backend
        for rule, field, why in _FOREIGN[plane or "native"]:
            yield from unexpected(rule, path, context, (field,), why)


_FULFILLMENT_WHY = "`fulfillment` prepares a container; it is only for container contexts"
_FOREIGN: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "native": (
        ("V047", "lifecycle", "a native context has no lifecycle: nothing is created or removed"),
        ("V048", "fulfillment", _FULFILLMENT_WHY),
        ("V049", "container", "the context is native; `container` is not for native contexts"),
        ("V049", "remote", "the context is native; `remote` is not for native contexts"),
    ),
    "container": (("V052", "remote", "the context is container; `remote` is not for container contexts"),),
    "remote": (
        ("V048", "fulfillment", _FULFILLMENT_WHY),
        ("V055", "container", "the context is remote; `container` is not for remote contexts"),
    ),
}


def context_is_configured(subject: Subject) -> Iterator[Violation]:
    """V050, V051, V053, V054: own value or the root's."""
    for name, _, merged, path in _on_plane(subject, "container", "remote"):
        owner = f"context `{name}`"
        if merged.backend == "container":
            if merged.container is None or merged.container.image is None:
                yield _missing("V050", owner, (*path, "container", "image"), IMAGE)
            if merged.lifecycle is None:
                yield _missing("V051", owner, (*path, "lifecycle"), LIFECYCLE)
            continue
        provider = merged.remote.provider if merged.remote is not None else None
        if provider is None:
            yield _missing("V053", owner, (*path, "remote", "provider"), PROVIDER)
        if merged.remote is None or merged.remote.target is None:
            hint = target_hint(provider) if provider else "name a target, such as `target: user@host`"
            yield _missing("V054", owner, (*path, "remote", "target"), hint)


def _attaching(subject: Subject) -> Iterator[tuple[Context, FieldPath, Plane | None]]:
    """Contexts that state attachments, with the path of these and the plane, None when it is not known."""
    for name, context, path in _contexts(subject):
        if context.attachments is not None:
            merged = subject.planes.contexts.get(name)
            yield context, (*path, "attachments"), merged.backend if merged is not None else None


def attachments_plane(subject: Subject) -> Iterator[Violation]:
    """V058: networks and volumes are a container engine's."""
    for context, path, plane in _attaching(subject):
        if plane not in ("native", "remote"):
            continue
        for field in ("compose", "isolated_paths"):
            if getattr(context.attachments, field) is None:
                continue
            where = (*path, field)
            yield Violation(
                rule="V058",
                path=where,
                summary=said(where, f"needs a container context, and this one is {plane}"),
                why="networks and volumes belong to a container engine",
                next=f"remove `{field}`, or move it to a container context",
            )


def compose_attachments(subject: Subject) -> Iterator[Violation]:
    """V056, V057."""
    known = subject.compose_projects
    for context, path, plane in _attaching(subject):
        if context.attachments is None or plane in ("native", "remote"):
            continue
        where = (*path, "compose")
        yield from empty_entries("V056", where, context.attachments.compose)
        for index, name in enumerate(context.attachments.compose or ()):
            if not is_empty(name):
                yield from unknown(subject, "V057", (*where, index), "compose manager", name, known)


def isolated_paths(subject: Subject) -> Iterator[Violation]:
    """V059, V060."""
    for context, path, plane in _attaching(subject):
        if context.attachments is not None and plane not in ("native", "remote"):
            yield from _isolated((*path, "isolated_paths"), context.attachments.isolated_paths or ())


def _isolated(path: FieldPath, paths: tuple[str, ...]) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for index, text in enumerate(paths):
        where = (*path, index)
        reason = check_boundary_path(text)
        if reason is not None:
            yield Violation(
                rule="V059",
                path=where,
                summary=said(where, f"is not a relative path inside the repository: `{text}`"),
                why=reason,
                next="write relative paths only, such as `node_modules`",
            )
            continue
        normalised = normalise_boundary_path(text)
        if normalised in seen:
            yield Violation(
                rule="V060",
                path=where,
                summary=said(where, f"repeats the path `{normalised}`"),
                why=f"`{seen[normalised]}` already isolates it",
                next=f"remove `{text}`",
            )
        seen.setdefault(normalised, text)


def context_toolchains(subject: Subject) -> Iterator[Violation]:
    """V062."""
    for _, context, path in _contexts(subject):
        if context.requirements is None:
            continue
        for index, name in enumerate(context.requirements.toolchains or ()):
            where = (*path, "requirements", "toolchains", index)
            yield from unknown(subject, "V062", where, "toolchain", name, subject.contract.toolchains)


RULES: tuple[Rule, ...] = (
    default_context,
    preferred_beside_contexts,
    preferred_supported,
    preferred_is_configured,
    container_image,
    remote_values,
    remote_provider,
    ssh_settings,
    memory_sizes,
    memory_order,
    context_names,
    extends_known,
    extends_cycle,
    extends_across_planes,
    context_backend,
    host_support,
    foreign_settings,
    context_is_configured,
    attachments_plane,
    compose_attachments,
    isolated_paths,
    container_platform,
    context_toolchains,
)
