"""`ota doctor`: every finding broken once, the order of findings, what it leaves alone."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from readiness.liar_services import answer, answering, serving

pytestmark = pytest.mark.edge

HEAD = "version: 1\nproject: {name: x}\n"
TASK = "tasks: {t: {run: 'true'}}\n"


@pytest.fixture
def tools(tmp_path):
    """`tools({"node": "echo v22.1.0"})`: an environment whose PATH has these scripts, and little else."""

    def make(scripts, *, hidden=False):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, body in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        if hidden:  # nothing of the machine but a shell
            for name in ("sh", "sleep", "touch", "cat", "test"):
                if not (folder / name).exists():
                    (folder / name).symlink_to(Path("/bin") / name)
            return {"PATH": str(folder)}
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    return make


def codes(document):
    return [finding["code"] for finding in document["findings"]]


def summaries(document):
    return [finding["summary"] for finding in document["findings"]]


def diagnosed(repo, *args, **more):
    done = repo.run("doctor", "--json", *args, **more)
    return done.code, done.json


# --- every finding, once -------------------------------------------------------------------------

CONTEXTS = """
execution:
  default_context: host
  contexts:
    host: {backend: native}
"""

BROKEN = [
    ("tools: {absent-tool: '1'}", "error", "Missing tool: absent-tool"),
    ("tools: {absent-tool: {version: '1', required: false}}", "warn", "Missing tool: absent-tool"),
    ("runtimes: {absent-runtime: '1'}", "error", "Missing runtime: absent-runtime"),
    ("tools: {says-2: '1'}", "error", "Version mismatch for tool: says-2"),
    ("runtimes: {says-2: '3'}", "error", "Version mismatch for runtime: says-2"),
    ("tools: {fails: '1'}", "error", "Tool probe failed: fails"),
    ("runtimes: {fails: '1'}", "error", "Runtime probe failed: fails"),
    ("tools: {mute: '1'}", "error", "Unparseable version for tool: mute"),
    ("runtimes: {mute: '1'}", "error", "Unparseable version for runtime: mute"),
    ("env: {vars: {NEVER_SET: {required: true}}}", "error", "Missing environment variable: NEVER_SET"),
    ("env: {vars: {MODE: {allowed: [a, b]}}}", "error", "Invalid environment value: MODE"),
    (
        "env: {sources: [{kind: dotenv, path: no.env, must_exist: true}]}",
        "error",
        "Missing required environment source: dotenv:no.env",
    ),
    (
        "env: {sources: [{kind: json, path: bad.json}]}",
        "error",
        "Environment source parse failed: json:bad.json",
    ),
    (
        "env: {sources: [{kind: json, path: list.json}]}",
        "error",
        "Environment source has invalid structure: json:list.json",
    ),
    (
        "env: {sources: [{kind: json, path: twice.json}]}",
        "error",
        "Environment source key collision: json:twice.json",
    ),
    ("checks: [{name: c, kind: health, severity: error, run: 'exit 2'}]", "error", "Check failed: c"),
    ("checks: [{name: c, kind: health, severity: warn, run: 'exit 2'}]", "warn", "Check failed: c"),
    (
        "checks: [{name: c, kind: health, severity: error, run: 'sleep 60', timeout: 200ms}]",
        "error",
        "Check timed out: c",
    ),
    ("checks: [{name: c, kind: file, severity: error, path: gone}]", "error", "File check failed: c"),
    (
        "readiness: {probes: {p: {kind: http, url: 'http://127.0.0.1:1/', timeout: 1s}}}\n"
        "checks: [{name: c, kind: health, severity: error, probe: p}]",
        "error",
        "Probe check failed: c",
    ),
    (
        "readiness: {probes: {p: {kind: http, url: 'http://127.0.0.1:1/', timeout: 1s}}}\n"
        "workflows: {default: w, w: {readiness: {probes: [p]}}}",
        "error",
        "Probe failed: p",
    ),
    ("services: {db: {required: true, start: 'true'}}", "warn", "Required service cannot be verified: db"),
    ("services: {db: {required: true, healthcheck: 'false'}}", "error", "Service healthcheck failed: db"),
    ("services: {db: {healthcheck: 'false'}}", "warn", "Service healthcheck failed: db"),
    ("execution: {lifecycle: ephemeral}", "warn", "Ephemeral lifecycle is advisory in native mode"),
    (
        "execution: {default_context: mac, contexts: {mac: {backend: native, only_on: [macos]}}}",
        "error",
        "Unsupported host platform for context: mac",
    ),
    (
        "execution: {preferred: container, lifecycle: ephemeral, "
        "backends: {container: {image: x, engines: [nerdctl]}}}",
        "error",
        "Missing container execution backend CLI: nerdctl",
    ),
    (
        "execution: {preferred: container, lifecycle: persistent, "
        "backends: {container: {image: x, engines: [docker]}}}",
        "error",
        "Container execution backend unavailable: docker",
    ),
    (
        "execution: {preferred: remote, backends: {remote: {provider: tsh, target: me@box}}}",
        "error",
        "Missing execution backend CLI: tsh",
    ),
    (
        "execution: {contexts: {far: {backend: remote, remote: {provider: ssh, target: box}}}}",
        "warn",
        "Suspicious remote target for ssh: box",
    ),
    (
        "execution: {contexts: {far: {backend: remote, remote: {provider: kubectl, target: box}}}}",
        "warn",
        "Suspicious remote target for kubectl: box",
    ),
    (
        "execution: {contexts: {far: {backend: remote, remote: {provider: ssh, target: me@box}}}}",
        "info",
        "Remote execution contexts are only partially evaluated in native mode",
    ),
    (
        "toolchains: {rust: {version: '1.0', components: [clippy]}}",
        "error",
        "Missing toolchain component: clippy",
    ),
    (
        "toolchains: {rust: {version: '1.0', targets: [wasm32-wasi]}}",
        "error",
        "Missing toolchain target: wasm32-wasi",
    ),
    (
        "tools: {absent-pm: {version: '9', "
        "acquisition: {provider: corepack, package: pnpm, version: 9.1.0}}}",
        "error",
        "Missing activation provider for tool: absent-pm",
    ),
    (
        "agent: {writable_paths: [src], "
        "inferred_boundary: {reviewed: false, provenance: {writable_paths: [src]}}}",
        "warn",
        "The agent's boundary was inferred and nobody reviewed it",
    ),
]
FILES = {
    "bad.json": '{"a": ',
    "list.json": "[1]",
    "twice.json": '{"a.b": 1, "a-b": 2}',
}


@pytest.mark.parametrize(
    ("part", "severity", "summary"), BROKEN, ids=[f"{each[1]}-{each[2]}" for each in BROKEN]
)
def test_each_finding(project, assert_schema, tools, part, severity, summary):
    env = tools(
        {
            "says-2": "echo says-2 2.4.1",
            "fails": "echo broken >&2; exit 1",
            "mute": "exit 0",
            "docker": "echo 'Cannot connect to the Docker daemon' >&2; exit 1",
            "rustc": "echo rustc 1.0.0",
            "rustup": "echo rustfmt-x86_64-unknown-linux-gnu",
        },
        hidden=True,
    )
    repo = project({"ota.yaml": f"{HEAD}{TASK}{part}\n", **FILES})
    code, document = diagnosed(repo, env={**env, "MODE": "z"})
    told = {finding["summary"]: finding for finding in document["findings"]}
    assert summary in told, document["findings"]
    finding = told[summary]
    assert finding["severity"] == severity
    assert finding["why"]
    assert finding["next"]
    assert code == (1 if document["summary"]["error_count"] else 0)
    assert document["ok"] is (code == 0)
    assert_schema(document, "doctor")
    explained = repo.run("explain", "--json", env={**env, "MODE": "z"}).json
    assert_schema(explained, "explain")
    assert summary in [step["summary"] for step in explained["steps"]]
    assert sum(action["count"] for action in explained["actions"]) == explained["summary"]["step_count"]
    assert [step["order"] for step in explained["steps"]] == list(range(1, len(explained["steps"]) + 1))


def test_no_tasks_block_an_application_and_warn_a_library(project):
    assert diagnosed(project({"ota.yaml": HEAD}))[0] == 1
    library = HEAD.replace("{name: x}", "{name: x, type: Library}")
    code, document = diagnosed(project({"ota.yaml": library}))
    assert (code, summaries(document)) == (0, ["No tasks defined in contract"])
    assert document["summary"]["primary_blocker"]["severity"] == "warn"
    assert document["summary"]["verdict"] == "risky"


# --- order, verdict ------------------------------------------------------------------------------

MANY = (
    HEAD
    + """
