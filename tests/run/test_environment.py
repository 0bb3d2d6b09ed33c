"""What a body gets: contexts, env, inputs, modes, secrets."""

import os

import pytest

CONTRACT = """
version: 1
project: {name: environment}
env:
  vars:
    FROM_FILE: {}
    NEEDED: {required: true}
    LEVEL: {allowed: [low, high], default: low}
  sources:
    - {kind: dotenv, path: .env}
execution:
  default_context: host
  contexts:
    host: {backend: native, env: {PLANE: host, SHARED: context}}
    other: {extends: host, env: {SHARED: other}}
    box: {backend: container, lifecycle: ephemeral, container: {image: "busybox"}, env: {PLANE: box}}
tasks:
  show: {run: "env | sort"}
  over: {run: "env | sort", env: {SHARED: task, MINE: "1"}, env_files: [extra.env]}
  else: {run: "env | sort", context: other}
  moded:
    run: "echo base; env | sort"
    env: {WHO: task, BOTH: task}
    execution:
      default_mode: native
      modes:
        native: {env: {BOTH: branch}, script: "echo branch\\nenv | sort"}
        container: {context: box, run: "echo box"}
  wants:
    run: "env | sort"
    inputs:
      name: {required: true}
      level: {default: low, allowed: [low, high]}
    depends_on: [show]
  quoted:
    run: 'printf "%s" "$OTA_INPUT_TEXT"'
    inputs: {text: {default: none}}
"""


@pytest.fixture
def repo(project):
    return project(
        {
            "ota.yaml": CONTRACT,
            ".env": "FROM_FILE=file\nNEEDED=yes\n",
            "extra.env": "EXTRA=file\nSHARED=file\n",
        }
    )


def body_env(result) -> dict[str, str]:
    lines = [line for line in result.out.splitlines() if "=" in line]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.proves("S002-05")
@pytest.mark.proves("S002-28")
def test_context_env_reaches_every_task_and_task_env_wins(repo):
    shown = body_env(repo.run("run", "show", "--stream"))
    assert (shown["PLANE"], shown["SHARED"]) == ("host", "context")
    assert shown["FROM_FILE"] == "file"
    over = body_env(repo.run("run", "over", "--stream"))
    assert (over["PLANE"], over["SHARED"], over["MINE"], over["EXTRA"]) == ("host", "task", "1", "file")
    inherited = body_env(repo.run("run", "else", "--stream"))
    assert (inherited["PLANE"], inherited["SHARED"]) == ("host", "other")


def test_ota_says_where_the_body_runs_and_for_whom(repo):
    shown = body_env(repo.run("run", "show", "--stream"))
    assert shown["OTA_WORKSPACE"] == shown["OTA_HOST_WORKSPACE"] == str(repo.path)
    assert shown["OTA_HOST_UID"] == str(os.getuid())
    assert shown["PATH"] == os.environ["PATH"]


@pytest.mark.proves("S000-100")
@pytest.mark.proves("S000-101")
@pytest.mark.proves("S000-103")
@pytest.mark.proves("S002-42")
@pytest.mark.proves("S002-46")
@pytest.mark.proves("S002-47")
def test_the_default_mode_takes_the_body_and_env_of_its_branch(repo):
    result = repo.run("run", "moded", "--stream")
    assert result.out.splitlines()[0] == "branch"
    assert (body_env(result)["WHO"], body_env(result)["BOTH"]) == ("task", "branch")


@pytest.mark.proves("S000-104")
@pytest.mark.proves("S002-155")
def test_a_mode_the_task_does_not_serve_is_refused_before_anything_starts(repo):
    result = repo.run("run", "moded", "--mode", "remote")
    assert result.code == 1
    assert "moded" in result.err and "remote" in result.err
    assert "native" in result.err and "container" in result.err
    assert not (repo.path / ".ota/state/active").exists()


REMOTE = """
version: 1
project: {name: far}
execution:
  default_context: box
  contexts:
    box: {backend: remote, remote: {provider: ssh, target: me@box}}
tasks:
  go: {run: echo never}
"""


def test_a_plane_this_build_does_not_execute_is_refused_by_name(project):
    result = project({"ota.yaml": REMOTE}).run("run", "go")
    assert result.code == 1
    assert "resolves to the remote plane in context `box`" in result.err
    assert "never" not in result.out


def without_run_id(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("OTA_RUN_MARKER=")]


@pytest.mark.proves("S000-01")
def test_the_native_shortcut_is_the_mode(repo):
    short = repo.run("run", "moded", "--native", "--stream")
    long = repo.run("run", "moded", "--mode", "native", "--stream")
    assert short.code == long.code == 0
    assert without_run_id(short.out) == without_run_id(long.out)
    plans = [
        repo.run("execution", "plan", "--task", "moded", *words, "--json").json
        for words in (["--native"], ["--mode", "native"])
    ]
    assert plans[0] == plans[1]


