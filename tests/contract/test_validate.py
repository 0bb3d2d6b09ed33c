"""What `ota validate` tells about a broken contract: the field, the reason, the next step."""

import pytest

from conftest import MakeProject
from contract.reading import FIXTURES, HEAD
from support.project import Result

pytestmark = pytest.mark.edge


def validate(project: MakeProject, text: str) -> Result:
    return project({"ota.yaml": text}).run("validate")


def refused(project: MakeProject, text: str, code: str, field: str) -> str:
    """The failure block of a contract that breaks one rule."""
    result = validate(project, text)
    assert result.code == 1, result
    assert "Traceback" not in result.err
    told = result.out + result.err
    assert f"Code:  OTA_{code}" in told, result
    assert f"Field: {field}\n" in told, result
    assert "Why:   " in told
    assert "Next:  " in told
    assert told.count("ERROR  ") == 1, result
    return told


CONTAINER = (
    "execution: {contexts: {app: {backend: container, lifecycle: persistent, container: {image: i}}}}\n"
)
PORT = "tasks.dev.runtime.listeners.web.bind.port"
HOST = "tasks.dev.runtime.listeners.web.project.host.port"


def service(*listeners: str, context: str = "") -> str:
    listed = ", ".join(listeners)
    runtime = f"runtime: {{kind: service, listeners: {{{listed}}}}}"
    task = f"{{launch: {{kind: command, exe: ./x}}, {context}{runtime}}}"
    return HEAD + CONTAINER + f"tasks: {{dev: {task}}}\n"


def full(name: str, bind: str, host: str, address: str = "0.0.0.0", more: str = "") -> str:
    return (
        f"{name}: {{protocol: http, bind: {{address: {address}, port: {{{bind}}}}}, "
        f"project: {{host: {{address: 127.0.0.1, port: {{{host}}}{more}}}}}}}"
    )


FIXED = "mode: fixed, value: 3000"


@pytest.mark.proves("S000-114")
@pytest.mark.parametrize(
    ("text", "code", "field", "next_"),
    [
        pytest.param(
            service(full("web", "value: 3000", FIXED)),
            "P04",
            f"{PORT}.mode",
            "`fixed` or `discover`",
            id="bind-mode-missing",
        ),
        pytest.param(
            service(full("web", "mode: dynamic", "mode: auto")),
            "P03",
            f"{PORT}.mode",
            "`fixed`, `discover`",
            id="bind-mode-unknown",
        ),
        pytest.param(
            service(full("web", "mode: auto", "mode: auto")),
            "V427",
            f"{PORT}.mode",
            "project.host.port.mode",
            id="bind-mode-auto",
        ),
        pytest.param(
            service(full("web", "mode: fixed", "mode: auto")),
            "V425",
            f"{PORT}.value",
            "value",
            id="bind-value-missing",
        ),
        pytest.param(
            service(full("web", FIXED, "value: 3000")),
            "P04",
            f"{HOST}.mode",
            "`fixed` or `auto`",
            id="host-mode-missing",
        ),
        pytest.param(
            service(full("web", FIXED, "mode: discover")),
            "P03",
            f"{HOST}.mode",
            "`fixed`, `auto`",
            id="host-mode-unknown",
        ),
        pytest.param(
            service(full("web", FIXED, "mode: fixed")),
            "V430",
            f"{HOST}.value",
            "value",
            id="host-value-missing",
        ),
        pytest.param(
            service("web: {http: 3000}", "admin: {http: 3001}"),
            "V433",
            "tasks.dev.runtime.listeners",
            "primary",
            id="no-primary",
        ),
        pytest.param(
            service(
                full("web", FIXED, FIXED, more=", primary: true"),
                full("admin", "mode: fixed, value: 3001", "mode: auto", more=", primary: true"),
            ),
            "V434",
            "tasks.dev.runtime.listeners",
            "keep",
            id="two-primaries",
        ),
        pytest.param(
            service(full("web", "mode: discover", "mode: auto"), context="context: app, "),
            "V436",
            PORT,
            "fixed",
            id="container-discover",
        ),
        pytest.param(
            service(full("web", FIXED, FIXED, address="127.0.0.1"), context="context: app, "),
            "V437",
            "tasks.dev.runtime.listeners.web.bind.address",
            "0.0.0.0",
            id="container-loopback",
        ),
        pytest.param(
            service(full("web", "mode: discover", FIXED)),
            "V439",
            HOST,
            "auto",
            id="discover-with-fixed-host",
        ),
        pytest.param(
            service("web: {http: 3000, protocol: http}"),
            "P05",
            "tasks.dev.runtime.listeners.web",
            "remove `protocol`",
            id="mixed-shorthand",
        ),
        pytest.param(
            service("web: {http: 3000, tcp: 3000}"),
            "P06",
            "tasks.dev.runtime.listeners.web",
            "keep one",
            id="two-protocols",
        ),
    ],
)
def test_each_broken_listener_is_told_with_its_field_and_next_step(
    project: MakeProject, text: str, code: str, field: str, next_: str
) -> None:
    result = validate(project, text)
    assert result.code == 1, result
    told = result.out + result.err
    assert "Traceback" not in told
    assert f"Code:  OTA_{code}\n" in told, result
    assert f"Field: {field}" in told, result
    (line,) = [line for line in told.splitlines() if line.startswith("  Next:  ")]
    assert next_ in line, result
    assert "ota validate" in told


