"""The declared topology as JSON: shorthand gone, surfaces attached, contexts merged, nothing evaluated."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ota.resolve.endpoints import with_bind_ports
from ota.resolve.injection import injection, public_variables
from resolve.planning import (
    LINUX,
    ROOT,
    founding,
    loaded,
    plan,
    plan_json,
    task_json,
    task_plan,
    topology_json,
)

FIXED_3000 = {
    "protocol": "http",
    "bind_address": "127.0.0.1",
    "bind_port_mode": "fixed",
    "bind_port_value": 3000,
    "host_projection": {
        "address": "127.0.0.1",
        "port_mode": "fixed",
        "port_value": 3000,
        "primary": False,
        "path": "/",
    },
}


def listeners_of(source, task: str) -> dict:
    return task_json(topology_json(source), task)["runtime"]["listeners"]


@pytest.mark.proves("S001-77", "S001-78", "S002-68", "S002-72")
def test_http_shorthand_is_one_fixed_loopback_listener() -> None:
    contract = founding("http-shorthand")
    assert listeners_of(contract, "dev") == {"web": FIXED_3000}
    listener = plan_json(contract, "dev")["resolved"]["runtime"]["listeners"]["web"]
    assert listener["host_projection"]["url"] == "http://127.0.0.1:3000/"


@pytest.mark.proves("S001-80", "S001-81", "S002-68", "S002-75")
def test_tcp_shorthand_has_no_path_and_no_url() -> None:
    contract = founding("tcp-shorthand")
    (redis,) = listeners_of(contract, "redis").values()
    assert (redis["protocol"], redis["bind_address"], redis["bind_port_value"]) == ("tcp", "127.0.0.1", 6379)
    assert redis["host_projection"] == {
        "address": "127.0.0.1",
        "port_mode": "fixed",
        "port_value": 6379,
        "primary": False,
    }
    planned = plan_json(contract, "redis")["resolved"]["runtime"]["listeners"]["redis"]
    assert "url" not in planned["host_projection"]


@pytest.mark.proves("S001-84")
def test_the_expanded_form_is_the_same_topology() -> None:
    expanded = listeners_of(founding("expanded-listener"), "dev")
    assert expanded == listeners_of(founding("http-shorthand"), "dev")


def written_out(kind: str, port: int) -> str:
    path = ", path: /" if kind == "http" else ""
    return (
        f"{{protocol: {kind}, bind: {{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}}},"
        f" project: {{host: {{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}{path}}}}}}}"
    )


@given(kind=st.sampled_from(["http", "tcp"]), port=st.integers(1, 65535))
@settings(max_examples=25, deadline=None)
def test_both_spellings_of_a_listener_give_equal_topologies_and_plans(kind: str, port: int) -> None:
    def contract(listener: str):
        return loaded(f"tasks: {{a: {{run: x, runtime: {{kind: service, listeners: {{l: {listener}}}}}}}}}")

    short, long = contract(f"{{{kind}: {port}}}"), contract(written_out(kind, port))
    assert topology_json(short) == topology_json(long)
    assert plan_json(short, "a") == plan_json(long, "a")


@pytest.mark.proves("S001-94", "S002-70", "S000-131")
def test_several_projections_are_shown_with_their_primary() -> None:
    contract = founding("task-owned-projection")
    declared = listeners_of(contract, "dev")
    assert declared["http"]["host_projection"]["primary"] is True
    assert declared["metrics"]["host_projection"] == {
        "address": "127.0.0.1",
        "port_mode": "auto",
        "primary": False,
        "path": "/metrics",
    }
    assert declared["http"]["bind_address"] == "0.0.0.0"
    runtime = plan_json(contract, "dev")["resolved"]["runtime"]
    assert runtime["primary_listener"] == "http"
    assert set(runtime["listeners"]) == {"http", "metrics"}


@pytest.mark.proves("S002-147")
def test_a_container_bind_with_a_host_url() -> None:
    resolved = plan_json(founding("container-bind-host-url"), "dev")["resolved"]
    assert (resolved["lifecycle"], resolved["lifecycle_source"]) == ("persistent", "task")
    projection = resolved["runtime"]["listeners"]["http"]["host_projection"]
    assert (projection["port_mode"], "port_value" in projection) == ("auto", False)


@pytest.mark.proves("S002-135")
def test_without_context_the_example_plans_native() -> None:
    contract = founding("without-context")
    resolved = plan_json(contract, "dev")["resolved"]
    assert resolved["backend"] == "native"
    assert "context" not in resolved
    projection = resolved["runtime"]["listeners"]["http"]["host_projection"]
    assert projection["url"] == "http://127.0.0.1:3000/"


@pytest.mark.proves("S002-140")
def test_surfaces_become_listeners_in_list_and_map_form() -> None:
    contract = founding("structured-launch")
    document = topology_json(contract)
    quickstart = task_json(document, "quickstart")["runtime"]
    packaged = task_json(document, "packaged")["runtime"]
    assert quickstart["attached_surfaces"] == packaged["attached_surfaces"] == ["backend"]
    assert quickstart["surface_attachments"] == {"backend": {"uses_defaults": True}}
    assert packaged["surface_attachments"]["backend"]["uses_defaults"] is False
    assert quickstart["listeners"]["backend"]["bind_address"] == "127.0.0.1"
    assert packaged["listeners"]["backend"]["bind_address"] == "0.0.0.0"
    assert packaged["listeners"]["backend"]["bind_port_value"] == 5678
    for name in ("quickstart", "packaged"):
        assert plan_json(contract, name)["resolved"]["backend"] == "native"


@pytest.mark.proves("S000-102", "S002-48")
def test_a_branch_replaces_the_runtime_as_a_whole() -> None:
    contract = loaded(
        """
