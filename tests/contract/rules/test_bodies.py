"""Rules of command, launch and compose bodies, each broken alone."""

import pytest

from contract.rules.table import Case, prove

BOX = (
    "execution: {contexts: {host: {backend: native}, "
    "box: {backend: container, lifecycle: ephemeral, container: {image: n}}}}\n"
)
SURFACE = "surfaces: {web: {kind: http, port: 80}}\n"
OPEN = "bind: {address: 0.0.0.0}"
RUNTIME = f"runtime: {{kind: service, surfaces: {{web: {{{OPEN}}}}}}}"
SERVICE = "runtime: {kind: service, listeners: {http: {http: 80}}}"
TOOL = 'requirements: {tools: {docker: "*"}}'


def task(text: str, more: str = "") -> str:
    return f"tasks:\n  t: {{{text}}}\n{more}"


def launch(text: str = "", runtime: str = RUNTIME, more: str = SURFACE) -> str:
    return task(f"launch: {{kind: container, image: n{text}}}, {runtime}", more)


def compose(text: str, requirements: str = TOOL) -> str:
    return task(f"compose: {{{text}}}, {requirements}")


def project(args: str, listener: str = "http", adapter: str = "uvicorn") -> str:
    body = f"exe: a, args: {args}, runtime_projection: {{listener: {listener}, adapter: {adapter}}}"
    return task(f"launch: {{kind: command, {body}}}, {SERVICE}")


DISCOVER = SERVICE.replace("http: 80", "protocol: http, bind: {address: 127.0.0.1, port: {mode: discover}}")
UP = compose("kind: up")
EXEC = compose("kind: exec, service: a, exe: b")
FLAGS = (
    ("tty", "true", "up"),
    ("detach", "true", "run"),
    ("rm", "true", "exec"),
    ("build", "true", "exec"),
    ("service_ports", "true", "exec"),
    ("force_recreate", "true", "exec"),
    ("force", "true", "up"),
    ("follow", "true", "up"),
    ("remove_volumes", "true", "up"),
    ("timeout_seconds", "3", "up"),
)


def of_kind(kind: str, extra: str = "") -> str:
    needs = ", service: a, exe: b" if kind in ("exec", "run", "attach") else ""
    return compose(f"kind: {kind}{needs}{extra}")


CASES = (
    Case("V315", "tasks.t.command.exe", task('command: {exe: ""}'), task("command: {exe: a}")),
    Case(
        "V315",
        "tasks.t.launch.exe",
        task('launch: {kind: command, exe: " "}'),
        task("launch: {kind: command, exe: a}"),
    ),
    Case("V315", "tasks.t.compose.exe", compose('kind: exec, service: a, exe: ""'), EXEC),
    Case(
        "V316", "tasks.t.command.cwd", task("command: {exe: a, cwd: ../b}"), task("command: {exe: a, cwd: .}")
    ),
    Case(
        "V316",
        "tasks.t.launch.cwd",
        task("launch: {kind: command, exe: a, cwd: /b}"),
        task("launch: {kind: command, exe: a, cwd: b}"),
    ),
    Case("V318", "tasks.t.launch.image", launch().replace("image: n", 'image: ""'), launch()),
    Case(
        "V319",
        "tasks.t.launch.kind",
        launch(runtime="context: box, " + RUNTIME, more=SURFACE + BOX),
        launch(runtime="context: host, " + RUNTIME, more=SURFACE + BOX),
    ),
    Case("V320", "tasks.t.launch", launch(runtime="notes: a"), launch()),
    Case("V320", "tasks.t.launch", launch(runtime=SERVICE), launch()),
    Case("V321", "tasks.t.launch.remove", launch(", remove: true"), launch(", remove: false")),
    Case(
        "V322",
        "tasks.t.launch.volumes[0].target",
        launch(', volumes: [{source: a, target: ""}]'),
        launch(", volumes: [{name: a, target: /a}]"),
    ),
    Case("V323", "tasks.t.launch", launch(runtime="runtime: {kind: service, surfaces: [web]}"), launch()),
    Case(
        "V323",
        "tasks.t.launch",
        launch(runtime=RUNTIME.replace(OPEN, OPEN + ", project: {host: {port: {mode: auto}}}")),
        launch(runtime=RUNTIME.replace(OPEN, OPEN + ", project: {host: {port: {mode: fixed, value: 8080}}}")),
    ),
    Case("V324", "tasks.t.launch.runtime_projection.listener", project("[]", "web"), project("[]")),
    Case(
        "V324",
        "tasks.t.launch.runtime_projection.listener",
        project("[]").replace(SERVICE, DISCOVER),
        project("[]"),
    ),
    *(
        Case(
            "V325",
            "tasks.t.launch.args[0]",
            project(f'["{flag}", "1"]', adapter=adapter),
            project("[app]", adapter=adapter),
        )
        for adapter, flag in (
            ("uvicorn", "--host"),
            ("uvicorn", "--port=3"),
            ("rails", "-b"),
            ("rails", "-p3000"),
            ("nextjs", "-H"),
            ("nextjs", "--hostname"),
        )
    ),
    Case(
        "V326",
        "tasks.t.launch",
        task("launch: {kind: compose, action: up}"),
        task("launch: {kind: compose, action: up}, " + SERVICE),
    ),
    Case("V330", "tasks.t.compose.service", compose("kind: exec, exe: b"), EXEC),
    Case("V330", "tasks.t.compose.exe", compose("kind: attach, service: a"), of_kind("attach")),
    Case(
        "V331", "tasks.t.compose.service", compose("kind: up, service: a"), compose("kind: up, services: [a]")
    ),
    Case("V332", "tasks.t.compose.services", compose("kind: down, services: [a]"), compose("kind: down")),
    Case("V332", "tasks.t.compose.services", of_kind("run", ", services: [a]"), of_kind("run")),
    *(
        Case("V333", f"tasks.t.compose.{key}", compose(f"kind: logs, {key}: {value}"), compose("kind: logs"))
        for key, value in (("workdir", "/a"), ("exe", "a"), ("args", "[a]"))
    ),
    *(
        Case("V334", f"tasks.t.compose.{key}", of_kind(kind, f", {key}: {value}"), of_kind(kind))
        for key, value, kind in FLAGS
    ),
    Case("V335", "tasks.t.compose", compose("kind: up", "notes: a"), UP),
    Case("V335", "tasks.t.compose", compose("kind: up, engine: podman"), UP),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_body_rule_is_broken_alone(case: Case) -> None:
    prove(case)
