"""What an `ota up` came to: status, phase, findings, document. A fold of its events, like its receipt.

Source: json-and-receipts specification 3.14; commands specification 3.4; decision D22.
"""

from collections.abc import Sequence

from ota.contract.load import Loaded
from ota.diagnose.documents import summary_document
from ota.diagnose.report import in_order, verdict_of
from ota.errors import Finding
from ota.evidence.fold import RunFacts
from ota.evidence.next_steps import next_actions
from ota.evidence.receipt import Document, receipt_of, without_absent
from ota.execute.events import Failure, UpStatus
from ota.resolve.documents.findings import finding_documents
from ota.resolve.documents.identity import contract_identity
from ota.resolve.documents.tasks import in_effect
from ota.resolve.up_plan import UpPlan, may_be_let_go
from ota.system.host import HostFacts

_SHOWN_PHASES = {"attach": "run"}
"""Staying in the foreground is a matter of the run task."""
_FAILED_CODES: dict[UpStatus, str] = {
    "PREPARE FAILED": "OTA_UP_PREPARE_FAILED",
    "PROVISIONING FAILED": "OTA_UP_SETUP_FAILED",
    "SETUP FAILED": "OTA_UP_SETUP_FAILED",
    "RUN FAILED": "OTA_UP_RUN_FAILED",
}


def up_status(facts: RunFacts) -> UpStatus:
    """READY exactly when everything was proven; otherwise how the last phase ended."""
    if facts.ended.status == "success":
        return "READY"
    for phase in reversed(facts.phases):
        if phase.ended is not None and phase.ended.status != "READY":
            return phase.ended.status
    return "INTERRUPTED" if facts.ended.status == "interrupted" else "NOT READY"


def up_phase(facts: RunFacts) -> str:
    """Where it stopped; of a path that is ready, where that was proven."""
    if facts.ended.status == "success":
        return "post-up diagnosis"
    stopped = [each for each in facts.phases if each.ended is None or each.ended.status != "READY"]
    phase = (stopped or facts.phases)[-1].started.phase if facts.phases else "preconditions"
    return _SHOWN_PHASES.get(phase, phase)


def up_findings(facts: RunFacts) -> tuple[Finding, ...]:
    """Why it is not ready, and what the latest diagnoses said besides."""
    newest = {
        ("preconditions" if each.phase == "provisioning" else each.phase): each for each in facts.diagnosed
    }
    found = [finding for each in newest.values() for finding in each.findings]
    failure = facts.ended.failure
    if failure is not None:
        found = [*(failure.findings or (_as_finding(failure, up_status(facts)),)), *found]
    elif facts.ended.status == "interrupted":
        found = [each for each in found if each.severity != "error"]
    return in_order(found)


def _as_finding(failure: Failure, status: UpStatus) -> Finding:
    """A task that failed by itself: its own code says how, the phase says what that means."""
    return Finding(
        code=_FAILED_CODES.get(status, "OTA_UP_RUN_FAILED"),
        title=failure.title,
        summary=failure.detail or failure.title,
        why="; ".join(failure.why),
        next="; ".join(failure.next),
        category="execution",
        owner="repo_contract",
    )


def up_document(
    facts: RunFacts, up: UpPlan, loaded: Loaded, host: HostFacts, *, stdout: str = "", stderr: str = ""
) -> Document:
    """`ota up --json`, before secrets are masked."""
    status, failure = up_status(facts), facts.ended.failure
    findings = up_findings(facts)
    is_ready = status == "READY"
    document: Document = {
        "ok": is_ready,
        "path": loaded.shown,
        "status": status,
        "phase": up_phase(facts),
        "summary": summary_document(verdict_of(findings), findings),
        "workflow": in_effect(loaded, up.selection, host),
        "task": (failure.task if failure is not None and failure.task else None) or up.task,
        "findings": finding_documents(findings),
        "service": _service_to_blame(facts),
        "exit_code": facts.ended.exit_code or None,
        "cause": failure.detail if failure is not None else None,
        "stdout": stdout if not is_ready else "",
        "stderr": stderr if not is_ready else "",
        "receipt": up_receipt(facts, up, loaded, host),
    }
    return without_absent(document, keep=("ok", "findings", "receipt"))


def up_receipt(facts: RunFacts, up: UpPlan, loaded: Loaded, host: HostFacts) -> Document:
    """The receipt of the execution."""
    return receipt_of(
        facts,
        up.plan,
        loaded,
        contract_identity(loaded.contract),
        host,
        task=up.task,
        phases=up.phase_of,
        following=up_next(facts, up),
    )


def _service_to_blame(facts: RunFacts) -> str | None:
    failure = facts.ended.failure
    if failure is None or not failure.origin.startswith("service_"):
        return None
    bad = ("SERVICE START FAILED", "NOT READY")
    return next((each.began.service for each in facts.services if each.status in bad), None)


def up_next(facts: RunFacts, up: UpPlan) -> Sequence[str]:
    """What to do now, most useful first."""
    target = up.plan.request.target
    if facts.ended.status != "success":
        return next_actions(facts, up.plan)
    left = facts.left_running
    if left:
        return (
            f"`{left[0].stop}` ends what was left running",
            f"`ota tasks --use{target}` lists what can be run",
        )
    if up.run is None:
        return next_actions(facts, up.plan)
    task = up.plan.steps[up.run].task.name
    step = facts.step(up.run)
    if step is not None and step.already_running is not None:
        return (
            f"`{step.already_running.stop}` ends `{task}`, which was running before",
            f"`ota tasks --use{target}` lists what can be run",
        )
    attached = f"`{_again(up)} --attach` brings it up again and stays with `{task}`"
    return (
        f"`{_again(up)} --detach` brings it up again and leaves `{task}` running"
        if may_be_let_go(up.plan.steps[up.run].task)
        else attached,
        f"`ota run {task}{target}` runs it in the foreground",
    )


def _again(up: UpPlan) -> str:
    return (up.plan.request.again or "ota up").replace(" --attach", "").replace(" --detach", "")
