"""The shortcuts mean exactly their long forms, and never reach a task as an input."""

import pytest

pytestmark = pytest.mark.edge

PAIRS = [
    ("--native", "--mode native"),
    ("--native", "--backend native"),
    ("--container", "--mode container"),
    ("--remote", "--mode remote"),
    ("--container --persistent", "--container --lifecycle persistent"),
    ("--container --ephemeral", "--mode container --lifecycle ephemeral"),
]


@pytest.mark.proves("S000-06")
@pytest.mark.parametrize(("short", "long"), PAIRS)
def test_execution_plan_takes_them(shop, assert_schema, short, long):
    command = ("execution", "plan", "--task", "build", "--json")
    one, two = shop.run(*command, *short.split()), shop.run(*command, *long.split())
    assert one.code == two.code == 0
    assert one.out_bytes == two.out_bytes
    assert one.json["overrides"]["backend"] in ("native", "container", "remote")
    assert_schema(one.json, "execution-plan")


@pytest.mark.proves("S000-01")
@pytest.mark.parametrize(("short", "long"), PAIRS)
def test_a_run_takes_them(shop, short, long):
    command = ("run", "build", "--dry-run", "--json")
    one, two = shop.run(*command, *short.split()), shop.run(*command, *long.split())
    assert one.code == two.code
    assert one.out_bytes == two.out_bytes


ECHO = """version: 1
project: {name: shop}
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app: {backend: container, lifecycle: ephemeral, container: {image: "node:24"}}
tasks:
  show:
    run: env | grep ^OTA_INPUT_ | sort
    inputs: {part: {}, native: {}}
    execution: {modes: {native: {context: host}}}
"""


@pytest.mark.proves("S000-01")
def test_a_native_run_by_both_spellings(project, assert_schema):
    repo = project({"ota.yaml": ECHO})
    found = []
    for spelling in ("--native", "--mode native", "--mode=native", "--backend native"):
        done = repo.run("run", "show", *spelling.split(), "--json", "--part", "x")
        assert done.code == 0, done
        assert_schema(done.json, "run")
        receipt = done.json["receipt"]
        found.append((receipt["backend"], receipt["context"], receipt["status"]))
    assert found == [("native", "host", "success")] * 4


@pytest.mark.proves("S000-12")
def test_a_shortcut_before_the_inputs_selects_the_plane_and_is_no_input(project):
    repo = project({"ota.yaml": ECHO})
    done = repo.run("run", "show", "--native", "--stream", "--part", "x")
    assert (done.code, done.out) == (0, "OTA_INPUT_PART=x\n")
    explicit = repo.run("run", "show", "--native", "--stream", "--", "--part", "x")
    assert (explicit.code, explicit.out) == (0, "OTA_INPUT_PART=x\n")
    # behind the boundary the same word is the input the task declares
    behind = repo.run("run", "show", "--native", "--stream", "--part", "x", "--native", "yes")
    assert behind.out == "OTA_INPUT_NATIVE=yes\nOTA_INPUT_PART=x\n"


@pytest.mark.parametrize("command", [("run", "build"), ("execution", "plan")])
@pytest.mark.parametrize(
    "flags",
    [
        "--native --container",
        "--mode native --remote",
        "--container --backend container",
        "--persistent --ephemeral",
        "--lifecycle persistent --ephemeral",
    ],
)
def test_contradictions_are_usage_errors(shop, command, flags):
    done = shop.run(*command, *flags.split())
    assert (done.code, done.out) == (2, "")
    assert "cannot be used with" in done.err
    assert f"Usage: ota {command[0]}" in done.err


def test_a_mode_that_is_not_configured_is_refused_before_anything(project):
    repo = project({"ota.yaml": "version: 1\nproject: {name: a}\ntasks: {x: {run: touch started}}\n"})
    for command in (("execution", "plan", "--task", "x"), ("run", "x")):
        done = repo.run(*command, "--container")
        assert (done.code, done.out) == (1, "")
        assert "is not configured" in done.err
        assert "image" in done.err
    assert not (repo.path / "started").exists()


def test_follow_up_commands_repeat_the_selection(shop):
    done = shop.run("execution", "plan", "--task", "build", "--container", "--persistent")
    assert "`ota run build --mode container --lifecycle persistent --dry-run`" in done.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--jobs 2 --jobs 3", "the argument '--jobs' cannot be used multiple times"),
        ("--mode moon", "invalid value 'moon' for '--mode <MODE>'"),
        ("--part x --jobs 2", "unexpected argument '--jobs' found among the inputs of task `show`"),
        ("--nope x", "task `show` has no input `nope`"),
    ],
)
def test_what_is_wrong_behind_a_task_is_said_precisely(project, words, problem):
    done = project({"ota.yaml": ECHO}).run("run", "show", *words.split())
    assert done.code in (1, 2)
    assert problem in done.err
