"""Isolation volumes: made once, owned by whoever the workload runs as, never taken from somebody else.

A new volume belongs to root. Its owner is put right before anything is mounted, in a container of its own
that is gone again; a marker file on disk says that this was begun, so that a crash in between is made good
by the next run.

Source: runtime specification 8; lessons, "Files".
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ota.backends.container.engine import Engine, EngineAnswer, ask, refusal
from ota.backends.container.identity import (
    EPHEMERAL_PREFIX,
    IsolatedVolume,
    Labels,
    is_owned,
    label_words,
    stable_digest,
    volume_labels,
)
from ota.backends.container.images import fetch_image, is_image_missing
from ota.backends.container.undo import take_back
from ota.backends.container.user import image_user, is_root
from ota.backends.container.work import Scene, UserChoice, Work
from ota.errors import Finding, HostError
from ota.system.files import private_directory, remove_file, write_atomic
from ota.system.locks import ResourceLock

_LOCK_LIMIT_S = 120.0


class Owner(Struct, frozen=True, kw_only=True):
    """What the volumes of one container are made for."""

    token: str
    user: UserChoice
    labels: Labels
    """Of the short-lived container that puts the owner right."""


def ensure_volumes(
    engine: Engine, volumes: Sequence[IsolatedVolume], work: Work, owner: Owner, scene: Scene
) -> None:
    """See that every volume exists, is ours, and can be written by the workload. One call when all are there.

    Raises:
        HostError: `OTA_CONTAINER_VOLUME_FAILED`, or a volume of that name is somebody else's.
    """
    if not volumes:
        return
    _make_mount_points(work.root, volumes)
    if not _unready(engine, volumes, work, owner.token):
        return
    with ResourceLock(
        work.root / ".ota" / "state" / "locks" / "isolation-volumes.lock",
        what=f"prepare volumes for {work.task}",
        limit_s=_LOCK_LIMIT_S,
        clock=scene.clock,
    ):
        new = _unready(engine, volumes, work, owner.token)  # another run may have been faster
        if new:
            _make(engine, new, work, owner, scene)


def existing_volumes(
    engine: Engine, volumes: Sequence[IsolatedVolume], root: Path, token: str
) -> tuple[IsolatedVolume, ...]:
    """Those that are made already, ours, and have a place to be mounted at: nothing is made for a look.

    Raises:
        HostError: the engine does not say.
    """
    if not volumes or not token:
        return ()
    there = _observe(engine, volumes)
    return tuple(
        volume
        for volume in volumes
        if is_owned(there.get(volume.name, {}), token) and (root / volume.path).is_dir()
    )


def _make_mount_points(root: Path, volumes: Sequence[IsolatedVolume]) -> None:
    """In the checkout, by this user: the engine would make them, as root."""
    for volume in volumes:
        with suppress(OSError):  # read-only, or a file: the engine says what it cannot mount
            (root / volume.path).mkdir(parents=True, exist_ok=True)


def _unready(
    engine: Engine, volumes: Sequence[IsolatedVolume], work: Work, token: str
) -> tuple[IsolatedVolume, ...]:
    """Volumes that are not there, or whose making was begun and not finished."""
    there = _observe(engine, volumes)
    for volume in volumes:
        labels = there.get(volume.name)
        if labels is not None and not is_owned(labels, token):
            raise HostError(_foreign(engine, volume))
    return tuple(
        volume for volume in volumes if volume.name not in there or _marker(work.root, volume).exists()
    )


def _observe(engine: Engine, volumes: Sequence[IsolatedVolume]) -> dict[str, Labels]:
    answer = ask(engine, "volume", "inspect", *(volume.name for volume in volumes))
    if not answer.is_ok and "no such volume" not in answer.stderr.lower():
        raise HostError(_failed(engine, volumes[0], answer))
    try:
        entries: Any = msgspec.json.decode(answer.stdout.strip() or "[]")
        found = entries if isinstance(entries, list) else [entries]
        return {str(entry["Name"]): entry.get("Labels") or {} for entry in found}
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
        raise HostError(_failed(engine, volumes[0], answer)) from error


def _marker(root: Path, volume: IsolatedVolume) -> Path:
    return root / ".ota" / "state" / "volumes" / f"{volume.name}.preparing"


def _make(engine: Engine, volumes: Sequence[IsolatedVolume], work: Work, owner: Owner, scene: Scene) -> None:
    for volume in volumes:
        marker = _marker(work.root, volume)
        private_directory(marker.parent)
        write_atomic(marker, b"")
        labels = volume_labels(owner.token, volume)
        answer = ask(engine, "volume", "create", *label_words(labels), volume.name)
        if not answer.is_ok and "already exists" not in answer.stderr.lower():
            remove_file(marker)
            raise HostError(_failed(engine, volume, answer))
    user = owner.user.user or image_user(engine, work.container.image)
    if not is_root(user):
        _give(engine, volumes, user, work, owner, scene)
    for volume in volumes:
        remove_file(_marker(work.root, volume))


def _give(
    engine: Engine,
    volumes: Sequence[IsolatedVolume],
    user: str,
    work: Work,
    owner: Owner,
    scene: Scene,
) -> None:
    """Let `user` own the roots of these volumes, in one short container."""
    name = EPHEMERAL_PREFIX + stable_digest("owner", work.run_id, work.step)
    targets = [f"/ota-volumes/{index}" for index in range(len(volumes))]
    mounts = [
        word
        for volume, target in zip(volumes, targets, strict=True)
        for word in ("-v", f"{volume.name}:{target}")
    ]
    words = (
        *("run", "--rm", "--init", "--pull", "never", "--name", name, "--network", "none"),
        *label_words(owner.labels),
        *("--user", "0:0", "--entrypoint", "chown"),
        *mounts,
        *(work.container.image, user, *targets),
    )
    intent = scene.journal.container(engine.program, name, owner.labels)
    try:
        answer = ask(engine, *words)
        if is_image_missing(answer):
            fetch_image(engine, work.container.image, scene, platform=work.container.platform)
            answer = ask(engine, *words)
    finally:
        # what cannot be taken back stays announced, for whoever tidies up after this run
        if take_back(engine, name, owner.labels):
            scene.journal.ended(intent, 0)
    if not answer.is_ok:
        raise HostError(_failed(engine, volumes[0], answer))


def _failed(engine: Engine, volume: IsolatedVolume, answer: EngineAnswer) -> Finding:
    action = f"prepare the volume of isolated path {volume.path}"
    general = refusal(engine, answer, action)
    if general.code != "OTA_CONTAINER_ENGINE_REFUSED":
        return general
    return Finding(
        code="OTA_CONTAINER_VOLUME_FAILED",
        title="Isolated path could not be prepared",
        summary=f"could not prepare dependency-isolation volume {volume.name} using engine {engine.name}",
        why=f"for `{volume.path}`: {answer.detail}",
        next=f"mend what {engine.name} says, or remove the volume and run again: "
        f"`{engine.name} volume rm {volume.name}`",
        category="execution",
        owner="host",
    )


def _foreign(engine: Engine, volume: IsolatedVolume) -> Finding:
    return Finding(
        code="OTA_CONTAINER_VOLUME_FAILED",
        title="Isolated path could not be prepared",
        summary=f"volume {volume.name} exists and is not this checkout's",
        why="its labels carry another ownership token, or none: an earlier checkout in this directory may "
        "have made it",
        next=f"if nothing needs it any more: `{engine.name} volume rm {volume.name}`",
        category="execution",
        owner="host",
    )