execution: {contexts: {app: {backend: container, lifecycle: ephemeral, container: {image: i}}}}
tasks:
  a:
    run: x
    runtime: {kind: service, listeners: {web: {http: 3000}}, readiness: {kind: tcp, listener: web}}
    execution:
      modes:
        native: {env: {A: b}}
        container:
          runtime:
            kind: service
            listeners:
              web:
                protocol: http
                bind: {address: 0.0.0.0, port: {mode: fixed, value: 80}}
                project: {host: {address: 127.0.0.1, port: {mode: auto}}}
"""
    )
    native = plan_json(contract, "a", mode="native")["resolved"]["runtime"]
    container = plan_json(contract, "a", mode="container")["resolved"]["runtime"]
    assert native["listeners"]["web"]["bind_port_value"] == 3000
    assert set(container["listeners"]) == {"web"}
    assert task_plan(contract, "a", mode="container").runtime.readiness is None
    modes = {mode["mode"]: mode for mode in task_json(topology_json(contract), "a")["modes"]}
    assert modes["native"]["has_runtime"] is False
    assert modes["container"]["runtime"]["listeners"]["web"]["bind_port_value"] == 80


@pytest.mark.proves("S002-14")
def test_contexts_are_shown_merged() -> None:
    contract = loaded(
        """
execution:
  contexts:
    base: {backend: container, lifecycle: ephemeral, container: {image: i}}
    app:
      extends: base
      lifecycle: persistent
      attachments: {compose: [local], isolated_paths: [./node_modules]}
    far: {backend: remote, remote: {provider: ssh, target: me@box, cwd: /srv}}
    host: {backend: native}
services:
  db:
    manager: {kind: compose, name: local, file: c.yaml, service: db}
    endpoints: {host: {address: 127.0.0.1, port: 1}}
    readiness: {from: host, kind: tcp}
tasks: {a: {run: x}}
"""
    )
    contexts = {each["name"]: each for each in topology_json(contract)["declared_execution"]["contexts"]}
    assert contexts["app"] == {
        "name": "app",
        "backend": "container",
        "lifecycle": "persistent",
        "container": {"image": "i"},
        "attachments": {
            "compose": ["local"],
            "isolated_paths": ["./node_modules"],
            "isolated_effective_paths": ["/workspace/node_modules"],
        },
    }
    assert contexts["far"]["remote"] == {"provider": "ssh", "target": "me@box", "cwd": "/srv"}
    assert contexts["host"] == {"name": "host", "backend": "native"}


@pytest.mark.proves("S002-94")
def test_a_target_may_leave_out_the_only_listener() -> None:
    contract = loaded(
        """