tools: {absent-tool: '1', absent-too: {version: '1', required: false}}
runtimes: {absent-runtime: '1'}
env: {vars: {NEVER_SET: {required: true}}}
services: {db: {required: true, start: 'true'}}
checks:
  - {name: w, kind: health, severity: warn, run: 'false'}
  - {name: i, kind: health, severity: info, run: 'false'}
  - {name: e, kind: health, severity: error, run: 'false'}
tasks: {t: {run: 'true'}}
"""
)


@pytest.mark.proves("S003-19")
def test_blockers_come_first_then_warnings_then_notes_in_a_stable_order(project):
    repo = project({"ota.yaml": MANY})
    first, second = (repo.run("doctor", "--json").out for _ in range(2))
    assert first == second
    _, document = diagnosed(repo)
    assert [(f["severity"], f["summary"]) for f in document["findings"]] == [
        ("error", "Missing environment variable: NEVER_SET"),
        ("error", "Missing runtime: absent-runtime"),
        ("error", "Missing tool: absent-tool"),
        ("error", "Check failed: e"),
        ("warn", "Missing tool: absent-too"),
        ("warn", "Required service cannot be verified: db"),
        ("warn", "Check failed: w"),
        ("info", "Check failed: i"),
    ]
    assert all(finding["next"] for finding in document["findings"])
    assert document["summary"]["primary_blocker"]["summary"] == document["findings"][0]["summary"]
    groups = {group["action_key"]: group["count"] for group in document["finding_groups"]}
    assert groups == {
        "environment-values": 1,
        "tooling-versions": 3,
        "check-failures": 3,
        "service-health": 1,
    }


def test_concise_text_drops_why_and_keeps_next(project):
    repo = project({"ota.yaml": MANY})
    full, concise = repo.run("doctor").out, repo.run("--concise", "doctor").out
    assert "Why:" in full
    assert "Why:" not in concise
    assert "\n\n" not in concise
    assert "Missing tool: absent-tool" in concise
    assert "Next:" in concise


def test_warnings_alone_are_ready(project):
    repo = project({"ota.yaml": HEAD + TASK + "tools: {absent: {version: '1', required: false}}\n"})
    done = repo.run("doctor")
    assert done.code == 0
    assert "READY WITH WARNINGS" in done.out
    assert "Primary Warning Missing tool: absent (1)" in done.out
    assert "Next:" in done.out


def test_an_entrypoint_no_agent_may_run_is_a_risk_for_agents_alone(project):
    contract = HEAD + "tasks: {t: {run: 'true'}}\nagent: {entrypoint: t}\n"
    _, document = diagnosed(project({"ota.yaml": contract}))
    assert (document["summary"]["verdict"], document["summary"]["agent_verdict"]) == ("ready", "risky")
    safe = contract.replace("{run: 'true'}", "{run: 'true', safe_for_agent: true}")
    assert diagnosed(project({"ota.yaml": safe}))[1]["summary"]["agent_verdict"] == "ready"


# --- requirements --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "version", "holds"),
    [
        (">=3.12,<3.14", "3.13.9", True),
        (">=3.12,<3.14", "3.14.0", False),
        ("22", "22.8.1", True),
        ("22", "220.0", False),
        ("^22.12.0", "22.12.1", True),
        (">=1.8", "1.10.0", True),
        ("*", "none", True),
    ],
)
def test_ranges_are_compared(project, tools, wanted, version, holds):
    contract = HEAD + TASK + f"tools: {{thing: '{wanted}'}}\n"
    env = tools({"thing": f"echo thing {version}"})
    assert (diagnosed(project({"ota.yaml": contract}), env=env)[0] == 0) is holds


@pytest.mark.parametrize(
    ("files", "part", "command"),
    [
        ({}, "runtimes: {node: {version: '99', provider: volta}}", "volta install node@99"),
        ({}, "runtimes: {python: {version: '>=99.1,<100', provider: uv}}", "uv python install 99.1"),
        ({".nvmrc": "99\n"}, "runtimes: {node: '99'}", "nvm install 99 && nvm use 99"),
        ({".python-version": "99\n"}, "runtimes: {python: '99'}", "pyenv install 99"),
        ({".sdkmanrc": "java=99-tem\n"}, "runtimes: {java: '99'}", "sdk install java 99-tem"),
        (
            {".tool-versions": "nodejs 99.1\n", "mise.toml": ""},
            "runtimes: {node: '99'}",
            "mise install nodejs@99",
        ),
        ({}, "runtimes: {node: '99'}", ""),
    ],
)
def test_the_next_step_for_a_wrong_runtime_fits_the_repository(project, tools, files, part, command):
    env = tools({"node": "echo v1.0.0", "python": "echo Python 1.0", "java": "echo openjdk 1.0 >&2"})
    _, document = diagnosed(project({"ota.yaml": HEAD + TASK + part + "\n", **files}), env=env)
    told = document["findings"][0]["next"]
    assert (f"`{command}`" in told) if command else ("Install node" in told)
    assert told.rstrip(".").endswith("rerun `ota doctor`")


SCOPED = (
    HEAD
    + """
