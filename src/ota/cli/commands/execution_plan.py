"""`ota execution plan`: where work would run, and which rule chose it. Nothing is started or created.

Source: commands specification 5; json-and-receipts specification 3.10.
"""

from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session
from ota.resolve.documents.execution_plan import execution_plan_document
from ota.resolve.plan import Request
from ota.system.host import observe_host


def run(arguments: Arguments, session: Session) -> int:
    """Resolve with the run's own resolver, and show."""
    loaded = session.load_contract(arguments.path)
    request = Request(
        task=arguments.value("--task"),
        mode=arguments.value("--mode"),  # type: ignore[arg-type]  # the flag's choices are the planes
        lifecycle=arguments.value("--lifecycle"),  # type: ignore[arg-type]  # likewise
        workflow=arguments.value("--workflow"),
    )
    document = execution_plan_document(loaded, request, observe_host())

    def text(style: Style) -> str:
        from ota.cli.render.execution_text import plan_text

        return plan_text(document, style, session.target(arguments.path) + session.selection())

    session.show(document, text)
    return 0
