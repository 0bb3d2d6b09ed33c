"""Who a container, volume or network is: names, seeds, digests and labels. Pure.

The same inputs give the same names in every process, so that a second run finds the container of
the first, and `ota clean` finds both. What a name says is never a proof of ownership: that is the
repository token in the labels (`ota.backends.container.ownership`).

Source: runtime specification 5, 7, 8, 22; decisions D13, D30.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.contract.grammar import GrammarError, normalise_boundary_path
from ota.contract.model.scalars import Protocol
from ota.resolve.injection import CONTAINER_WORKSPACE
from ota.resolve.plan import ContainerPlan, ContextPlan, RuntimePlan

PERSISTENT_PREFIX = "ota-"
EPHEMERAL_PREFIX = "ota-ephemeral-"
VOLUME_PREFIX = "ota-isolated-"

LABEL_MANAGED = "dev.ota.managed"
LABEL_LIFECYCLE = "dev.ota.lifecycle"
LABEL_REPO = "dev.ota.repo"
LABEL_OWNER_PID = "dev.ota.owner_pid"
LABEL_OWNER_START = "dev.ota.owner_start"
LABEL_RUN = "dev.ota.run"
LABEL_FAMILY = "dev.ota.persistent.family"
LABEL_SHAPE = "dev.ota.persistent.shape"
LABEL_PARTS = "dev.ota.persistent.parts"
LABEL_KIND = "dev.ota.kind"
LABEL_PATH = "dev.ota.path"
LABEL_CONTEXT = "dev.ota.context"

MANAGED = "true"
KIND_ISOLATION = "dependency-isolation"
DEFAULT_CONTEXT = "app"
"""What stands for a container without a named context."""

Labels = Mapping[str, str]
_HEX_DIGITS = 16


def stable_digest(*parts: str) -> str:
    """16 hex digits over the parts. Each part carries its length, so no two lists read the same."""
    told = "".join(f"{len(part)}:{part}" for part in parts)
    # A path may hold bytes that are no UTF-8; they arrive as lone surrogates.
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX_DIGITS]


# --- what makes a container the one it is -------------------------------------------------------------


class Publication(Struct, frozen=True, kw_only=True):
    """One declared host publication; an automatic host port is not part of who the container is."""

    bind_port: int
    address: str
    mode: Literal["fixed", "auto"]
    host_port: int | None
    """None: chosen when the container is made."""
    protocol: Protocol = "tcp"

    @property
    def text(self) -> str:
        """`bind:addr:mode:hostport-or-auto:protocol`."""
        port = self.host_port if self.mode == "fixed" and self.host_port is not None else "auto"
        return f"{self.bind_port}:{self.address}:{self.mode}:{port}:{self.protocol}"


def publications_of(runtime: RuntimePlan | None) -> tuple[Publication, ...]:
    """What one task publishes: its projected listeners, in a fixed order."""
    if runtime is None:
        return ()
    return ordered(
        Publication(
            bind_port=listener.bind_port,
            address=listener.projection.address,
            mode=listener.projection.port_mode,
            host_port=listener.projection.port if listener.projection.port_mode == "fixed" else None,
            protocol=listener.protocol,
        )
        for listener in runtime.listeners
        if listener.projection is not None and listener.bind_port is not None
    )


def ordered(publications: Iterable[Publication]) -> tuple[Publication, ...]:
    """Each publication once, in the order of its port; the order of declaration means nothing."""
    return tuple(sorted(dict.fromkeys(publications), key=lambda each: (each.bind_port, each.text)))


def isolated_path(path: str) -> str:
    """An isolated path below the workspace in its normal form."""
    try:
        return normalise_boundary_path(path)
    except GrammarError:  # a contract with such a path does not load; a name is still a name
        return path


class IsolatedVolume(Struct, frozen=True, kw_only=True):
    """The named volume that lies over one path of the bind mount."""

    name: str
    path: str
    """Below the workspace, normalised."""
    context: str
    """The context whose containers share it."""

    @property
    def mount_point(self) -> str:
        """Where the workload sees it."""
        return f"{CONTAINER_WORKSPACE}/{self.path}"


class ContainerIdentity(Struct, frozen=True, kw_only=True):
    """Everything that decides which container a task runs in."""

    root: str
    """The canonical contract directory."""
    engine: str
    image: str
    task: str
    context: str | None = None
    shared: str | None = None
    """The shared backend the task binds."""
    publications: tuple[Publication, ...] = ()
    """Of a shared backend: the union over all bound tasks."""
    isolated_paths: tuple[str, ...] = ()
    """Normalised, sorted."""
    memory_bytes: int | None = None
    networks: tuple[str, ...] = ()
    user: str | None = None
    """Who the container runs as, when it is not the image's own user."""
    platform: str | None = None

    @property
    def seed(self) -> str:
        """Runtime specification 5; empty without a context and a shared name."""
        if self.shared is not None:
            context = f"|context:{self.context}" if self.context is not None else ""
            seed = f"shared:{self.shared}{context}"
        elif self.context is not None:
            seed = self.context
        else:
            return ""
        return seed + "".join(f"|{part}" for part in self._drifting())

    def _drifting(self) -> Iterable[str]:
        if self.publications:
            yield ",".join(each.text for each in self.publications)
        if self.isolated_paths:
            yield ",".join(self.isolated_paths)
        if self.memory_bytes is not None:
            yield f"memory:{self.memory_bytes}"

    @property
    def persistent_name(self) -> str:
        """The same for every task that may share this container."""
        return PERSISTENT_PREFIX + stable_digest("persistent", *self._named())

    def ephemeral_name(self, owner_pid: int, step: str = "") -> str:
        """One container of one run; `step` tells apart the containers of one ota process."""
        parts = ("ephemeral", *self._named(), str(owner_pid), *((step,) if step else ()))
        return EPHEMERAL_PREFIX + stable_digest(*parts)

    def _named(self) -> tuple[str, ...]:
        return (self.root, self.image, self.engine, self.seed)

    @property
    def family(self) -> str:
        """Who the container serves, whatever its shape."""
        return stable_digest("family", self.shared or self.task, self.context or DEFAULT_CONTEXT)

    @property
    def shape(self) -> str:
        """What makes two containers equivalent; env and command are not part of it."""
        whose = (self.shared or "", self.context or DEFAULT_CONTEXT, self.engine)
        return stable_digest("shape", *whose, *self._parts().values())

    @property
    def parts(self) -> str:
        """Each part of the shape for itself, so that a later run can say which of them changed."""
        return ",".join(f"{name}:{stable_digest(value)[:8]}" for name, value in self._parts().items())

    def _parts(self) -> dict[str, str]:
        return {
            "image": self.image,
            "ports": ",".join(each.text for each in self.publications),
            "isolation": ",".join(self.isolated_paths),
            "memory": str(self.memory_bytes or ""),
            "networks": ",".join(self.networks),
            "user": self.user or "",
            "platform": self.platform or "",
        }

    @property
    def volumes(self) -> tuple[IsolatedVolume, ...]:
        """The isolation volumes; ephemeral and persistent containers of a context share them."""
        context = self.context or DEFAULT_CONTEXT
        return tuple(
            IsolatedVolume(
                name=VOLUME_PREFIX
                + stable_digest("volume", self.root, context, self.image, self.engine, path),
                path=path,
                context=context,
            )
            for path in self.isolated_paths
        )