execution:
  default_context: a
  contexts:
    a: {backend: native, requirements: {tools: {for-a: '1'}}}
    b: {backend: native, requirements: {tools: {for-b: '1'}}}
    base: {backend: native, requirements: {tools: {inherited: '1'}}}
    c: {extends: base}
    unused: {backend: native, requirements: {tools: {for-nobody: '1'}}}
tasks:
  in-a: {run: 'true'}
  in-b: {run: 'true', context: b}
  in-c: {run: 'true', context: c}
workflows:
  wa: {run: {task: in-a}}
  wb: {run: {task: in-b}}
"""
)


@pytest.mark.proves("S002-03", "S002-30")
def test_requirements_of_a_context_belong_to_its_tasks_alone(project):
    repo = project({"ota.yaml": SCOPED})
    _, document = diagnosed(repo)
    assert summaries(document) == [f"Missing tool: {name}" for name in ("for-a", "for-b", "inherited")]
    assert "context `b`" in document["findings"][1]["why"]
    for workflow, tool in (("wa", "for-a"), ("wb", "for-b")):
        _, document = diagnosed(repo, "--workflow", workflow)
        assert summaries(document) == [f"Missing tool: {tool}"]
        assert document["workflow"]["name"] == workflow


def test_the_version_of_the_context_stands_over_the_global_one(project, tools):
    contract = (
        HEAD
        + TASK
        + "runtimes: {thing: '1'}\n"
        + (
            "execution: {default_context: h, contexts: {h: {backend: native, "
            "requirements: {runtimes: {thing: '2'}}}}}\n"
        )
    )
    env = tools({"thing": "echo thing 2.1"})
    assert diagnosed(project({"ota.yaml": contract}), env=env)[0] == 0


def test_a_native_prerequisite_is_asked_through_its_check_once(project):
    contract = (
        HEAD
        + """
