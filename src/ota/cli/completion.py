"""What may stand at the cursor: the answer to `COMPLETE=<shell> ota -- <words>`.

The last word is the one being completed. One candidate per line, a tab and its help behind it.
Silent, read-only and quick: whatever goes wrong, fewer candidates are all that is seen. The scripts
that ask are `ota.cli.completion_scripts`'s.

Source: commands specification 2.2, 23.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from ota.cli.catalogue import COMMANDS
from ota.cli.flags import GLOBAL_FLAGS, Command, Flag, flag_table
from ota.system.cutting import cut

if TYPE_CHECKING:
    from pathlib import Path

    from ota.contract.model import Contract

T = TypeVar("T")
Candidate = tuple[str, str]
_HELP_LIMIT = 80


def answer(tokens: Sequence[str]) -> int:
    """Candidates for the words behind `--`; without `--`, the registration for the shell."""
    if "--" not in tokens:
        return _registration()
    words = list(tokens[tokens.index("--") + 1 :])
    if words and words[0].rsplit("/", 1)[-1] == "ota":
        del words[0]
    lines = [f"{value}\t{_one_line(help_)}".rstrip() for value, help_ in candidates(words)]
    if lines:
        print("\n".join(lines))
    return 0


def _registration() -> int:
    from ota.cli.completion_scripts import SCRIPTS
    from ota.system.host import environ

    script = SCRIPTS.get(environ().get("COMPLETE", ""))
    if script is None:
        return 1
    sys.stdout.write(script)
    return 0


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return cut(line, _HELP_LIMIT)


def candidates(words: Sequence[str]) -> list[Candidate]:
    """What may stand in the place of the last word, which may be empty."""
    *before, current = words or [""]
    found = []
    seen = set()
    for value, help_ in _at_cursor(before, current):
        if value.startswith(current) and value not in seen:
            seen.add(value)
            found.append((value, help_))
    return found


def _at_cursor(before: Sequence[str], current: str) -> Iterator[Candidate]:
    position, pending = _skip_global(before)
    words = list(before[position:])
    if pending is not None:
        yield from _values(pending, current, Repository({}, None))
        return
    if not words or words == ["help"]:
        yield from _commands(current, with_flags=not words)
        return
    if words[0] == "help":
        words = words[1:]
    command = next((each for each in COMMANDS if words[: len(each.name.split())] == each.name.split()), None)
    if command is None:
        yield from _family(words)
        return
    rest = [*before[:position], *words[len(command.name.split()) :]]
    reader = _Run(command) if command.takes_inputs else _Line(command)
    yield from reader.read(rest, current)


def _skip_global(before: Sequence[str]) -> tuple[int, Flag | None]:
    """Where the command's name stands, and the global flag whose value is being typed."""
    valued = {flag.name: flag for flag in GLOBAL_FLAGS if flag.metavar is not None}
    position = 0
    while position < len(before) and before[position].startswith("-"):
        flag = valued.get(before[position])
        position += 1 if flag is None else 2
        if flag is not None and position > len(before):
            return position, flag
    return position, None


def _commands(current: str, *, with_flags: bool) -> Iterator[Candidate]:
    if with_flags and current.startswith("-"):
        yield from ((flag.name, flag.help) for flag in GLOBAL_FLAGS)
        yield "--version", "Show the version"
        return
    for command in COMMANDS:
        first, *rest = command.name.split()
        if not command.is_hidden:
            yield first, f"Commands: {first} ..." if rest else command.summary
    if with_flags:
        yield "help", "Show help"


def _family(words: Sequence[str]) -> Iterator[Candidate]:
    for command in COMMANDS:
        first, *rest = command.name.split()
        if rest and list(words) == [first]:
            yield rest[0], command.summary


# --- what the words before the cursor say --------------------------------------------------------


