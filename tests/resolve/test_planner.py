"""Which plane, context, lifecycle, order and refusals a request gets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ota.errors import PlanError
from ota.resolve.endpoints import endpoints_of
from ota.resolve.plan import ArgvBody, Request, ShellBody
from ota.resolve.planner import plan_run
from resolve.planning import LINUX, MAC, founding, loaded, plan, plan_json, refused, task_plan, topology_json

CONTEXTS = """
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app: {backend: container, lifecycle: persistent, container: {image: "node:24"}}
    far: {backend: remote, remote: {provider: ssh, target: dev@box, cwd: /srv/app}}
"""


# --- planes --------------------------------------------------------------------------------------


@pytest.mark.proves("S001-01", "S001-22", "S002-17", "S002-18")
def test_a_task_runs_where_its_context_says_and_the_others_stay_on_the_default() -> None:
    contract = loaded(
        CONTEXTS
        + """
tasks:
  build: {run: make}
  test: {run: make test}
  up: {context: host, run: docker compose up -d}
  deploy: {context: far, run: deploy}
"""
    )
    build, test = plan_json(contract, "build")["resolved"], plan_json(contract, "test")["resolved"]
    assert build == test
    assert (build["backend"], build["context"], build["image"]) == ("container", "app", "node:24")
    assert build["backend_source"] == "contract default context"
    up = plan_json(contract, "up")["resolved"]
    assert (up["backend"], up["context"], up["backend_source"]) == ("native", "host", "task")
    deploy = plan_json(contract, "deploy")["resolved"]
    assert (deploy["backend"], deploy["provider"], deploy["target"]) == ("remote", "ssh", "dev@box")
    assert (deploy["cwd"], deploy["target_strategy"]) == ("/srv/app", "remote target")


@pytest.mark.proves("S002-12")
def test_the_plan_names_the_rule_that_chose_the_plane() -> None:
    tasks = "tasks: {a: {run: x}, b: {run: x, context: host}, c: {run: x, execution: {default_mode: native}}}"
    contract = loaded(CONTEXTS + tasks)
    shorthand = loaded(
        "execution: {preferred: container, lifecycle: ephemeral, backends: {container: {image: i}}}\n"
        "tasks: {a: {run: x}}"
    )
    bare = loaded("tasks: {a: {run: x}}")
    sources = [
        plan_json(contract, "a", mode="native")["resolved"]["backend_source"],
        plan_json(contract, "a")["resolved"]["backend_source"],
        plan_json(contract, "b")["resolved"]["backend_source"],
        plan_json(contract, "c")["resolved"]["backend_source"],
        plan_json(shorthand, "a")["resolved"]["backend_source"],
        plan_json(bare, "a")["resolved"]["backend_source"],
    ]
    assert sources == [
        "override",
        "contract default context",
        "task",
        "task default mode",
        "contract preferred",
        "default",
    ]


@pytest.mark.proves("S002-09")
def test_the_text_of_a_command_chooses_no_plane() -> None:
    contract = loaded(
        CONTEXTS
        + """
tasks:
  up: {context: host, run: docker compose up -d}
  push: {run: ssh box uptime}
