"""Rules of targets and activation, each broken alone."""

import pytest

from contract.rules.table import Case, errors, only, prove

REMOTE = "backend: remote, remote: {provider: ssh, target: a@b}"
EXECUTION = f"""execution:
  contexts:
    host: {{backend: native}}
    box: {{backend: container, lifecycle: persistent, container: {{image: n}}}}
    far: {{{REMOTE}}}
    ext: {{backend: remote, remote: {{provider: mine, target: a}}}}
  shared_backends:
    here: {{scope: local, backend: native, lifecycle: persistent}}
    there: {{scope: remote, backend: remote, lifecycle: persistent, context: far}}
    through: {{scope: remote, backend: remote, lifecycle: persistent, context: ext}}
extensions: {{mine: {{kind: backend_provider, command: a, api_version: 1CLEANUP}}}}
"""
MORE = EXECUTION.replace("CLEANUP", "")
CLEAN = EXECUTION.replace("CLEANUP", ", activation: {provider_managed_cleanup: true}")

HTTP = "http: {http: 8080}"
DISCOVER = "http: {protocol: http, bind: {address: 127.0.0.1, port: {mode: discover}}}"
INSIDE = "http: {protocol: http, bind: {address: 127.0.0.1, port: {mode: fixed, value: 8080}}}"


def producer(listeners: str = HTTP, extra: str = "", task: str = "") -> str:
    """The producer `api`."""
    runtime = f"runtime: {{kind: service, listeners: {{{listeners}}}{extra}}}"
    return f"  api: {{launch: {{kind: command, exe: ./api}}{task}, {runtime}}}\n"


API = producer()
WORKER = "  worker: {run: ./w, runtime: {kind: service}}\n  plain: {run: make}\n"
TWO = producer(
    "http: {http: 8080}, admin: {protocol: tcp, bind: {address: 127.0.0.1, port: {mode: fixed, value: 9}}}"
)


def target(text: str, api: str = API, task: str = "", more: str = MORE, name: str = "a") -> str:
    """A caller with one target."""
    return f"tasks:\n  t: {{run: make{task}, targets: {{{name}: {{{text}}}}}}}\n{api}{WORKER}{more}"


def ensure(
    mode: str = "ensure_ready", view: str = "host", api: str = API, task: str = "", more: str = MORE
) -> str:
    """A caller that starts `api`."""
    named = ", listener: http" if api == SLOW_READY else ""
    service = f"service: {{task: api, address_view: {view}{named}}}"
    return target(f"{service}, activation: {{mode: {mode}}}", api, task, more)


def bound(backend: str, port: int = 9090) -> str:
    """A caller's own runtime on a shared backend."""
    bind = f"bind: {{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}}}"
    listeners = f"listeners: {{own: {{protocol: tcp, {bind}}}}}"
    return f", runtime: {{kind: service, backend_binding: {backend}, {listeners}}}"


FINE = target("service: {task: api}")
URL = target("url: http://x")
SELF = "targets: {a: {service: {task: api, address_view: host}}}"
T = "tasks.t.targets.a"
MODE = T + ".activation.mode"
OWN = "own: {protocol: tcp, bind: {address: 127.0.0.1, port: {mode: fixed, value: 9}}, project: {host: HOST}}"
SLOW_READY = producer(
    HTTP + ", " + OWN.replace("HOST", "{address: 127.0.0.1, port: {mode: auto}, primary: true}"),
    ", readiness: {kind: tcp, listener: own}",
)
ON_HERE = producer(INSIDE, ", backend_binding: here")
ON_THERE = producer(INSIDE, ", backend_binding: there", ", context: far")
MONOREPO = "workspace: {type: monorepo, members: [apps/web]}\n"