checks: [{name: has-lib, kind: precondition, severity: error, run: "echo x >> asked; false"}]
native_prerequisites: {lib: {check: has-lib, platforms: {linux: {apt: [libthing-dev]}}}}
tasks: {t: {run: 'true', requirements: {native: [lib]}}}
workflows: {default: w, w: {run: {task: t}}}
"""
    )
    repo = project({"ota.yaml": contract})
    _, document = diagnosed(repo)
    assert codes(document) == ["OTA_NATIVE_PREREQUISITE_MISSING"]
    assert "sudo apt-get install libthing-dev" in document["findings"][0]["next"]
    assert repo.read("asked") == "x\n"


def test_a_hanging_tool_is_ended_and_told(project, tools):
    contract = HEAD + TASK + "tools: {hangs: '1'}\n"
    began = time.monotonic()
    _, document = diagnosed(project({"ota.yaml": contract}), env=tools({"hangs": "sleep 75.5"}))
    assert time.monotonic() - began < 30
    assert summaries(document) == ["Tool probe failed: hangs"]
    assert "did not answer in time" in document["findings"][0]["why"]


# --- workflows and services ----------------------------------------------------------------------

TWO = (
    HEAD
    + """
checks:
  - {name: front, kind: health, severity: error, run: 'false'}
  - {name: back, kind: health, severity: error, run: 'true'}
tasks: {f: {run: 'true'}, b: {run: 'true'}}
workflows:
  default: backend
  backend: {run: {task: b}, readiness: {checks: [back]}}
  frontend: {run: {task: f}, readiness: {checks: [front]}}
