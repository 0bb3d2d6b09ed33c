"""Finite tasks in containers: codes, output, logs, what the body is given, what is left of it."""

import json
import signal

import pytest

from container.conftest import on_a_terminal

pytestmark = pytest.mark.engine

BOTH = pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])


@pytest.mark.proves("S000-04")
def test_a_task_runs_in_a_fresh_container_that_is_gone_afterwards(contained, assert_schema):
    repo = contained({"hi": {"run": "echo from $(pwd); cat seen"}})
    repo.project.write({"seen": "the checkout\n"})
    for spelling in (("--ephemeral",), ("--lifecycle", "ephemeral"), ()):
        document = repo.run("run", "hi", *spelling, "--json").json
        assert_schema(document, "run")
        assert document["stdout"] == "from /workspace\nthe checkout\n"
        receipt = document["receipt"]
        assert (receipt["backend"], receipt["lifecycle"]) == ("container", "ephemeral")
        assert receipt["target"].startswith("ota-ephemeral-")
        assert receipt["footprint"] == {"checked": True, "left_behind": []}
        assert repo.containers() == []


@pytest.mark.proves("S000-03")
def test_persistent_is_one_flag_and_the_container_is_still_there(contained):
    repo = contained({"hi": {"run": "hostname"}})
    first = repo.run("run", "hi", "--persistent", "--json").json
    again = repo.run("run", "hi", "--lifecycle", "persistent", "--json").json
    assert first["stdout"] == again["stdout"]
    assert repo.containers("persistent") == [first["receipt"]["target"]] == [again["receipt"]["target"]]


@pytest.mark.proves("S000-02")
def test_container_is_one_flag_and_plans_the_same(contained):
    modes = {"native": {"run": "echo native"}, "container": {"run": "echo container"}}
    repo = contained({"hi": {"execution": {"default_mode": "native", "modes": modes}}})
    plans = [
        repo.run("execution", "plan", "--task", "hi", *flags, "--json").json
        for flags in (("--container",), ("--mode", "container"))
    ]
    assert plans[0] == plans[1]
    assert repo.run("run", "hi", "--container", "--json").json["stdout"] == "container\n"
    assert repo.run("run", "hi", "--native", "--json").json["stdout"] == "native\n"


@BOTH
def test_the_code_of_the_body_is_the_code_of_the_run(contained, lifecycle):
    repo = contained({"fail": {"run": "echo why >&2; exit 7"}}, lifecycle=lifecycle)
    result = repo.run("run", "fail")
    assert result.code == 7
    assert "task `fail` exited with code 7" in result.err
    assert "why" in result.err
    assert repo.containers() == []


@BOTH
def test_a_body_ended_by_a_signal_and_a_program_that_is_missing(contained, lifecycle):
    tasks = {"killed": {"run": "kill -9 $$"}, "gone": {"command": {"exe": "no-such-program"}}}
    repo = contained(tasks, lifecycle=lifecycle)
    assert repo.run("run", "killed").code == 137
    assert repo.run("run", "gone").code == 127


@BOTH
def test_words_of_a_command_arrive_as_they_are_written(contained, lifecycle):
    words = ["it's", 'a "b"', "$HOME", "*", "é", "", "line\nbreak"]
    command = {"exe": "printf", "args": ["<%s>", *words], "cwd": "sub dir"}
    repo = contained({"say": {"command": command}}, lifecycle=lifecycle)
    repo.project.write({"sub dir/x": ""})
    assert repo.run("run", "say", "--json").json["stdout"] == "".join(f"<{word}>" for word in words)


@BOTH
@pytest.mark.proves("S002-06")
@pytest.mark.proves("S001-153")
def test_the_environment_of_context_and_task_reaches_the_body_and_the_hosts_does_not(contained, lifecycle):
    repo = contained(
        {"show": {"run": "env; mount", "env": {"LEVEL": "task", "WHERE": "$OTA_WORKSPACE/x"}}},
        lifecycle=lifecycle,
        env={"LEVEL": "context", "FROM_CONTEXT": "1"},
        attachments={"isolated_paths": ["node_modules"]},
    )
    out = repo.run("run", "show", "--json", env={"ONLY_HERE": "1"}).json["stdout"].splitlines()
    assert "LEVEL=task" in out
    assert "FROM_CONTEXT=1" in out
    assert "WHERE=/workspace/x" in out
    assert "OTA_WORKSPACE=/workspace" in out
    assert not any(line.startswith("ONLY_HERE") for line in out)
    assert any(" on /workspace/node_modules " in line for line in out)


