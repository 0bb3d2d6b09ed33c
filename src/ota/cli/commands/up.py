"""`ota up`: bring a path from a checkout to ready, and prove it.

Source: commands specification 3; json-and-receipts specification 3.14.
"""

from ota.cli.flags import Arguments, usage_error
from ota.cli.session import Session
from ota.cli.streams import code_after
from ota.contract.durations import parse_duration_ms
from ota.contract.load import Loaded
from ota.env.masking import Masker
from ota.evidence.fold import RunFacts, fold
from ota.evidence.up import up_document, up_receipt
from ota.execute.context import RunOptions
from ota.execute.run import Ran, Surroundings
from ota.execute.up import bring_up_path
from ota.execute.up_service import Keeps
from ota.resolve.plan import Request
from ota.resolve.up import plan_up
from ota.resolve.up_plan import UpPlan
from ota.system.clock import SYSTEM_CLOCK
from ota.system.files import repository_reader
from ota.system.host import environ, observe_host
from ota.system.terminal import STDERR, STDIN, STDOUT, is_terminal

_REPEATED = ("--host-port", "--ready-timeout", "--detach", "--attach", "--agent")
_TAIL_CHARACTERS = 16_384


def run(arguments: Arguments, session: Session) -> int:
    """Carry out the phases of a path, preview them with `--dry-run`, or end what `--detach` left."""
    if arguments.has("--stop"):
        from ota.cli.commands.up_stop import stop

        return stop(arguments, session)
    loaded = session.load_contract(arguments.path)
    host = observe_host()
    keeps = _keeps(arguments)
    up = plan_up(
        loaded,
        _request(arguments, session),
        host,
        attaches=keeps == "attached",
        ready_limit_ms=_ready_limit_ms(arguments),
    )
    if arguments.has("--dry-run"):
        from ota.cli.commands.up_preview import preview

        return preview(arguments, session, up, keeps)
    given = Surroundings(
        loaded=loaded,
        options=_options(arguments, up, keeps),
        host=host,
        environ=environ(),
        read_file=repository_reader(loaded.root),
        clock=SYSTEM_CLOCK,
    )
    display = _display(arguments, session)
    ran = bring_up_path(up, given, display=display, masker=Masker(()), keeps=keeps)
    if ran.ended.status != "blocked":
        loaded.remember()
    facts = fold(ran.events)
    if arguments.is_json:
        _print_json(session, facts, ran, up, loaded)
        return code_after(ran.ended.exit_code, display.no_room)
    lost = _print_text(arguments, session, facts, ran, up, loaded)
    return code_after(ran.ended.exit_code, display.no_room, lost)


# --- what was asked ------------------------------------------------------------------------------


def _request(arguments: Arguments, session: Session) -> Request:
    target = session.target(arguments.path)
    words = []
    for name in _REPEATED:
        if arguments.has(name):
            value = arguments.value(name)
            words.append(name if value is None else f"{name} {value}")
    return Request(
        mode=arguments.value("--mode"),  # type: ignore[arg-type]  # the flag's choices are the planes
        lifecycle=arguments.value("--lifecycle"),  # type: ignore[arg-type]  # likewise
        host_port=_port(arguments),
        workflow=arguments.value("--workflow"),
        agent=arguments.has("--agent"),
        again=" ".join((f"ota up{target}{session.selection()}", *words)),
        target=target,
    )


def _keeps(arguments: Arguments) -> Keeps:
    if arguments.has("--detach"):
        return "detached"
    return "attached" if arguments.has("--attach") else "nothing"


def _port(arguments: Arguments) -> int | None:
    from ota.cli.commands.run import port_of

    return port_of(arguments)


def _ready_limit_ms(arguments: Arguments) -> int | None:
    text = arguments.value("--ready-timeout")
    if text is None:
        return None
    try:
        limit_ms = parse_duration_ms(text)
    except ValueError as error:
        raise _bad_duration(arguments, text, str(error)) from error
    if limit_ms < 1:
        raise _bad_duration(arguments, text, "it must be longer than nothing: 90s, 5m, 1h")
    return limit_ms


def _bad_duration(arguments: Arguments, text: str, why: str) -> Exception:
    problem = f"invalid value '{text}' for '--ready-timeout <DURATION>'"
    return usage_error(arguments.command, problem, why)


# --- how it is shown -----------------------------------------------------------------------------


def _options(arguments: Arguments, up: UpPlan, keeps: Keeps) -> RunOptions:
    is_live = not arguments.is_json and (arguments.has("--stream") or keeps == "attached")
    streams = tuple(
        name
        for name, stream in (("stdout", STDOUT), ("stderr", STDERR))
        if is_live and is_terminal(STDOUT) and is_terminal(stream)
    )
    has_terminal = up.attach is not None and is_live and is_terminal(STDOUT) and is_terminal(STDIN)
    return RunOptions(
        terminal_streams=streams,  # type: ignore[arg-type]  # the two stream names
        has_terminal=has_terminal,
        # nothing of `up` asks anybody anything; only an attach task may have the terminal
        stdin="inherit" if has_terminal else "devnull",
    )


def _display(arguments: Arguments, session: Session):  # type: ignore[no-untyped-def]
    from ota.cli.render.up_live import UpDisplay
    from ota.system.sinks import OutputSink, TextSink

    style = session.style_of(session.err)
    streams = arguments.has("--stream")
    return UpDisplay(
        out=OutputSink(STDOUT),
        err=OutputSink(STDERR),
        told=TextSink(OutputSink(STDERR), encoding=session.err.encoding),
        style=style,
        streams=streams,
        is_quiet=arguments.is_json,
        spins=style.is_rich and not streams and not arguments.is_json and not session.is_debug,
    )


# --- what came of it -----------------------------------------------------------------------------


def _print_json(session: Session, facts: RunFacts, ran: Ran, up: UpPlan, loaded: Loaded) -> None:
    from ota.cli.render.json import print_document

    tails = {
        name: ran.excerpt.tail(name)[-_TAIL_CHARACTERS:] if ran.excerpt is not None else ""
        for name in ("stdout", "stderr")
    }
    document = up_document(facts, up, loaded, observe_host(), **tails)
    print_document(ran.masker.mask_json(document), session.out)


def _print_text(
    arguments: Arguments, session: Session, facts: RunFacts, ran: Ran, up: UpPlan, loaded: Loaded
) -> OSError | None:
    """Why the report could not be written, when a file had no room for it."""
    from ota.cli.render.up_text import up_text
    from ota.system.sinks import OutputSink, TextSink

    style = session.style_of(session.out, ran.masker.mask)
    receipt = {}
    if arguments.has("--receipt"):
        receipt = ran.masker.mask_json(up_receipt(facts, up, loaded, observe_host()))
    text = up_text(facts, ran, up, loaded, style, receipt=receipt, was_live=arguments.has("--stream"))
    _tell_plane(session, facts, up)
    sink = OutputSink(STDOUT, is_hurried=ran.ended.status == "interrupted")
    TextSink(sink, encoding=session.out.encoding).write(f"{style.tamed(text)}\n")
    return sink.no_room


def _tell_plane(session: Session, facts: RunFacts, up: UpPlan) -> None:
    step = facts.step(up.setup or "")
    if step is not None and step.started.plane != "native":
        print(f"Note: setup ran on the {step.started.plane} plane", file=session.err)