"""
)


@pytest.mark.proves("S003-05", "S003-18", "S003-60")
def test_one_checkout_is_ready_for_one_workflow_and_not_for_another(project):
    repo = project({"ota.yaml": TWO})
    code, document = diagnosed(repo)
    assert (code, document["workflow"]["name"], document["task"]) == (0, "backend", "b")
    code, document = diagnosed(repo, "--workflow", "frontend")
    assert (code, summaries(document)) == (1, ["Check failed: front"])
    assert "Workflow" in repo.run("doctor").out


def test_only_services_of_the_workflow_are_spoken_of(project):
    contract = (
        HEAD
        + TASK
        + """
services:
  db: {required: true, start: 'true', depends_on: [net]}
  net: {required: true, start: 'true'}
  mail: {required: true, start: 'true'}
workflows: {default: w, w: {run: {task: t}, services: {required: [db]}}}
"""
    )
    _, document = diagnosed(project({"ota.yaml": contract}))
    assert summaries(document) == [f"Required service cannot be verified: {name}" for name in ("db", "net")]


@pytest.mark.proves("S001-119")
@pytest.mark.parametrize(("required", "severity"), [("true", "error"), ("false", "warn")])
def test_a_compose_manager_needs_its_engine(project, tools, required, severity):
    contract = (
        HEAD
        + TASK
        + (
            f"services: {{db: {{required: {required}, "
            "manager: {kind: compose, name: local, service: db, file: compose.yaml}, "
            "readiness: {kind: compose_health}}}\n"
        )
    )
    repo = project({"ota.yaml": contract})
    _, document = diagnosed(repo, env=tools({}, hidden=True))
    told = [(f["code"], f["severity"], f["owner"]) for f in document["findings"]]
    assert ("OTA_BACKEND_CLI_MISSING", severity, "host") in told
    _, document = diagnosed(repo, env=tools({"docker": "exit 0"}, hidden=True))
    assert "OTA_BACKEND_CLI_MISSING" not in codes(document)


def test_the_selected_path_tells_its_effects(project):
    contract = (
        HEAD
        + """
tasks: {t: {run: 'true', effects: {network: true, external_state: [registry]}}}
workflows: {default: w, w: {run: {task: t}}}
"""
    )
    _, document = diagnosed(project({"ota.yaml": contract}))
    told = [(f["severity"], f["code"]) for f in document["findings"]]
    assert ("info", "OTA_SELECTED_TASK_PATH_NETWORK_REQUIRED") in told
    assert ("warn", "OTA_SELECTED_TASK_PATH_EXTERNAL_STATE") in told


# --- planes --------------------------------------------------------------------------------------


@pytest.mark.proves("S001-04")
def test_an_unsupported_host_of_a_selected_context_blocks_and_its_tools_are_not_asked_for(project):
    contract = (
        HEAD
        + TASK
        + (
            "execution: {default_context: mac, contexts: {mac: {backend: native, only_on: [macos], "
            "requirements: {tools: {xcode-thing: '1'}}}}}\n"
        )
    )
    code, document = diagnosed(project({"ota.yaml": contract}))
    assert code == 1
    assert codes(document)[0] == "OTA_CONTEXT_HOST_PLATFORM_UNSUPPORTED"
    assert "linux/" in document["findings"][0]["why"]
    assert not any("xcode-thing" in text for text in summaries(document))


APP = (
    HEAD
    + TASK
    + """
tools: {host-tool: '1'}
env: {vars: {NEVER_SET: {required: true}}}
checks: [{name: c, kind: health, severity: error, run: 'false'}]
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: ephemeral
      container: {image: x, engines: [docker]}
      requirements: {tools: {inside: '1'}}
"""
)


# `docker run … image -c <script>` as a shell that finds the tools of $INSIDE; without it, no such image
DOCKER = """
case "$1" in
  info) exit 0;;
  run) [ -n "$INSIDE" ] || { echo "Error: No such image: x" >&2; exit 125; }
       for last in "$@"; do :; done
       PATH="$INSIDE" exec /bin/sh -c "$last";;
