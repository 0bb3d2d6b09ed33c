"""`ota services`: what is declared about services. It never starts, stops or probes one.

Source: commands specification 14; json-and-receipts specification 3.4.
"""

from typing import Any

from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session
from ota.resolve.documents.services import services_document


def run(arguments: Arguments, session: Session) -> int:
    """List services."""
    document = services_document(session.load_contract(arguments.path))
    target = session.target(arguments.path)
    session.show(document, lambda style: _text(document, style, target))
    return 0


def _text(document: dict[str, Any], style: Style, target: str) -> str:
    from ota.cli.render.listing import Report
    from ota.cli.render.service_text import service_item

    report = Report(style)
    report.block(style.header("SERVICES", document["path"]))
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
    report.next(f"`ota tasks{target}`")
    return report.text()
