"""Rules of tasks, each broken alone."""

import pytest

from contract.rules.table import Case, only, prove, told

CONTEXTS = (
    "execution: {contexts: {host: {backend: native}, "
    "box: {backend: container, lifecycle: ephemeral, container: {image: n}}}}\n"
)


def task(text: str, name: str = "t", more: str = "") -> str:
    """A contract with one task under test."""
    return f"tasks:\n  {name}: {{{text}}}\n{more}"


OTHER = "  other: {run: make}\n"
ALL = "  all: {aggregate: {tasks: [other]}}\n"
FINE = task("run: make")
SERVICE = "services: {db: {start: ./db}}\n"
HOST = "execution: {contexts: {host: {backend: native}}}\n"
BARE = "services: {db: {endpoints: {host: {address: 127.0.0.1, port: 5}}}}\n" + HOST
CHECKS = """checks:
- {name: pre, kind: precondition, severity: error, run: "true"}
- {name: alive, kind: health, severity: warn, run: "true"}
- {name: there, kind: file, severity: warn, path: a}
- {name: asked, kind: precondition, severity: warn, probe: p}
readiness: {probes: {p: {kind: tcp, timeout: 2s, target: {kind: service, name: db}}}}
services: {db: {start: ./db, endpoints: {host: {address: 127.0.0.1, port: 5}}}}
execution: {contexts: {host: {backend: native}}}
"""


def variant(text: str) -> str:
    return task(f"run: make, variants: [{text}]")


WINDOWS = variant("{when: {os: windows}, run: make.bat}")