esac
exit 1
"""


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (None, "OTA_TOOL_MISSING"),
        ("echo inside 2.0", "OTA_TOOL_VERSION_MISMATCH"),
        ("echo none; exit 3", "OTA_TOOL_PROBE_FAILED"),
        ("echo inside 1.4", None),
    ],
)
def test_container_mode_asks_the_image_and_not_the_host(project, assert_schema, tools, tmp_path, says, code):
    image = tmp_path / "image"
    image.mkdir()
    if says is not None:
        (image / "inside").write_text(f"#!/bin/sh\n{says}\n")
        (image / "inside").chmod(0o755)
    repo = project({"ota.yaml": APP.replace("tools: {host-tool: '1'}\n", "")})
    env = {**tools({"docker": DOCKER, "inside": "echo inside 1.0"}), "INSIDE": str(image)}
    exit_code, document = diagnosed(repo, "--mode", "container", env=env)
    assert (exit_code, document["mode"]) == (0 if code is None else 1, "container")
    assert codes(document) == [*([code] if code else []), "OTA_CONTAINER_DOCTOR_HOST_SCOPE_NOTE"]
    assert "environment variables, checks" in document["findings"][-1]["why"]
    assert_schema(document, "doctor")
    if code is not None:
        finding = document["findings"][0]
        assert "inside image `x` of context `app`" in finding["why"]
        assert "use an image that has inside" in finding["next"]
        assert "then rerun `ota doctor" in finding["next"]
        assert (finding["owner"], finding["evidence"]["source"]) == ("container_target", "container_target")


def test_an_image_that_is_not_here_is_told_and_not_fetched(project, tools):
    _, document = diagnosed(project({"ota.yaml": APP}), "--mode", "container", env=tools({"docker": DOCKER}))
    assert codes(document) == ["OTA_CONTAINER_IMAGE_UNAVAILABLE", "OTA_CONTAINER_DOCTOR_HOST_SCOPE_NOTE"]
    assert "`docker pull x`" in document["findings"][0]["next"]


@pytest.mark.parametrize("mode", ["container", "remote"])
def test_a_plane_that_is_not_configured(project, assert_schema, mode):
    repo = project({"ota.yaml": HEAD + TASK})
    code, document = diagnosed(repo, "--mode", mode)
    assert (code, codes(document)) == (1, [f"OTA_{mode.upper()}_MODE_NOT_CONFIGURED"])
    assert f"{mode.capitalize()} execution is not configured" in repo.run("doctor", f"--{mode}").out
    assert_schema(document, "doctor")


def test_native_mode_asks_for_no_tool_of_the_workload(project, tools):
    env = tools({"docker": "exit 0"})
    _, document = diagnosed(project({"ota.yaml": APP}), env=env)
    assert "Missing tool: inside" not in summaries(document)
    assert "Missing tool: host-tool" in summaries(document)
    assert "OTA_CONTAINER_DOCTOR_PARTIAL" in codes(document)


def test_a_lifecycle_asked_for_natively_is_told_to_be_advisory(project):
    _, document = diagnosed(project({"ota.yaml": HEAD + TASK}), "--ephemeral")
    assert codes(document) == ["OTA_LIFECYCLE_EPHEMERAL_ADVISORY"]


# --- contract errors -----------------------------------------------------------------------------

LISTENERS = (
    HEAD
    + """
execution:
  default_context: app
  contexts: {app: {backend: container, lifecycle: ephemeral, container: {image: x}}}
tasks:
  dev:
    launch: {kind: command, exe: serve}
    runtime:
      kind: service
      listeners:
        a: {protocol: http, bind: {address: BIND, port: {mode: fixed, value: 3000}},
            project: {host: {address: 127.0.0.1, port: {mode: auto}A}}}
        b: {protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 3001}},
            project: {host: {address: 127.0.0.1, port: {mode: auto}B}}}