@BOTH
def test_a_secret_reaches_the_body_and_no_command_line(contained, lifecycle):
    secret = "s3cret-0815-value"
    root = {"env": {"vars": {"TOKEN": {"secret": True, "required": True}}}}
    tasks = {"show": {"run": "echo got $TOKEN; echo $URL", "env": {"URL": "http://x/$TOKEN"}}}
    repo = contained(tasks, lifecycle=lifecycle, root=root)
    repo.shim()
    result = repo.run("run", "show", "--json", "--log", env={**repo.shimmed, "TOKEN": secret})
    document = result.json
    (folder,) = (repo.path / ".ota/state/logs").iterdir()
    logs = document["receipt"]["logs"]
    assert [logs[key] for key in ("dir", "stdout")] == [
        str(folder.relative_to(repo.path)),
        str((folder / "stdout.log").relative_to(repo.path)),
    ]
    assert (folder / "stdout.log").read_text() == document["stdout"]
    assert document["stdout"].startswith("got ***\n")
    assert any("--env TOKEN " in call for call in repo.calls)
    assert secret not in "".join(repo.calls) + result.out + result.err
    for path in (repo.path / ".ota").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.mark.proves("S000-24")
@pytest.mark.proves("S000-25")
@pytest.mark.proves("S000-33")
@pytest.mark.proves("S001-108")
@pytest.mark.proves("S001-148")
@pytest.mark.parametrize(
    ("lifecycle", "flags"), [("ephemeral", ("--stream", "--log")), ("persistent", ("--log",))]
)
def test_logs_are_complete_although_the_container_is_gone(contained, lifecycle, flags):
    body = "i=0; while [ $i -lt 400 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exit 3"
    repo = contained({"fail": {"run": body}}, lifecycle=lifecycle)
    result = repo.run("run", "fail", *flags)
    assert result.code == 3
    assert repo.containers() == []
    (folder,) = (repo.path / ".ota/state/logs").iterdir()
    assert (folder / "stdout.log").read_text().splitlines() == [f"out {i}" for i in range(400)]
    assert (folder / "stderr.log").read_text().splitlines() == [f"err {i}" for i in range(400)]
    assert f"Logs:        .ota/state/logs/{folder.name}" in result.err


@BOTH
@pytest.mark.proves("S000-26")
@pytest.mark.proves("S000-121")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.dealt
def test_an_interrupt_ends_the_body_and_everything_it_started(contained, lifecycle, number):
    body = "(while :; do sleep 1; done) & sh -c 'echo begun; sleep 600'; echo never"
    repo = contained({"wait": {"run": body}}, lifecycle=lifecycle)
    live = repo.start("run", "wait", "--stream", "--log")
    live.wait_for("begun")
    live.signal(number)
    result = live.finish(30)
    assert result.code == 128 + number
    assert "Status:      interrupted" in result.err
    assert "never" not in result.out
    assert repo.containers() == []
    for name in repo.containers("persistent"):
        top = repo.engine.run("exec", name, "ps").stdout
        assert "sleep 600" not in top and "sleep 1\n" not in top
    (folder,) = (repo.path / ".ota/state/logs").iterdir()
    assert "begun" in (folder / "stdout.log").read_text()


@BOTH
def test_a_body_that_ignores_the_signal_is_killed_and_the_run_is_interrupted(contained, lifecycle):
    body = "trap '' INT TERM; echo begun; while :; do sleep 1; done"
    repo = contained({"deaf": {"run": body}}, lifecycle=lifecycle)
    live = repo.start("run", "deaf", "--stream")
    live.wait_for("begun")
    live.signal(signal.SIGINT)
    live.signal(signal.SIGINT)
    result = live.finish(30)
    assert result.code == 130
    assert "Status:      interrupted" in result.err
    assert repo.containers() == []


def test_an_interrupt_that_no_engine_delivers_is_an_interrupt_all_the_same(contained):
    """Podman's `exec` ends with 1 when it is told to end itself, as if the body had failed."""
    repo = contained({"wait": {"run": "echo begun; sleep 600"}}, lifecycle="persistent")
    repo.shim('case "$*" in *"kill -STOP"*) echo "cannot exec: no reason" >&2; exit 125 ;; esac')
    live = repo.start("run", "wait", "--stream", env=repo.shimmed)
    live.wait_for("begun")
    live.signal(signal.SIGINT)
    result = live.finish(60)
    assert result.code == 130
    assert "Status:      interrupted" in result.err


