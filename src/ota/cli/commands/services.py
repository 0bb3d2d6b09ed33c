"""`ota services`: what is declared about services. It never starts, stops or probes one.

Source: commands specification 14; json-and-receipts specification 3.4.
"""

from typing import Any

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.resolve.documents.services import services_document


def run(arguments: Arguments, session: Session) -> int:
    """List services."""
    document = services_document(session.load_contract(arguments.path))
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        print(_text(document, session), file=session.out)
    return 0


def _text(document: dict[str, Any], session: Session) -> str:
    from ota.cli.render.listing import Report
    from ota.cli.render.service_text import service_item

    report = Report(session.style_of(session.out))
    report.block(report.style.header("SERVICES", document["path"]))
    if not document["services"]:
        report.block("The contract declares no services.")
        report.next("declare one under `services` when a task needs a database, a broker or another process")
        return report.text()
    for service in document["services"]:
        service_item(report, service)
    report.block(
        "Services are not run directly: `requires_services` and `ota up` bring them up, `ota doctor` asks "
        "whether they are ready. Ota stops none of them."
    )
    report.next(f"`ota tasks{session.target(session.arguments.path)}`")
    return report.text()
