"""Who wins for a variable, what that shadows, and what is wrong."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.contract.model.env import EnvSource, EnvVar
from ota.env.layers import PASSWORD_MARK, EnvLayer, EnvLayers
from ota.env.resolution import resolve_env
from ota.resolve.documents.env import env_report, resolve_step_env, why_document
from ota.resolve.plan import Request
from ota.resolve.planner import plan_run
from resolve.planning import LINUX, loaded
from support.schemas import assert_schema

FILES = {
    ".env": b"# first\nA=dotenv\nTOKEN=hunter2secret\n",
    "task.env": b"A=taskfile\n",
    "branch.env": b"A=branchfile\n",
    "broken.env": b"this is no assignment\n",
    "app.yaml": b"a: yaml\n",
}


def read(path: str) -> bytes | None:
    return FILES.get(path)


# --- the law -------------------------------------------------------------------------------------

ORDER = [
    EnvLayer(name="cache_fallback", values={"A": "cache"}),
    EnvLayer(name="env_file", file="task.env"),
    EnvLayer(name="branch_env_file", file="branch.env"),
    EnvLayer(name="context", values={"A": "context"}),
    EnvLayer(name="task", values={"A": "task"}),
    EnvLayer(name="branch", values={"A": "branch"}),
]
VALUES = ["cache", "taskfile", "branchfile", "context", "task", "branch"]


@given(st.sets(st.integers(0, len(ORDER) - 1), min_size=1))
def test_files_and_literals_win_in_the_decided_order(chosen: set[int]) -> None:
    layers = EnvLayers(overlay=tuple(ORDER[index] for index in sorted(chosen)))
    resolved = resolve_env(layers, {"A": "shell"}, read)
    assert resolved.values["A"] == VALUES[max(chosen)]
    entry = resolved.entry("A")
    assert entry is not None
    assert [each.value for each in entry.shadows] == [VALUES[i] for i in sorted(chosen, reverse=True)][1:]


@given(st.sets(st.sampled_from(["task", "policy", "shell", "source", "default", "cache"]), min_size=1))
def test_a_declared_variable_resolves_to_the_first_that_speaks(present: set[str]) -> None:
    overlay = [EnvLayer(name="cache_fallback", values={"A": "cache"})] if "cache" in present else []
    overlay += [EnvLayer(name="task", values={"A": "task"})] if "task" in present else []
    layers = EnvLayers(
        variables={"A": EnvVar(default="default" if "default" in present else None)},
        sources=(EnvSource(kind="yaml", path="app.yaml"),) if "source" in present else (),
        overlay=tuple(overlay),
        policy={"A": "policy"} if "policy" in present else {},
    )
    resolved = resolve_env(layers, {"A": "shell"} if "shell" in present else {}, read)
    spelled = {"source": "yaml"}
    expected = next(
        each for each in ("task", "policy", "shell", "source", "default", "cache") if each in present
    )
    assert resolved.values["A"] == spelled.get(expected, expected)
    entry = resolved.entry("A")
    assert entry is not None
    assert len(entry.shadows) == len(present) - 1


def test_resolving_what_was_resolved_changes_nothing() -> None:
    layers = EnvLayers(
        variables={"A": EnvVar(required=True), "B": EnvVar(default="$OTA_WORKSPACE/b")},
        sources=(EnvSource(kind="dotenv", path=".env"),),
    )
    injected = {"OTA_WORKSPACE": "/repo"}
    first = resolve_env(layers, {"HOME": "/h"}, read, injected=injected)
    again = resolve_env(layers, first.process, read, injected=injected)
    assert again.process == first.process


# --- values --------------------------------------------------------------------------------------


def test_injected_references_are_written_out_and_others_left_alone() -> None:
    layers = EnvLayers(
        overlay=(
            EnvLayer(
                name="task",
                values={
                    "A": "$OTA_WORKSPACE/x:${OTA_WORKSPACE}y",
                    "B": "$HOME ${OTHER} $",
                    "C": "${OTA_INPUT_N}",
                },
            ),
        )
    )
    resolved = resolve_env(
        layers, {"HOME": "/h"}, read, injected={"OTA_WORKSPACE": "/repo", "OTA_INPUT_N": "$HOME"}
    )
    assert resolved.values["A"] == "/repo/x:/repoy"
    assert resolved.values["B"] == "$HOME ${OTHER} $"
    assert resolved.values["C"] == "$HOME"


def test_a_native_child_inherits_and_another_plane_does_not() -> None:
    layers = EnvLayers(variables={"A": EnvVar()}, overlay=(EnvLayer(name="task", values={"T": "1"}),))
    environ = {"HOME": "/h", "A": "shell"}
    assert resolve_env(layers, environ, read).process == {"HOME": "/h", "A": "shell", "T": "1"}
    assert resolve_env(layers, environ, read, inherits=False).process == {"A": "shell", "T": "1"}


def test_variables_of_an_outer_task_are_not_inherited() -> None:
    environ = {"OTA_PUBLIC_URL": "http://outer", "OTA_INPUT_X": "outer", "OTA_FILE": "f", "PATH": "/bin"}
    resolved = resolve_env(EnvLayers(), environ, read, injected={"OTA_WORKSPACE": "/r"})
    assert resolved.process == {"OTA_FILE": "f", "PATH": "/bin", "OTA_WORKSPACE": "/r"}


def test_what_fills_gaps_is_listed_with_what_it_takes_the_place_of() -> None:
    resolved = resolve_env(EnvLayers(), {"HOST": "shell"}, read, fallbacks={"PORT": "1", "HOST": "::1"})
    assert [(each.name, each.value, each.source) for each in resolved.entries] == [
        ("HOST", "::1", "execution"),
        ("PORT", "1", "execution"),
    ]
    (hidden,) = resolved.entries[0].shadows
    assert (hidden.value, hidden.source) == ("shell", "process")
    inside = resolve_env(EnvLayers(), {"HOST": "shell"}, read, fallbacks={"HOST": "::1"}, inherits=False)
    assert inside.entries[0].shadows == ()


def test_fallbacks_only_fill_what_nothing_declares() -> None:
    layers = EnvLayers(overlay=(EnvLayer(name="task", values={"PORT": "9"}),))
    resolved = resolve_env(layers, {"HOST": "shell"}, read, fallbacks={"PORT": "1", "HOST": "127.0.0.1"})
    assert resolved.values == {"PORT": "9", "HOST": "127.0.0.1"}
    assert [resolved.why(name).source for name in ("PORT", "HOST")] == ["task", "execution"]


def test_path_is_prepended_and_appended() -> None:
    layers = EnvLayers(
        variables={"PATH": EnvVar(prepend=("${OTA_WORKSPACE}/bin",), append=("/opt",))},
        prepend_path=("${OTA_WORKSPACE}/bin",),
        append_path=("/opt",),
    )
    injected = {"OTA_WORKSPACE": "/repo"}
    native = resolve_env(layers, {"PATH": "/usr/bin"}, read, injected=injected)
    assert native.process["PATH"] == os.pathsep.join(["/repo/bin", "/usr/bin", "/opt"])
    inside = resolve_env(layers, {"PATH": "/usr/bin"}, read, injected=injected, inherits=False)
    assert inside.process["PATH"] == "/repo/bin:$PATH:/opt"


def test_a_bound_password_is_encoded_and_hidden() -> None:
    bound = f"postgres://app:{PASSWORD_MARK}@127.0.0.1:5432/app"
    layers = EnvLayers(
        variables={"DB": EnvVar(secret=True), "PW": EnvVar(secret=True)},
        overlay=(EnvLayer(name="task", values={"DB": bound}, passwords={"DB": "PW"}),),
    )
    resolved = resolve_env(layers, {"PW": "p@ss/word"}, read)
    assert resolved.values["DB"] == "postgres://app:p%40ss%2Fword@127.0.0.1:5432/app"
    assert set(resolved.secrets) == {"p@ss/word", resolved.values["DB"]}
    missing = resolve_env(layers, {}, read)
    assert [finding.code for finding in missing.findings] == ["OTA_ENV_MISSING"]
    assert "\0" not in str(missing.values)


# --- trouble -------------------------------------------------------------------------------------


def codes(resolved) -> list[str]:
    return [finding.code for finding in resolved.findings]


def test_a_required_variable_without_value_is_a_finding() -> None:
    layers = EnvLayers(variables={"A": EnvVar(required=True), "B": EnvVar()}, required=("C",))
    resolved = resolve_env(layers, {}, read)
    assert codes(resolved) == ["OTA_ENV_MISSING", "OTA_ENV_MISSING"]
    assert [entry.status for entry in resolved.entries] == ["missing", "optional", "missing"]
    assert not resolved.is_ready
    assert resolve_env(layers, {"A": "1", "C": "2"}, read).is_ready


def test_a_value_that_is_not_allowed_is_a_finding_that_keeps_secrets() -> None:
    layers = EnvLayers(
        variables={
            "A": EnvVar(allowed=("dev", "prod")),
            "S": EnvVar(secret=True, allowed=("x",)),
        }
    )
    resolved = resolve_env(layers, {"A": "tset", "S": "hunter2secret"}, read)
    assert codes(resolved) == ["OTA_ENV_INVALID", "OTA_ENV_INVALID"]
    assert "`tset`" in resolved.findings[0].why
    assert "hunter2secret" not in str(resolved.findings)


def test_allowed_holds_for_what_the_task_sets_too() -> None:
    layers = EnvLayers(
        variables={"A": EnvVar(allowed=("dev",))}, overlay=(EnvLayer(name="task", values={"A": "no"}),)
    )
    assert codes(resolve_env(layers, {"A": "dev"}, read)) == ["OTA_ENV_INVALID"]


@pytest.mark.parametrize(
    ("path", "must_exist", "code", "word"),
    [
        ("nowhere.env", True, "OTA_ENV_SOURCE_MISSING_REQUIRED", "missing required dotenv:nowhere.env"),
        ("broken.env", False, "OTA_ENV_SOURCE_PARSE_FAILED", "parse failed dotenv:broken.env"),
    ],
)
def test_a_broken_source_ends_the_search(path: str, must_exist: bool, code: str, word: str) -> None:
    layers = EnvLayers(
        variables={"A": EnvVar(required=True, default="d"), "B": EnvVar(required=True)},
        sources=(EnvSource(kind="dotenv", path=path, must_exist=must_exist),),
    )
    resolved = resolve_env(layers, {"B": "shell"}, read)
    assert codes(resolved) == [code]
    entry = resolved.entry("A")
    assert entry is not None
    assert (entry.source, entry.value, entry.status) == (word, None, "missing")
    assert resolved.values == {"B": "shell"}


def test_a_listed_env_file_must_be_there_and_readable() -> None:
    layers = EnvLayers(
        overlay=(EnvLayer(name="env_file", file="gone.env"), EnvLayer(name="env_file", file="broken.env"))
    )
    assert sorted(codes(resolve_env(layers, {}, read))) == [
        "OTA_ENV_FILE_MISSING",
        "OTA_ENV_SOURCE_PARSE_FAILED",
    ]


# --- the command ---------------------------------------------------------------------------------

CONTRACT = """
execution: {default_context: host, contexts: {host: {backend: native, env: {A: from-context, C: ctx}}}}
env:
  vars:
    A: {required: true, default: fallback}
    TOKEN: {secret: true}
    NEEDED: {}
  sources: [{kind: dotenv, path: .env}]
