"""File actions: create what is missing, change only what was asked, say what was done.

Doing one twice is doing it once. Files appear whole or not at all, an existing one keeps its mode
and owner, and nothing that is there is overwritten but the keys of an env file. Generated values
are secrets: they are handed to whoever masks output.

Source: contract specification 15.3 (`action`).
"""

import os
import stat
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from ota.contract.model.bodies import (
    CopyIfMissing,
    EnsureDirectory,
    EnsureEnvFile,
    EnsureFile,
    EnsureGitCheckout,
    EnsureGitTemplate,
    EnvFileVar,
    FileStep,
    GitCheckout,
    RandomValue,
)
from ota.env.dotenv import ChangeMode, UnreadableError, assigned_values, decode, with_values
from ota.execute.actions.failure import failed
from ota.execute.actions.places import Spot, open_spot
from ota.system.clock import Clock

_SHARED_FILE = 0o666
"""As any program asks for; the umask decides what remains."""
_PRIVATE_FILE = 0o600
_SHORTEST_SECRET = 8
"""Characters; a generated value below that hides nothing, and masking it would riddle the output."""

GitPart = EnsureGitCheckout | GitCheckout | EnsureGitTemplate
"""Not done here; with file steps, what makes files in the checkout wherever the task runs."""


class Files(Struct, frozen=True, kw_only=True):
    """What file actions work with."""

    root: Path
    env: Mapping[str, str]
    """The environment of the step, for `from_env`."""
    clock: Clock
    learn: Callable[[Iterable[str]], None]
    """Takes values that must not be shown from now on."""


def apply_file_part(files: Files, part: FileStep) -> str:
    """Carry out one file action; what was done, in words.

    Raises:
        ActionFailedError, HostError: it could not be done.
    """
    match part:
        case CopyIfMissing():
            return _copy(files, part)
        case EnsureDirectory():
            return _directory(files, part)
        case EnsureFile():
            return _file(files, part)
        case EnsureEnvFile():
            return _env_file(files, part)


def _copy(files: Files, part: CopyIfMissing) -> str:
    if _is_file(files, part, part.to):
        return f"kept {part.to}"
    content, mode = _source(files, part, part.from_, "from")
    return _created(files, part, part.to, content, mode, f"copied {part.from_} to {part.to}")


def _directory(files: Files, part: EnsureDirectory) -> str:
    with open_spot(files.root, part.path, part, make_parents=True) as spot:
        assert spot is not None
        if spot.facts() is None and spot.make_directory():
            return f"created {part.path}"
        facts = spot.facts()
        if facts is None or not stat.S_ISDIR(facts.st_mode):
            raise failed(part, f"`{part.path}` exists and is not a directory", f"move `{part.path}` away")
    return f"kept {part.path}"


def _file(files: Files, part: EnsureFile) -> str:
    if _is_file(files, part, part.path):
        if part.random is not None:
            _learn_file(files, part)
        return f"kept {part.path}"
    mode = _SHARED_FILE
    if part.template is not None:
        content, mode = _source(files, part, part.template, "template")
    elif part.random is not None:
        text, mode = _random_text(part.random), _PRIVATE_FILE
        _learn(files, text)
        content = text.encode()
    else:
        content = (part.value or "").encode()
    return _created(files, part, part.path, content, mode, f"created {part.path}")


def _learn_file(files: Files, part: EnsureFile) -> None:
    """A generated value that an earlier run wrote is as secret as a new one."""
    with open_spot(files.root, part.path, part) as spot:
        if spot is not None:
            _learn(files, spot.read()[:4096].decode("utf-8", "replace").strip())


def _is_file(files: Files, part: FileStep, name: str) -> bool:
    """Whether the file to be made is there already; anything else in its place is refused."""
    with open_spot(files.root, name, part) as spot:
        facts = None if spot is None else spot.facts()
    if facts is not None and not stat.S_ISREG(facts.st_mode):
        what = "a directory" if stat.S_ISDIR(facts.st_mode) else "not a regular file"
        raise failed(part, f"`{name}` exists and is {what}", f"move `{name}` away")
    return facts is not None


