"""`ota run <task>`.

Source: commands specification 2; json-and-receipts 3.12, 3.13; decision D20.
"""

from ota.cli.flags import Arguments, usage_error
from ota.cli.run_arguments import is_meant_as_path, is_path, read_inputs, trailing_word, typed_again
from ota.cli.session import Session
from ota.cli.streams import code_after
from ota.contract.grammar import parse_memory
from ota.contract.load import Loaded
from ota.env.masking import Masker
from ota.errors import HostError
from ota.evidence.fold import RunFacts, fold
from ota.execute.context import RunOptions
from ota.execute.run import Ran, run_plan
from ota.resolve.plan import Plan, Request
from ota.resolve.planner import plan_run
from ota.system.files import repository_reader
from ota.system.host import environ, observe_cpu_count, observe_host
from ota.system.terminal import STDERR, STDIN, STDOUT, is_terminal


def run(arguments: Arguments, session: Session) -> int:
    """Run a task, or preview it with `--dry-run`."""
    loaded, request = _request(arguments, session)
    host = observe_host()
    plan = plan_run(loaded, request, host)
    if arguments.has("--dry-run"):
        from ota.cli.commands.run_preview import preview

        return preview(arguments, session, loaded, plan, host)
    display = _display(arguments, session, plan)
    ran = run_plan(
        plan,
        loaded,
        options=_options(arguments),
        display=display,
        host=host,
        environ=environ(),
        read_file=repository_reader(loaded.root),
        masker=Masker(()),
    )
    if ran.ended.status != "blocked":
        loaded.remember()
    facts = fold(ran.events)
    document = _receipt(facts, plan, loaded, ran) if _shows_receipt(arguments) else {}
    archived = _archive(loaded, document) if arguments.has("--archive") else None
    if arguments.is_json:
        _print_json(arguments, session, facts, document, ran, loaded)
        return code_after(ran.ended.exit_code, display.no_room)
    lost = _print_text(arguments, session, facts, plan, loaded, document, ran)
    if archived is not None:
        print(archived, file=session.err)
    return code_after(ran.ended.exit_code, display.no_room, lost)


# --- what was asked ------------------------------------------------------------------------------


def _request(arguments: Arguments, session: Session) -> tuple[Loaded, Request]:
    word = trailing_word(arguments)
    path = word if word is not None and is_path(word, arguments) else None
    loaded = session.load_contract(path)
    task = arguments.positionals[0]
    declared = loaded.contract.tasks[task].inputs if task in loaded.contract.tasks else {}
    lone = word if path is None else None
    if lone is not None and len(declared) != 1 and is_meant_as_path(lone):
        loaded = session.load_contract(lone)  # which says that there is no such path
    inputs = {}
    if task in loaded.contract.tasks:
        inputs = read_inputs(arguments, task, declared, lone_value=lone)
    return loaded, Request(
        task=task,
        mode=arguments.value("--mode"),  # type: ignore[arg-type]  # the flag's choices are the planes
        lifecycle=arguments.value("--lifecycle"),  # type: ignore[arg-type]  # likewise
        host_port=port_of(arguments),
        memory_bytes=_memory(arguments),
        workflow=arguments.value("--workflow"),
        inputs=inputs,
        skip_deps=arguments.has("--skip-deps"),
        agent=arguments.has("--agent"),
        again=typed_again(arguments, session.target(path), session.selection()),
        target=session.target(path),
    )


def port_of(arguments: Arguments) -> int | None:
    """`--host-port`.

    Raises:
        UsageError: it is no port.
    """
    text = arguments.value("--host-port")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        raise usage_error(
            arguments.command, f"invalid value '{text}' for '--host-port <PORT>'", "a port is 1 to 65535"
        )
    return int(text)


def _memory(arguments: Arguments) -> int | None:
    text = arguments.value("--memory")
    if text is None:
        return None
    try:
        return parse_memory(text)
    except ValueError as error:
        raise usage_error(
            arguments.command, f"invalid value '{text}' for '--memory <SIZE>'", str(error)
        ) from error


def _jobs(arguments: Arguments) -> int:
    text = arguments.value("--jobs")
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= 1024):
        hint = f"a whole number from 1; this machine has {observe_cpu_count()} processors"
        raise usage_error(arguments.command, f"invalid value '{text}' for '--jobs <N>'", hint)
    return int(text)


# --- how it is shown -----------------------------------------------------------------------------


def _is_live(arguments: Arguments) -> bool:
    if arguments.is_json:
        return not arguments.has("--quiet")
    return arguments.has("--stream") or is_terminal(STDOUT)


def _options(arguments: Arguments) -> RunOptions:
    jobs = _jobs(arguments)
    is_text = not arguments.is_json
    on_terminal = is_text and jobs == 1 and is_terminal(STDOUT)
    streams = tuple(
        name
        for name, stream in (("stdout", STDOUT), ("stderr", STDERR))
        if on_terminal and is_terminal(stream)
    )
    return RunOptions(
        jobs=jobs,
        keep_logs=arguments.has("--log"),
        terminal_streams=streams,  # type: ignore[arg-type]  # the two stream names
        has_terminal=on_terminal and is_terminal(STDIN),
        stdin="inherit" if jobs == 1 else "devnull",
    )