CASES = (
    Case("V270", 'tasks.""', task("run: make", '""'), FINE),
    Case("V271", "tasks.t", task("notes: a"), FINE),
    Case("V271", "tasks.t", task("notes: a"), task("variants: [{when: {os: linux}, run: make}]")),
    Case("V272", "tasks.t.script", task("run: make, script: make"), FINE),
    Case("V272", "tasks.t.command", task("run: make, command: {exe: make}"), task("command: {exe: make}")),
    Case("V273", "tasks.t.run", task('run: " "'), FINE),
    Case("V273", "tasks.t.script", task('script: ""'), task("script: make")),
    Case(
        "V273",
        "tasks.t.execution.modes.native.run",
        task('run: make, execution: {modes: {native: {run: ""}}}'),
        task("run: make, execution: {modes: {native: {run: fast}}}"),
    ),
    Case(
        "V274",
        "tasks.t.context",
        task("run: make, context: hots", more=CONTEXTS),
        task("run: make, context: host", more=CONTEXTS),
    ),
    Case("V274", "tasks.t.context", task('run: make, context: ""'), FINE),
    Case(
        "V275",
        "tasks.t.only_on[0]",
        task("run: make, only_on: [solaris]"),
        task("run: make, only_on: [linux]"),
    ),
    Case("V275", "tasks.t.only_on", task("run: make, only_on: []"), FINE),
    Case(
        "V275", "tasks.t.when.os[0]", task("run: make, when: {os: dos}"), task("run: make, when: {os: linux}")
    ),
    *(
        Case(
            "V276",
            f"tasks.t.{key}[0]",
            task(f"run: make, {key}: [ohter]", more=OTHER),
            task(f"run: make, {key}: [other]", more=OTHER),
        )
        for key in ("depends_on", "after_success", "after_failure", "after_always")
    ),
    Case("V276", "tasks.t.depends_on[0]", task('run: make, depends_on: [""]'), FINE),
    Case(
        "V277",
        "tasks.a.depends_on",
        task("run: make, depends_on: [a]", more="  a: {run: x, depends_on: [t]}\n"),
        task("run: make, depends_on: [a]", more="  a: {run: x}\n"),
    ),
    Case(
        "V277",
        "tasks.t.after_always",
        task("run: make, after_always: [z]", more="  z: {run: x, depends_on: [t]}\n"),
        task("run: make, after_always: [z]", more="  z: {run: x}\n"),
    ),
    Case("V277", "tasks.t.depends_on", task("run: make, depends_on: [t]"), FINE),
    Case(
        "V277",
        "tasks.t.aggregate",
        task("aggregate: {tasks: [t]}"),
        task("aggregate: {tasks: [other]}", more=OTHER),
    ),
    Case(
        "V278",
        "tasks.t.requires_services[0]",
        task("run: make, requires_services: [bd]", more=SERVICE),
        task("run: make, requires_services: [db]", more=SERVICE),
    ),
    Case(
        "V279",
        "tasks.t.requires_services[0]",
        task("run: make, requires_services: [db]", more=BARE),
        task("run: make, requires_services: [db]", more=SERVICE),
    ),
    Case(
        "V280",
        "tasks.t.when.checks[0]",
        task("run: make, when: {checks: [rpe]}", more=CHECKS),
        task("run: make, when: {checks: [pre, there]}", more=CHECKS),
    ),
    Case(
        "V281",
        "tasks.t.when.checks[0]",
        task("run: make, when: {checks: [alive]}", more=CHECKS),
        task("run: make, when: {checks: [pre]}", more=CHECKS),
    ),
    Case(
        "V281",
        "tasks.t.when.checks[0]",
        task("run: make, when: {checks: [asked]}", more=CHECKS),
        task("run: make, when: {checks: [there]}", more=CHECKS),
    ),
    Case("V282", "tasks.t.variants[0].when.os", variant("{run: make.bat}"), WINDOWS),
    Case("V282", "tasks.t.variants[0].when.os[0]", variant("{when: {os: dos}, run: make.bat}"), WINDOWS),
    Case(
        "V283",
        "tasks.t.variants[1].when.os",
        variant("{when: {os: linux}, run: a}, {when: {os: linux}, run: b}"),
        variant("{when: {os: linux}, run: a}, {when: {os: macos}, run: b}"),
    ),
    Case("V284", "tasks.t.variants[0].script", variant("{when: {os: linux}, run: a, script: b}"), WINDOWS),
    Case(
        "V284",
        "tasks.t.variants[0]",
        variant("{when: {os: linux}}"),
        variant("{when: {os: linux}, env: {A: b}}"),
    ),
    Case("V285", "tasks.t.variants[0].run", variant('{when: {os: linux}, run: ""}'), WINDOWS),
    Case("V286", 'tasks.t.env.""', task('run: make, env: {"": a}'), task("run: make, env: {A: a}")),
    Case(
        "V286",
        'tasks.t.execution.modes.native.env." "',
        task('run: make, execution: {modes: {native: {env: {" ": a}}}}'),
        task("run: make, execution: {modes: {native: {env: {A: a}}}}"),
    ),
    Case(
        "V287",
        "tasks.t.env_files[0]",
        task("run: make, env_files: [../.env]"),
        task("run: make, env_files: [.env]"),
    ),
    Case(
        "V287", "tasks.t.variants[0].env_files[0]", variant("{when: {os: linux}, env_files: [/e]}"), WINDOWS
    ),
    Case(
        "V288",
        "tasks.t.inputs.Base-Url",
        task("run: make, inputs: {Base-Url: {}}"),
        task("run: make, inputs: {base_url: {}}"),
    ),
    Case(
        "V289",
        "tasks.t.inputs.a.default",
        task('run: make, inputs: {a: {default: ""}}'),
        task("run: make, inputs: {a: {default: 1}}"),
    ),
    Case(
        "V290",
        "tasks.t.inputs.a.allowed[1]",
        task('run: make, inputs: {a: {allowed: [x, ""]}}'),
        task("run: make, inputs: {a: {allowed: [x]}}"),
    ),
    Case(
        "V291",
        "tasks.t.inputs.a.default",
        task("run: make, inputs: {a: {default: z, allowed: [x]}}"),
        task("run: make, inputs: {a: {default: x, allowed: [x]}}"),
    ),
    Case(
        "V292",
        "tasks.t.aggregate.tasks",
        task("aggregate: {tasks: []}"),
        task("aggregate: {tasks: [other]}", more=OTHER),
    ),
    Case(
        "V293",
        "tasks.t.aggregate.tasks[0]",
        task("aggregate: {tasks: [ohter]}", more=OTHER),
        task("aggregate: {tasks: [other]}", more=OTHER),
    ),
    Case(
        "V294",
        "tasks.t.aggregate.tasks[0]",
        task("aggregate: {tasks: [all]}", more=OTHER + ALL),
        task("aggregate: {tasks: [other]}", more=OTHER + ALL),
    ),
    *(
        Case(
            "V295",
            f"tasks.t.{key}",
            task(f"aggregate: {{tasks: [other]}}, {key}: {value}", more=OTHER + CONTEXTS + SERVICE),
            task("aggregate: {tasks: [other]}", more=OTHER + CONTEXTS + SERVICE),
        )
        for key, value in (
            ("run", "make"),
            ("context", "host"),
            ("lifecycle", "ephemeral"),
            ("env", "{A: b}"),
            ("inputs", "{a: {}}"),
            ("targets", "{a: {url: x}}"),
            ("requires_services", "[db]"),
            ("runtime", "{kind: service, listeners: {http: {http: 80}}}"),
            ("effects", "{network: true}"),
            ("requirements", '{tools: {a: "1"}}'),
            ("variants", "[{when: {os: linux}, run: a}]"),
        )
    ),
    Case(
        "V296",
        "tasks.t.depends_on[0]",
        task("run: make, depends_on: [all]", more=OTHER + ALL),
        task("run: make, depends_on: [other]", more=OTHER + ALL),
    ),
    Case(
        "V296",
        "tasks.t.execution.modes.native.depends_on[0]",
        task("run: make, execution: {modes: {native: {depends_on: [all]}}}", more=OTHER + ALL),
        task("run: make, execution: {modes: {native: {depends_on: [other]}}}", more=OTHER + ALL),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_task_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_cycle_names_its_way() -> None:
    found = only(
        task(
            "run: make, depends_on: [a]",
            more="  a: {run: x, after_success: [b]}\n  b: {run: y, depends_on: [t]}\n",
        )
    )
    assert "a -> b -> t -> a" in found.summary


def test_unknown_names_suggest_the_nearest() -> None:
    assert only(task("run: make, depends_on: [ohter]", more=OTHER)).next == "did you mean `other`?"


@pytest.mark.proves("S000-47")
def test_internal_is_accepted_and_a_task_is_visible_without_it() -> None:
    from pathlib import Path

    from ota.contract.load import load_bytes

    text = "version: 1\nproject: {name: demo}\ntasks: {a: {run: x, internal: true}, b: {run: y}}\n"
    tasks = load_bytes(text.encode(), Path("/repo/ota.yaml"), "ota.yaml").contract.tasks
    assert (tasks["a"].internal, tasks["b"].internal) == (True, False)


def test_an_endless_list_of_wrong_names_stays_quick() -> None:
    names = ", ".join(f"x{i}" for i in range(3000))
    found = told(f"tasks:\n  t: {{run: make, depends_on: [{names}]}}\n")
    assert len(found) == 3000
