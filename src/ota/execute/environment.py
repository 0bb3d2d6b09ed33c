"""The environment of one step, resolved right before its body: what earlier steps wrote counts.

Source: runtime specification 3.2, 3.3; contract specification 15.12.
"""

from collections.abc import Mapping

from msgspec import Struct

from ota.env.layers import EnvLayers
from ota.env.masking import Masker
from ota.env.resolution import FALLBACK, EnvEntry, ResolvedEnv, resolve_env
from ota.errors import Finding, errors_among
from ota.execute.context import RunContext
from ota.execute.events import EnvValue, Failure, StepNote
from ota.resolve.env_layers import layers_at_start
from ota.resolve.injection import injection
from ota.resolve.plan import ContainerLaunchBody, StepPlan

_SET_BY_OTA = ("OTA_HOST_",)
"""Facts about this host and user, which a receipt need not repeat."""


class StepEnvironment(Struct, frozen=True, kw_only=True):
    """What a body gets, and what may be shown of it."""

    variables: Mapping[str, str]
    shown: tuple[EnvValue, ...]
    masker: Masker
    findings: tuple[Finding, ...]
    """Errors only: the body must not start."""
    secret_names: frozenset[str] = frozenset()
    """Variables whose values may stand in no command line: secrets, and what a secret was put into."""


def environment_of(context: RunContext, step: StepPlan, *, is_again: bool = False) -> StepEnvironment:
    """Look everything up once; warnings become notes of the step, unless it is looked up again.

    For a body that begins with making files, the first look asks for what these need, and the second for
    everything.
    """
    resolved = _resolved(context, step, step.task.env if is_again else layers_at_start(step.task))
    for finding in resolved.findings:
        if finding.severity != "error" and not is_again:
            context.stream.emit(StepNote(step=step.id, text=finding.summary, is_warning=True))
    masker = context.learn_secrets(resolved.secrets)
    return StepEnvironment(
        variables=resolved.process,
        shown=tuple(shown_value(entry) for entry in resolved.entries if _is_worth_showing(entry)),
        masker=masker,
        findings=errors_among(resolved.findings),
        secret_names=_secret_names(resolved),
    )


def environment_failure(step: StepPlan, environment: StepEnvironment) -> Failure:
    """Why a body must not start: what is wrong with its variables."""
    findings = environment.findings
    return Failure(
        origin="environment",
        title="Environment is not ready",
        task=step.task.name,
        detail=findings[0].summary if len(findings) == 1 else f"{len(findings)} variables are not ready",
        field=findings[0].place.field if findings[0].place is not None else "",
        why=tuple(
            f"{finding.summary}: {finding.why}" if finding.why else finding.summary for finding in findings
        ),
        next=tuple(dict.fromkeys(finding.next for finding in findings if finding.next)),
        findings=findings,
    )


def learn_secrets_of(context: RunContext, step: StepPlan) -> None:
    """What must not be shown is known before anything prints; what is missing is the body's matter."""
    context.learn_secrets(_resolved(context, step, step.task.env).secrets)


def _resolved(context: RunContext, step: StepPlan, layers: EnvLayers) -> ResolvedEnv:
    injected = injection(step.task, context.root, context.host)
    return resolve_env(
        layers,
        context.environ,
        context.read_file,
        injected=injected.values,
        fallbacks=injected.fallbacks,
        locate=context.loaded.place,
        # an image is run from this host, and gets of its environment only what the contract says
        inherits=step.task.context.plane == "native" and not isinstance(step.task.body, ContainerLaunchBody),
    )


def _secret_names(resolved: ResolvedEnv) -> frozenset[str]:
    return frozenset(
        name for name, value in resolved.values.items() if any(secret in value for secret in resolved.secrets)
    ) | frozenset(entry.name for entry in resolved.entries if entry.secret)


def _is_worth_showing(entry: EnvEntry) -> bool:
    """Where to bind follows from the listeners, which a receipt tells."""
    is_fallback = entry.winner is not None and entry.winner.layer == FALLBACK
    return entry.value is not None and not is_fallback and not entry.name.startswith(_SET_BY_OTA)


def shown_value(entry: EnvEntry) -> EnvValue:
    """A resolved variable as evidence may hold it."""
    loaded = entry.winner.loaded if entry.winner is not None else None
    return EnvValue(
        name=entry.name,
        value=entry.shown or "",
        source=entry.source,
        source_kind=loaded.kind if loaded is not None else "",
        source_path=loaded.path if loaded is not None else "",
        source_status=loaded.status if loaded is not None else "",
        source_label=loaded.label if loaded is not None else "",
    )
