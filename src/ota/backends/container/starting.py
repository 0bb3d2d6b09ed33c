"""Why an engine could not start a body, from what it said before the body's shell began.

Source: runtime specification 24 (container state); lessons, "Engine talk".
"""

from ota.backends.container.engine import Engine, EngineAnswer, refusal
from ota.backends.container.work import Prepared, Work
from ota.errors import Finding

_NO_SHELL = (
    'exec: "sh"',
    "exec sh failed",
    "failed to exec pid1",
    "sh: no such file or directory",
    "executable file `sh` not found",
)


def not_started_finding(engine: Engine, prepared: Prepared, work: Work, said: str) -> Finding:
    """The one reason among those an engine gives."""
    return start_refusal(engine, prepared.name, work.container.image, said)


def start_refusal(engine: Engine, name: str, image: str, said: str) -> Finding:
    """The same for a container that nothing else is prepared for."""
    answer = EngineAnswer(args=("start",), exit_code=1, stdout="", stderr=said)
    action = f"start container {name}"
    if any(text in said.lower() for text in _NO_SHELL):
        return Finding(
            code="OTA_CONTAINER_NO_SHELL",
            title="Container image has no shell",
            summary=f"image `{image}` has no `sh`, so no body can run in it",
            why=answer.detail,
            next="choose an image with a shell, or start this one as it is with `launch.kind: container`",
            category="execution",
            owner="container_target",
        )
    return refusal(engine, answer, action)
