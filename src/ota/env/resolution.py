"""From declared layers to values: who wins for each variable, what it shadows, and what is wrong.

Pure: the process environment and a file reader come in as arguments. `ota env`, the preview and the
process that is started all take their values from here, so that none of them can disagree.

Per declared variable, strongest first: values ota sets itself, the overlay of the task (literals
and `env_files`, mode before task before context), org policy, process environment, declared sources
in order, default, cache fallbacks. A name that is not declared resolves from the overlay alone.

Source: contract specification 9; runtime specification 3.2, 3.3; json-and-receipts 2.9; decision D18.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from posixpath import normpath
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.env import EnvSource, EnvVar
from ota.env.layers import PASSWORD_MARK, EnvLayer, EnvLayers, FileMaker, RenderedDotenv
from ota.env.masking import MASK
from ota.env.sources import (
    LoadedSource,
    ReadFile,
    SourceStatus,
    load_source,
    load_sources,
    parse_source,
    source_finding,
)
from ota.errors import Finding, HostError, Place

Field = tuple[str | int, ...]
Locate = Callable[[Field], Place]
EnvStatus = Literal["resolved", "missing", "optional", "invalid", "task"]

_BLOCKED_WORDS: Mapping[SourceStatus, str] = {
    "missing_required": "missing required",
    "parse_failed": "parse failed",
    "invalid_structure": "invalid structure",
    "collision": "collision",
}
_LAYER_WORDS = {
    "cache_fallback": "execution",
    "adapter": "task",
    "profile": "profile",
    "context": "context",
    "task": "task",
    "variant": "task",
    "branch": "task",
    "instance": "workflow instance",
    "instance_task": "workflow instance",
}
# A run started from inside a task must not take the outer task's ports, inputs and targets for its own.
_OF_ONE_TASK = ("OTA_INPUT_", "OTA_TARGET_", "OTA_PUBLIC_", "OTA_BIND_")
FALLBACK = "fallback"
"""The layer of what only fills gaps."""
_REFERENCE = r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))"


class Candidate(Struct, frozen=True, kw_only=True):
    """One place that gives a variable a value."""

    value: str
    source: str
    """`execution`, `task`, `context`, `org policy`, `process`, `dotenv:.env`, `default` …"""
    place: Place | None = None
    """File and line, where it stands in a file."""
    layer: str = ""
    """Which layer of the overlay; empty for what lies below it."""
    loaded: LoadedSource | None = None


class EnvEntry(Struct, frozen=True, kw_only=True):
    """One variable, resolved or not."""

    name: str
    kind: Literal["contract", "task"]
    status: EnvStatus
    source: str
    """Of the winner; `missing` or the reason without one."""
    required: bool = False
    secret: bool = False
    value: str | None = None
    default: str | None = None
    allowed: tuple[str, ...] = ()
    next: str = ""
    winner: Candidate | None = None
    shadows: tuple[Candidate, ...] = ()
    """What the winner hides, strongest first."""
    blocked_by: LoadedSource | None = None
    """The broken source that ended the search."""

    @property
    def shown(self) -> str | None:
        """The value as it may be shown."""
        return MASK if self.secret and self.value is not None else self.value


class ResolvedEnv(Struct, frozen=True, kw_only=True):
    """The environment of one task (or of the contract, without a task)."""

    entries: tuple[EnvEntry, ...]
    """Declared variables in contract order, then the task's own by name, then what fills gaps."""
    sources: tuple[LoadedSource, ...]
    values: Mapping[str, str]
    """What is set on top of whatever a plane inherits: all that a container or remote gets."""
    process: Mapping[str, str]
    """The complete environment of a native child."""
    secrets: tuple[str, ...]
    """Every value a secret variable has anywhere, for the masker."""
    findings: tuple[Finding, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Nothing required is missing, nothing is invalid, no source is broken."""
        return not any(finding.severity == "error" for finding in self.findings)

    def entry(self, name: str) -> EnvEntry | None:
        """The entry of a variable, when it has one."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def why(self, name: str) -> EnvEntry | None:
        """Who gives a variable its value and what that shadows, also for one that is only inherited."""
        declared = self.entry(name)
        if declared is not None or name not in self.process:
            return declared
        inherited = Candidate(value=self.process[name], source="process")
        return EnvEntry(
            name=name,
            kind="task",
            status="resolved",
            source="process",
            value=inherited.value,
            winner=inherited,
        )


def resolve_env(
    layers: EnvLayers,
    environ: Mapping[str, str],
    read: ReadFile,
    *,
    injected: Mapping[str, str] | None = None,
    fallbacks: Mapping[str, str] | None = None,
    locate: Locate | None = None,
    inherits: bool = True,
) -> ResolvedEnv:
    """Look everything up once.

    `injected` are the variables ota sets itself: they win, and `${NAME}` of them is written out in
    declared values. `fallbacks` fill names that nothing declared sets. `inherits` is False where the
    child does not see the process environment: a `PATH` built there keeps the plane's own as `$PATH`.
    """
    search = _Search(layers, environ, read, injected or {}, locate, inherits)
    entries = [search.resolve(name) for name in search.names()]
    entries = _with_passwords(entries)
    known = {entry.name for entry in entries}
    entries += [
        _gap_filled(name, value, environ.get(name) if inherits else None)
        for name, value in sorted((fallbacks or {}).items())
        if name not in known
    ]
    findings = [*search.findings, *_entry_findings(entries, locate)]
    values = {entry.name: entry.value for entry in entries if entry.value is not None}
    for name, value in (fallbacks or {}).items():
        values.setdefault(name, value)
    base = {name: value for name, value in environ.items() if not name.startswith(_OF_ONE_TASK)}
    return ResolvedEnv(
        entries=tuple(entries),
        sources=search.sources,
        values=values,
        process={**base, **values} if inherits else values,
        secrets=_secret_values(entries),
        findings=tuple(findings),
    )


def rendered_dotenv(
    rendered: RenderedDotenv, environ: Mapping[str, str], read: ReadFile
) -> tuple[bytes, tuple[Finding, ...]]:
    """The content of a rendered file: its template, and every name that has a value set in it."""
    from ota.env.dotenv import ChangeMode, UnreadableError, decode, with_values  # paid only where one is made

    text = ""
    if rendered.template is not None:
        template = read(rendered.template)
        if template is None:
            return b"", (_no_template(rendered),)
        try:
            text = decode(template)
        except UnreadableError as error:
            return b"", (_no_template(rendered, error.reason),)
    search = _Search(rendered.basis, environ, read, {}, None, True)
    found = {name: search.resolve(name).value for name in rendered.names}
    changes: dict[str, tuple[str, ChangeMode]] = {
        name: (value, "replace") for name, value in found.items() if value is not None
    }
    try:
        return with_values(text, changes, file=rendered.path).encode(), ()
    except HostError as error:
        return b"", error.findings


def _no_template(rendered: RenderedDotenv, why: str = "there is no such file") -> Finding:
    return Finding(
        code="OTA_ENV_TEMPLATE_UNREADABLE",
        summary=f"`{rendered.path}` cannot be rendered from `{rendered.template}`",
        why=why,
        next=f"create `{rendered.template}` as a dotenv file, or remove `template` from the env profile",
        category="environment",
    )


class _Search:
    """One look-up over all layers."""

    def __init__(
        self,
        layers: EnvLayers,
        environ: Mapping[str, str],
        read: ReadFile,
        injected: Mapping[str, str],
        locate: Locate | None,
        inherits: bool,
    ) -> None:
        self.layers = layers
        self.environ = environ
        self.injected = injected
        self.locate = locate
        self.inherits = inherits
        self.findings: list[Finding] = []
        self.sources = tuple(self._advised(each) for each in load_sources(layers.sources, read))
        self.findings += [found for each in self.sources if (found := source_finding(each)) is not None]
        self.overlay = [self._opened(layer, read) for layer in reversed(layers.overlay)]

    def names(self) -> list[str]:
        """Declared names in contract order, then every name the overlay or ota itself adds."""
        own = {name for _, values, _ in self.overlay for name in values}
        declared = dict.fromkeys([*self.layers.variables, *self.layers.required])
        return [*declared, *sorted((own | self.injected.keys()) - declared.keys())]

    def _opened(
        self, layer: EnvLayer, read: ReadFile
    ) -> tuple[EnvLayer, Mapping[str, str], LoadedSource | None]:
        if layer.file is None:
            return layer, layer.values, None
        source = EnvSource(kind="dotenv", path=layer.file, must_exist=True)
        if layer.rendered is not None:
            content, findings = rendered_dotenv(layer.rendered, self.environ, read)
            self.findings += findings
            loaded = parse_source(source, content)
        else:
            loaded = self._advised(load_source(source, read))
        if loaded.is_blocking:
            self.findings.append(self._env_file_finding(layer, loaded))
        return layer, loaded.values, loaded

    def _advised(self, loaded: LoadedSource) -> LoadedSource:
        """A file that must be there and is not, with the task that makes it."""
        maker = _maker_of(loaded.path, self.layers)
        if loaded.status != "missing_required" or maker is None:
            return loaded
        return replace(loaded, next=f"run `{maker.command}`, which makes `{loaded.path}`")

    def _env_file_finding(self, layer: EnvLayer, loaded: LoadedSource) -> Finding:
        if loaded.status != "missing_required":
            found = source_finding(loaded)
            assert found is not None
            return found
        is_made = _maker_of(loaded.path, self.layers) is not None
        return Finding(
            code="OTA_ENV_FILE_MISSING",
            summary=f"env file `{layer.file}` does not exist",
            why="it is listed in `env_files`, and a listed file must be there",
            next=loaded.next if is_made else f"create `{layer.file}`, or remove it from `env_files`",
            place=self.locate(layer.field) if self.locate is not None else None,
            category="environment",
        )

    # --- one name --------------------------------------------------------------------------------

    def resolve(self, name: str) -> EnvEntry:
        """The winner for one name and everything below it."""
        variable = self.layers.variables.get(name)
        found = list(self._candidates(name, variable))
        blocked = next((each.loaded for each in found if each.loaded and each.loaded.is_blocking), None)
        if blocked is not None:
            # What stands below a broken source may not be what the file would have said.
            found = found[: next(i for i, each in enumerate(found) if each.loaded is blocked)]
        if name == "PATH":
            found = self._with_path_parts(found)
        required = name in self.layers.required or (variable is not None and variable.required)
        entry = EnvEntry(
            name=name,
            kind="contract" if variable is not None or required else "task",
            status="missing" if required else "optional",
            source="missing",
            required=required,
            secret=variable is not None and variable.secret,
            default=variable.default if variable is not None else None,
            allowed=variable.allowed if variable is not None else (),
            blocked_by=blocked if not found else None,
        )
        if not found:
            if blocked is None:
                return replace(entry, next=self._how_to_set(name) if required else "")
            word = f"{_BLOCKED_WORDS[blocked.status]} {blocked.label}"
            return replace(entry, source=word, next=blocked.next)
        return _won(entry, found)

    def _how_to_set(self, name: str) -> str:
        """The one step most likely to help: the task that makes a dotenv file, an edit of it, the shell."""
        dotenv = next((source for source in self.sources if source.kind == "dotenv"), None)
        if dotenv is None:
            return f"export {name}=…"
        maker = _maker_of(dotenv.path, self.layers)
        if maker is not None and dotenv.status == "missing_optional":
            return f"run `{maker.command}`, which makes `{dotenv.path}`"
        if maker is not None and name in maker.sets:
            return f"run `{maker.command}`, which sets it in `{dotenv.path}`"
        return f"add `{name}=…` to `{dotenv.path}`"

    def _candidates(self, name: str, variable: EnvVar | None) -> Iterator[Candidate]:
        if name in self.injected:
            yield Candidate(value=self.injected[name], source="execution", layer="injected")
        caches: list[Candidate] = []
        for layer, values, loaded in self.overlay:
            if name not in values:
                continue
            candidate = self._from_layer(layer, name, values[name], loaded)
            if layer.name == "cache_fallback":
                caches.append(candidate)
            else:
                yield candidate
        if variable is not None or name in self.layers.required:
            yield from self._declared(name, variable)
        yield from caches

    def _declared(self, name: str, variable: EnvVar | None) -> Iterator[Candidate]:
        if name in self.layers.policy:
            yield Candidate(value=self.layers.policy[name], source="org policy")
        if name in self.environ and (self.inherits or name != "PATH"):
            yield Candidate(value=self.environ[name], source="process")
        for source in self.sources:
            if source.is_blocking:
                yield Candidate(value="", source=source.label, loaded=source)
            elif name in source.values:
                place = Place(file=source.path, line=source.lines.get(name, 0))
                yield Candidate(value=source.values[name], source=source.label, place=place, loaded=source)
        if variable is not None and variable.default is not None:
            place_ = self._place(("env", "vars", name, "default"))
            yield Candidate(value=self._written_out(variable.default), source="default", place=place_)

    def _from_layer(self, layer: EnvLayer, name: str, value: str, loaded: LoadedSource | None) -> Candidate:
        if loaded is not None:
            place = Place(file=loaded.path, line=loaded.lines.get(name, 0))
            return Candidate(value=value, source=loaded.label, place=place, layer=layer.name, loaded=loaded)
        marked = layer.passwords.get(name)
        text = self._written_out(value)
        if marked is not None:
            text = text.replace(PASSWORD_MARK, f"{PASSWORD_MARK}{marked}{PASSWORD_MARK}")
        return Candidate(
            value=text,
            source=_LAYER_WORDS[layer.name],
            place=self._place((*layer.field, name)),
            layer=layer.name,
        )

    def _place(self, field: Field) -> Place | None:
        return self.locate(field) if self.locate is not None else None

    def _written_out(self, value: str) -> str:
        """`$OTA_WORKSPACE` and `${OTA_…}` of a declared value; any other reference is left alone."""
        if "$" not in value:
            return value

        def written(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            return self.injected.get(name, match[0])

        return re.sub(_REFERENCE, written, value)

    def _with_path_parts(self, found: list[Candidate]) -> list[Candidate]:
        """`prepend` + base + `append`; the base of a plane that does not inherit is its own `$PATH`."""
        prepend = [self._written_out(part) for part in self.layers.prepend_path]
        append = [self._written_out(part) for part in self.layers.append_path]
        if not prepend and not append:
            return found
        inherited = self.environ.get("PATH", "") if self.inherits else "$PATH"
        base = found[0] if found else Candidate(value=inherited, source="process")
        separator = os.pathsep if self.inherits else ":"
        parts = [*prepend, *([base.value] if base.value else []), *append]
        return [replace(base, value=separator.join(parts)), *found[1:]]


def _maker_of(path: str, layers: EnvLayers) -> FileMaker | None:
    """The task that makes a file, when one is known."""
    return layers.makers.get(normpath(path)) if layers.makers else None


def _won(entry: EnvEntry, found: list[Candidate]) -> EnvEntry:
    winner = found[0]
    status: EnvStatus = "task" if winner.layer else "resolved"
    next_ = ""
    if entry.allowed and winner.value not in entry.allowed:
        status = "invalid"
        listed = ", ".join(f"`{value}`" for value in entry.allowed)
        next_ = f"set `{entry.name}` to one of {listed}"
    return replace(
        entry,
        kind="task" if winner.layer else entry.kind,
        status=status,
        source=winner.source,
        value=winner.value,
        next=next_,
        winner=winner,
        shadows=tuple(each for each in found[1:] if not (each.loaded and each.loaded.is_blocking)),
    )


def _gap_filled(name: str, value: str, inherited: str | None) -> EnvEntry:
    """What ota gives a name that nothing declares; it takes the place of a value that is merely inherited."""
    winner = Candidate(value=value, source="execution", layer=FALLBACK)
    shadows = (Candidate(value=inherited, source="process"),) if inherited is not None else ()
    return _won(EnvEntry(name=name, kind="task", status="task", source=""), [winner, *shadows])


def _with_passwords(entries: list[EnvEntry]) -> list[EnvEntry]:
    """Bound URLs get their passwords once every secret is known."""
    if not any(entry.value is not None and PASSWORD_MARK in entry.value for entry in entries):
        return entries
    from urllib.parse import quote

    by_name = {entry.name: entry for entry in entries}
    done: list[EnvEntry] = []
    for entry in entries:
        if entry.value is None or PASSWORD_MARK not in entry.value:
            done.append(entry)
            continue
        before, name, after = entry.value.split(PASSWORD_MARK)
        secret = by_name.get(name)
        if secret is None or secret.value is None:
            lost = replace(
                entry, status="missing", source="missing", value=None, winner=None, required=True,
                next=(secret.next if secret is not None else "") or f"set `{name}`, which holds the password",
            )  # fmt: skip
            done.append(lost)
            continue
        text = before + quote(secret.value, safe="") + after
        assert entry.winner is not None
        done.append(replace(entry, value=text, winner=replace(entry.winner, value=text)))
    return done


def _entry_findings(entries: list[EnvEntry], locate: Locate | None) -> Iterator[Finding]:
    for entry in entries:
        if entry.status not in ("missing", "invalid"):
            continue
        place = locate(("env", "vars", entry.name)) if locate is not None else None
        if entry.status == "missing" and entry.blocked_by is None:
            yield Finding(
                code="OTA_ENV_MISSING",
                summary=f"required environment variable `{entry.name}` is not set",
                why="no declared layer, source, default or the process environment gives it a value",
                next=entry.next,
                place=place,
                category="environment",
                owner="host",
            )
        elif entry.status == "invalid":
            said = "its value" if entry.secret else f"`{entry.value}`"
            listed = ", ".join(f"`{value}`" for value in entry.allowed)
            yield Finding(
                code="OTA_ENV_INVALID",
                summary=f"environment variable `{entry.name}` has a value that is not allowed",
                why=f"{said} (from {entry.source}) is not one of {listed}",
                next=entry.next,
                place=place,
                category="environment",
                owner="host",
            )


def _secret_values(entries: list[EnvEntry]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for entry in entries:
        if entry.secret:
            for candidate in (entry.winner, *entry.shadows):
                if candidate is not None and candidate.value and PASSWORD_MARK not in candidate.value:
                    found[candidate.value] = None
    return tuple(found)
