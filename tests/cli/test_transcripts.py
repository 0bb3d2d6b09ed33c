"""Transcripts: the text of every command, as people see it."""

import pytest

from cli.transcripts import assert_transcript
from support.fake_engine import engines_with_every_image

pytestmark = pytest.mark.edge


def test_root_help(project):
    assert_transcript("help", project(), "", "execution --help", "execution", "help validate")


@pytest.mark.proves("S000-08")
def test_help_of_run_and_plan_lists_the_shortcuts_and_what_each_stands_for(project):
    assert_transcript("help-selectors", project(), "run --help", "execution plan --help")


def test_version(project):
    assert_transcript("version", project(), "--version", "-V", "--version --plain", "version")


def test_usage_errors(project):
    assert_transcript(
        "usage",
        project(),
        "tasks --nope",
        "taskz",
        "execution plann",
        "run",
        "validate --json=1",
        "tasks --via moon",
        "run x --native --container",
        "execution plan --mode",
        "env a b",
        "run x --quiet",
        "--nope tasks",
        "completion",
        "completion tcsh",
    )


def test_validate(shop):
    assert_transcript("validate", shop, "validate", "--concise validate", "validate --json")


@pytest.mark.proves("S000-51", "S000-53", "S000-106")
def test_tasks(shop):
    assert_transcript("tasks", shop, "tasks", "tasks --all")


@pytest.mark.proves("S000-52", "S000-53")
def test_tasks_use(shop):
    assert_transcript(
        "tasks-use",
        shop,
        "tasks --use",
        "tasks --use --all",
        "tasks --use --safe",
        "tasks --use --via remote",
    )


def test_tasks_of_a_workflow(shop):
    assert_transcript("tasks-workflow", shop, "tasks --workflow ship", "tasks --workflow shop")


def test_workflows(shop):
    assert_transcript("workflows", shop, "workflows")


def test_services(shop):
    assert_transcript("services", shop, "services")


def test_env(shop):
    assert_transcript("env", shop, "env", "env --why PORT", "env --why API_TOKEN", "env --why PROT")


def test_execution_plan(shop):
    assert_transcript(
        "execution-plan", shop, "execution plan", "execution plan --task build --container --workflow app"
    )


def test_execution_topology(shop):
    assert_transcript("execution-topology", shop, "execution topology")


def test_preview(shop, tmp_path):
    commands = ("run release:tag --dry-run --part minor", "run build --dry-run --container")
    assert_transcript("preview", shop, *commands, env=engines_with_every_image(tmp_path))


def test_nothing_declared(project):
    repo = project({"ota.yaml": "version: 1\nproject: {name: bare}\n"})
    commands = ("validate", "tasks", "workflows", "services", "env", "execution plan", "receipt")
    assert_transcript("bare", repo, *commands, "receipt --history", "run x")