"""
    )
    assert plan_json(contract, "up")["resolved"]["backend"] == "native"
    assert plan_json(contract, "push")["resolved"]["backend"] == "container"


@pytest.mark.proves("S001-171", "S002-36")
def test_the_shorthand_is_one_context_named_app() -> None:
    resolved = plan_json(founding("pattern-1"))["resolved"]
    assert resolved["context"] == "app"
    assert (resolved["backend"], resolved["lifecycle"]) == ("container", "ephemeral")
    assert resolved["image"] == "node:24-bookworm"
    assert resolved["target_strategy"] == "ephemeral per-run container"


@pytest.mark.proves("S002-23")
def test_the_shorthand_alone_plans_any_task() -> None:
    contract = loaded(
        "execution: {preferred: container, lifecycle: ephemeral, backends: {container: {image: i}}}\n"
        "tasks: {a: {run: x}}"
    )
    assert plan_json(contract, "a")["resolved"]["image"] == "i"


@pytest.mark.proves("S002-38", "S002-24")
def test_pattern_2_has_two_equal_boundaries_under_two_names() -> None:
    contract = founding("pattern-2")
    default = plan_json(contract)["resolved"]
    assert (default["context"], default["lifecycle"]) == ("development", "ephemeral")
    text = (
        "execution:\n  default_context: development\n  contexts:\n"
        "    development: {backend: container, lifecycle: ephemeral, container: {image: n}}\n"
        "    verify: {backend: container, lifecycle: ephemeral, container: {image: n}}\n"
        "tasks: {check: {context: verify, run: x}, dev: {run: x}}"
    )
    verify, dev = (plan_json(text, name)["resolved"] for name in ("check", "dev"))
    assert (verify["context"], dev["context"]) == ("verify", "development")
    assert verify["image"] == dev["image"]


@pytest.mark.proves("S002-25", "S002-39")
def test_pattern_3_shares_one_base() -> None:
    contract = founding("pattern-3")
    development = plan_json(contract)["resolved"]
    assert development["context"] == "development"
    assert development["image"] == "node:24-bookworm"
    assert development["container_memory_bytes"] == 3 << 30
    contexts = {each["name"]: each for each in plan_json(contract)["declared_execution"]["contexts"]}
    assert contexts["development"]["container"]["resources"] == {
        "memory": {"minimum": "2GiB", "default": "3GiB"}
    }
    assert contexts["verify"]["container"] == {"image": "node:24-bookworm"}
    assert {each["lifecycle"] for each in contexts.values()} == {"ephemeral"}
    assert topology_json(contract)["declared_execution"] == plan_json(contract)["declared_execution"]


@pytest.mark.proves("S002-31")
def test_inheritance_plans_as_the_hand_written_merge_does() -> None:
    tasks = "tasks: {a: {run: x}}"
    inherited = loaded(
        "execution:\n  default_context: dev\n  contexts:\n"
        "    base: {backend: container, lifecycle: ephemeral, container: {image: n}, env: {A: '1'}}\n"
        "    dev: {extends: base, env: {B: '2'}, container: {engines: [podman]}}\n" + tasks
    )
    written = loaded(
        "execution:\n  default_context: dev\n  contexts:\n"
        "    base: {backend: container, lifecycle: ephemeral, container: {image: n}, env: {A: '1'}}\n"
        "    dev: {backend: container, lifecycle: ephemeral, env: {A: '1', B: '2'},"
        " container: {image: n, engines: [podman]}}\n" + tasks
    )
    assert plan_json(inherited, "a") == plan_json(written, "a")
    assert plan(inherited, "a").steps == plan(written, "a").steps


@pytest.mark.proves("S001-14", "S001-16", "S001-20")
def test_the_execution_contexts_example_plans_as_it_says() -> None:
    contract = founding("split-host-context")
    for name, context in (
        ("setup:config-basic", "host"),
        ("build", "host-dev"),
        ("test:frontend", "host-dev"),
    ):
        resolved = plan_json(contract, name)["resolved"]
        assert (resolved["backend"], resolved["context"]) == ("native", context)
    example = founding("execution-contexts")
    resolved = plan_json(example)["resolved"]
    assert (resolved["context"], resolved["lifecycle"]) == ("app", "persistent")
    assert resolved["image"] == "maven:3.9.14-eclipse-temurin-21-noble"
    contexts = {each["name"]: each for each in plan_json(example)["declared_execution"]["contexts"]}
    assert contexts["host-dev"]["backend"] == "native"
    assert contexts["host-dev"]["requirements"]["tools"] == {
        "docker": "*",
        "lsof": "*",
        "npm": ">=10.5.0",
        "poetry": ">=1.8",
    }
    assert topology_json(example)["declared_execution"] == plan_json(example)["declared_execution"]


def test_only_the_tasks_of_a_context_need_what_it_requires() -> None:
    contract = founding("split-host-context")
    basic = {each.name for each in task_plan(contract, "setup:config-basic").requirements}
    build = {each.name for each in task_plan(contract, "build").requirements}
    assert basic == {"docker", "lsof"}
    assert build == {"docker", "lsof", "python", "node", "poetry", "npm"}


@pytest.mark.proves("S001-25")
def test_the_tasks_workloads_services_example_plans_as_it_says() -> None:
    contract = founding("tasks-workloads-services")
    contexts = {name: plan_json(contract, name)["resolved"]["context"] for name in contract.contract.tasks}
    assert contexts == {"compose:up": "host", "setup": "app", "db:integration": "app", "dev": "app"}


@pytest.mark.proves("S002-19", "S002-143")
@pytest.mark.parametrize(
    ("example", "native", "container"),
    [
        ("default-context-first", "compose:up", "setup"),
        ("default-context-first", "compose:up", "test"),
        ("host-setup-container-app", "compose:up", "dev"),
    ],
)
def test_host_and_container_tasks_of_one_contract(example: str, native: str, container: str) -> None:
    contract = founding(example)
    assert plan_json(contract, native)["resolved"]["context"] == "host"
    resolved = plan_json(contract, container)["resolved"]
    assert (resolved["context"], resolved["lifecycle"]) == ("app", "persistent")
    assert resolved["image"] == "node:24-bookworm"


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.proves("S000-98", "S002-43", "S002-44", "S002-51")
def test_each_mode_has_its_own_branch_under_one_name() -> None:
    contract = founding("two-honest-planes")
    default = plan_json(contract, "start")["resolved"]
    assert (default["backend"], default["context"]) == ("container", "app")
    assert default["backend_source"] == "task default mode"
    native = plan_json(contract, "start", mode="native")["resolved"]
    assert (native["backend"], native["context"], native["backend_source"]) == ("native", "host", "override")
    assert plan_json(contract, "start", mode="container")["resolved"]["context"] == "app"


@pytest.mark.proves("S002-145")
def test_one_app_two_truthful_start_paths() -> None:
    contract = founding("two-start-paths")
    assert plan_json(contract, "start")["resolved"]["backend"] == "container"
    assert plan_json(contract, "start", mode="native")["resolved"]["backend"] == "native"
    bodies = {mode: task_plan(contract, "start", mode=mode).body for mode in ("native", "container")}
    assert set(bodies.values()) == {ShellBody(kind="run", text="./gradlew bootRun")}


def test_a_mode_without_branch_runs_the_task_level_body_there() -> None:
    task = task_plan(
        CONTEXTS + "tasks: {a: {run: base, execution: {modes: {native: {run: n}}}}}", "a", mode="container"
    )
    assert task.refusals == ()
    assert task.body == ShellBody(kind="run", text="base")
    assert task.context.name == "app"


def test_a_mode_without_branch_or_body_is_refused_by_name() -> None:
    text = CONTEXTS + "tasks: {a: {execution: {default_mode: container, modes: {container: {run: c}}}}}"
    finding = refused(text, "a", mode="native")
    assert finding.code == "OTA_MODE_UNSUPPORTED"
    assert "`a`" in finding.summary
    assert "`native`" in finding.summary
    assert "`container`" in finding.why


@pytest.mark.parametrize(
    ("mode", "title"),
    [("container", "Container run is not configured"), ("remote", "Remote execution is not configured")],
)
def test_a_plane_nobody_configured_is_refused(mode, title: str) -> None:
    finding = refused("tasks: {a: {run: x}}", "a", mode=mode)
    assert finding.title == title
    assert f"execution.backends.{mode}" in finding.next


@pytest.mark.proves("S002-45", "S002-148")
def test_the_nearest_word_on_the_lifecycle_wins() -> None:
    def lifecycle(asked=None, branch="", task="", context="ephemeral", root="") -> tuple[str, str]:
        text = (
            f"execution:\n  {'lifecycle: ' + root if root else ''}\n  default_context: app\n  contexts:\n"
            f"    app: {{backend: container, container: {{image: i}}"
            f"{', lifecycle: ' + context if context else ''}}}\n"
            f"tasks:\n  a:\n    run: x\n    {'lifecycle: ' + task if task else ''}\n"
            + (f"    execution: {{modes: {{container: {{lifecycle: {branch}}}}}}}\n" if branch else "")
        )
        resolved = plan_json(text, "a", lifecycle=asked)["resolved"]
        return resolved["lifecycle"], resolved["lifecycle_source"]

    assert lifecycle(context="", root="persistent") == ("persistent", "contract lifecycle")
    assert lifecycle(root="persistent") == ("ephemeral", "context")
    assert lifecycle(task="persistent") == ("persistent", "task")
    assert lifecycle(task="persistent", branch="ephemeral") == ("ephemeral", "task mode branch")
    assert lifecycle(asked="persistent", branch="ephemeral") == ("persistent", "override")


def test_a_native_lifecycle_is_a_note() -> None:
    task = task_plan("tasks: {a: {run: x}}", "a", lifecycle="ephemeral")
    assert task.refusals == ()
    assert task.notes == ("lifecycle `ephemeral` is advisory in native mode",)


def test_a_container_task_without_any_lifecycle_is_refused() -> None:
    text = (
        "execution: {supported: [container, native], backends: {container: {image: i}}}\ntasks: {a: {run: x}}"
    )
    assert refused(text, "a", mode="container").code == "OTA_LIFECYCLE_UNDECLARED"


@pytest.mark.parametrize(("key", "value"), [("only_on", "windows"), ("only_arch", "riscv")])
def test_a_context_for_another_host_is_refused(key: str, value: str) -> None:
    text = (
        f"execution: {{default_context: w, contexts: {{w: {{backend: native, {key}: [{value}]}}}}}}\n"
        "tasks: {a: {run: x}}"
    )
    finding = refused(text, "a")
    assert finding.code == "OTA_CONTEXT_HOST_PLATFORM_UNSUPPORTED"
    assert "`w`" in finding.summary
    assert "linux/x64" in finding.why
    assert f"`{value}`" in finding.why


@pytest.mark.parametrize("spelling", ["x64", "x86_64", "amd64"])
def test_an_architecture_may_be_spelled_as_other_tools_do(spelling: str) -> None:
    text = (
        f"execution: {{default_context: w, contexts: {{w: {{backend: native, only_arch: [{spelling}]}}}}}}\n"
        "tasks: {a: {run: x}}"
    )
    assert task_plan(text, "a").refusals == ()


def test_a_task_for_another_system_refuses_every_closure_that_reaches_it() -> None:
    contract = loaded("tasks: {a: {run: x, depends_on: [b]}, b: {run: x, only_on: [macos]}}")
    assert refused(contract, "a").code == "OTA_TASK_HOST_PLATFORM_UNSUPPORTED"
    assert plan(contract, "a", MAC).refusals() == ()


# --- order ---------------------------------------------------------------------------------------


def order(text: str, task: str, **asked) -> list[str]:
    return list(plan(text, task, **asked).steps)


def test_dependencies_come_depth_first_in_declared_order_and_once() -> None:
    text = """
