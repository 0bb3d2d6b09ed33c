"""The command line as data: flags, positionals and commands. Parsing, help and completion read it.

Pure: tokens in, `Arguments` or `UsageError` out. The boundary between ota's flags and a task's
inputs is `ota.cli.run_arguments`'s.

Source: commands specification 1.1, 1.5.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ota.errors import Evidence, Finding, UsageError


class Flag(Struct, frozen=True, kw_only=True):
    """One option. Without `metavar` it is a switch."""

    name: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    is_repeatable: bool = False
    conflicts: tuple[str, ...] = ()
    needs: str | None = None
    stands_for: tuple[str, str] | None = None
    """`("--mode", "native")`: the long form this shortcut is read as."""
    alias: str | None = None
    """A second visible spelling."""
    completes: str | None = None
    """What its value is completed from: `tasks`, `workflows`, `archives`, `baselines`, `shells`, `files`."""


class Positional(Struct, frozen=True, kw_only=True):
    name: str
    help: str
    is_required: bool = False
    completes: str | None = None


class Command(Struct, frozen=True, kw_only=True):
    """One command. `module` is imported only when the command runs; it offers `run(arguments)`."""

    name: str
    """As typed, `execution plan`."""
    summary: str
    module: str
    flags: tuple[Flag, ...] = ()
    positionals: tuple[Positional, ...] = ()
    details: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    """Command line and what it does."""
    takes_inputs: bool = False
    is_hidden: bool = False
    groups_members: bool = False
    """Given the root of a monorepo, it tells of the root and of every member."""


class Arguments(Struct, frozen=True, kw_only=True):
    """A command line as it was understood."""

    command: Command
    values: Mapping[str, tuple[str, ...]]
    """Given flags by name; a switch has an empty tuple."""
    positionals: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    """Tokens from the start of the task's inputs on."""

    def has(self, flag: str) -> bool:
        """Whether a flag was given."""
        return flag in self.values

    def value(self, flag: str) -> str | None:
        """The last value of a flag."""
        given = self.values.get(flag)
        return given[-1] if given else None

    def all(self, flag: str) -> tuple[str, ...]:
        """Every value of a repeatable flag, in order."""
        return self.values.get(flag, ())

    @property
    def is_json(self) -> bool:
        """Whether one JSON document was asked for."""
        return "--json" in self.values

    @property
    def path(self) -> str | None:
        """The first positional."""
        return self.positionals[0] if self.positionals else None


GLOBAL_FLAGS: tuple[Flag, ...] = (
    Flag(name="--debug", help="Trace phases on standard error; standard output is unchanged"),
    Flag(name="--plain", help="ASCII text: no icons, no colours; never changes JSON"),
    Flag(
        name="--concise", help="Shorter text: no blank lines, no `Why` of findings", conflicts=("--verbose",)
    ),
    Flag(name="--verbose", help="Full text; this is the default", conflicts=("--concise",)),
    Flag(name="--file", help="Read this contract instead of searching", metavar="FILE", completes="files"),
    Flag(name="--help", help="Show this help", alias="-h"),
)

SELECTORS: tuple[Flag, ...] = (
    Flag(
        name="--mode",
        metavar="MODE",
        alias="--backend",
        choices=("native", "container", "remote"),
        help="Choose the plane for this invocation: native, container or remote",
        conflicts=("--native", "--container", "--remote"),
    ),
    Flag(
        name="--native",
        help="Shortcut for --mode native",
        stands_for=("--mode", "native"),
        conflicts=("--mode", "--container", "--remote"),
    ),
    Flag(
        name="--container",
        help="Shortcut for --mode container",
        stands_for=("--mode", "container"),
        conflicts=("--mode", "--native", "--remote"),
    ),
    Flag(
        name="--remote",
        help="Shortcut for --mode remote",
        stands_for=("--mode", "remote"),
        conflicts=("--mode", "--native", "--container"),
    ),
    Flag(
        name="--lifecycle",
        metavar="LIFECYCLE",
        choices=("persistent", "ephemeral"),
        help="Choose the container lifecycle: persistent or ephemeral",
        conflicts=("--persistent", "--ephemeral"),
    ),
    Flag(
        name="--persistent",
        help="Shortcut for --lifecycle persistent",
        stands_for=("--lifecycle", "persistent"),
        conflicts=("--lifecycle", "--ephemeral"),
    ),
    Flag(
        name="--ephemeral",
        help="Shortcut for --lifecycle ephemeral",
        stands_for=("--lifecycle", "ephemeral"),
        conflicts=("--lifecycle", "--persistent"),
    ),
)

JSON = Flag(name="--json", help="Print one JSON document on standard output")
WORKFLOW = Flag(
    name="--workflow",
    metavar="NAME",
    help="Select a workflow instead of the default one",
    completes="workflows",
)
MEMBER = Flag(
    name="--member",
    metavar="NAME",
    help="Act on this member of a monorepo, in its directory",
    completes="members",
)
MEMBERS = Flag(
    name="--member",
    metavar="NAME",
    help="Act on this member of a monorepo, in its directory; on several in the given order",
    is_repeatable=True,
    completes="members",
)
PATH = Positional(
    name="PATH",
    help="An ota.yaml or the directory that holds one; default: search upwards",
    completes="files",
)


