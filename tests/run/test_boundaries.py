"""Where work runs, what it needs, and that nothing starts anywhere else."""

import json
import os
import platform
from pathlib import Path

import pytest

from support.servers import SERVER, free_port, service

FOUNDING = Path(__file__).resolve().parents[1] / "fixtures" / "founding"


def founding(name: str) -> str:
    return (FOUNDING / f"{name}.yaml").read_text(encoding="utf-8")


def contexts(host: str) -> str:
    return f"""
version: 1
project: {{name: bounds}}
checks:
  - {{name: asked, kind: precondition, severity: error, run: "touch check-ran"}}
execution:
  default_context: here
  contexts:
    here: {{backend: native}}
    there: {{backend: native, {host}}}
tasks:
  before: {{run: "touch dependency-ran"}}
  work: {{context: there, run: "touch body-ran", depends_on: [before], when: {{checks: [asked]}}}}
"""


def nothing_happened(repo) -> bool:
    return sorted(os.listdir(repo.path)) in (["ota.yaml"], ["bin", "ota.yaml"])


@pytest.mark.proves("S001-02")
@pytest.mark.proves("S001-141")
def test_a_context_for_another_system_is_refused_by_name_before_anything(project):
    repo = project({"ota.yaml": contexts("only_on: [windows]")})
    result = repo.run("run", "work")
    assert result.code == 1
    assert "there" in result.err and "windows" in result.err and "linux" in result.err
    assert nothing_happened(repo)


@pytest.mark.proves("S001-03")
def test_a_context_for_another_architecture_is_refused_by_name_before_anything(project):
    repo = project({"ota.yaml": contexts("only_arch: [riscv128]")})
    result = repo.run("run", "work")
    assert result.code == 1
    own = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "")
    assert "there" in result.err and "riscv128" in result.err and own in result.err
    assert nothing_happened(repo)


@pytest.mark.proves("S001-12")
def test_what_a_context_requires_every_task_there_needs_and_no_other(project):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: needs}
execution:
  contexts:
    bare: {backend: native}
    rich: {backend: native, requirements: {tools: {no-such-tool-zz: "*"}}}
tasks:
  before: {context: bare, run: "touch before"}
  plain: {context: bare, run: "touch plain"}
  needy: {context: rich, run: "touch needy", depends_on: [before]}
"""
        }
    )
    assert repo.run("run", "plain").code == 0
    result = repo.run("run", "needy", "--json")
    assert result.code == 1
    assert not (repo.path / "needy").exists() and not (repo.path / "before").exists()
    fulfillment = result.json["receipt"]["backend_fulfillment"]
    assert fulfillment["result"] == "missing_requirements"
    assert fulfillment["task_executed"] is False
    assert "no-such-tool-zz" in fulfillment["missing"][0]


MAKEFILE = "setup-config-basic build test:\n\t@echo made $@\n"
STAND_IN = "#!/bin/sh\necho {0}\n"
VERSIONS = {
    "python": "Python 3.12.4",
    "node": "v22.12.0",
    "poetry": "Poetry (version 1.8.3)",
    "npm": "10.9.0",
}


@pytest.mark.proves("S001-21")
def test_the_basic_setup_does_not_ask_for_what_the_developer_context_needs(project):
    repo = project({"ota.yaml": founding("split-host-context"), "Makefile": MAKEFILE})
    tools = repo.path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "env", "echo"):
        (tools / name).symlink_to(
            next(Path(each) / name for each in ("/usr/bin", "/bin") if (Path(each) / name).exists())
        )
    for name in ("docker", "lsof"):
        stand_in(tools / name, "1.0")
    env = {"PATH": str(tools)}
    assert repo.run("run", "setup:config-basic", env=env).code == 0
    for task in ("build", "test:frontend"):
        result = repo.run("run", task, env=env)
        assert result.code == 1
        for name in VERSIONS:
            assert name in result.err
    for name, version in VERSIONS.items():
        stand_in(tools / name, version)
    for task in ("build", "test:frontend"):
        assert repo.run("run", task, env=env).code == 0


def stand_in(path: Path, version: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)


@pytest.mark.proves("S001-72")
@pytest.mark.proves("S002-71")
@pytest.mark.proves("S003-87")
def test_both_spellings_of_a_listener_give_equal_topology_plan_and_receipt(project):
    port = free_port()
    short = service(port)
    full = short.replace(
        f"http: {{http: {port}}}",
        f"http: {{protocol: http, bind: {{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}}}, "
        f"project: {{host: {{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}, path: /}}}}}}",
    )
    assert full != short
    told = []
    for contract in (short, full):
        repo = project({"ota.yaml": contract, "server.py": SERVER})
        topology = repo.run("execution", "topology", "--json").out
        plan = repo.run("execution", "plan", "--task", "web", "--json").out
        live = repo.start("run", "web", "--stream", "--receipt")
        live.wait_for("External: ")
        live.signal(2)
        result = live.finish()
        summary = result.err[result.err.index("RUN SUMMARY") :]
        assert f"External:    http://127.0.0.1:{port}/" in summary
        live = repo.start("run", "web", "--json")
        live.wait_for("listening")
        live.signal(2)
        runtime = live.finish().json["receipt"]["runtime"]
        for endpoint in (runtime["primary_endpoint"], *runtime["exposed_endpoints"]):
            del endpoint["confirmed"]
        assert runtime["primary_endpoint"]["host"] == {
            "address": "127.0.0.1",
            "port": port,
            "url": f"http://127.0.0.1:{port}/",
        }
        told.append((topology, plan, json.dumps(runtime)))
    assert told[0] == told[1]


@pytest.mark.proves("S001-150")
@pytest.mark.proves("S001-152")
def test_the_default_mode_picks_the_plane_and_a_mode_without_branch_takes_the_task_level_body(project):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: modes}
execution:
  contexts:
    host: {backend: native, env: {WHERE: host}}
    box: {backend: container, lifecycle: ephemeral, container: {image: "busybox"}}
tasks:
  start:
    run: 'echo base in $WHERE as $WHO'
    env: {WHO: task}
    execution:
      default_mode: native
      modes: {container: {context: box, run: echo boxed}}
"""
        }
    )
    result = repo.run("run", "start", "--stream")
    assert result.out.splitlines() == ["base in host as task"]
    plan = repo.run("execution", "plan", "--task", "start", "--json").json
    assert plan["resolved"]["backend"] == "native"
    assert plan["resolved"]["backend_source"] == "task default mode"
    assert repo.run("run", "start", "--native", "--stream").out.splitlines() == ["base in host as task"]
    boxed = repo.run("execution", "plan", "--task", "start", "--container", "--json").json
    assert (boxed["resolved"]["backend"], boxed["resolved"]["context"]) == ("container", "box")