tasks:
  dev: {run: x, runtime: {kind: service, listeners: {http: {http: 8080}}}}
  probe: {run: x, targets: {api: {service: {task: dev, address_view: host}}}}
"""
    )
    (target,) = task_json(topology_json(contract), "probe")["targets"]
    assert target == {
        "name": "api",
        "kind": "service",
        "activation_mode": "manual",
        "service": {"task": "dev", "address_view": "host"},
    }
    (planned,) = task_plan(contract, "probe").targets
    assert (planned.listener, planned.effective_url) == ("http", "http://127.0.0.1:8080")


@pytest.mark.proves("S004-95")
def test_a_shared_backend_shows_its_fulfillment() -> None:
    contract = founding("shared-fulfillment")
    (backend,) = topology_json(contract)["shared_backends"]
    assert backend["fulfillment"] == "run"
    bound = [name for name, task in contract.contract.tasks.items() if task.runtime is not None]
    assert all(plan(contract, name).steps for name in bound)
    assert all(task_plan(contract, name).context.shared_backend == backend["name"] for name in bound)


@pytest.mark.proves("S004-97")
def test_a_context_shows_its_fulfillment() -> None:
    contract = founding("direct-fulfillment")
    contexts = topology_json(contract)["declared_execution"]["contexts"]
    assert [each["name"] for each in contexts if each.get("fulfillment") == "run"]
    for name in contract.contract.tasks:
        assert task_plan(contract, name).refusals == ()


@pytest.mark.proves("S003-80")
def test_durations_stay_as_authored() -> None:
    contract = founding("http-task-readiness")
    (name,) = [name for name, task in contract.contract.tasks.items() if task.runtime is not None]
    declared = contract.contract.tasks[name].runtime.readiness
    readiness = task_json(topology_json(contract), name)["runtime"]["readiness"]
    assert readiness["interval"] == declared.interval
    assert readiness["timeout"] == declared.timeout


def test_probes_say_who_observes() -> None:
    contract = loaded(
        """
tasks:
  dev: {run: x, runtime: {kind: service, listeners: {http: {http: 8080}}}}
  seen: {run: x}
readiness:
  probes:
    here: {kind: http, target: {kind: task, name: dev, listener: http}, path: /, timeout: 3s}
    there:
      kind: http
      target: {kind: task, name: dev, listener: http, observer: {kind: task, task: seen}}
      path: /
      expect_status: 204
      timeout: 1500
    out: {kind: http, url: "http://example.test/", timeout: 500ms}
"""
    )
    probes = topology_json(contract)["readiness_probes"]
    assert probes["here"]["target"]["resolution_plane"] == "command_host"
    assert probes["here"]["target"]["observer"] == {"kind": "command_host"}
    assert probes["there"]["target"]["observer"] == {"kind": "task", "task": "seen", "backend": "native"}
    assert probes["there"]["target"]["resolution_plane"] == "native"
    assert probes["there"]["success"] == {"status": [204]}
    assert [probe["timeout_ms"] for probe in probes.values()] == [3000, 500, 1500]


# --- what is injected ----------------------------------------------------------------------------

NATIVE = """
tasks:
  dev:
    run: x
    inputs: {base_url: {default: "http://x"}}
    runtime:
      kind: service
      listeners:
        web: {http: 3000}
        web:admin:
          protocol: https
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 8443}}
          project: {host: {address: "::1", primary: true, port: {mode: auto}, path: /admin}}