def flag_table(command: Command) -> dict[str, Flag]:
    """Every spelling a command accepts."""
    table: dict[str, Flag] = {}
    for flag in (*GLOBAL_FLAGS, *command.flags):
        table[flag.name] = flag
        if flag.alias is not None:
            table[flag.alias] = flag
    return table


def parse(command: Command, tokens: Sequence[str]) -> Arguments:
    """Read a command line without task inputs.

    Raises:
        UsageError: unknown flag, missing or unsupported value, conflict, surplus positional.
    """
    reading = Reading(command)
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token == "--":
            reading.positionals += tokens[position + 1 :]
            break
        if token.startswith("-") and token != "-":
            position = reading.flag(tokens, position)
        else:
            reading.positionals.append(token)
            position += 1
    return reading.finish()


class Reading:
    """A command line being read."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.table = flag_table(command)
        self.values: dict[str, tuple[str, ...]] = {}
        self.positionals: list[str] = []

    def flag(self, tokens: Sequence[str], position: int) -> int:
        """Take the flag at `position`; the position after it."""
        token = tokens[position]
        name, equals, attached = token.partition("=")
        flag = self.table.get(name)
        if flag is None:
            raise usage_error(self.command, f"unexpected argument '{name}' found", self._hint(name))
        if flag.metavar is None:
            if equals:
                raise usage_error(self.command, f"unexpected value '{attached}' for '{name}' found")
            self.take(flag, None)
            return position + 1
        if equals:
            self.take(flag, attached)
            return position + 1
        if position + 1 >= len(tokens):
            raise usage_error(
                self.command, f"a value is required for '{name} <{flag.metavar}>' but none was supplied"
            )
        self.take(flag, tokens[position + 1])
        return position + 2

    def take(self, flag: Flag, value: str | None) -> None:
        """Record a flag and its value."""
        for other in self.values:
            if other != flag.name and _excludes(flag, self.table[other]):
                raise usage_error(self.command, f"the argument '{flag.name}' cannot be used with '{other}'")
        if value is None:
            self.values[flag.name] = ()
            return
        if flag.choices and value not in flag.choices:
            raise usage_error(
                self.command,
                f"invalid value '{value}' for '{flag.name} <{flag.metavar}>'",
                f"possible values: {', '.join(flag.choices)}",
            )
        if not value.strip():  # an unset variable of a script: without it, something else would be meant
            raise usage_error(
                self.command, f"the value of '{flag.name} <{flag.metavar}>' is empty", "leave the option out"
            )
        before = self.values.get(flag.name, ())
        if before and not flag.is_repeatable:
            raise usage_error(self.command, f"the argument '{flag.name}' cannot be used multiple times")
        if value in before:
            raise usage_error(self.command, f"'{flag.name} {value}' was provided more than once")
        self.values[flag.name] = (*before, value)

    def finish(self) -> Arguments:
        """Check what belongs together; shortcuts become their long forms."""
        limit = len(self.command.positionals)
        if "--help" not in self.values:
            if len(self.positionals) > limit:
                raise usage_error(self.command, f"unexpected argument '{self.positionals[limit]}' found")
            for index, positional in enumerate(self.command.positionals):
                self._require(positional, index)
        values = dict(self.values)
        for name in self.values:
            flag = self.table[name]
            if flag.needs is not None and flag.needs not in self.values:
                raise usage_error(
                    self.command, f"a required argument was not provided: '{name}' needs '{flag.needs}'"
                )
            if flag.stands_for is not None:
                long, value = flag.stands_for
                values[long] = (value,)
        return Arguments(command=self.command, values=values, positionals=tuple(self.positionals))

    def _require(self, positional: Positional, index: int) -> None:
        if index >= len(self.positionals):
            if positional.is_required:
                raise usage_error(self.command, f"a required argument was not provided: <{positional.name}>")
            return
        may_be_empty = self.command.takes_inputs and index > 0  # there it may be the value of an input
        if not self.positionals[index].strip() and not may_be_empty:
            raise usage_error(self.command, f"the value of <{positional.name}> is empty")

    def _hint(self, name: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name, self.table, 1, 0.6)
        return f"did you mean '{near[0]}'?" if near else ""


def _excludes(one: Flag, other: Flag) -> bool:
    """Whether one of them, or what it is short for, may not stand beside the other."""
    return bool(_names(one) & set(other.conflicts) or _names(other) & set(one.conflicts))


def _names(flag: Flag) -> set[str]:
    return {flag.name, *(flag.stands_for[:1] if flag.stands_for is not None else ())}


def usage_line(command: Command) -> str:
    """`ota run <TASK> [PATH] [OPTIONS] [INPUTS]`."""
    words = [f"<{each.name}>" if each.is_required else f"[{each.name}]" for each in command.positionals]
    inputs = ["[INPUTS]"] if command.takes_inputs else []
    return " ".join(("ota", command.name, *words, "[OPTIONS]", *inputs))


def usage_error(command: Command | None, problem: str, hint: str = "", *, usage: str = "") -> UsageError:
    """A wrong command line. Clients rely on the words `unexpected argument` and `Usage:`."""
    usage = usage or (usage_line(command) if command is not None else "ota <COMMAND> [OPTIONS]")
    return UsageError(
        Finding(
            code="OTA_USAGE",
            summary=problem,
            why=hint,
            next=f"ota {command.name} --help" if command is not None else "ota --help",
            evidence=Evidence(expected=usage),
        )
    )
