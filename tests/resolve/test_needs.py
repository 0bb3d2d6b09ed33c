"""What a task needs and points at: requirements, targets, bindings, instances."""

import pytest

from ota.env.resolution import resolve_env
from ota.resolve.documents.workflows import workflows_document
from ota.resolve.endpoints import endpoints_of
from resolve.planning import LINUX, MAC, founding, loaded, plan, refused, task_plan


def needs(text: str, task: str = "a", host=LINUX, **asked) -> dict[str, str]:
    return {
        f"{each.kind}:{each.name}": str(each.version)
        for each in task_plan(text, task, host, **asked).requirements
    }


ROOT_MAPS = "runtimes: {node: '22'}\ntools: {jq: '*', mac: {version: '1', only_on: [macos]}}\n"
CONTEXTS = (
    "execution:\n  contexts:\n    host: {backend: native, requirements: {tools: {docker: '*'}}}\n"
    "    bare: {backend: native}\n"
    "    app: {backend: container, lifecycle: ephemeral, container: {image: i}}\n"
)


# --- requirements --------------------------------------------------------------------------------


def test_without_scoped_requirements_a_native_task_needs_the_root_maps() -> None:
    assert needs(ROOT_MAPS + "tasks: {a: {run: x}}") == {"runtime:node": "22", "tool:jq": "*"}
    assert "tool:mac" in needs(ROOT_MAPS + "tasks: {a: {run: x}}", host=MAC)


def test_one_scoped_requirement_in_the_closure_turns_the_root_maps_off() -> None:
    text = (
        ROOT_MAPS
        + CONTEXTS
        + ("tasks: {a: {run: x, context: bare, depends_on: [b]}, b: {run: x, context: host}}")
    )
    planned = plan(text, "a")
    assert [each.name for each in planned.steps["a"].task.requirements] == []
    assert [each.name for each in planned.steps["b"].task.requirements] == ["docker"]


def test_a_container_never_inherits_root_tools() -> None:
    assert "tool:jq" not in needs(ROOT_MAPS + CONTEXTS + "tasks: {a: {run: x, context: app}}")


def test_a_scoped_string_replaces_only_the_version() -> None:
    text = (
        "runtimes: {java: {version: '17', distribution: temurin, required: false}}\n"
        "tasks:\n  a: {run: x, requirements: {runtimes: {java: '21'}}}\n"
        "  b: {run: x, requirements: {runtimes: {java: {version: '8'}}}}\n"
    )
    (short,) = task_plan(text, "a").requirements
    assert (short.version, short.required, short.distribution) == ("21", False, "temurin")
    (detail,) = task_plan(text, "b").requirements
    assert (detail.version, detail.required, detail.distribution) == ("8", True, "temurin")


def test_the_matching_platform_overrides() -> None:
    text = "runtimes: {node: {version: '22', platforms: {macos: {version: '20'}}}}\ntasks: {a: {run: x}}"
    assert needs(text, host=MAC) == {"runtime:node": "20"}


def test_a_toolchain_owns_its_runtime_and_brings_its_managers() -> None:
    text = (
        "toolchains: {node: {version: '22', package_managers: {pnpm: '9'}}}\n"
        "tasks: {a: {command: {exe: node}, requirements: {toolchains: [node]}}, b: {command: {exe: pnpm}}}"
    )
    assert needs(text) == {"toolchain:node": "22", "tool:pnpm": "9"}
    assert needs(text, "b") == {"toolchain:node": "22", "tool:pnpm": "9"}


def test_an_argv_program_is_a_tool_unless_it_is_a_path() -> None:
    assert needs("tasks: {a: {command: {exe: make}}}") == {"tool:make": "*"}
    assert needs("tasks: {a: {command: {exe: ./gradlew}}}") == {}
    assert needs("tools: {make: '4'}\ntasks: {a: {command: {exe: make}}}") == {"tool:make": "4"}


