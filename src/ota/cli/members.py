"""One command on several members of a monorepo: each in its own session, then told together.

No command knows of this: it is given one contract, and what it prints for each becomes one text or one
document. Which contract is whose is `ota.contract.members`'; how documents are put together is
`ota.cli.member_documents`'. Imported for monorepos only.

Source: commands specification 1.3; workspace specification B3.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO

from msgspec import json
from msgspec.structs import replace

from ota.cli.flags import Arguments, usage_error
from ota.cli.member_documents import Part, composed
from ota.cli.reporting import report
from ota.cli.session import Session, locate, shown_path
from ota.contract.load import Loaded
from ota.contract.members import Monorepo, read_monorepo, require_monorepo
from ota.errors import ContractError, Finding, OtaError, PlanError, UsageError

Run = Callable[[Arguments, Session], int]

EXIT_FAILED = 1
_SIGNALLED = 128
_TOLERANT = frozenset(("run", "up", "doctor", "check"))
"""What these say of one member holds whatever became of another."""


def run_asked(run: Run, arguments: Arguments, session: Session) -> int:
    """The members that were asked for, in that order. `ota run` stops at the first that fails.

    Raises:
        UsageError: one of them is named twice.
        OtaError: there is no monorepo, no such member, or its contract is wrong; nothing was run.
    """
    located = locate(_path(arguments), arguments.value("--file"))
    monorepo = require_monorepo(located, shown_path, arguments.all("--member")[0])
    session.shown = monorepo.shown
    names = names_asked(arguments, monorepo)
    session.member = names[0] if len(names) == 1 else None
    members = _loaded(monorepo, names, arguments)
    if arguments.command.takes_inputs:
        _check_inputs(arguments, members)
    return _run_each(run, arguments, session, None, members)


def names_asked(arguments: Arguments, monorepo: Monorepo) -> list[str]:
    """The members that `--member` means, in the given order.

    Raises:
        PlanError: one is not declared.
        UsageError: one of them is named twice.
    """
    names = [monorepo.require(asked) for asked in arguments.all("--member")]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise usage_error(arguments.command, f"'--member {repeated}' was provided more than once")
    return names


def run_grouped(run: Run, arguments: Arguments, session: Session, root: Loaded) -> int:
    """The root, then every member in declared order.

    Raises:
        OtaError: the contract of a member is missing or wrong; nothing was run.
    """
    monorepo = read_monorepo(root.path, shown_path)
    assert monorepo is not None
    return _run_each(run, arguments, session, root, _loaded(monorepo, list(monorepo.members), arguments))


def _path(arguments: Arguments) -> str | None:
    if not arguments.command.takes_inputs:
        return arguments.path
    from ota.cli.run_arguments import is_path, trailing_word

    word = trailing_word(arguments)
    return word if word is not None and is_path(word, arguments) else None


def _loaded(monorepo: Monorepo, names: list[str], arguments: Arguments) -> list[Loaded]:
    """Every contract before anything is done, and what is wrong with all of them at once."""
    loaded: list[Loaded] = []
    findings: list[Finding] = []
    for name in names:
        try:
            loaded.append(monorepo.load(name))
            if arguments.command.name == "validate":
                loaded[-1].require_reach()
        except ContractError as error:
            findings += (replace(each, member=each.member or name) for each in error.findings)
    if findings:
        raise ContractError(*findings)
    return loaded


def _check_inputs(arguments: Arguments, members: list[Loaded]) -> None:
    """What is no input of one member's task is a mistake on the line, told before another's has run.

    Raises:
        UsageError: there is such a word. What else is wrong with inputs is told of the member.
    """
    from ota.cli.run_arguments import is_path, read_inputs, trailing_word

    task, word = arguments.positionals[0], trailing_word(arguments)
    lone = None if word is None or is_path(word, arguments) else word
    for loaded in members:
        declared = loaded.contract.tasks.get(task)
        if declared is not None:
            with suppress(PlanError):
                read_inputs(arguments, task, declared.inputs, lone_value=lone)


def _run_each(
    run: Run, arguments: Arguments, session: Session, root: Loaded | None, members: list[Loaded]
) -> int:
    contracts = members if root is None else [root, *members]
    is_one = len(contracts) == 1
    parts: list[Part] = []
    for loaded in contracts:
        part = _part(run, arguments, session, loaded, is_one=is_one, is_first=not parts)
        parts.append(part)
        if part.code >= _SIGNALLED or (part.code and arguments.command.name == "run"):
            break
    if arguments.is_json and all(part.document is not None for part in parts):
        from ota.cli.render.json import print_document

        print_document(composed(arguments.command.name, session.shown, parts, is_one=is_one), session.out)
    return _code(arguments, parts)


def _part(
    run: Run, arguments: Arguments, session: Session, loaded: Loaded, *, is_one: bool, is_first: bool
) -> Part:
    """What a command comes to for one contract."""
    out = StringIO() if arguments.is_json else session.out
    own = Session(arguments, out=out, err=session.err, loaded=loaded)
    if not arguments.is_json and not is_one:
        _separate(arguments, own, is_first=is_first)
    findings: tuple[Finding, ...] = ()
    try:
        code = run(arguments, own)
    except UsageError:
        raise
    except OtaError as error:
        if is_one or arguments.command.name not in _TOLERANT:
            raise type(error)(*_of_member(error, own)) from error
        code, findings = EXIT_FAILED, error.findings
        report(own, arguments, error)
    text = out.getvalue() if isinstance(out, StringIO) else ""
    return Part(
        member=loaded.member, code=code, document=json.decode(text) if text else None, findings=findings
    )


def _of_member(error: OtaError, session: Session) -> Iterator[Finding]:
    for finding in error.findings:
        yield replace(finding, member=finding.member or session.member or "")


def _separate(arguments: Arguments, own: Session, *, is_first: bool) -> None:
    """Between two reports; before those of commands that tell what they do while they do it, who does it."""
    name = arguments.command.name
    if not is_first and name != "run":
        print(file=own.out, flush=True)
    if name in ("run", "up"):
        between = "" if is_first else "\n"
        what = arguments.positionals[0] if name == "run" else own.shown
        style = own.style_of(own.err)
        print(f"{between}{style.tamed(style.header(name.upper(), what))}", file=own.err, flush=True)


def _code(arguments: Arguments, parts: list[Part]) -> int:
    codes = [part.code for part in parts if part.code]
    if not codes:
        return 0
    if len(parts) == 1 or arguments.command.name == "run" or codes[-1] >= _SIGNALLED:
        return codes[-1]
    return EXIT_FAILED