CASES = (
    Case("V390", 'tasks.t.targets.""', target("url: http://x", name='""'), URL),
    pytest.param(
        Case("V391", T, target("override_input: i", task=", inputs: {i: {}}"), URL),
        marks=pytest.mark.proves("S002-81"),
    ),
    pytest.param(
        Case("V391", T, target("url: http://x, service: {task: api}"), FINE),
        marks=pytest.mark.proves("S002-81"),
    ),
    Case("V392", T + ".url", target('url: " "'), URL),
    *(
        pytest.param(
            Case("V393", MODE, target(f"url: http://x, activation: {{mode: {mode}}}"), URL),
            marks=pytest.mark.proves("S002-109"),
        )
        for mode in ("ensure_started", "ensure_running", "ensure_ready", "restart_ready")
    ),
    Case("V394", T + ".service.task", target('service: {task: ""}'), FINE),
    Case(
        "V395",
        T + ".service.repo",
        target("service: {task: x, member: m, repo: r, address_view: host}"),
        FINE,
    ),
    pytest.param(
        Case("V396", T + ".service.task", target("service: {task: ipa}"), FINE),
        marks=pytest.mark.proves("S002-83"),
    ),
    Case(
        "V397",
        T + ".service.member",
        target("service: {task: x, member: wbe, address_view: host}", more=MORE + MONOREPO),
        target("service: {task: x, member: web, address_view: host}", more=MORE + MONOREPO),
    ),
    pytest.param(
        Case("V398", T + ".service.task", target("service: {task: plain}"), FINE),
        marks=pytest.mark.proves("S002-84"),
    ),
    pytest.param(
        Case(
            "V399",
            T + ".service.listener",
            target("service: {task: api, listener: grpc}"),
            target("service: {task: api, listener: http}"),
        ),
        marks=pytest.mark.proves("S002-93"),
    ),
    Case("V399", T + ".service.task", target("service: {task: worker}"), FINE),
    Case("V399", T + ".service.task", ensure().replace("task: api,", "task: worker,"), ensure()),
    pytest.param(
        Case(
            "V400",
            T + ".service",
            target("service: {task: api}", TWO),
            target("service: {task: api, listener: http}", TWO),
        ),
        marks=pytest.mark.proves("S002-95"),
    ),
    pytest.param(
        Case(
            "V401",
            T + ".override_input",
            target("url: http://x, override_input: i"),
            target("url: http://x, override_input: i", task=", inputs: {i: {}}"),
        ),
        marks=pytest.mark.proves("S002-101"),
    ),
    Case(
        "V402",
        "tasks.t.targets.b.override_input",
        target(
            "url: http://x, override_input: i}, b: {url: http://y, override_input: i",
            task=", inputs: {i: {}}",
        ),
        target("url: http://x, override_input: i}, b: {url: http://y", task=", inputs: {i: {}}"),
    ),
    Case(
        "V403",
        "tasks.t.targets.web_a",
        target("url: http://x}, web-a: {url: http://y}, web_a: {url: http://z"),
        target("url: http://x}, web-a: {url: http://y}, web_b: {url: http://z"),
    ),
    Case(
        "V404",
        "tasks.api.targets.a.activation.mode",
        FINE.replace(
            "exe: ./api}", "exe: ./api}, " + SELF.replace("}}}", "}, activation: {mode: ensure_ready}}}")
        ),
        FINE.replace("exe: ./api}", "exe: ./api}, " + SELF),
    ),
    Case(
        "V405",
        MODE,
        ensure(api=producer(task=", depends_on: [t]")),
        ensure("manual", api=producer(task=", depends_on: [t]")),
    ),
    Case("V406", MODE, ensure(api=producer(DISCOVER)), ensure()),
    Case("V406", MODE, ensure(view="topology", api=producer(INSIDE)), ensure(view="topology")),
    Case("V406", MODE, ensure("ensure_running", api=producer(INSIDE)), ensure("ensure_running")),
    Case("V406", MODE, ensure("ensure_ready", api=SLOW_READY), ensure("ensure_running", api=SLOW_READY)),
    Case("V408", MODE, ensure(view="internal"), ensure()),
    Case(
        "V408",
        MODE,
        ensure(view="internal", api=ON_HERE),
        ensure(view="internal", api=ON_HERE, task=bound("here")),
    ),
    Case(
        "V407",
        MODE,
        ensure(view="internal", api=producer(DISCOVER, ", backend_binding: here"), task=bound("here")),
        ensure(view="internal", api=ON_HERE, task=bound("here")),
    ),
    Case(
        "V409",
        MODE,
        ensure(task=", context: far"),
        ensure("manual", task=", context: far"),
    ),
    Case(
        "V410",
        MODE,
        ensure(
            view="internal",
            api=producer(INSIDE, ", backend_binding: through", ", context: ext"),
            task=", context: ext",
        ),
        ensure(
            view="internal",
            api=producer(INSIDE, ", backend_binding: through", ", context: ext"),
            task=", context: ext",
            more=CLEAN,
        ),
    ),
    Case(
        "V411",
        T + ".service.address_view",
        target("service: {task: x, repo: r, address_view: topology}"),
        target("service: {task: x, repo: r}"),
    ),
    Case(
        "V413",
        MODE,
        target("service: {task: x, member: m, address_view: host}, activation: {mode: ensure_ready}"),
        target("service: {task: x, member: m, address_view: host}"),
    ),
    Case(
        "V414",
        T + ".service",
        target("service: {task: x, member: m}"),
        target("service: {task: x, member: m}", task=bound("here")),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_target_rule_is_broken_alone(case: Case) -> None:
    prove(case)


@pytest.mark.proves("S002-96")
def test_a_view_is_one_of_three() -> None:
    for view in ("host", "topology", "internal"):
        assert errors(target(f"service: {{task: api, address_view: {view}}}")) == []
    wrong = target("service: {task: api, address_view: bridge}")
    assert errors(wrong) == [("P03", T + ".service.address_view")]


@pytest.mark.proves("S004-31")
def test_an_activation_mode_is_one_of_five() -> None:
    for mode in ("manual", "ensure_started", "restart_ready", "ensure_running", "ensure_ready"):
        assert errors(ensure(mode)) == []
    assert errors(ensure("ensure_up")) == [("P03", MODE)]


@pytest.mark.proves("S004-26")
def test_an_input_has_no_target_truth_of_its_own() -> None:
    wrong = "tasks: {t: {run: make, inputs: {url: {default_from: {service: {task: api}}}}}}\n"
    assert errors(wrong) == [("P01", "tasks.t.inputs.url.default_from")]
    assert only(wrong).next == "did you mean `default`?"


@pytest.mark.proves("S002-94")
def test_a_single_listener_needs_no_name() -> None:
    assert errors(FINE) == []


def test_several_listeners_are_told_with_the_fix() -> None:
    found = only(target("service: {task: api}", TWO))
    assert "`admin`, `http`" in found.why
    assert "`service.listener`" in found.next


def test_a_remote_caller_shares_through_the_pinned_context() -> None:
    assert errors(ensure(view="internal", api=ON_THERE, task=", context: far")) == []
