"""Where ota's flags end and a task's inputs begin.

Order on the line: the task, an optional path, ota's flags, the inputs. Known flags after the
task are ota's; any other token that begins with `-`, or a literal `--`, starts the inputs.
What a token means may depend on what the task declares, so the inputs are read
(`read_inputs`) when the contract is known.

Source: commands specification 2.2.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec.structs import replace

from ota.cli.flags import Arguments, Command, Reading, usage_error
from ota.errors import Finding, PlanError, UsageError
from ota.system.files import is_there


def parse_run(command: Command, tokens: Sequence[str]) -> Arguments:
    """Read up to the start of the inputs.

    A flag whose name a task may also use as an input is ota's unless it was given before or its
    value does not fit; then the inputs start there (the value is kept for the input).
    """
    reading = Reading(command)
    bare: list[str] = []
    inputs: list[str] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token == "--":
            inputs = list(tokens[position + 1 :])
            break
        if not token.startswith("-") or token == "-":
            bare.append(token)
            position += 1
            continue
        name = token.partition("=")[0]
        if name not in reading.table:
            if not bare:
                position = reading.flag(tokens, position)
            inputs = list(tokens[position:])
            break
        try:
            position = reading.flag(tokens, position)
        except UsageError:
            if not bare or _is_switch(reading, name):
                raise
            inputs = list(tokens[position:])
            break
    surplus = bare[2:]
    if surplus:
        raise usage_error(command, f"unexpected argument '{surplus[0]}' found")
    reading.positionals = bare
    return replace(reading.finish(), inputs=tuple(inputs))


def _is_switch(reading: Reading, name: str) -> bool:
    return reading.table[name].metavar is None


def trailing_word(arguments: Arguments) -> str | None:
    """The bare token that may be a path or the value of a task's only input."""
    return arguments.positionals[1] if len(arguments.positionals) > 1 else None


def is_path(word: str, arguments: Arguments) -> bool:
    """Whether the trailing bare token is the path: more tokens follow it, or it exists."""
    return bool(arguments.inputs) or (bool(word) and is_there(Path(word)))


def is_meant_as_path(word: str) -> bool:
    """Whether a word that is neither an existing path nor an input's value was probably to be a path."""
    return "://" not in word and ("/" in word or word.endswith((".yaml", ".yml")))


def read_inputs(
    arguments: Arguments, task: str, declared: Collection[str], *, lone_value: str | None
) -> dict[str, str]:
    """Input values by declared name.

    Raises:
        UsageError: the flag that began the inputs belongs to ota after all (no such input).
        PlanError: an undeclared or repeated input, or one without value.
    """
    values: dict[str, str] = {}
    if lone_value is not None:
        if len(declared) != 1:
            raise usage_error(arguments.command, f"unexpected argument '{lone_value}' found")
        values[next(iter(declared))] = lone_value
    tokens = arguments.inputs
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if not token.startswith("--") or token == "--":
            raise _wrong(task, declared, f"`{token}` is not an input", "inputs are written `--name value`")
        flag, equals, attached = token.partition("=")
        name = flag[2:].replace("-", "_")
        if name not in declared:
            raise _undeclared(arguments, task, declared, tokens[position:])
        if name in values:
            raise _wrong(task, declared, f"input `{name}` is given twice", "an input has one value")
        if equals:
            values[name] = attached
            position += 1
        elif position + 1 < len(tokens):
            values[name] = tokens[position + 1]
            position += 2
        else:
            raise _wrong(task, declared, f"input `{name}` has no value", f"`{flag}` is the last word")
    return values


def _undeclared(
    arguments: Arguments, task: str, declared: Collection[str], tokens: Sequence[str]
) -> UsageError | PlanError:
    flag = tokens[0].partition("=")[0]
    reading = Reading(arguments.command)
    if flag in reading.table:
        # not an input after all: what is wrong with it as a flag of ota?
        reading.values = dict(arguments.values)
        try:
            reading.flag(tokens, 0)
        except UsageError as error:
            return error
        return usage_error(
            arguments.command,
            f"unexpected argument '{flag}' found among the inputs of task `{task}`",
            "flags of ota stand before the first input",
        )
    if not declared:
        return usage_error(
            arguments.command, f"unexpected argument '{flag}' found", f"task `{task}` declares no inputs"
        )
    return _wrong(task, declared, f"task `{task}` has no input `{flag[2:].replace('-', '_')}`", "")


def _wrong(task: str, declared: Collection[str], summary: str, why: str) -> PlanError:
    from ota.contract.grammar import nearest

    known = ", ".join(f"`--{name.replace('_', '-')}`" for name in sorted(declared)) or "none"
    word = summary.rsplit("`", 2)[-2] if "`" in summary else ""
    near = None if word in declared else nearest(word, tuple(declared))
    hint = f"did you mean `--{near.replace('_', '-')}`? " if near else ""
    return PlanError(
        Finding(
            code="OTA_INPUT_INVALID",
            summary=summary,
            why=why or f"declared inputs: {known}",
            next=f"{hint}see `ota tasks --use` for what `{task}` takes",
            category="execution",
            title="Invalid input",
        )
    )


def typed_again(arguments: Arguments, target: str, selection: str) -> str:
    """The command line as it can be typed once more, from wherever it was typed."""
    task, *others = arguments.positionals
    from ota.resolve.plan import PLAIN  # which a run has read anyway

    if not others and not arguments.inputs and PLAIN.issuperset(task):
        return f"ota run {task}{target}{selection}"
    from shlex import join, quote

    from ota.cli.flags import flag_table

    has_path = bool(others) and is_path(others[0], arguments)
    inputs = list(arguments.inputs) if has_path or not others else [*others, *arguments.inputs]
    if arguments.inputs and arguments.inputs[0].partition("=")[0] in flag_table(arguments.command):
        inputs.insert(0, "--")
    tail = f" {join(inputs)}" if inputs else ""
    return f"ota run {quote(task)}{target}{selection}{tail}"