def _source(files: Files, part: FileStep, name: str, field: str) -> tuple[bytes, int]:
    """Content and mode of the file to copy from."""
    with open_spot(files.root, name, part) as spot:
        facts = None if spot is None else spot.facts()
        if spot is None or facts is None or not stat.S_ISREG(facts.st_mode):
            raise failed(part, f"`{name}` is not a file", f"create `{name}`, or correct `{field}`")
        return spot.read(), facts.st_mode & 0o777


def _created(files: Files, part: FileStep, name: str, content: bytes, mode: int, told: str) -> str:
    with open_spot(files.root, name, part, make_parents=True) as spot:
        assert spot is not None
        return told if spot.create(content, mode=mode) else f"kept {name}"


# --- env files ------------------------------------------------------------------------------------


def _env_file(files: Files, part: EnsureEnvFile) -> str:
    with open_spot(files.root, part.path, part, make_parents=True) as spot:
        assert spot is not None
        with spot.alone(files.clock):
            return _updated(files, part, spot)


def _updated(files: Files, part: EnsureEnvFile, spot: Spot) -> str:
    _is_file(files, part, part.path)
    like = spot.facts()
    before = "" if like is None else _text(spot.read(), part, part.path)
    text = before
    if part.template is not None and (like is None or part.template_mode == "replace"):
        text = _text(_source(files, part, part.template, "template")[0], part, part.template)
    earlier, now = assigned_values(before), assigned_values(text)
    changes: dict[str, tuple[str, ChangeMode]] = {}
    for key, each in part.vars.items():
        change = _change(key, each, part, files, earlier=earlier.get(key), now=now.get(key))
        if change is not None:
            changes[key] = change
        if each.random is not None:
            _learn(files, change[0] if change is not None else now.get(key, ""))
    changed = with_values(text, changes, file=part.path).encode()
    if like is None:
        # Still missing a moment ago; one that appeared since stays, and the next run reads it.
        return f"created {part.path}" if spot.create(changed, mode=_PRIVATE_FILE) else f"kept {part.path}"
    if changed == before.encode():
        return f"kept {part.path}"
    spot.replace(changed, like=like)
    return f"updated {part.path}"


def _text(content: bytes, part: EnsureEnvFile, name: str) -> str:
    """The bytes as text, a byte order mark included, so that what is not changed stays as it is."""
    try:
        decode(content)
    except UnreadableError as error:
        where = f"line {error.line} of `{name}`" if error.line else f"`{name}`"
        raise failed(part, f"`{name}` is no dotenv file: {error.reason}", f"correct {where}") from error
    return content.decode("utf-8")


def _change(
    key: str, wanted: EnvFileVar, part: EnsureEnvFile, files: Files, *, earlier: str | None, now: str | None
) -> tuple[str, ChangeMode] | None:
    """What to write for one key; None for nothing.

    `now` is what the text to be written assigns; `earlier` what the file had before a template
    replaced it, which a `missing` key gets back.
    """
    if wanted.mode == "remove":
        return "", "remove"
    if wanted.mode == "missing":
        # `SECRET=` in a template is a placeholder for the generated value, not a value.
        is_placeholder = wanted.random is not None and not now
        if now is not None and not is_placeholder:
            return None
        if earlier is not None and (earlier or wanted.random is None):
            return earlier, "replace"
        return _value(key, wanted, part, files), "replace"
    return _value(key, wanted, part, files), "replace"


def _value(key: str, wanted: EnvFileVar, part: EnsureEnvFile, files: Files) -> str:
    if wanted.random is not None:
        return _random_text(wanted.random)
    if wanted.from_env is None:
        return wanted.value or ""
    if wanted.from_env not in files.env:
        raise failed(
            part,
            f"`{key}` is taken from `{wanted.from_env}`, which is not set",
            f"set `{wanted.from_env}`",
        )
    return files.env[wanted.from_env]


def _random_text(wanted: RandomValue) -> str:
    data = os.urandom(wanted.bytes)
    return data.hex() if wanted.encoding == "hex" else b64encode(data).decode()


def _learn(files: Files, value: str) -> None:
    if len(value) >= _SHORTEST_SECRET:
        files.learn((value,))
