"""Declared services as text.

Source: commands specification 6, 14.
"""

from ota.cli.render.listing import Document, Report, listed
from ota.cli.render.task_text import readiness_line


def service_item(report: Report, service: Document) -> None:
    """Everything declared about one service."""
    report.item(str(service["name"]))
    report.row("Required", service["required"])
    if "manager" in service:
        report.row("Manager", _facts(service["manager"]))
    if "producer" in service:
        report.row("Producer", _facts(service["producer"]))
    report.row("Provider", service.get("provider"))
    report.row("Depends On", listed(service["depends_on"]))
    for key in ("start", "stop"):
        command = service.get(key) or service.get("manager", {}).get(key)
        report.row(key.capitalize(), f"`{command}`" if command else None)
    report.row("Healthcheck", f"`{service['healthcheck']}`" if "healthcheck" in service else None)
    endpoints = service.get("endpoints", {})
    report.bullets((_endpoint(name, each) for name, each in endpoints.items()), label="Endpoints")
    if "readiness" in service:
        report.row("Readiness", readiness_line(service["readiness"]))
    report.row("Timeout", f"{service['timeout']} s" if "timeout" in service else None)


def _endpoint(name: str, endpoint: Document) -> str:
    context = endpoint.get("context")
    where = f"{endpoint.get('address', '')}:{endpoint.get('port', '')}".strip(":")
    return f"{name}: {where}" + (f" (context {context})" if context is not None and context != name else "")


def _facts(document: Document) -> str:
    """`compose (name=local, service=db)`; the first key is what it is."""
    (_, kind), *others = ((key, value) for key, value in document.items() if key not in ("start", "stop"))
    told = ", ".join(
        f"{key}={'+'.join(map(str, value)) if isinstance(value, list) else value}" for key, value in others
    )
    return f"{kind} ({told})" if told else str(kind)