def test_the_first_matching_alternative_counts() -> None:
    text = CONTEXTS + (
        "env: {vars: {KEY: {}}}\n"
        "tasks:\n  a:\n    run: x\n"
        "    execution: {modes: {native: {context: host}, container: {context: app}}}\n"
        "    requirements:\n      any_of:\n"
        "        - {when: {backend: native}, tools: {jq: '*'}, env: [KEY]}\n"
        "        - {when: {context: app}, tools: {yq: '*'}}\n"
    )
    native = task_plan(text, "a", mode="native")
    assert {each.name for each in native.requirements} == {"docker", "jq"}
    assert native.env.required == ("KEY",)
    assert needs(text, mode="container") == {"tool:yq": "*"}


# --- targets -------------------------------------------------------------------------------------

PRODUCER = "  dev: {run: x, runtime: {kind: service, listeners: {http: {http: 8080}}}}\n"


def test_the_two_consumers_of_the_example_get_one_address() -> None:
    contract = founding("one-producer-two-consumers")
    sandbox, probe = task_plan(contract, "sandbox"), task_plan(contract, "probe:api")
    assert [(each.name, each.value, each.source) for each in sandbox.inputs] == [
        ("base_url", "http://127.0.0.1:8080", "target_binding")
    ]
    (target,) = probe.targets
    assert (target.source, target.effective_url) == ("target_binding", "http://127.0.0.1:8080")


def test_an_explicit_override_wins() -> None:
    task = task_plan(founding("one-producer-two-consumers"), "sandbox", inputs={"base_url": "http://staging"})
    assert task.targets[0].source == "explicit_override"
    assert task.targets[0].effective_url == task.inputs[0].value == "http://staging"


UNSHARED = PRODUCER + (
    "  use:\n    run: x\n    inputs: {url: {%s}}\n    targets:\n      api:\n"
    "        service: {task: dev, address_view: internal}\n        override_input: url\n"
)


def test_a_literal_default_stands_in_for_a_binding_that_does_not_resolve() -> None:
    task = task_plan("tasks:\n" + UNSHARED % "default: 'http://d'", "use")
    assert task.refusals == ()
    assert (task.targets[0].source, task.targets[0].effective_url) == (
        "compatibility_literal_default",
        "http://d",
    )


def test_a_target_without_any_address_is_refused() -> None:
    finding = refused("tasks:\n" + UNSHARED % "", "use")
    assert finding.code == "OTA_TARGET_UNRESOLVED"
    assert "requires a shared backend binding between `use` and `dev`" in finding.why


@pytest.mark.parametrize("view", ["topology", "internal"])
def test_a_shared_native_backend_gives_the_bind_endpoint(view: str) -> None:
    listener = "{protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 8080}}}"
    text = (
        "execution: {shared_backends: {bench: {scope: local, backend: native, lifecycle: persistent}}}\n"
        "tasks:\n"
        "  dev:\n    run: x\n"
        f"    runtime: {{kind: service, backend_binding: bench, listeners: {{http: {listener}}}}}\n"
        "  use:\n    run: x\n    runtime: {kind: service, backend_binding: bench, listeners: {l: {tcp: 9}}}\n"
        f"    targets: {{api: {{service: {{task: dev, address_view: {view}}}}}}}\n"
    )
    assert task_plan(text, "use").targets[0].effective_url == "http://127.0.0.1:8080"


def test_a_container_on_linux_cannot_reach_a_loopback_publication() -> None:
    text = (
        CONTEXTS
        + "tasks:\n"
        + PRODUCER.replace("{run", "{context: bare, run")
        + ("  use: {run: x, context: app, targets: {api: {service: {task: dev, address_view: host}}}}\n")
    )
    finding = refused(text, "use")
    assert "loopback only" in finding.why
    assert "run this task natively" in finding.next
    assert task_plan(text, "use", MAC).targets[0].effective_url == "http://host.docker.internal:8080"


# --- env layers ----------------------------------------------------------------------------------