tasks:
  build: {run: x, env: {A: from-task, OWN: "1"}, env_files: [task.env], depends_on: [pre]}
  pre: {run: x, requirements: {env: [NEEDED]}}
"""


def test_the_document_has_winners_and_hides_secrets() -> None:
    report = env_report(loaded(CONTRACT), LINUX, {}, read)
    assert_schema(report.document, "env")
    assert report.document["ok"] is True
    assert "hunter2secret" not in str(report.document)
    a, token, needed = report.document["env"]
    assert (a["value"], a["source"], a["source_status"]) == ("dotenv", "dotenv:.env", "loaded")
    assert token["value"] == "***"
    assert needed["status"] == "optional"
    assert report.document["summary"] == {
        "contract_count": 3,
        "source_count": 1,
        "source_issue_count": 0,
        "task_count": 0,
        "resolved_count": 2,
        "missing_count": 0,
        "invalid_count": 0,
    }


def test_with_a_task_the_closure_decides_what_is_required() -> None:
    report = env_report(loaded(CONTRACT), LINUX, {}, read, task="build")
    assert_schema(report.document, "env")
    by_name = {entry["name"]: entry for entry in report.document["env"]}
    assert report.document["ok"] is False
    assert by_name["NEEDED"]["status"] == "missing"
    assert (by_name["A"]["kind"], by_name["A"]["status"], by_name["A"]["source"]) == ("task", "task", "task")
    assert by_name["C"]["source"] == "context"
    assert by_name["OTA_WORKSPACE"]["source"] == "execution"
    assert report.document["summary"]["missing_count"] == 1
    assert env_report(loaded(CONTRACT), LINUX, {"NEEDED": "1"}, read, task="build").document["ok"] is True


def test_why_names_the_winner_and_what_it_shadows_with_file_and_line() -> None:
    contract = loaded(CONTRACT)
    plan = plan_run(contract, Request(task="build"), LINUX)
    resolved = resolve_step_env(plan, contract, LINUX, {"A": "shell", "HOME": "/h"}, read)
    entry = resolved.why("A")
    assert entry is not None
    why = why_document(entry)
    assert (why["winner"]["value"], why["winner"]["file"], why["winner"]["line"]) == (
        "from-task",
        "./ota.yaml",
        12,
    )
    assert [each["source"] for each in why["shadows"]] == [
        "context",
        "dotenv:task.env",
        "process",
        "dotenv:.env",
        "default",
    ]
    assert (why["shadows"][3]["file"], why["shadows"][3]["line"]) == (".env", 2)
    token = resolved.why("TOKEN")
    assert token is not None
    assert "hunter2secret" not in str(why_document(token))
    home = resolved.why("HOME")
    assert home is not None
    assert home.source == "process"
    assert resolved.why("NOWHERE") is None


def test_a_workflow_brings_its_profile() -> None:
    contract = loaded(
        """
env:
  vars: {A: {}}
  profiles: {local: {sources: [{kind: yaml, path: app.yaml}], env: {P: "1", Q: low}, env_files: [task.env]}}
tasks: {dev: {run: x, env: {Q: high}}, other: {run: x}}
workflows: {default: app, app: {run: {task: dev}, env: {profile: local}}}
"""
    )
    plan = plan_run(contract, Request(task="dev"), LINUX)
    values = resolve_step_env(plan, contract, LINUX, {}, read).values
    assert (plan.workflow, values["P"], values["Q"], values["A"]) == ("app", "1", "high", "taskfile")
    other = plan_run(contract, Request(task="other"), LINUX)
    assert "P" not in resolve_step_env(other, contract, LINUX, {}, read).values
    report = env_report(contract, LINUX, {}, read, workflow="app")
    assert_schema(report.document, "env")
    assert report.document["profile"] == "local"
    assert next(each for each in report.document["env"] if each["name"] == "A")["value"] == "taskfile"