"""


def test_public_variables_follow_the_primary_and_name_every_listener() -> None:
    made = injection(task_plan(NATIVE, "dev"), ROOT, LINUX)
    assert made.values == {
        "OTA_WORKSPACE": "/repo",
        "OTA_HOST_WORKSPACE": "/repo",
        "OTA_HOST_HOME": "/home/dev",
        "OTA_HOST_UID": "1000",
        "OTA_HOST_GID": "1000",
        "OTA_INPUT_BASE_URL": "http://x",
        "OTA_PUBLIC_URL_WEB": "http://127.0.0.1:3000/",
        "OTA_PUBLIC_URL": "https://[::1]:8443/admin",
        "OTA_PUBLIC_HOST": "::1",
        "OTA_PUBLIC_PORT": "8443",
        "OTA_PUBLIC_URL_WEB_ADMIN": "https://[::1]:8443/admin",
    }
    assert made.fallbacks["OTA_BIND_ADDRESS"] == "0.0.0.0"
    assert made.fallbacks["HOST"] == made.fallbacks["SERVER_ADDRESS"] == "::1"
    assert made.fallbacks["PORT"] == made.fallbacks["OTA_BIND_PORT_WEB_ADMIN"] == "8443"
    assert made.fallbacks["OTA_BIND_PORT_WEB"] == "3000"


def test_a_discovered_port_is_public_only_once_it_is_known() -> None:
    text = """
tasks:
  dev:
    run: x
    runtime:
      kind: service
      listeners:
        web:
          protocol: tcp
          bind: {address: 127.0.0.1, port: {mode: discover}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}}}
"""
    task = task_plan(text, "dev")
    assert public_variables(task.runtime) == {}
    assert "PORT" not in injection(task, ROOT, LINUX).fallbacks
    known = replace(task, runtime=with_bind_ports(task.runtime, {"web": 5173}))
    made = injection(known, ROOT, LINUX)
    assert made.values["OTA_PUBLIC_URL"] == "127.0.0.1:5173"
    assert made.fallbacks["PORT"] == "5173"


def test_the_workspace_is_where_the_body_runs() -> None:
    text = """
execution:
  contexts:
    app: {backend: container, lifecycle: ephemeral, container: {image: i}}
    far: {backend: remote, remote: {provider: ssh, target: me@box, cwd: /srv}}
tasks: {a: {run: x, context: app}, b: {run: x, context: far}}
"""
    assert injection(task_plan(text, "a"), ROOT, LINUX).values["OTA_WORKSPACE"] == "/workspace"
    assert injection(task_plan(text, "b"), ROOT, LINUX).values["OTA_WORKSPACE"] == "/srv"


# --- readiness -----------------------------------------------------------------------------------


def readiness_of(readiness: str, extra: str = ""):
    text = (
        f"tasks:\n  a:\n    run: x\n    runtime: {{kind: service, listeners: {{web: {{http: 3000}}}},"
        f" readiness: {readiness}}}\n{extra}"
    )
    return task_plan(text, "a").runtime.readiness


PROBE = (
    "readiness: {probes: {up: {kind: http, path: /up, timeout: 3s, target: {kind: task, name: a,"
    " listener: web}}}}"
)


def test_readiness_has_the_declared_budget_or_the_documented_one() -> None:
    plain = readiness_of("{kind: tcp, listener: web}")
    assert (plain.interval_ms, plain.retries, plain.start_period_ms) == (500, 120, 0)
    timed = readiness_of(
        "{kind: tcp, listener: web, interval: 2s, retries: 3, start_period: 1m, timeout: 10}"
    )
    assert (timed.interval_ms, timed.retries, timed.start_period_ms) == (2000, 3, 60_000)
    assert timed.probe.timeout_ms == 10


def test_an_inline_probe_takes_any_2xx_or_3xx_and_a_named_one_200() -> None:
    assert readiness_of("{kind: http, listener: web, path: /}").probe.statuses is None
    named = readiness_of("{probe: up}", PROBE).probe
    assert (named.statuses, named.listener, named.path) == ((200,), "web", "/up")
    assert (named.timeout_ms, named.name) == (3000, "up")


def test_a_surface_lends_its_readiness_with_status_200() -> None:
    text = """
surfaces: {web: {kind: http, port: 3000, path: /app, readiness: {kind: http, interval: 1s}}}
tasks: {a: {run: x, runtime: {kind: service, surfaces: [web]}}}
"""
    readiness = task_plan(text, "a").runtime.readiness
    assert (readiness.probe.statuses, readiness.probe.path) == ((200,), "/app")
    assert readiness.interval_ms == 1000