def values(text: str, task: str = "a", **asked) -> dict[str, str]:
    planned = task_plan(text, task, **asked)
    inherits = planned.context.plane == "native"
    return dict(resolve_env(planned.env, {"PW": "s3/cret"}, lambda _: None, inherits=inherits).values)


def test_a_service_binding_spells_the_endpoint_of_the_view() -> None:
    text = (
        "execution: {contexts: {host: {backend: native}}}\n"
        "env: {vars: {DB: {secret: true}, PW: {secret: true}}}\n"
        "services:\n  db:\n    manager: {kind: compose, name: l, file: c.yaml, service: db}\n"
        "    endpoints: {host: {address: '127.0.0.1', port: 5432}}\n    readiness: {from: host, kind: tcp}\n"
        "tasks:\n  a:\n    run: x\n    requires_services: [db]\n    env_bindings:\n"
        "      DB:\n        from_service: {service: db, scheme: postgres, username: app,"
        " password_env: PW, database: shop}\n"
        "      DB_AT: {from_service: {service: db, format: host_port}}\n"
        "      DB_PORT: {from_service: {service: db, format: port}}\n"
    )
    found = values(text)
    assert found["DB"] == "postgres://app:s3%2Fcret@127.0.0.1:5432/shop"
    assert (found["DB_AT"], found["DB_PORT"]) == ("127.0.0.1:5432", "5432")


def test_isolated_caches_have_fallbacks_that_anything_explicit_beats() -> None:
    text = (
        "execution: {default_context: app, contexts: {app: {backend: container, lifecycle: ephemeral,"
        " container: {image: i}, attachments: {isolated_paths: [.npm, ./.m2]},"
        " env: {NPM_CONFIG_CACHE: mine}}}}\n"
        "tasks: {a: {run: x}}"
    )
    assert values(text) == {
        "MAVEN_OPTS": "-Dmaven.repo.local=/workspace/.m2/repository",
        "NPM_CONFIG_CACHE": "mine",
    }


def test_a_branch_env_is_merged_for_its_mode_only() -> None:
    text = (
        CONTEXTS + "tasks:\n  a:\n    run: x\n    env: {A: task, B: task}\n"
        "    execution:\n      default_mode: native\n"
        "      modes: {native: {env: {B: branch}}, container: {env: {C: c}}}\n"
    ).replace("tools: {docker: '*'}", "")
    assert values(text, mode="native") == {"A": "task", "B": "branch"}
    assert values(text, mode="container") == {"A": "task", "B": "task", "C": "c"}


def test_an_instance_lays_its_env_over_everything() -> None:
    text = """
tasks:
  dev:
    run: x
    env: {NAME: task, SLOT: task}
    runtime: {kind: service, listeners: {web: {http: 3000}}}
workflows:
  app:
    run: {task: dev}
    instances:
      default: one
      one: {env: {NAME: "${OTA_WORKFLOW_INSTANCE}"}}
      generated:
        slots:
          prefix: slot
          start: 1
          end: 3
          template: {env: {NAME: all}, tasks: {dev: {env: {SLOT: "${OTA_WORKFLOW_INSTANCE_INDEX}"}}}}
"""
    contract = loaded(text)
    assert values(contract, "dev", workflow="app") == {"NAME": "one", "SLOT": "task"}
    assert values(contract, "dev", workflow="app@slot2") == {"NAME": "all", "SLOT": "2"}