@pytest.mark.proves("S001-158")
def test_each_step_of_a_receipt_names_its_own_plane_and_context(project, assert_schema):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: steps}
execution:
  default_context: one
  contexts: {one: {backend: native}, two: {backend: native}}
tasks:
  first: {run: "true"}
  second: {run: "true", context: two, depends_on: [first]}
"""
        }
    )
    document = repo.run("run", "second", "--json").json
    assert_schema(document, "run")
    told = [(step["task"], step["backend"], step["context"]) for step in document["receipt"]["steps"]]
    assert told == [("first", "native", "one"), ("second", "native", "two")]


@pytest.mark.proves("S002-01")
def test_plan_summary_and_receipt_name_the_one_plane_and_the_one_context(project, assert_schema):
    repo = project({"ota.yaml": contexts("env: {A: b}")})
    plan = repo.run("execution", "plan", "--task", "work", "--json").json
    assert_schema(plan, "execution-plan")
    assert (plan["resolved"]["backend"], plan["resolved"]["context"]) == ("native", "there")
    text = repo.run("run", "work").err
    assert "Mode:        native" in text and "Context:     there" in text
    receipt = repo.run("run", "work", "--json").json["receipt"]
    assert (receipt["backend"], receipt["context"]) == ("native", "there")


@pytest.mark.proves("S002-11")
def test_an_agent_may_run_what_is_declared_safe_whatever_the_command_text_says(project):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: agents}
tasks:
  sounds-bad: {run: "echo rm -rf / > said", safe_for_agent: true}
  sounds-good: {run: "touch ran"}
  reaches: {run: "touch ran", safe_for_agent: true, depends_on: [sounds-good]}
agent: {safe_tasks: [sounds-bad]}
"""
        }
    )
    assert repo.run("run", "sounds-bad", "--agent").code == 0
    for task in ("sounds-good", "reaches"):
        result = repo.run("run", task, "--agent")
        assert result.code == 1
        assert "AGENT EXECUTION REFUSED" in result.err
        assert "sounds-good" in result.err
    assert not (repo.path / "ran").exists()


@pytest.mark.proves("S002-20")
def test_the_internal_setup_of_the_example_is_hidden_shown_by_all_and_runnable(project):
    repo = project({"ota.yaml": founding("default-context-first")})
    listed = {task["name"] for task in repo.run("tasks", "--json").json["tasks"]}
    assert listed == {"test", "compose:up"}
    listed = {task["name"] for task in repo.run("tasks", "--all", "--json").json["tasks"]}
    assert listed == {"setup", "test", "compose:up"}
    repo.write({"package.json": '{"name": "x", "version": "1.0.0"}', "npm.sh": "#!/bin/sh\necho ran $1\n"})
    (repo.path / "npm.sh").rename(repo.path / "npm")
    repo.write(
        {
            "ota.yaml": founding("default-context-first").replace(
                "default_context: app", "default_context: host"
            )
        }
    )
    path = f"{repo.path}:{os.environ['PATH']}"
    assert repo.run("run", "setup", "--stream", env={"PATH": path}).out.splitlines() == ["ran install"]