@BOTH
@pytest.mark.proves("S000-20")
def test_a_late_interrupt_does_not_hide_the_code_of_the_body(contained, lifecycle):
    repo = contained({"fail": {"run": "trap 'exit 5' INT; echo begun; while :; do sleep 1; done"}},
                     lifecycle=lifecycle)  # fmt: skip
    live = repo.start("run", "fail", "--stream", "--receipt")
    live.wait_for("begun")
    live.signal(signal.SIGINT)
    result = live.finish(30)
    assert result.code == 5
    assert "Status:      failed" in result.err
    # and one that comes when the body has ended
    repo.write({"fail": {"run": "exit 6"}}, lifecycle=lifecycle)
    late = repo.run("run", "fail", "--json", env={"OTA_FAULT": "body.after:INT"})
    assert late.code == 6
    receipt = late.json["receipt"]
    assert (receipt["status"], receipt["steps"][0]["status"]) == ("failed", "FAILED")
    assert receipt["steps"][0]["exit_code"] == 6


def test_what_the_engine_says_before_the_body_is_not_the_bodys_output(contained):
    repo = contained({"hi": {"run": "echo out; echo err >&2"}})
    repo.shim('case "$1" in start) echo "WARNING: engine talks" >&2 ;; esac')
    document = repo.run("run", "hi", "--json", env=repo.shimmed).json
    assert (document["stdout"], document["stderr"]) == ("out\n", "err\n")


def test_a_missing_image_is_named_with_the_next_step(contained):
    repo = contained({"hi": {"run": "true"}}, container={"image": "ota-test/nowhere:1"})
    result = repo.run("run", "hi")
    assert result.code == 1
    assert "ota-test/nowhere:1" in result.err
    assert "Next:" in result.err
    assert repo.containers() == []


@BOTH
def test_an_engine_that_is_down_is_said_so_and_nothing_ran(contained, lifecycle):
    repo = contained({"hi": {"run": "true"}}, lifecycle=lifecycle)
    repo.shim(
        'echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2\nexit 1'
    )
    document = repo.run("run", "hi", "--json", env=repo.shimmed).json
    assert document["ok"] is False
    assert f"container backend `{repo.engine.name}` is unavailable" in json.dumps(document)
    assert document["receipt"]["steps"][0]["status"] == "FAILED"


@pytest.mark.proves("S000-39")
def test_a_container_that_cannot_be_removed_is_told_and_the_result_of_the_task_stands(
    contained, assert_schema
):
    repo = contained({"fail": {"run": "exit 7"}})
    repo.shim('case "$1" in rm) echo "cannot remove" >&2; exit 1 ;; esac')
    result = repo.run("run", "fail", env=repo.shimmed)
    assert result.code == 7
    assert "ephemeral container cleanup failed for" in result.err
    assert "incomplete cleanup: container ota-ephemeral-" in result.err
    assert len(repo.containers()) == 1
    document = repo.run("run", "fail", "--json").json
    assert_schema(document, "run")
    assert "reclaimed 1 orphaned ephemeral container" in document["receipt"]["steps"][0]["detail"]
    assert repo.containers() == []


@BOTH
def test_a_run_that_prints_a_lot_and_reads_its_input(contained, lifecycle):
    repo = contained({"copy": {"run": "cat | wc -c"}}, lifecycle=lifecycle)
    data = b"x" * 300_000
    assert repo.run("run", "copy", "--json", input=data).json["stdout"].strip() == "300000"


@BOTH
@pytest.mark.parametrize("name", ["a b", "it's", 'a"b', "é", "a:b", "$x"])
@pytest.mark.dealt
def test_a_checkout_in_a_folder_of_any_name(contained, lifecycle, name):
    repo = contained({"hi": {"run": "cat seen; echo made >made"}}, name=name, lifecycle=lifecycle)
    repo.project.write({"seen": "here\n"})
    assert repo.run("run", "hi", "--json").json["stdout"] == "here\n"
    assert repo.project.read("made") == "made\n"


@BOTH
def test_a_command_that_requires_a_terminal_has_one_inside_or_does_not_start(contained, lifecycle):
    words = {
        "exe": "sh",
        "args": ["-c", "test -t 0 && test -t 1 && echo terminal"],
        "interaction": "required",
    }
    repo = contained({"shell": {"command": words}}, lifecycle=lifecycle)
    result = repo.run("run", "shell")
    assert result.code == 1
    assert "A terminal is required" in result.err
    assert repo.containers() == []
    shown = on_a_terminal(repo, "run", "shell")
    assert "terminal\r\n" in shown
    assert "success" in shown


def test_a_container_the_engine_would_not_start_is_not_said_to_be_left(contained):
    repo = contained({"hi": {"run": "true"}})
    repo.shim('case "$1" in start) echo "cannot start: no reason" >&2; exit 125 ;; esac')
    document = repo.run("run", "hi", "--json", env=repo.shimmed).json
    assert document["receipt"]["footprint"] == {"checked": True, "left_behind": []}
    assert repo.containers() == []