class _Line:
    """A command line being read up to the cursor."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.table = flag_table(command)
        self.given: dict[str, str] = {}
        self.bare: list[str] = []
        self.pending: Flag | None = None
        self.only_bare = False

    def read(self, words: Sequence[str], current: str) -> Iterator[Candidate]:
        """Take the words, then say what may follow."""
        for word in words:
            self.take(word)
        yield from self.follow(current)

    def take(self, word: str) -> None:
        """One finished word."""
        if self.pending is not None:
            self.given[self.pending.name] = word
            self.pending = None
        elif self.only_bare or not word.startswith("-") or word == "-":
            self.bare.append(word)
        elif word == "--":
            self.only_bare = True
        else:
            self._flag(word)

    def _flag(self, word: str) -> None:
        name, equals, value = word.partition("=")
        flag = self.table.get(name)
        if flag is None:
            return
        self.given[flag.name] = value
        if flag.metavar is not None and not equals:
            self.pending = flag

    def follow(self, current: str) -> Iterator[Candidate]:
        """What may stand at the cursor."""
        repository = self.repository()
        if self.pending is not None:
            yield from _values(self.pending, current, repository)
            return
        if current.startswith("-") and not self.only_bare:
            yield from self._flags(current, repository)
            return
        if len(self.bare) < len(self.command.positionals):
            kind = self.command.positionals[len(self.bare)].completes
            yield from _of_kind(kind, current, repository)

    def _flags(self, current: str, repository: "Repository") -> Iterator[Candidate]:
        name, equals, _ = current.partition("=")
        flag = self.table.get(name)
        if equals and flag is not None:
            for value, help_ in _values(flag, current.partition("=")[2], repository):
                yield f"{name}={value}", help_
            return
        yield from self.free_flags()

    def free_flags(self) -> Iterator[Candidate]:
        """Flags that may still be given."""
        for flag in (*self.command.flags, *GLOBAL_FLAGS):
            is_used = flag.name in self.given and not flag.is_repeatable
            if not is_used and not set(flag.conflicts) & set(self.given):
                yield flag.name, flag.help

    def repository(self) -> "Repository":
        """The contract this line is about."""
        index = next((n for n, each in enumerate(self.command.positionals) if each.name == "PATH"), None)
        path = self.bare[index] if index is not None and index < len(self.bare) else None
        return Repository(self.given, path)


class _Run(_Line):
    """`ota run`: behind the task other words may start the task's own inputs."""

    def __init__(self, command: Command) -> None:
        super().__init__(command)
        self.in_inputs = False
        self.used_inputs: set[str] = set()
        self.pending_input: str | None = None

    def take(self, word: str) -> None:
        """Ota's flags until the boundary, inputs from there on."""
        if self.in_inputs:
            self._input(word)
        elif self.pending is None and word == "--":
            self.in_inputs = True
        elif self.pending is None and self._starts_inputs(word):
            self.in_inputs = True
            self._input(word)
        else:
            super().take(word)

    def _starts_inputs(self, word: str) -> bool:
        if not self.bare or not word.startswith("-") or word == "-":
            return False
        flag = self.table.get(word.partition("=")[0])
        return flag is None or (flag.name in self.given and not flag.is_repeatable)

    def _input(self, word: str) -> None:
        if self.pending_input is not None:
            self.pending_input = None
            return
        name, equals, _ = word.partition("=")
        if name.startswith("--"):
            self.used_inputs.add(_declared_name(name))
            self.pending_input = None if equals else _declared_name(name)

    def follow(self, current: str) -> Iterator[Candidate]:
        """Tasks; then ota's flags and the inputs of the task; then inputs and their values."""
        repository = self.repository()
        if self.pending_input is not None:
            yield from self._allowed(self.pending_input, repository)
            return
        if self.pending is not None or not self.bare:
            yield from super().follow(current)
            return
        name, equals, _ = current.partition("=")
        if equals and (self.in_inputs or name not in self.table):
            for value, help_ in self._allowed(_declared_name(name), repository):
                yield f"{name}={value}", help_
            return
        if not self.in_inputs:
            if current.startswith("-"):
                yield from self._flags(current, repository)
            elif not current:
                yield from self.free_flags()
            elif len(self.bare) == 1:
                yield from _paths(current)
        yield from self._free_inputs(repository)

    def _free_inputs(self, repository: "Repository") -> Iterator[Candidate]:
        for name, help_ in repository.inputs(self.bare[0]):
            if name not in self.used_inputs:
                yield f"--{name.replace('_', '-')}", help_

    def _allowed(self, name: str, repository: "Repository") -> Iterator[Candidate]:
        yield from ((value, "") for value in repository.allowed(self.bare[0], name))