INSTANCES = """
surfaces: {web: {kind: http, port: 3000, readiness: {kind: http, path: /up}}}
tools: {docker: "*"}
tasks:
  front:
    run: x
    runtime: {kind: service, surfaces: {web: {bind: {port: {mode: fixed, value: 3000}}}}}
  back:
    run: docker compose up
    runtime:
      kind: service
      listeners:
        api:
          protocol: http
          bind: {address: 127.0.0.1, port: {mode: fixed, value: 4000}}
          project:
            host: {address: 127.0.0.1, port: {mode: fixed, value: 4000}, primary: true, path: /api}
        admin: {http: 5000}
      readiness: {kind: tcp, listener: api}
  use: {run: x, depends_on: [], targets: {api: {service: {task: back, listener: api}}}}
workflows:
  app:
    run: {task: front}
    exposes: [{surface: web}]
    instances:
      default: plain
      plain: {}
      moved:
        surfaces: {web: {port: 3300, path: /app}}
        tasks:
          back:
            adapter_inputs: {compose: {project_name: "shop-${OTA_WORKFLOW_INSTANCE}"}}
            runtime:
              listeners:
                api:
                  bind: {port: {value: 4400}}
                  project: {host: {port: {value: 4400}, path: "/${OTA_WORKFLOW_INSTANCE}"}}
              readiness: {kind: http, listener: api, path: /ready}
      generated:
        slots:
          prefix: slot
          start: 1
          end: 3
          template:
            surfaces: {web: {port_stride: 10}}
            tasks:
              back:
                runtime:
                  listeners:
                    api:
                      bind: {port: {stride: 100}}
                      project: {host: {port: {stride: 100}}}
"""


def urls_of(task: str, workflow: str) -> list[str | None]:
    runtime = task_plan(loaded(INSTANCES), task, workflow=workflow).runtime
    assert runtime is not None
    return [each.url for each in endpoints_of(runtime).projected]


def test_an_instance_moves_the_surfaces_and_listeners_it_names() -> None:
    api, admin = "http://127.0.0.1:4000/api", "http://127.0.0.1:5000/"
    assert urls_of("front", "app@plain") == ["http://127.0.0.1:3000/"]
    assert sorted(urls_of("back", "app@plain")) == [api, admin]
    assert urls_of("front", "app@moved") == ["http://127.0.0.1:3300/app"]
    assert sorted(urls_of("back", "app@moved")) == ["http://127.0.0.1:4400/moved", admin]


def test_a_generated_instance_adds_its_number_times_the_stride() -> None:
    assert urls_of("front", "app@slot2") == ["http://127.0.0.1:3020/"]
    assert "http://127.0.0.1:4300/api" in urls_of("back", "app@slot3")


def test_readiness_targets_and_adapter_inputs_follow_the_instance() -> None:
    contract = loaded(INSTANCES)
    moved = task_plan(contract, "back", workflow="app@moved")
    assert moved.runtime is not None
    assert moved.runtime.readiness is not None
    assert (moved.runtime.readiness.probe.kind, moved.runtime.readiness.probe.path) == ("http", "/ready")
    assert task_plan(contract, "front", workflow="app@moved").runtime.readiness.probe.path == "/up"
    (target,) = task_plan(contract, "use", workflow="app@slot1").targets
    assert target.effective_url == "http://127.0.0.1:4100/api"
    assert values(contract, "back", workflow="app@moved")["COMPOSE_PROJECT_NAME"] == "shop-moved"


def test_a_workflow_exposes_the_address_of_its_default_instance() -> None:
    def exposed(text: str) -> list[str]:
        (workflow,) = workflows_document(loaded(text), LINUX)["workflows"]
        return workflow["exposes"]

    assert exposed(INSTANCES) == ["http://127.0.0.1:3000/"]
    assert exposed(INSTANCES.replace("default: plain", "default: moved")) == ["http://127.0.0.1:3300/app"]


def test_adapter_inputs_become_the_variables_of_their_tools() -> None:
    text = """
tools: {docker: "*"}
tasks:
  a:
    run: docker compose ps
    adapter_inputs: {overlays: {compose: {files: [a.yaml, b.yaml], profiles: [p, q], project_name: shop}}}
"""
    assert values(text) == {
        "COMPOSE_FILE": "a.yaml:b.yaml",
        "COMPOSE_PROFILES": "p,q",
        "COMPOSE_PROJECT_NAME": "shop",
    }
