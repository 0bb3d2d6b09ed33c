"""Deterministic file actions: create what is missing, change only what was asked, say what was done.

Each is idempotent. Files are replaced atomically and keep their mode; nothing outside the
repository is written, also not through a symbolic link.

Source: contract specification 15.3 (`action`, `prepare.kind: sequence`).
"""

import os
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from ota.contract.model.bodies import (
    Action,
    CopyIfMissing,
    EnsureBundle,
    EnsureDirectory,
    EnsureEnvFile,
    EnsureFile,
    EnvFileVar,
    Prepare,
    PrepareSequence,
    RandomValue,
)
from ota.env.dotenv import read_dotenv_text, with_values
from ota.errors import Finding, HostError, OtaError
from ota.execute.context import RunContext
from ota.execute.events import StepNote
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd
from ota.resolve.plan import StepPlan
from ota.system.files import read_bytes, write_atomic

_SHARED_FILE = 0o644
_IN_PROCESS = (CopyIfMissing, EnsureEnvFile, EnsureFile, EnsureDirectory)

Step = Action | Prepare


class ActionFailedError(OtaError):
    """An action could not be carried out; what it had changed before stays."""


def unsupported_action(step: Step) -> str | None:
    """The kind of the first part this build does not carry out; None when it can do all of it."""
    if isinstance(step, EnsureBundle | PrepareSequence):
        return next((kind for each in step.steps if (kind := unsupported_action(each))), None)
    return None if isinstance(step, _IN_PROCESS) else str(step.__struct_config__.tag)


def run_action(
    context: RunContext,
    step: StepPlan,
    action: Step,
    env: Mapping[str, str],
    output: StepOutput,
    epoch: int,
) -> BodyEnd:
    """Carry out an action, part by part; an interrupt is honoured between parts.

    Raises:
        ActionFailedError: a part failed.
    """
    parts = action.steps if isinstance(action, EnsureBundle | PrepareSequence) else (action,)
    for part in parts:
        interrupt = context.interrupts.since(epoch)
        if interrupt is not None:
            return BodyEnd(exit_code=interrupt.exit_code, interrupt=interrupt, output=output)
        try:
            told = _apply(context.root, part, env)
        except ActionFailedError:
            raise
        except HostError as error:
            raise ActionFailedError(*error.findings) from error
        except OtaError as error:
            raise ActionFailedError(*error.findings) from error
        except OSError as error:
            raise _failed(part, error.strerror or str(error)) from error
        output.chunk("stdout", f"{told}\n".encode())
        context.stream.emit(StepNote(step=step.id, text=told))
    output.finish()
    return BodyEnd(exit_code=0, output=output)


def _apply(root: Path, part: object, env: Mapping[str, str]) -> str:
    match part:
        case CopyIfMissing():
            return _copy(root, part)
        case EnsureDirectory():
            return _directory(root, part)
        case EnsureFile():
            return _file(root, part)
        case EnsureEnvFile():
            return _env_file(root, part, env)
        case _:
            raise AssertionError(f"admission let {part!r} pass")


def _inside(root: Path, name: str, part: object) -> Path:
    """The path below the repository; a link that leads out of it is refused."""
    path = root / name
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.resolve().is_relative_to(root.resolve()):
        raise _failed(part, f"`{name}` leads out of the repository through a symbolic link")
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise _failed(part, f"`{name}` is a symbolic link that leads out of the repository")
    return path


def _copy(root: Path, part: CopyIfMissing) -> str:
    source, target = _inside(root, part.from_, part), _inside(root, part.to, part)
    if os.path.lexists(target):
        return f"kept {part.to}"
    if not source.is_file():
        raise _failed(part, f"`{part.from_}` is not a file", f"create `{part.from_}`, or correct `from`")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, read_bytes(source), mode=source.stat().st_mode & 0o777)
    return f"copied {part.from_} to {part.to}"


def _directory(root: Path, part: EnsureDirectory) -> str:
    path = _inside(root, part.path, part)
    if path.is_dir():
        return f"kept {part.path}"
    if os.path.lexists(path):
        raise _failed(part, f"`{part.path}` exists and is not a directory", f"move `{part.path}` away")
    path.mkdir(parents=True)
    return f"created {part.path}"


def _file(root: Path, part: EnsureFile) -> str:
    path = _inside(root, part.path, part)
    if os.path.lexists(path):
        return f"kept {part.path}"
    if part.template is not None:
        content = read_bytes(_inside(root, part.template, part))
    elif part.random is not None:
        content = _random_text(part.random).encode()
    else:
        content = (part.value or "").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content, mode=0o600 if part.random is not None else _SHARED_FILE)
    return f"created {part.path}"


def _env_file(root: Path, part: EnsureEnvFile, env: Mapping[str, str]) -> str:
    path = _inside(root, part.path, part)
    existed = path.exists()
    text = read_bytes(path).decode("utf-8") if existed else ""
    if part.template is not None and (not existed or part.template_mode == "replace"):
        text = read_bytes(_inside(root, part.template, part)).decode("utf-8")
    present = read_dotenv_text(text, part.path).values
    changes = {
        key: (value, each.mode)
        for key, each in part.vars.items()
        if (value := _value(key, each, part, env, is_present=key in present)) is not None
    }
    changed = with_values(text, changes, file=part.path)
    if existed and changed.encode() == read_bytes(path):
        return f"kept {part.path}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, changed.encode(), mode=path.stat().st_mode & 0o777 if existed else 0o600)
    return f"{'updated' if existed else 'created'} {part.path}"


def _value(
    key: str, wanted: EnvFileVar, part: EnsureEnvFile, env: Mapping[str, str], *, is_present: bool
) -> str | None:
    """The value to write; None for nothing to do."""
    if wanted.mode == "remove":
        return ""
    if wanted.mode == "missing" and is_present:
        return None
    if wanted.random is not None:
        return _random_text(wanted.random)
    if wanted.from_env is not None:
        if wanted.from_env not in env:
            raise _failed(
                part,
                f"`{key}` is taken from `{wanted.from_env}`, which is not set",
                f"set `{wanted.from_env}`",
            )
        return env[wanted.from_env]
    return wanted.value or ""


def _random_text(wanted: RandomValue) -> str:
    data = os.urandom(wanted.bytes)
    return data.hex() if wanted.encoding == "hex" else b64encode(data).decode()


def _failed(part: object, why: str, next_: str = "") -> ActionFailedError:
    kind = getattr(part, "__struct_config__").tag  # noqa: B009  every part is a tagged record
    return ActionFailedError(
        Finding(
            code="OTA_ACTION_FAILED",
            summary=f"`{kind}` could not be carried out",
            why=why,
            next=next_ or "correct the path or its permissions, then run the task again",
            category="execution",
            owner="host",
        )
    )