def _display(arguments: Arguments, session: Session, plan: Plan):  # type: ignore[no-untyped-def]
    from ota.cli.render.run_live import LiveDisplay
    from ota.system.sinks import OutputSink, TextSink

    is_live = _is_live(arguments)
    out = err = None
    if is_live:
        err = OutputSink(STDERR)
        # with --json standard output belongs to the one document
        out = err if arguments.is_json else OutputSink(STDOUT)
    is_parallel = _jobs(arguments) > 1
    return LiveDisplay(
        out=out,
        err=err,
        told=TextSink(err or OutputSink(STDERR), encoding=session.err.encoding),
        style=session.style_of(session.err),
        is_prefixed=is_parallel,
        shows_steps=not arguments.is_json and len(plan.steps) > 1 and not is_parallel,
        shows_banners=not arguments.is_json,
    )


# --- what came of it -----------------------------------------------------------------------------


def _shows_receipt(arguments: Arguments) -> bool:
    """Whether anybody will read it: making one costs more than the summary of a short run."""
    return arguments.is_json or arguments.has("--receipt") or arguments.has("--archive")


def _receipt(facts: RunFacts, plan: Plan, loaded: Loaded, ran: Ran) -> dict[str, object]:
    from ota.evidence.receipt import receipt_of
    from ota.resolve.documents.identity import contract_identity

    document = receipt_of(facts, plan, loaded, contract_identity(loaded.contract), observe_host())
    masked: dict[str, object] = ran.masker.mask_json(document) if ran.masker else document
    return masked


def _archive(loaded: Loaded, document: dict[str, object]) -> str:
    """Keep the receipt and the contract it is about; what the run came to stays what it is."""
    from ota.evidence.archive import archive_receipt
    from ota.evidence.snapshot import snapshot_bytes, with_snapshot

    try:
        with_snapshot(document, loaded.root, snapshot_bytes(loaded.contract))
        return f"Receipt: {archive_receipt(loaded.root, document)}"
    except HostError as error:
        finding = error.findings[0]
        return f"Warning: the receipt was not archived: {finding.summary}: {finding.why}"


def _print_json(
    arguments: Arguments,
    session: Session,
    facts: RunFacts,
    document: dict[str, object],
    ran: Ran,
    loaded: Loaded,
) -> None:
    from ota.cli.render.json import print_document
    from ota.resolve.documents.findings import finding_documents

    result: dict[str, object] = {
        "ok": document["ok"],
        "path": loaded.shown,
        "mode": "run",
        "task": arguments.positionals[0],
        "status": facts.ended.status,
        "exit_code": facts.ended.exit_code,
        "summary": document["summary"],
        "receipt": document,
    }
    failure = facts.ended.failure
    if failure is not None and failure.findings:
        result["findings"] = ran.masker.mask_json(finding_documents(failure.findings))
    if ran.excerpt is not None:
        for name in ("stdout", "stderr"):
            tail = ran.excerpt.tail(name)[-16_384:]
            if tail:
                result[name] = tail
    print_document(result, session.out)


def _print_text(
    arguments: Arguments,
    session: Session,
    facts: RunFacts,
    plan: Plan,
    loaded: Loaded,
    document: dict[str, object],
    ran: Ran,
) -> OSError | None:
    """Why the report could not be written, when a file had no room for it."""
    from ota.cli.render import run_text
    from ota.evidence.summary import summary_rows
    from ota.system.sinks import OutputSink, TextSink

    style = session.style_of(session.err, ran.masker.mask)
    blocks: list[list[str]] = []
    failure = facts.ended.failure
    is_live = _is_live(arguments)
    if failure is not None:
        block = run_text.failure_block(failure, facts, plan, loaded.shown, style)
        if ran.excerpt is not None and not ran.excerpt.is_empty and failure.show_output:
            limit = run_text.EXCERPT_LINES if is_live else run_text.FAILED_EXCERPT_LINES
            block += run_text.output_block(ran.excerpt, style, limit=limit, was_live=is_live)
        if not is_live:
            block += run_text.beside_blocks(ran.outputs, failure, facts, style)
        blocks.append([*block, *run_text.next_block(facts, plan, style)])
    elif not is_live:
        blocks += run_text.output_blocks(ran.outputs, plan.requested_step.task.name, style)
    if arguments.has("--receipt"):
        from ota.cli.render.receipt_text import receipt_text

        blocks.append([receipt_text(document, style)])
    blocks.append(run_text.summary_block(summary_rows(facts, plan, loaded), style))
    if failure is None:
        blocks.append(run_text.next_block(facts, plan, style))
    gap = "\n" if style.is_concise else "\n\n"
    text = gap.join("\n".join(block) for block in blocks)
    sink = OutputSink(STDERR, is_hurried=ran.ended.status == "interrupted")
    TextSink(sink, encoding=session.err.encoding).write(f"{style.tamed(text)}\n")
    return sink.no_room
