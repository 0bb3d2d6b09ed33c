"""Task bodies as documents: structure stays structure, never a shell string.

Source: json-and-receipts specification 2.5.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ota.contract.model.bodies import (
    BuildContainerImage,
    Command,
    ComposeBody,
    CopyIfMissing,
    DependencyHydration,
    EnsureBundle,
    EnsureContainerNetwork,
    EnsureEnvFile,
    EnsureFile,
    EnsureGitCheckouts,
    LaunchCommand,
    LaunchCompose,
    LaunchContainer,
    PrepareSequence,
    ToolBootstrap,
)
from ota.resolve.documents.shape import Document, compact


def body_document(key: str, body: Any) -> Document:
    """`kind` and the body under its own key, as they stand in a task entry."""
    match key:
        case "run" | "script":
            return {"kind": key, key: body}
        case "command":
            return {"kind": "command", "command": _command(body)}
        case "launch":
            return {"kind": launch_kind(body), "launch": launch_document(body)}
        case "compose":
            return {"kind": "compose", "compose": _compose(body)}
        case "prepare":
            return {"kind": kind_of(body), "prepare": prepare_document(body)}
        case "action":
            return {"kind": kind_of(body), "action": action_document(body)}
        case _:
            return {"kind": "aggregate", "aggregate": {"tasks": list(body.tasks)}}


def kind_of(body: Struct) -> str:
    """The tag of a body record."""
    return str(body.__struct_config__.tag)


def launch_kind(launch: LaunchCommand | LaunchCompose | LaunchContainer) -> str:
    """The task kind of a launch is the launch's own."""
    return kind_of(launch)


def launch_document(launch: LaunchCommand | LaunchCompose | LaunchContainer) -> Document:
    """`taskLaunch`."""
    match launch:
        case LaunchCommand():
            return compact(kind="command", exe=launch.exe, args=launch.args, cwd=launch.cwd)
        case LaunchContainer():
            return compact(
                kind="container",
                image=launch.image,
                engine=launch.engine,
                name=launch.name,
                args=launch.args,
                remove=launch.remove,
                volumes=[
                    {"kind": each.kind, "source": each.source, "target": each.target}
                    for each in launch.volumes
                ],
            )
        case LaunchCompose():
            return compact(
                kind="compose",
                action=launch.action,
                engine=launch.engine,
                services=launch.services,
                detach=launch.detach or None,
            )


def _command(command: Command) -> Document:
    return compact(
        exe=command.exe,
        args=command.args,
        cwd=command.cwd,
        interaction=command.interaction if command.interaction != "auto" else None,
    )


def _compose(body: ComposeBody) -> Document:
    return compact(**{name: getattr(body, name) for name in body.__struct_fields__})


def action_document(action: Struct) -> Document:
    """`taskAction`: what it reads and what it makes; generated and literal values are not shown."""
    kind = kind_of(action)
    match action:
        case CopyIfMissing():
            return {"kind": kind, "from": action.from_, "to": action.to}
        case EnsureEnvFile() | EnsureFile() if action.template is not None:
            return {"kind": kind, "from": action.template, "to": action.path, "path": action.path}
        case EnsureBundle():
            return {"kind": kind, "steps": [action_document(step) for step in action.steps]}
        case EnsureGitCheckouts():
            return {"kind": kind, "paths": [checkout.path for checkout in action.checkouts]}
        case EnsureContainerNetwork():
            return {"kind": kind, "name": action.name}
        case BuildContainerImage():
            return {"kind": kind, "from": action.file, "tag": action.tag}
        case _:
            return compact(
                kind=kind,
                path=getattr(action, "path", None),
                service=getattr(action, "service", None),
                volume=getattr(action, "volume", None),
            )


def prepare_document(prepare: Struct) -> Document:
    """`taskPrepare`."""
    match prepare:
        case PrepareSequence():
            return {"kind": "sequence", "steps": [prepare_document(step) for step in prepare.steps]}
        case DependencyHydration():
            source = prepare.source
            return compact(
                kind=kind_of(prepare),
                medium=prepare.medium,
                source_kind=source.kind,
                cwd=source.cwd,
                file=source.file or (source.files[0] if source.files else None),
                manager=source.manager,
                mode=source.mode,
                group_mode=source.group_mode,
                groups=source.groups,
                frozen_lockfile=source.frozen_lockfile,
                no_root=source.no_root,
                targets=prepare.targets,
            )
        case ToolBootstrap():
            return compact(
                kind=kind_of(prepare),
                source_kind=prepare.source.kind,
                cwd=prepare.source.cwd,
                manager=prepare.source.manager,
                tool=prepare.tool,
                targets=prepare.browsers,
            )
        case _:
            return action_document(prepare)


def stated_body(stated: Mapping[str, Any]) -> Document:
    """The first stated body of a branch or variant; empty without one."""
    for key, body in stated.items():
        if body is not None:
            return body_document(key, body)
    return {}