@pytest.mark.proves("S002-50")
def test_two_intents_stay_two_tasks(project):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: intents}
tasks:
  start: {run: "echo start >> trace"}
  clean:start: {run: "echo clean >> trace"}
"""
        }
    )
    assert repo.run("run", "start").code == 0
    assert repo.run("run", "clean:start").code == 0
    assert repo.read("trace").split() == ["start", "clean"]


@pytest.mark.proves("S002-54")
def test_a_plane_the_example_does_not_serve_is_refused_and_its_service_not_started(project):
    repo = project({"ota.yaml": founding("two-honest-planes")})
    tools = repo.path / "bin"
    tools.mkdir()
    (tools / "docker").write_text("#!/bin/sh\ntouch docker-was-called\n")
    (tools / "docker").chmod(0o755)
    result = repo.run("run", "start", "--mode", "remote", env={"PATH": f"{tools}:{os.environ['PATH']}"})
    assert result.code == 1
    for word in ("start", "remote", "native", "container"):
        assert f"`{word}`" in result.err
    assert nothing_happened(repo)


@pytest.mark.proves("S002-77")
def test_the_expanded_listener_is_the_same_contract_as_the_shorthand(project):
    told = []
    for name in ("http-shorthand", "expanded-listener"):
        repo = project({"ota.yaml": founding(name)})
        topology = repo.run("execution", "topology", "--json").out_bytes
        archived = repo.run("run", "dev", "--archive", "--json", env={"PATH": "/nowhere"}).json
        snapshot = repo.path / archived["receipt"]["contract_snapshot_ref"]
        told.append((topology, snapshot.name, snapshot.read_bytes()))
    assert told[0] == told[1]


@pytest.mark.proves("S002-141")
def test_a_structured_launch_is_argv_and_no_shell_reads_it(project):
    contract = founding("structured-launch").replace("args: [n8n]", "args: [n8n, '$HOME', 'a b; touch no']")
    repo = project({"ota.yaml": contract.replace("5678", str(free_port()))})
    tools = repo.path / "bin"
    tools.mkdir()
    (tools / "npx").write_text('#!/bin/sh\nfor word in "$@"; do echo "[$word]"; done\nps -o comm= -p $PPID\n')
    (tools / "npx").chmod(0o755)
    result = repo.run("run", "quickstart", "--stream", env={"PATH": f"{tools}:{os.environ['PATH']}"})
    lines = result.out.splitlines()
    assert lines[:3] == ["[n8n]", "[$HOME]", "[a b; touch no]"]
    assert lines[3] not in ("sh", "dash", "bash")
    assert not (repo.path / "no").exists()


@pytest.mark.proves("S003-25")
def test_a_plan_changes_nothing(project):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER})
    before = snapshot_of(repo.path)
    for words in ((), ("--json",), ("--task", "web"), ("--native", "--json")):
        assert repo.run("execution", "plan", *words).code == 0
    assert snapshot_of(repo.path) == before
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


def snapshot_of(path: Path) -> list[tuple[str, int]]:
    return sorted((str(each), each.stat().st_mtime_ns) for each in path.rglob("*"))


@pytest.mark.proves("S003-122")
def test_the_topology_says_from_where_a_probe_asks(project, assert_schema):
    contract = """
version: 1
project: {name: observers}
execution:
  shared_backends: {dev: {scope: local, backend: native, lifecycle: persistent}}
readiness:
  probes:
    outside: {kind: tcp, timeout: 1s, target: {kind: task, name: web, listener: http}}
    inside:
      kind: tcp
      timeout: 1s
      target:
        {kind: task, name: web, listener: http, address_view: topology, observer: {kind: task, task: user}}
tasks:
  web:
    run: serve
    runtime: {kind: service, backend_binding: dev, listeners: {http: {http: 3000}}}
  user: {run: use}
"""
    document = project({"ota.yaml": contract}).run("execution", "topology", "--json").json
    assert_schema(document, "execution-topology")
    outside = document["readiness_probes"]["outside"]["target"]
    inside = document["readiness_probes"]["inside"]["target"]
    assert outside["resolution_plane"] == "command_host"
    assert inside["observer"]["task"] == "user"
    assert inside["resolution_plane"] != "command_host"
