"""One invocation: global choices, the two output streams, and the contract it is about.

Source: commands specification 1.1, 1.2, 1.6, 1.7; decisions D5, D17.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from ota.cli.flags import Arguments
from ota.cli.render.style import Mask, Style
from ota.contract.load import CONTRACT_NAME, Loaded, load, may_be_member
from ota.errors import ContractUnreadableError, Finding, Place
from ota.source.reading import SHOWN_LIMIT, one_line, unreadable
from ota.system.files import is_there
from ota.system.host import environ


class MonorepoRoot(Exception):  # noqa: N818  an answer, not a mistake
    """The contract is the root of a monorepo, and the command has more to tell than of the root alone."""

    def __init__(self, root: Loaded) -> None:
        super().__init__(root.shown)
        self.root = root


class Session:
    """What a command is given beside its arguments. With members of a monorepo it is given one for each."""

    def __init__(
        self,
        arguments: Arguments,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        self.arguments = arguments
        self._loaded = loaded
        """The contract, where somebody else chose it."""
        asked = arguments.all("--member")
        self.member = loaded.member if loaded is not None else asked[0] if len(asked) == 1 else None
        """The member of a monorepo that was asked for, when it is one."""
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.is_plain = arguments.has("--plain")
        self.is_concise = arguments.has("--concise")
        self.is_debug = arguments.has("--debug")
        self.shown = arguments.value("--file") or arguments.path or "."
        """The contract as the user sees it; until it is located, what was typed."""
        if arguments.command.takes_inputs and not arguments.has("--file"):
            self.shown = (*arguments.positionals[1:2], ".")[0]
        if loaded is not None:
            self.shown = loaded.shown

    def style_of(self, stream: TextIO, mask: Mask = str) -> Style:
        """How text looks on a stream: rich, plain, coloured; `mask` hides the secrets in it."""
        return Style.for_stream(
            stream,
            is_plain=self.is_plain,
            is_concise=self.is_concise,
            member=self.member or "",
            mask=mask,
        )

    def show(self, document: object, text: Callable[[Style], str]) -> None:
        """What a command has to say: its document with `--json`, else its text."""
        if self.arguments.is_json:
            from ota.cli.render.json import print_document

            print_document(document, self.out)
        else:
            print(text(self.style_of(self.out)), file=self.out)

    def debug(self, text: str) -> None:
        """One trace line with `--debug`."""
        if self.is_debug:
            print(f"debug: {text}", file=self.err)

    def load_contract(self, path: str | None) -> Loaded:
        """Locate and load the contract of this invocation: the effective one, for a member of a monorepo.

        Raises:
            ContractError: there is none, or it is wrong.
            MonorepoRoot: it is the root of a monorepo, whose members this command tells of as well.
        """
        if self._loaded is not None:
            return self._loaded
        located = locate(path, self.arguments.value("--file"))
        self.shown = shown_path(located)
        self.debug(f"contract {located}")
        if not self.is_debug:
            return self._load(located)
        from ota.system.clock import SYSTEM_CLOCK

        start = SYSTEM_CLOCK.monotonic_s()
        try:
            return self._load(located)
        finally:
            self.debug(f"contract read in {round((SYSTEM_CLOCK.monotonic_s() - start) * 1000)} ms")

    def _load(self, located: Path) -> Loaded:
        if may_be_member(located):
            from ota.contract.members import load_located  # paid by monorepos only

            loaded = load_located(located, shown_path)
        else:
            loaded = load(located, self.shown)
        if self.arguments.command.groups_members and loaded.members:
            raise MonorepoRoot(loaded)
        return loaded

    def target(self, path: str | None) -> str:
        """What follow-up commands append to repeat the user's target, with the blank before it.

        The directory of an `ota.yaml`, never that file; nothing when it is the current directory. Then the
        member that was asked for.
        """
        if self.member is None:
            return self._path_target(path)
        from shlex import quote

        return f"{self._path_target(path)} --member {quote(self.member)}"

    def _path_target(self, path: str | None) -> str:
        file = self.arguments.value("--file")
        given = file or path
        if given is None:
            return ""
        from shlex import quote

        if file is not None and Path(file).name != CONTRACT_NAME:
            return f" --file {quote(file)}"
        named = Path(given)
        folder = named.parent if named.name == CONTRACT_NAME else named
        return "" if _is_here(folder) else f" {quote(str(folder))}"

    def selection(self) -> str:
        """The selected plane, lifecycle and workflow, for follow-up commands to repeat."""
        given = self.arguments
        names = ("--mode", "--lifecycle", "--workflow")
        return "".join(f" {name} {given.value(name)}" for name in names if given.has(name))

    def rerun_lines(self) -> tuple[str, ...]:
        """What to type once a contract is mended: the cheap check, then what was asked for."""
        name = self.arguments.command.name
        given = self.arguments.positionals
        task, path = (given[:1], given[1:]) if self.arguments.command.takes_inputs else ((), given)
        if task and path and not is_there(Path(path[0])):
            path = ()  # the value of an input
        target = self.target(path[0] if path else None)
        check = f"`ota validate{target}`"
        if name == "validate":
            return (f"{check} once that is mended",)
        again = (check, f"`{' '.join(('ota', name, *task))}{target}`")
        if name == "receipt":
            return (
                *again,
                f"`ota receipt --history{target}` lists what is archived, whatever the contract says",
            )
        return again


def locate(path: str | None, file: str | None) -> Path:
    """The contract file, absolute, its directory canonical (commands specification 1.2).

    The file itself may be a link: the repository is where the link lies.

    Raises:
        ContractUnreadableError: nothing is there.
    """
    explicit = file or environ().get("OTA_FILE")
    if explicit:
        return _canonical(_leading_somewhere(Path(explicit)))
    if path is not None:
        return _canonical(_named(Path(path), path))
    here = _here()
    for folder in (here, *here.parents):
        candidate = folder / CONTRACT_NAME
        if os.path.lexists(candidate):  # a link that leads nowhere is not passed over for another contract
            return _leading_somewhere(candidate)
    raise _absent(
        f"no {CONTRACT_NAME} was found from {here} upwards",
        "run from a directory with a contract, or name one: `ota --file <path> <command>`",
    )


def _named(path: Path, typed: str) -> Path:
    if not typed:
        raise _absent("the contract path is empty", "name an `ota.yaml` or its directory, or leave it out")
    if is_directory(path):
        candidate = path / CONTRACT_NAME
        if os.path.lexists(candidate):
            return _leading_somewhere(candidate)
        raise _absent(
            f"{path} holds no {CONTRACT_NAME}",
            "name a directory with a contract, or write one: `version: 1`, `project: {name: ...}`",
        )
    if not is_there(_leading_somewhere(path)):
        raise _absent(
            f"contract path does not exist: {one_line(typed, SHOWN_LIMIT)}",
            "name an existing `ota.yaml` or its directory, or leave the path out to search upwards",
        )
    return path


def _here() -> Path:
    """The current directory, which somebody may have deleted under this shell."""
    try:
        return Path.cwd()
    except OSError as error:
        raise _absent(
            f"the current directory cannot be read: {error.strerror}",
            "change to a directory that exists, or name a contract: `ota --file <path> <command>`",
        ) from error


def absolute(path: Path) -> Path:
    """A path that was typed, from the root on.

    Raises:
        ContractUnreadableError: it begins at the current directory, and that is gone.
    """
    return path if path.is_absolute() else _here() / path


def is_directory(path: Path) -> bool:
    """Whether a word that was typed names a directory; most words are no path at all."""
    return is_there(path) and path.is_dir()


def _leading_somewhere(path: Path) -> Path:
    """The path, unless it is a symbolic link to nothing.

    Raises:
        ContractUnreadableError: it is one, or its links go round in circles.
    """
    if is_there(path) or not os.path.islink(path):  # noqa: PTH114  `Path` fails on a name too long
        return path
    shown = shown_path(path)
    raise unreadable(
        "OTA_CONTRACT_UNREADABLE",
        f"{shown} could not be read",
        f"it is a symbolic link to {path.readlink()}, which leads nowhere",
        f"point `{shown}` at a contract, or remove it",
        Place(file=shown),
    )


def _is_here(folder: Path) -> bool:
    try:
        return folder.samefile(".")
    except OSError:  # one of the two is gone
        return False


def _canonical(path: Path) -> Path:
    """Without `..`: the root becomes `OTA_WORKSPACE`, and one repository has one name."""
    whole = absolute(path)  # `.` has a name from the root on
    return whole.parent.resolve() / whole.name


def _absent(summary: str, next_: str) -> ContractUnreadableError:
    return ContractUnreadableError(
        Finding(
            code="OTA_CONTRACT_MISSING",
            summary=summary,
            why="every command that reads a contract needs one",
            next=next_,
            title="Contract could not be loaded",
        )
    )


def shown_path(path: Path) -> str:
    """Relative when that is short from here (`./ota.yaml`, `../../ota.yaml`), else absolute."""
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):
        return str(path)
    if relative.count("..") > 2:
        return str(path.resolve())
    return relative if relative == "." or relative.startswith("..") else f"./{relative}"