"""
)
NO_PRIMARY = LISTENERS.replace("BIND", "0.0.0.0").replace("}A}", "}}").replace("}B}", "}}")
TWO_PRIMARIES = (
    LISTENERS.replace("BIND", "0.0.0.0")
    .replace("}A}", "}, primary: true}")
    .replace("}B}", "}, primary: true}")
)
LOOPBACK = LISTENERS.replace("BIND", "127.0.0.1").replace("}A}", "}, primary: true}").replace("}B}", "}}")


@pytest.mark.parametrize(
    ("contract", "field"),
    [
        pytest.param(NO_PRIMARY, "tasks.dev.runtime.listeners", id="none"),
        pytest.param(TWO_PRIMARIES, "tasks.dev.runtime.listeners", id="two"),
        pytest.param(LOOPBACK, "tasks.dev.runtime.listeners.a", id="loopback"),
    ],
)
@pytest.mark.parametrize("command", ["doctor", "explain", "check"])
@pytest.mark.proves("S001-123", "S001-124", "S001-125", "S000-115", "S000-116")
def test_listener_errors_are_the_same_field_errors_everywhere(
    project, assert_schema, command, contract, field
):
    repo = project({"ota.yaml": contract})
    validated, done = repo.run("validate"), repo.run(command)
    assert (done.code, done.out) == (1, "")
    told = validated.err.split("\nNext:")[0]
    assert told in done.err
    assert f"Field: {field}" in done.err
    assert "Invalid contract" in done.err
    document = repo.run(command, "--json").json
    assert any(error.startswith(field) for error in document["errors"])
    assert_schema(document, command)


# --- hygiene, --fix ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ignored", "missing"),
    [
        ("", 1),
        ("node_modules\n", 1),
        (".ota/state/\n", 1),
        (".ota/state/*\n.ota/receipts\n", 1),
        (".ota/state/*\n.ota/receipts\n.ota/contracts/**\n", 0),
        ("/.ota/\n", 0),
        (".ota\r\n", 0),
    ],
)
def test_git_must_ignore_local_state(project, ignored, missing):
    repo = project({"ota.yaml": HEAD + TASK, ".gitignore": ignored})
    assert codes(diagnosed(repo)[1]) == ["OTA_REPO_HYGIENE_OTA_STATE_GITIGNORE"] * missing


def test_a_folder_without_git_has_nothing_to_ignore(project):
    assert codes(diagnosed(project({"ota.yaml": HEAD + TASK}))[1]) == []


def test_fix_previews_writes_once_and_only_appends(project, assert_schema):
    repo = project({"ota.yaml": HEAD + TASK, ".gitignore": "node_modules"}, git=True)
    _, preview = diagnosed(repo, "--fix", "--dry-run")
    assert (preview["fix"]["planned_count"], preview["fix"]["applied_count"]) == (1, 0)
    assert repo.read(".gitignore") == "node_modules"
    assert_schema(preview, "doctor")
    done = repo.run("doctor", "--fix")
    assert done.code == 0
    assert "Fixes" in done.out
    written = repo.read(".gitignore")
    assert written.startswith("node_modules\n\n# ota")
    assert ".ota/state/\n.ota/receipts/\n.ota/contracts/\n" in written
    assert repo.run("run", "t", "--archive").code == 0
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", ".ota"],
        cwd=repo.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert status.stdout == ""
    _, again = diagnosed(repo, "--fix")
    assert again["fix"]["planned_count"] == 0
    assert (repo.read(".gitignore"), again["findings"]) == (written, [])


def test_fix_creates_the_file_in_a_git_repository_only(project):
    repo = project({"ota.yaml": HEAD + TASK}, git=True)
    _, document = diagnosed(repo, "--fix")
    assert document["fix"]["actions"][0]["change"] == "create_file"
    assert repo.read(".gitignore").startswith("# ota")
    bare = project({"ota.yaml": HEAD + TASK})
    assert diagnosed(bare, "--fix")[1]["fix"]["planned_count"] == 0
    assert not (bare.path / ".gitignore").exists()


def test_dry_run_needs_fix(project):
    assert project({"ota.yaml": HEAD + TASK}).run("doctor", "--dry-run").code == 2


def test_a_gitignore_that_cannot_be_read_is_told(project):
    repo = project({"ota.yaml": HEAD + TASK, ".gitignore/x": ""})
    assert codes(diagnosed(repo)[1]) == ["OTA_REPO_HYGIENE_GITIGNORE_UNREADABLE"]


# --- nothing is changed --------------------------------------------------------------------------


def snapshot(folder):
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(Path(folder).rglob("*"))
    }


def test_nothing_is_written_and_no_task_or_service_is_started(project):
    contract = (
        HEAD
        + """