def identify(
    context: ContextPlan,
    container: ContainerPlan,
    *,
    root: Path,
    engine: str,
    task: str,
    publications: tuple[Publication, ...] = (),
    networks: tuple[str, ...] = (),
    user: str | None = None,
) -> ContainerIdentity:
    """The identity a plan asks for on one engine; `root` is the contract's canonical directory."""
    return ContainerIdentity(
        root=str(root),
        engine=engine,
        image=container.image,
        task=task,
        context=context.name,
        shared=context.shared_backend,
        publications=ordered(publications),
        isolated_paths=tuple(sorted({isolated_path(path) for path in container.isolated_paths})),
        memory_bytes=container.memory_bytes,
        networks=networks,
        user=user,
        platform=container.platform,
    )


def launch_name(
    root: Path,
    engine: str,
    *,
    task: str,
    image: str,
    args: Iterable[str] = (),
    volumes: Iterable[str] = (),
    publications: tuple[Publication, ...] = (),
) -> str:
    """The name of a structured container launch that declares none: a digest of its shape."""
    shape = launch_shape(engine, image=image, args=args, volumes=volumes, publications=publications)
    return PERSISTENT_PREFIX + stable_digest("launch", str(root), task, shape)


def launch_shape(
    engine: str,
    *,
    image: str,
    args: Iterable[str] = (),
    volumes: Iterable[str] = (),
    publications: tuple[Publication, ...] = (),
) -> str:
    """What makes two launch containers equivalent; `volumes` are `source:target`."""
    texts = (each.text for each in ordered(publications))
    return stable_digest(
        "launch-shape", engine, image, stable_digest(*args), stable_digest(*volumes), ",".join(texts)
    )


