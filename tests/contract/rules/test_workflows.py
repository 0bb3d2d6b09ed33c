"""Rules of workflows and their instances, each broken alone."""

import pytest

from contract.rules.table import Case, prove

HEAD = """execution:
  contexts: {host: {backend: native}, box: {backend: container, lifecycle: ephemeral, container: {image: n}}}
surfaces: {web: {kind: http, port: 3000}, ops: {kind: http, port: 3001}}
checks: [{name: pre, kind: precondition, severity: error, run: "true"}]
readiness: {probes: {out: {kind: http, timeout: 2s, url: "http://example.com/"}}}
services:
  db: {manager: {kind: compose, name: demo, service: db}}
  set: {manager: {kind: compose, name: demo, service: set, env_file: other.env}}
  own: {start: ./own}
env:
  profiles:
    plain: {env: {A: b}}
    file: {render: {dotenv: {path: run.env}}}
tasks:
  dev: {launch: {kind: command, exe: a}, runtime: {kind: service, surfaces: [web]}}
  finite: {run: make}
  lane: {compose: {kind: up}, requirements: {tools: {docker: "*"}}}
  boxed: {run: make, context: box}
  wants: {run: make, requires_services: [own]}
"""


def flow(text: str) -> str:
    return f"{HEAD}workflows:\n  w: {{{text}}}\n"


def root(text: str) -> str:
    return f"{HEAD}workflows: {{{text}}}\n"


def instances(text: str, default: str = "one") -> str:
    return flow(f"run: {{task: dev}}, instances: {{default: {default}, one: {{}}{text}}}")


FINE = flow("run: {task: dev}")
PREPARE = flow("prepare: {task: finite}")
W = "workflows.w."
READY = flow("run: {task: dev}, readiness: {checks: [pre], probes: [out], surfaces: [web]}")
ENV_FILES = "compose_env_file_services: "
DOTENV = flow("env: {profile: file, compose_env_file_services: [db]}")
COMPOSE = "adapter_inputs: {overlays: {compose: {files: [c.yml], project_name: p}}}"
LANE = flow(f"run: {{task: lane}}, {COMPOSE}")
INNER = W + "instances."
FAMILY = "prefix: w, start: 1, end: 3"


def generated(text: str) -> str:
    return instances(f", generated: {{f: {{{text}}}}}")