def _declared_name(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


# --- values --------------------------------------------------------------------------------------


def _values(flag: Flag, current: str, repository: "Repository") -> Iterator[Candidate]:
    if flag.choices:
        yield from ((choice, "") for choice in flag.choices)
        return
    yield from _of_kind(flag.completes, current, repository)


def _of_kind(kind: str | None, current: str, repository: "Repository") -> Iterable[Candidate]:
    match kind:
        case "tasks":
            return repository.tasks()
        case "workflows":
            return repository.workflows()
        case "members":
            return repository.members()
        case "archives":
            return [("latest", "the newest"), *repository.archives()]
        case "baselines":
            choices = [("promoted", "the promoted baseline"), ("latest", "the newest that fits")]
            return [*choices, *repository.archives()]
        case "shells":
            return [("bash", ""), ("zsh", ""), ("fish", ""), ("check", "Whether completion is installed")]
        case "files":
            return _paths(current)
        case _:
            return ()


def _paths(current: str) -> Iterator[Candidate]:
    """Directories, and contracts in them."""
    folder, slash, _ = current.rpartition("/")
    lead = folder + slash
    nothing: tuple[tuple[str, bool], ...] = ()
    for name, is_folder in _quietly(lambda: _listing(lead or "."), nothing):
        if name.startswith(".") and not current[len(lead) :].startswith("."):
            continue
        if is_folder:
            yield f"{lead}{name}/", ""
        elif name.endswith((".yaml", ".yml")):
            yield f"{lead}{name}", ""


def _listing(folder: str) -> tuple[tuple[str, bool], ...]:
    from pathlib import Path

    return tuple(sorted((entry.name, entry.is_dir()) for entry in Path(folder).iterdir()))


class Repository:
    """What the contract at hand offers; nothing when it cannot be read."""

    def __init__(self, given: Mapping[str, str], path: str | None) -> None:
        self._given = given
        self._path = path
        self._contract: Contract | None = None
        self._is_read = False

    def tasks(self) -> list[Candidate]:
        """Tasks that are not internal."""
        contract = self.contract()
        tasks = contract.tasks if contract is not None else {}
        return [(name, tasks[name].description or "") for name in sorted(tasks) if not tasks[name].internal]

    def workflows(self) -> list[Candidate]:
        """Declared workflows."""
        contract = self.contract()
        entries = contract.workflows.entries if contract is not None else {}
        return [(name, entries[name].description or "") for name in sorted(entries)]

    def members(self) -> list[Candidate]:
        """Members of the monorepo."""
        none: tuple[str, ...] = ()
        return [(name, "") for name in _quietly(self._members, none)]

    def _members(self) -> tuple[str, ...]:
        from ota.cli.session import locate, shown_path
        from ota.contract.members import require_monorepo

        path = locate(self._path, self._given.get("--file"))
        return tuple(require_monorepo(path, shown_path, "").members)

    def inputs(self, task: str) -> list[Candidate]:
        """The inputs a task declares."""
        contract = self.contract()
        if contract is None or task not in contract.tasks:
            return []
        declared = contract.tasks[task].inputs
        return [(name, declared[name].description or "") for name in sorted(declared)]

    def allowed(self, task: str, name: str) -> list[str]:
        """The values an input accepts, when they are listed."""
        contract = self.contract()
        if contract is None or task not in contract.tasks:
            return []
        declared = contract.tasks[task].inputs.get(name)
        return [str(value) for value in declared.allowed or ()] if declared is not None else []

    def archives(self) -> list[Candidate]:
        """Archived receipts, newest first."""

        def read() -> list[Candidate]:
            from ota.cli.session import locate
            from ota.evidence.archive import FOLDER

            folder = locate(self._path, self._given.get("--file")).parent / FOLDER
            names = sorted((each.name for each in folder.glob("repo-receipt-*.json")), reverse=True)
            return [(name, "") for name in names]

        return _quietly(read, [])

    def contract(self) -> "Contract | None":
        """The contract, read once and not judged: completion helps while one is being written."""
        if not self._is_read:
            self._is_read = True
            self._contract = _quietly(self._read, None)
        return self._contract

    def _read(self) -> "Contract | None":
        from ota.cli.session import locate
        from ota.contract.cache import Memory
        from ota.contract.load import may_be_member
        from ota.source.reading import read_bytes

        path = locate(self._path, self._given.get("--file"))
        member = self._given.get("--member")
        if member is not None or may_be_member(path):
            return _effective(path, member)
        data = read_bytes(path, str(path))
        known = Memory(path).recall(data, str(path))
        if known is not None and (contract := known.contract()) is not None:
            return contract
        from ota.contract.proof import parsed

        return parsed(data, str(path))


def _effective(path: "Path", member: str | None) -> "Contract | None":
    """The contract of a member, or the one at a path below a root."""
    from ota.cli.session import shown_path
    from ota.contract.members import read_effective

    return read_effective(path, shown_path, member)


def _quietly(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except Exception:  # noqa: BLE001  a prompt is no place for an error: fewer candidates say enough
        return otherwise