tasks:
  a: {run: x, depends_on: [c, b]}
  b: {run: x, depends_on: [d]}
  c: {run: x, depends_on: [d]}
  d: {run: x}
"""
    assert order(text, "a") == ["d", "c", "b", "a"]
    steps = plan(text, "a").steps
    assert steps["a"].depends_on == ("c", "b")
    assert steps["b"].depends_on == ("d",)
    assert (steps["d"].relation, steps["d"].parent) == ("depends_on", "c")


def test_hooks_follow_the_body_and_run_again_in_a_generation_of_their_own() -> None:
    text = """
tasks:
  a: {run: x, depends_on: [b], after_success: [note], after_failure: [note], after_always: [tidy]}
  b: {run: x, after_always: [tidy]}
  note: {run: x, depends_on: [pre]}
  pre: {run: x}
  tidy: {run: x}
"""
    steps = plan(text, "a").steps
    assert list(steps) == ["b", "tidy", "a", "pre", "note", "pre@1", "note@1", "tidy@2"]
    assert steps["a"].after_success == ("note",)
    assert steps["a"].after_failure == ("note@1",)
    assert steps["a"].after_always == ("tidy@2",)
    assert steps["note@1"].generation == 1
    assert steps["note@1"].depends_on == ("pre@1",)


def test_an_aggregate_runs_its_members_in_order() -> None:
    text = "tasks: {all: {aggregate: {tasks: [t, l]}}, l: {run: x}, t: {run: x, depends_on: [l]}}"
    steps = plan(text, "all").steps
    assert list(steps) == ["l", "t", "all"]
    assert steps["all"].depends_on == ("t", "l")
    assert steps["t"].relation == "aggregate_member"


def test_an_aggregate_has_no_plane_of_its_own_and_hands_the_mode_to_its_members() -> None:
    text = CONTEXTS + "tasks: {all: {aggregate: {tasks: [a, b]}}, a: {run: x}, b: {run: x, context: host}}"
    default = {name: step.task.context.plane for name, step in plan(text, "all").steps.items()}
    native = {name: step.task.context.plane for name, step in plan(text, "all", mode="native").steps.items()}
    assert default == {"a": "container", "b": "native", "all": "native"}
    assert native == {"a": "native", "b": "native", "all": "native"}
    assert plan(text, "all", mode="container").refusals() == ()


def test_a_branch_replaces_the_dependencies() -> None:
    text = (
        "tasks:\n  a: {run: x, depends_on: [b], execution: {modes: {native: {depends_on: [c]}}}}\n"
        "  b: {run: x}\n  c: {run: x}\n"
    )
    assert order(text, "a", mode="native") == ["c", "a"]


def test_skipped_dependencies_are_told() -> None:
    text = "tasks: {a: {run: x, depends_on: [b]}, b: {run: x}}"
    skipping = plan(text, "a", skip_deps=True)
    assert list(skipping.steps) == ["a"]
    assert skipping.skipped_dependencies == ("b",)
    assert "`b`" in skipping.requested_step.task.notes[0]
    assert refused(text, "b", skip_deps=True).code == "OTA_SKIP_DEPS_REFUSED"


@pytest.mark.slow
def test_ten_thousand_tasks_in_a_row_are_planned() -> None:
    lines = [f"  t{i}: {{run: x, depends_on: [t{i + 1}]}}" for i in range(10_000)]
    text = "\n".join(["tasks:", *lines, "  t10000: {run: x}"])
    steps = plan(text, "t0").steps
    assert len(steps) == 10_001
    assert next(iter(steps)) == "t10000"


@pytest.mark.slow
def test_hooks_without_end_are_refused_not_planned_for_ever() -> None:
    levels = [f"  t{i}: {{run: x, after_success: [t{i + 1}, t{i + 1}]}}" for i in range(40)]
    text = "\n".join(["tasks:", *levels, "  t40: {run: x}"])
    with pytest.raises(PlanError, match="no end"):
        plan(text, "t0")


TASKS = st.integers(0, 11)


@given(st.sets(st.tuples(TASKS, TASKS)))
@settings(max_examples=60, deadline=None)
def test_every_step_comes_after_what_it_depends_on(edges) -> None:
    lines = []
    for node in range(12):
        wanted = sorted({f"t{b}" for a, b in edges if a == node and b > node})
        lines.append(f"  t{node}: {{run: x, depends_on: [{', '.join(wanted)}]}}")
    steps = plan("\n".join(["tasks:", *lines]), "t0").steps
    position = {name: index for index, name in enumerate(steps)}
    for name, step in steps.items():
        assert all(position[before] < position[name] for before in step.depends_on)
    assert list(steps)[-1] == "t0"


# --- dependencies and their planes ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("dependency", "mode", "plane"),
    [
        ("{run: x}", None, "native"),
        ("{run: x}", "container", "container"),
        ("{run: x, context: host}", "container", "native"),
        ("{run: x, execution: {default_mode: native}}", "container", "native"),
        ("{run: x, execution: {default_mode: native, modes: {container: {run: c}}}}", "container", "native"),
        ("{run: x, execution: {modes: {container: {run: c}}}}", "container", "container"),
        ("{run: x, execution: {modes: {remote: {context: far}}}}", "container", "native"),
    ],
)
def test_a_dependency_keeps_its_parents_plane_only_when_it_truthfully_supports_it(
    dependency: str, mode, plane: str
) -> None:
    text = (
        CONTEXTS.replace("default_context: app", "default_context: host")
        + f"tasks:\n  a: {{run: x, depends_on: [b]}}\n  b: {dependency}\n"
    )
    assert plan(text, "a", mode=mode).steps["b"].task.context.plane == plane


def test_a_branch_dependency_follows_a_container_parent() -> None:
    text = CONTEXTS + (
        "tasks:\n  a: {run: x, depends_on: [b]}\n"
        "  b: {run: x, context: host, execution: {modes: {container: {run: c}, native: {run: n}}}}\n"
    )
    context = plan(text, "a").steps["b"].task.context
    assert (context.plane, context.plane_source) == ("container", "inherited parent backend")


def test_hooks_choose_their_plane_from_scratch() -> None:
    text = CONTEXTS + "tasks: {a: {run: x, after_always: [h]}, h: {run: x, context: host}}"
    assert plan(text, "a", mode="container").steps["h"].task.context.plane == "native"


SERVICE = """
  dev:
    run: x
    depends_on: [setup]
    runtime:
      kind: service
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 3000}}}
  setup:
    run: x
    runtime:
      kind: service
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 3100}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 3100}}}
"""


def test_ports_and_memory_of_one_run_reach_only_the_requested_task() -> None:
    planned = plan(CONTEXTS + "tasks:" + SERVICE, "dev", host_port=4000, memory_bytes=1 << 30)
    assert planned.refusals() == ()
    dev, setup = planned.steps["dev"].task, planned.steps["setup"].task
    assert dev.runtime is not None
    assert setup.runtime is not None
    listener = dev.runtime.listener("http")
    assert listener.bind_port == 3000
    assert listener.projection is not None
    assert listener.projection.port == 4000
    assert endpoints_of(dev.runtime).of("http").url == "http://127.0.0.1:4000/"
    assert setup.runtime.listener("http").projection.port == 3100
    assert dev.context.container.memory_bytes == 1 << 30
    assert setup.context.container.memory_bytes is None


# --- overrides -----------------------------------------------------------------------------------


def test_native_overrides_are_refused_with_their_titles() -> None:
    text = "tasks: {a: {run: x}}"
    assert refused(text, "a", host_port=4000).title == "Host port override requires container execution"
    assert refused(text, "a", memory_bytes=1).title == "Memory override requires container execution"


@pytest.mark.proves("S002-151")
def test_the_memory_example_plans_its_default() -> None:
    contract = founding("container-memory")
    assert plan_json(contract, "test")["resolved"]["container_memory_bytes"] == 2 << 30
    asked = plan_json(contract, "test", memory_bytes=4 << 30)
    assert asked["resolved"]["container_memory_bytes"] == 4 << 30
    assert asked["overrides"] == {"memory": 4 << 30}
    finding = refused(contract, "test", memory_bytes=1 << 30)
    assert "below `execution.contexts.app.container.resources.memory.minimum` `2GiB`" in finding.why


@pytest.mark.parametrize(
    ("listeners", "why"),
    [
        ("{a: {protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 1}}}}", "no projected"),
        (
            "{a: {protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 1}},"
            " project: {host: {address: 127.0.0.1, port: {mode: auto}}}}}",
            "is `auto`",
        ),
    ],
)
def test_a_host_port_needs_a_fixed_projection(listeners: str, why: str) -> None:
    text = CONTEXTS + f"tasks: {{a: {{run: x, runtime: {{kind: service, listeners: {listeners}}}}}}}"
    finding = refused(text, "a", host_port=4000)
    assert finding.code == "OTA_HOST_PORT_OVERRIDE_REFUSED"
    assert why in finding.why


# --- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "host", "text"),
    [(None, LINUX, "base"), (None, MAC, "mac"), ("container", MAC, "base"), ("remote", MAC, "branch")],
)
def test_a_branch_body_beats_a_variant_and_a_variant_the_task(mode, host, text: str) -> None:
    contract = CONTEXTS.replace("default_context: app", "default_context: host") + (
        "tasks:\n  a:\n    run: base\n    variants: [{when: {os: macos}, run: mac}]\n"
        "    execution: {modes: {remote: {run: branch}}}\n"
    )
    task = task_plan(contract, "a", host, mode=mode)
    assert task.body == ShellBody(kind="run", text=text)


def test_no_variant_for_this_system_is_refused() -> None:
    finding = refused("tasks: {a: {variants: [{when: {os: windows}, run: x}]}}", "a")
    assert finding.code == "OTA_TASK_BODY_MISSING"
    assert "no variant matches the current os" in finding.summary


@pytest.mark.parametrize(
    ("adapter", "flags"),
    [
        ("uvicorn", ("--host", "127.0.0.1", "--port", "8000")),
        ("rails", ("-b", "127.0.0.1", "-p", "8000")),
        ("nextjs", ("-H", "127.0.0.1", "-p", "8000")),
    ],
)
def test_bind_flags_come_from_the_listener(adapter: str, flags: tuple[str, ...]) -> None:
    text = (
        "tasks:\n  a:\n    launch:\n      kind: command\n      exe: server\n      args: [app]\n"
        f"      runtime_projection: {{listener: web, adapter: {adapter}}}\n"
        "    runtime: {kind: service, listeners: {web: {http: 8000}}}\n"
    )
    body = task_plan(text, "a").body
    assert body == ArgvBody(exe="server", args=("app", *flags), is_launch=True)


# --- refusals ------------------------------------------------------------------------------------


def test_an_unknown_task_suggests_the_nearest() -> None:
    with pytest.raises(PlanError) as caught:
        plan("tasks: {build: {run: x}}", "biuld")
    (finding,) = caught.value.findings
    assert finding.why == "./ota.yaml declares 1 task"
    assert finding.next == "did you mean `build`? `ota tasks --use` lists all"
    assert finding.title == "Operation failed"


def test_an_agent_runs_only_a_safe_closure() -> None:
    contract = loaded("tasks: {a: {run: x}, c: {run: x}}\nagent: {safe_tasks: [c]}")
    assert plan(contract, "c", agent=True).refusals() == ()
    finding = refused(contract, "a", agent=True)
    assert finding.title == "AGENT EXECUTION REFUSED"
    assert "`a`" in finding.why


def test_a_secret_never_goes_onto_a_remote_command_line() -> None:
    text = CONTEXTS + (
        "env: {vars: {TOKEN: {secret: true, required: true}, IDLE: {secret: true}}}\n"
        "tasks: {a: {run: x, context: far}, b: {run: x, context: host}}"
    )
    finding = refused(text, "a")
    assert "secret environment variables" in finding.summary
    assert "`TOKEN`" in finding.summary
    assert "IDLE" not in finding.summary
    assert plan(text, "b").refusals() == ()


def test_an_internal_task_runs_with_a_note() -> None:
    assert task_plan("tasks: {a: {run: x, internal: true}}", "a").notes == ("task `a` is marked internal",)


# --- inputs --------------------------------------------------------------------------------------

INPUTS = """
tasks:
  bump:
    run: x
    depends_on: [pre]
    inputs:
      release_kind: {required: true, allowed: [patch, minor]}
      note: {default: none}
  pre: {run: x, inputs: {note: {default: own}}}