@pytest.mark.proves("S002-32")
@pytest.mark.proves("S002-33")
def test_a_plane_switch_names_child_and_parent_and_asks_for_a_separate_base(project: MakeProject) -> None:
    text = (FIXTURES / "founding" / "invalid-extends.yaml").read_text(encoding="utf-8")
    told = refused(project, text, "V043", "execution.contexts.app.backend")
    assert "context `app` extends `host`" in told
    assert "define a separate base" in told


@pytest.mark.proves("S002-26")
@pytest.mark.parametrize("beside", ["default_context: app", "contexts: {app: {backend: native}}"])
def test_mixing_both_execution_models_shows_both_and_both_ways_out(project: MakeProject, beside: str) -> None:
    text = HEAD + f"execution:\n  preferred: native\n  {beside}\n"
    result = validate(project, text)
    assert result.code == 1
    told = result.out + result.err
    assert "Code:  OTA_V022\n" in told
    for word in ("`preferred`", "`default_context`", "`contexts`"):
        assert word in told
    assert "remove `preferred`" in told
    assert "keep `preferred`" in told


@pytest.mark.proves("S002-27")
def test_repeating_a_root_default_in_a_context_is_a_warning(project: MakeProject) -> None:
    text = HEAD + (
        "execution:\n"
        "  lifecycle: persistent\n"
        "  contexts: {app: {backend: container, lifecycle: persistent, container: {image: i}}}\n"
    )
    result = validate(project, text)
    assert result.code == 0, result
    told = result.out + result.err
    assert "OTA_W17" in told
    assert "ERROR" not in told


@pytest.mark.proves("S002-69")
def test_shorthand_in_a_container_points_to_the_full_form(project: MakeProject) -> None:
    text = service("web: {http: 3000}", context="context: app, ")
    told = refused(project, text, "V437", "tasks.dev.runtime.listeners.web.bind.address")
    assert "full form" in told


@pytest.mark.proves("S002-136")
def test_the_silent_mismatch_is_refused_once_its_default_context_is_a_container(
    project: MakeProject,
) -> None:
    text = (FIXTURES / "founding" / "without-context.yaml").read_text(encoding="utf-8")
    box = CONTAINER.replace("execution: {", "execution: {default_context: app, ")
    told = refused(project, text + box, "V437", "tasks.dev.runtime.listeners.http.bind.address")
    assert "loopback-only" in told