def launch_family(task: str) -> str:
    """Who a launch container serves."""
    return f"launch:{task}"


# --- labels -------------------------------------------------------------------------------------------


def ephemeral_labels(
    token: str, *, owner_pid: int, owner_start: str = "", run_id: str = ""
) -> dict[str, str]:
    """Labels of a container that one run owns; without a token it is of no repository, and of this owner.

    `owner_start` is the start time of the owner, which tells it from a later process with its pid.
    """
    owned = _owned(token) if token else {LABEL_MANAGED: MANAGED}
    labels = {**owned, LABEL_LIFECYCLE: "ephemeral", LABEL_OWNER_PID: str(owner_pid)}
    if owner_start:
        labels[LABEL_OWNER_START] = owner_start
    if run_id:
        labels[LABEL_RUN] = run_id
    return labels


def persistent_labels(token: str, *, family: str, shape: str) -> dict[str, str]:
    """Labels of a container that outlives the run that made it."""
    return {**_owned(token), LABEL_LIFECYCLE: "persistent", LABEL_FAMILY: family, LABEL_SHAPE: shape}


_CHANGED = {
    "image": "image changed",
    "ports": "published ports changed",
    "isolation": "dependency isolation changed",
    "memory": "memory changed",
    "networks": "networks changed",
    "user": "user changed",
    "platform": "platform changed",
}


def what_changed(old: Labels, wanted: ContainerIdentity) -> str:
    """Why a container of another shape cannot be reused; what it does not tell is its shape as a whole."""
    known = dict(part.split(":", 1) for part in old.get(LABEL_PARTS, "").split(",") if ":" in part)
    now = dict(part.split(":", 1) for part in wanted.parts.split(","))
    changed = [said for name, said in _CHANGED.items() if name in known and known[name] != now[name]]
    return ", ".join(changed) or "execution shape changed"


def volume_labels(token: str, volume: IsolatedVolume) -> dict[str, str]:
    """Labels of an isolation volume."""
    return {
        LABEL_MANAGED: MANAGED,
        LABEL_KIND: KIND_ISOLATION,
        LABEL_REPO: token,
        LABEL_PATH: volume.path,
        LABEL_CONTEXT: volume.context,
    }


def network_labels(token: str) -> dict[str, str]:
    """Labels of a network ota made because compose had not yet; beside compose's own (D30)."""
    return _owned(token)


def _owned(token: str) -> dict[str, str]:
    return {LABEL_MANAGED: MANAGED, LABEL_REPO: token}


def label_words(labels: Labels) -> tuple[str, ...]:
    """The arguments with which an engine makes something with these labels."""
    return tuple(word for name, value in labels.items() for word in ("--label", f"{name}={value}"))


def is_managed(labels: Labels) -> bool:
    """Whether ota made it, for whichever repository."""
    return labels.get(LABEL_MANAGED) == MANAGED


def is_owned(labels: Labels, token: str) -> bool:
    """Whether this repository made it. An empty token proves nothing."""
    return bool(token) and is_managed(labels) and labels.get(LABEL_REPO) == token


def is_ephemeral(labels: Labels) -> bool:
    """Whether one run owns the container."""
    return labels.get(LABEL_LIFECYCLE) == "ephemeral"


def is_persistent(labels: Labels) -> bool:
    """Whether the container outlives runs."""
    return labels.get(LABEL_LIFECYCLE) == "persistent"


def is_isolation_volume(labels: Labels) -> bool:
    """Whether a managed volume holds an isolated path."""
    return is_managed(labels) and labels.get(LABEL_KIND) == KIND_ISOLATION


def has_legacy_name(name: str) -> bool:
    """Whether an unlabelled container could be a persistent one of an earlier version."""
    return name.startswith(PERSISTENT_PREFIX) and not name.startswith(EPHEMERAL_PREFIX)