"""


def values(task) -> dict[str, str]:
    return {each.name: each.value for each in task.inputs}


def test_inputs_are_taken_in_either_spelling_and_reach_only_their_task() -> None:
    planned = plan(INPUTS, "bump", inputs={"release-kind": "patch", "note": "given"})
    assert planned.refusals() == ()
    assert values(planned.requested_step.task) == {"release_kind": "patch", "note": "given"}
    assert values(planned.steps["pre"].task) == {"note": "own"}


@pytest.mark.parametrize(
    ("given_inputs", "code", "said"),
    [
        ({}, "OTA_INPUT_MISSING", "`patch`, `minor`"),
        ({"release_kind": "patsh"}, "OTA_INPUT_NOT_ALLOWED", "`patch`, `minor`"),
        ({"release_kind": "patch", "note2": "x"}, "OTA_INPUT_UNKNOWN", "`--note`"),
    ],
)
def test_bad_inputs_name_what_is_accepted(given_inputs, code: str, said: str) -> None:
    finding = refused(INPUTS, "bump", inputs=given_inputs)
    assert finding.code == code
    assert said in finding.why


# --- the law -------------------------------------------------------------------------------------


def test_planning_twice_gives_the_same_plan() -> None:
    contract = founding("tasks-workloads-services")
    request = Request(task="dev", mode="container")
    first, second = (plan_run(contract, request, LINUX) for _ in range(2))
    assert first == second
    assert plan_run(contract, replace(request), LINUX) == first