@pytest.mark.proves("S000-12")
def test_a_shortcut_between_task_and_inputs_selects_the_plane_and_is_no_input(repo):
    result = repo.run("run", "wants", "--native", "--stream", "--name", "x")
    env = body_env(result)
    assert env["OTA_INPUT_NAME"] == "x"
    assert [name for name in env if name.startswith("OTA_INPUT_")] == ["OTA_INPUT_LEVEL", "OTA_INPUT_NAME"]


def test_dependencies_do_not_see_the_inputs(repo):
    result = repo.run("run", "wants", "--stream", "--", "--name=secret-name")
    assert result.out.count("OTA_INPUT_NAME=secret-name") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "`name`"),
        (["--name", "x", "--level", "mid"], "low"),
        (["--name", "x", "--nme", "y"], "did you mean `--name`"),
        (["--name"], "has no value"),
    ],
)
def test_wrong_inputs_are_refused_before_the_body(repo, words, told):
    result = repo.run("run", "wants", "--stream", *words)
    assert result.code == 1, result
    assert told in result.err
    assert "OTA_INPUT" not in result.out


def test_the_only_input_may_be_a_lone_word(repo):
    assert repo.run("run", "quoted", "--stream", "--", "--text", "a").out == "a"
    assert repo.run("run", "quoted", "hello", "--stream").out == "hello"


def test_quotes_and_newlines_reach_the_body_unharmed(repo):
    text = 'it\'s "quoted" $HOME `id`\nsecond\tline \\ end'
    assert repo.run("run", "quoted", "--stream", "--text", text).out == text


def test_a_missing_required_variable_stops_the_body_and_names_the_way_out(repo):
    repo.write({".env": "FROM_FILE=x\n"})
    result = repo.run("run", "show", "--stream")
    assert result.code == 1
    assert "NEEDED" in result.err and "Next" in result.err
    assert "PLANE" not in result.out


def test_a_value_outside_the_allowed_ones_stops_the_body(repo):
    result = repo.run("run", "show", "--stream", env={"LEVEL": "extreme"})
    assert result.code == 1
    assert "LEVEL" in result.err
    assert "PLANE" not in result.out


def test_an_env_file_written_by_a_dependency_counts(project):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: written}
tasks:
  prepare: {run: "echo MADE=fresh > made.env"}
  use: {run: "echo got $MADE", env_files: [made.env], depends_on: [prepare]}
"""
        }
    )
    assert repo.run("run", "use", "--stream").out.splitlines() == ["got fresh"]


SECRETS = """
version: 1
project: {name: secrets}
env:
  vars:
    TOKEN: {secret: true, required: true}
    DERIVED: {secret: true}
  sources:
    - {kind: dotenv, path: .env}
tasks:
  leak: {run: 'echo "token is $TOKEN"; echo "$TOKEN" >&2; printf "%s" "$TOKEN" | fold -w 3; echo; exit 3'}
  slow: {run: 'printf "%s" "$TOKEN" | head -c 5; sleep 0.3; printf "%s" "$TOKEN" | tail -c +6; echo'}
"""


@pytest.mark.parametrize("source", ["dotenv", "process"])
def test_a_secret_the_child_prints_is_masked_everywhere(project, source):
    value = "s3cr3t-value-zQ9"
    repo = project({"ota.yaml": SECRETS, ".env": f"TOKEN={value}\n" if source == "dotenv" else ""})
    env = {"TOKEN": value} if source == "process" else {}
    for words in (["--stream"], [], ["--json"], ["--receipt", "--log"], ["--archive"]):
        result = repo.run("run", "leak", *words, env=env)
        assert result.code == 3
        assert value not in result.out + result.err, words
    assert "token is ***" in repo.run("run", "leak", "--stream", env=env).out
    for path in (repo.path / ".ota").rglob("*"):
        assert not path.is_file() or value.encode() not in path.read_bytes(), path


def test_a_secret_printed_in_two_pieces_is_masked(project):
    value = "s3cr3t-value-zQ9"
    repo = project({"ota.yaml": SECRETS, ".env": f"TOKEN={value}\n"})
    out = repo.run("run", "slow", "--stream").out
    assert value not in out and "***" in out


def test_a_secret_is_in_no_command_line(project):
    value = "s3cr3t-value-zQ9"
    repo = project({"ota.yaml": SECRETS, ".env": f"TOKEN={value}\n"})
    live = repo.start("run", "slow", "--stream")
    import psutil

    while live.is_running:
        for process in psutil.process_iter(["cmdline"]):
            assert value not in " ".join(process.info["cmdline"] or [])
    live.finish()
