"""Rules of actions, each broken alone."""

import pytest

from contract.rules.table import Case, prove

BOX = (
    "execution: {default_context: box, contexts: "
    "{box: {backend: container, lifecycle: ephemeral, container: {image: n}}}}\n"
)


def action(text: str, more: str = "") -> str:
    return f"tasks:\n  t: {{action: {{{text}}}}}\n{more}"


def env_file(var: str, more: str = "") -> str:
    return action(f"kind: ensure_env_file, path: .env, vars: {{{var}}}", more)


def file(text: str) -> str:
    return action(f"kind: ensure_file, path: a, {text}")


def git(text: str) -> str:
    return action(f"kind: ensure_git_checkout, path: ../lib, source: {{{text}}}")


def bundle(step: str) -> str:
    return action(f"kind: ensure_bundle, steps: [{step}]")


DIRECTORY = action("kind: ensure_directory, path: a")
VALUE = env_file("A: {value: b}")
RESET = "kind: reset_compose_service_volume, service: db, volume: data"
IMAGE = "kind: build_container_image, file: Dockerfile, context: ., tag: "
A = "tasks.t.action."

CASES = (
    Case("V355", "tasks.t.action", DIRECTORY + BOX, DIRECTORY),
    Case("V356", A + "path", action("kind: ensure_directory, path: ../a"), DIRECTORY),
    Case(
        "V356",
        A + "from",
        action("kind: copy_if_missing, from: /a, to: b"),
        action("kind: copy_if_missing, from: a, to: b"),
    ),
    Case(
        "V356", A + "path", action("kind: ensure_git_checkout, path: /lib, source: {git: u}"), git("git: u")
    ),
    Case(
        "V356",
        A + "steps[0].path",
        bundle('{kind: ensure_directory, path: ""}'),
        bundle("{kind: ensure_directory, path: a}"),
    ),
    Case("V356", A + "compose.files[0]", action(RESET + ", compose: {files: [../c.yml]}"), action(RESET)),
    Case(
        "V357",
        A + "to",
        action("kind: copy_if_missing, from: a, to: ./a"),
        action("kind: copy_if_missing, from: a, to: b"),
    ),
    Case("V358", A + "vars", env_file(""), VALUE),
    Case("V359", A + "vars.1A", env_file("1A: {value: b}"), VALUE),
    Case("V360", A + "vars.A", env_file("A: {}"), VALUE),
    Case("V360", A + "vars.A", env_file("A: {value: b, random: {}}"), env_file("A: {mode: remove}")),
    Case("V361", A + "vars.A.value", env_file('A: {value: "a\\nb"}'), VALUE),
    Case(
        "V362",
        A + "vars.A.random.bytes",
        env_file("A: {random: {bytes: 0}}"),
        env_file("A: {random: {bytes: 1}}"),
    ),
    Case("V362", A + "random.bytes", file("random: {bytes: 1025}"), file("random: {bytes: 1024}")),
    Case("V363", A[:-1], action("kind: ensure_file, path: a"), file("value: b")),
    Case("V363", A[:-1], file("value: b, template: c"), file("template: c")),
    Case("V364", A + "value", file('value: ""'), file("value: b")),
    Case("V365", A + "steps", bundle(""), bundle("{kind: ensure_directory, path: a}")),
    Case("V366", A + "source.git", git('git: ""'), git("git: u")),
    Case(
        "V366",
        A + "remotes[0].name",
        action('kind: ensure_git_checkout, path: l, source: {git: u}, remotes: [{name: "", git: v}]'),
        git("git: u"),
    ),
    Case(
        "V367",
        A + "checkouts",
        action("kind: ensure_git_checkouts, checkouts: []"),
        action("kind: ensure_git_checkouts, checkouts: [{path: a, source: {git: u}}]"),
    ),
    Case(
        "V368",
        A + "name",
        action('kind: ensure_container_network, name: ""'),
        action("kind: ensure_container_network, name: n"),
    ),
    Case("V368", A + "volume", action(RESET.replace("data", '""')), action(RESET)),
    Case("V368", A + "tag", action(IMAGE + '"a b"'), action(IMAGE + "a:b")),
    Case(
        "V369",
        A + "vars.A.from_env",
        env_file("A: {from_env: B}"),
        env_file("A: {from_env: B}", "env: {vars: {B: {}}}\n"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_action_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_actions_inside_sequences_and_workflows_are_proven_too() -> None:
    sequence = "tasks:\n  t: {prepare: {kind: sequence, steps: [{kind: ensure_directory, path: %s}]}}\n"
    prove(Case("V356", "tasks.t.prepare.steps[0].path", sequence % "/a", sequence % "a"))
    workflow = "workflows: {dev: {prepare: {action: {kind: ensure_directory, path: %s}}}}\n"
    prove(Case("V356", "workflows.dev.prepare.action.path", workflow % "/a", workflow % "a"))