CASES = (
    Case(
        "V500", "workflows.default", root('default: "", w: {run: {task: dev}}'), root("w: {run: {task: dev}}")
    ),
    Case("V501", "workflows.default", root("default: w"), root("default: w, w: {}")),
    Case("V502", "workflows.default", root("default: x, w: {}"), root("default: w, w: {}")),
    Case("V503", 'workflows.""', root('"": {}'), root("w: {}")),
    Case("V503", W + "intent", flow('intent: ""'), flow("intent: local_development")),
    Case("V505", W + "prepare", flow("prepare: {}"), PREPARE),
    Case(
        "V505",
        W + "prepare",
        flow("prepare: {task: finite, action: {kind: ensure_directory, path: a}}"),
        PREPARE,
    ),
    Case("V506", W + "prepare.task", flow("prepare: {task: finit}"), PREPARE),
    Case("V507", W + "prepare.task", flow("prepare: {task: lane}"), PREPARE),
    Case("V508", W + "prepare.task", flow("prepare: {task: boxed}"), PREPARE),
    Case("V509", W + "prepare.task", flow("prepare: {task: wants}"), PREPARE),
    *(
        Case("V510", f"{W}{phase}.task", flow(f"{phase}: {{task: vde}}"), flow(f"{phase}: {{task: dev}}"))
        for phase in ("setup", "run", "attach")
    ),
    Case(
        "V511",
        W + "services.required[0]",
        flow("services: {required: [bd]}"),
        flow("services: {required: [db]}"),
    ),
    Case("V512", W + "readiness.checks[0]", flow("readiness: {checks: [rpe]}"), READY),
    Case("V513", W + "readiness.probes[0]", flow("readiness: {probes: [uot]}"), READY),
    Case("V514", W + "readiness.surfaces[0]", flow("run: {task: dev}, readiness: {surfaces: [wbe]}"), READY),
    Case("V512", W + "readiness.signal.checks[0]", flow("readiness: {signal: {checks: [rpe]}}"), READY),
    Case(
        "V515",
        W + "readiness.signal.checks[0]",
        flow("readiness: {checks: [pre], signal: {checks: [pre]}}"),
        READY,
    ),
    Case("V516", W + "readiness.surfaces", flow("readiness: {surfaces: [web]}"), READY),
    Case("V517", W + "readiness.surfaces[0]", flow("run: {task: dev}, readiness: {surfaces: [ops]}"), READY),
    *(
        Case(
            "V518",
            W + "exposes[0]",
            flow(text),
            flow("run: {task: dev}, exposes: [{surface: web}, 'http://x']"),
        )
        for text in (
            "run: {task: dev}, exposes: [{surface: wbe}]",
            "exposes: [{surface: web}]",
            "run: {task: dev}, exposes: [{surface: ops}]",
        )
    ),
    Case("V519", W + "env.profile", flow("env: {profile: fiel}"), flow("env: {profile: file}")),
    Case("V520", f"{W}env.{ENV_FILES[:-2]}[0]", flow(f"env: {{profile: file, {ENV_FILES}[bd]}}"), DOTENV),
    Case("V520", f"{W}env.{ENV_FILES[:-2]}[0]", flow(f"env: {{profile: file, {ENV_FILES}[own]}}"), DOTENV),
    Case("V521", f"{W}env.{ENV_FILES[:-2]}", flow(f"env: {{profile: plain, {ENV_FILES}[db]}}"), DOTENV),
    Case("V521", f"{W}env.{ENV_FILES[:-2]}", flow(f"env: {{{ENV_FILES}[db]}}"), DOTENV),
    Case("V522", f"{W}env.{ENV_FILES[:-2]}[0]", flow(f"env: {{profile: file, {ENV_FILES}[set]}}"), DOTENV),
    Case("V524", W + "adapter_inputs.overlays.compose", flow(f"run: {{task: dev}}, {COMPOSE}"), LANE),
    Case(
        "V524", W + "adapter_inputs.helm", flow("run: {task: lane}, adapter_inputs: {helm: {chart: a}}"), LANE
    ),
    Case(
        "V525",
        W + "env.compose_files",
        flow(f"run: {{task: lane}}, {COMPOSE}, env: {{compose_files: [d.yml]}}"),
        LANE,
    ),
    Case(
        "V525",
        W + "env.compose_project_name",
        flow(f"run: {{task: lane}}, {COMPOSE}, env: {{compose_project_name: q}}"),
        LANE,
    ),
    Case("V525", W + "env.adapter_inputs", flow(f"run: {{task: lane}}, {COMPOSE}, env: {{{COMPOSE}}}"), LANE),
    Case("V530", INNER + "default", instances("", "two"), instances("")),
    Case(
        "V530", INNER + "default", instances("", "w4"), instances(f", generated: {{f: {{{FAMILY}}}}}", "w3")
    ),
    Case("V531", INNER + "generated.f.prefix", generated('prefix: "", start: 1, end: 2'), generated(FAMILY)),
    Case("V531", INNER + "generated.f.start", generated("prefix: w, start: 3, end: 2"), generated(FAMILY)),
    Case(
        "V531", INNER + "generated.f.end", generated("prefix: w, start: 1, end: 2000000"), generated(FAMILY)
    ),
    Case(
        "V532",
        INNER + "generated.f",
        instances(f", w2: {{}}, generated: {{f: {{{FAMILY}}}}}"),
        generated(FAMILY),
    ),
    Case(
        "V532",
        INNER + "generated.g",
        generated(f"{FAMILY}}}, g: {{prefix: w, start: 3, end: 4"),
        generated(f"{FAMILY}}}, g: {{prefix: w, start: 4, end: 4"),
    ),
    Case(
        "V533",
        INNER + "a.topology.requires_instances[0]",
        instances(", a: {topology: {requires_instances: [oen]}}"),
        instances(", a: {topology: {requires_instances: [one]}}"),
    ),
    Case(
        "V533",
        INNER + "a.topology.requires_instances",
        instances(", a: {topology: {requires_instances: [a]}}"),
        instances(""),
    ),
    Case(
        "V533",
        INNER + "a.topology.requires_instances",
        instances(", a: {topology: {requires_instances: [b]}}, b: {topology: {requires_instances: [a]}}"),
        instances(", a: {topology: {requires_instances: [b]}}, b: {}"),
    ),
    Case(
        "V533",
        INNER + "generated.f.template.topology.requires_instances[0]",
        generated(FAMILY + ", template: {topology: {requires_instances: [two]}}"),
        generated(FAMILY + ", template: {topology: {requires_instances: [one]}}"),
    ),
    Case(
        "V534",
        INNER + "a.tasks.vde",
        instances(", a: {tasks: {vde: {env: {A: b}}}}"),
        instances(", a: {tasks: {dev: {env: {A: b}}}}"),
    ),
    Case(
        "V535",
        INNER + "a.tasks.finite.runtime",
        instances(", a: {tasks: {finite: {runtime: {listeners: {}}}}}"),
        instances(""),
    ),
    Case(
        "V535",
        INNER + "a.tasks.dev.runtime.listeners.wbe",
        instances(", a: {tasks: {dev: {runtime: {listeners: {wbe: {}}}}}}"),
        instances(", a: {tasks: {dev: {runtime: {listeners: {web: {}}}}}}"),
    ),
    Case(
        "V536",
        INNER + "a.surfaces.wbe",
        instances(", a: {surfaces: {wbe: {path: /}}}"),
        instances(", a: {surfaces: {web: {path: /}}}"),
    ),
    Case(
        "V537",
        INNER + "a.surfaces.web.port_stride",
        instances(", a: {surfaces: {web: {port_stride: 1}}}"),
        generated(FAMILY + ", template: {surfaces: {web: {port_stride: 1}}}"),
    ),
    Case(
        "V538",
        INNER + "a.surfaces.web",
        instances(", a: {surfaces: {web: {port: 70000}}}"),
        instances(", a: {surfaces: {web: {port: 7000}}}"),
    ),
    Case(
        "V538",
        INNER + "generated.f.template.surfaces.web",
        generated(FAMILY + ", template: {surfaces: {web: {port_stride: 30000}}}"),
        generated(FAMILY + ", template: {surfaces: {web: {port_stride: 20000}}}"),
    ),
    Case(
        "V538",
        INNER + "generated.f.template.tasks.dev.runtime.listeners.web.bind.port",
        generated(
            FAMILY
            + ", template: {tasks: {dev: {runtime: {listeners: {web: {bind: {port: {stride: 30000}}}}}}}}"
        ),
        generated(
            FAMILY
            + ", template: {tasks: {dev: {runtime: {listeners: {web: {bind: {port: {stride: 100}}}}}}}}"
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_workflow_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_instances_need_a_default() -> None:
    prove(Case("P10", INNER + "default", flow("instances: {one: {}}"), instances("")))