services: {db: {required: true, start: touch service, healthcheck: 'true'}}
checks: [{name: c, kind: health, severity: error, run: 'true'}]
tasks: {setup: {run: touch setup}, dev: {run: touch dev}}
workflows: {default: w, w: {setup: {task: setup}, run: {task: dev}}}
"""
    )
    repo = project({"ota.yaml": contract}, git=True)
    before = snapshot(repo.path)
    for command in (
        "doctor",
        "doctor --json",
        "explain",
        "check",
        "doctor --container",
        "doctor --fix --dry-run",
    ):
        repo.run(*command.split())
    assert snapshot(repo.path) == before


def test_two_doctors_at_once_say_the_same(project):
    contract = HEAD + TASK + "checks: [{name: c, kind: health, severity: error, run: 'sleep 0.5; false'}]\n"
    repo = project({"ota.yaml": contract})
    running = [repo.start("doctor", "--json") for _ in range(2)]
    done = [each.finish() for each in running]
    assert [each.code for each in done] == [1, 1]
    assert done[0].out == done[1].out


def test_an_interrupt_ends_the_diagnosis_quietly(project, tools):
    env = tools({"slow": "touch begun; sleep 76.5"})
    repo = project({"ota.yaml": HEAD + TASK + "tools: {slow: '1'}\n"})
    live = repo.start("doctor", env=env)
    import threading

    deadline = time.monotonic() + 20
    while not (repo.path / "begun").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    live.signal_group(2)
    done = live.finish()
    assert (done.code, done.out) == (130, "")


# --- without a contract --------------------------------------------------------------------------


def test_a_rust_repository_without_a_contract(project, assert_schema, tools):
    repo = project(
        {"Cargo.toml": "[package]\n", "compose.yaml": "services:\n  db:\n    image: x\n  web: {}\n"}
    )
    env = tools({"cargo": "echo cargo 1.80.0"}, hidden=True)
    code, document = diagnosed(repo, ".", env=env)
    assert (code, document["ok"]) == (1, False)
    assert summaries(document) == [
        "No `ota.yaml` found",
        "Missing container execution backend CLI: docker, podman",
        "Detected Rust repo",
        "Host tool available: cargo 1.80.0",
        "Detected Docker Compose services: db",
    ]
    assert document["findings"][0]["provenance_key"] == "repo_signals"
    assert_schema(document, "doctor")
    text = repo.run("doctor", ".", env=env)
    assert text.code == 1
    assert "Contract missing" in text.out
    assert "Repo Signals" in text.out


def test_a_missing_tool_of_the_stack_is_an_error(project, tools):
    repo = project({"Cargo.toml": ""})
    _, document = diagnosed(repo, ".", env=tools({}, hidden=True))
    assert "Missing host tool: cargo" in summaries(document)


def test_an_empty_folder(project):
    _, document = diagnosed(project({}), ".")
    assert summaries(document) == ["No `ota.yaml` found", "No repo signals detected"]


def test_a_named_file_that_is_not_there_is_a_mistake(project):
    done = project({}).run("doctor", "elsewhere.yaml")
    assert (done.code, done.out) == (1, "")
    assert "contract path does not exist" in done.err


# --- explain -------------------------------------------------------------------------------------


@pytest.mark.proves("S000-112")
@pytest.mark.parametrize(
    ("part", "banner", "code"),
    [
        ("tools: {absent: '1'}", "BLOCKED", 1),
        ("tools: {absent: {version: '1', required: false}}", "BLOCKED", 0),
        ("checks: [{name: i, kind: health, severity: info, run: 'false'}]", "READY", 0),
        ("", "READY", 0),
    ],
)
def test_explain_is_blocked_with_any_actionable_step(project, assert_schema, part, banner, code):
    repo = project({"ota.yaml": f"{HEAD}{TASK}{part}\n"})
    done = repo.run("explain")
    assert done.code == code
    assert done.out.splitlines()[:3] == ["EXPLAIN ./ota.yaml", "", banner]
    document = repo.run("explain", "--json").json
    assert document["ok"] is (code == 0)
    assert_schema(document, "explain")


def test_explain_names_isolated_paths(project, tools):
    contract = (
        HEAD
        + TASK
        + (
            "execution: {default_context: app, contexts: {app: {backend: container, lifecycle: persistent, "
            "container: {image: x}, attachments: {isolated_paths: [node_modules]}}}}\n"
        )
    )
    repo = project({"ota.yaml": contract})
    env = tools({"docker": "exit 0"})
    for command in ("doctor", "explain"):
        assert "app: /workspace/node_modules (in volumes that ota manages)" in repo.run(command, env=env).out


def test_a_workflow_probe_that_answers_is_no_finding(project):
    with serving(answering(answer())) as server:
        url = f"http://127.0.0.1:{server.port}/"
        contract = (
            f"{HEAD}{TASK}readiness: {{probes: {{p: {{kind: http, url: '{url}', timeout: 2s}}}}}}\n"
            "workflows: {default: w, w: {run: {task: t}, readiness: {probes: [p]}}}\n"
        )
        assert diagnosed(project({"ota.yaml": contract}))[1]["findings"] == []
