"""Probing real executables: found or not, answering or not, right or wrong, and always in time."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ota.requirements.executables import find_executable
from ota.requirements.probes import (
    ProbeOutcome,
    Prober,
    Wanted,
    probe_many,
    requirement_finding,
    version_forms,
)
from support.leaks import MARK

pytestmark = pytest.mark.edge

MakeTool = Callable[..., Path]


@pytest.fixture
def make_tool(tmp_path: Path) -> MakeTool:
    """Put a shell script on the PATH of the test."""

    def make(
        name: str, body: str, *, shebang: str = "#!/bin/sh\n", mode: int = 0o755, folder: str = "bin"
    ) -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(shebang + body)
        path.chmod(mode)
        return path

    return make


@pytest.fixture
def env(tmp_path: Path, no_process_left_behind: None) -> dict[str, str]:
    """A complete environment; the mark lets the leak check find what a tool starts."""
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), MARK: os.environ[MARK]}


def tool(name: str, version: str) -> Wanted:
    return Wanted(kind="tool", name=name, version=version)


def probe(wanted: Wanted, env: dict[str, str], tmp_path: Path, limit_s: float = 5.0) -> ProbeOutcome:
    return Prober(env, tmp_path, limit_s=limit_s).probe(wanted)


def test_a_tool_that_suits_is_satisfied(make_tool: MakeTool, env: dict[str, str], tmp_path: Path) -> None:
    path = make_tool("acme", 'echo "acme version v2.4.1 (abc)"\n')
    outcome = probe(tool("acme", ">=2.4,<3"), env, tmp_path)
    assert (outcome.status, outcome.version) == ("satisfied", "2.4.1")
    assert (outcome.command, outcome.executable) == ("acme --version", str(path))
    assert requirement_finding(outcome) is None


def test_a_wrong_version_is_a_mismatch(make_tool: MakeTool, env: dict[str, str], tmp_path: Path) -> None:
    make_tool("acme", "echo 2.4.1\n")
    outcome = probe(tool("acme", "^3"), env, tmp_path)
    finding = requirement_finding(outcome, is_required=False)
    assert (outcome.status, outcome.version) == ("mismatch", "2.4.1")
    assert finding is not None
    assert (finding.code, finding.severity) == ("OTA_TOOL_VERSION_MISMATCH", "warn")
    assert finding.summary == "Version mismatch for tool: acme"
    assert finding.why == "`acme --version` says 2.4.1; the contract asks for `^3`"
    assert (finding.evidence.observed, finding.evidence.expected) == ("2.4.1", "^3")


def test_an_absent_tool_is_missing(env: dict[str, str], tmp_path: Path) -> None:
    outcome = probe(Wanted(kind="runtime", name="no-such-thing", version="*"), env, tmp_path)
    finding = requirement_finding(outcome)
    assert outcome.status == "missing"
    assert finding is not None
    assert (finding.code, finding.summary) == ("OTA_RUNTIME_MISSING", "Missing runtime: no-such-thing")
    assert "Install no-such-thing" in finding.next


def test_a_failing_tool_is_not_missing(make_tool: MakeTool, env: dict[str, str], tmp_path: Path) -> None:
    make_tool("acme", "echo >&2; printf '\\033[31mno default version\\033[0m\\nmore\\n' >&2; exit 3\n")
    outcome = probe(tool("acme", ">=1"), env, tmp_path)
    finding = requirement_finding(outcome)
    assert (outcome.status, outcome.exit_code, outcome.first_line) == ("failing", 3, "no default version")
    assert finding is not None
    assert (finding.code, finding.summary) == ("OTA_TOOL_PROBE_FAILED", "Tool probe failed: acme")
    assert finding.why == "`acme --version` exited 3: no default version"


def test_success_without_a_version_is_unparseable(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", "echo hello\n")
    outcome = probe(tool("acme", ">=1"), env, tmp_path)
    assert (outcome.status, outcome.first_line) == ("unparseable", "hello")
    finding = requirement_finding(outcome)
    assert finding is not None
    assert finding.code == "OTA_TOOL_VERSION_UNPARSEABLE"


@pytest.mark.parametrize("body", ["exit 1\n", "echo hello\n", "sleep 60\n"])
def test_presence_asks_nothing_of_the_tool(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path, body: str
) -> None:
    make_tool("acme", f"touch {tmp_path}/was-run\n{body}")
    assert probe(tool("acme", "*"), env, tmp_path).status == "satisfied"
    assert not (tmp_path / "was-run").exists()


def test_the_next_form_is_tried_when_one_fails(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("one", '[ "$1" = version ] && echo 1.2 && exit 0; echo "bad flag $1" >&2; exit 2\n')
    make_tool("two", '[ "$1" = -version ] && echo "two 3.4" >&2 && exit 0; echo "bad $1" >&2; exit 2\n')
    make_tool("none", 'echo "bad flag $1" >&2; exit 2\n')
    outcomes = probe_many([tool("one", "1"), tool("two", "3"), tool("none", "1")], env, tmp_path)
    assert [(o.status, o.command) for o in outcomes] == [
        ("satisfied", "one version"),
        ("satisfied", "two -version"),
        ("failing", "none --version"),
    ]
    assert outcomes[2].first_line == "bad flag --version"


def test_some_tools_are_asked_in_their_own_way() -> None:
    assert version_forms("go") == (("version",),)
    assert version_forms("/opt/jdk/bin/java") == (("--version",), ("-version",))
    assert version_forms("sh") == (("--version",),)
    assert version_forms("node")[0] == ("--version",)


@pytest.mark.parametrize(
    ("name", "executable"),
    [
        ("maven", "mvn"),
        ("bundler", "bundle"),
        ("rust", "rustc"),
        ("python", "python3"),
        ("leiningen", "lein"),
    ],
)
def test_some_names_have_another_executable(
    make_tool: MakeTool, tmp_path: Path, name: str, executable: str
) -> None:
    path = make_tool(executable, "echo 9.8.7\n")
    outcome = probe(tool(name, "9.8"), {"PATH": str(tmp_path / "bin")}, tmp_path)
    assert (outcome.status, outcome.executable) == ("satisfied", str(path))
    assert outcome.command == f"{executable} --version"


def test_a_plain_python_comes_before_python3(make_tool: MakeTool, tmp_path: Path) -> None:
    make_tool("python3", "echo Python 3.12.1\n")
    make_tool("python", "echo Python 3.11.9\n")
    env = {"PATH": str(tmp_path / "bin")}
    assert probe(Wanted(kind="runtime", name="python", version="3.11"), env, tmp_path).status == "satisfied"


def test_only_the_given_path_counts(make_tool: MakeTool, tmp_path: Path) -> None:
    make_tool("acme", "echo 1\n", folder="elsewhere")
    assert probe(tool("acme", "*"), {"PATH": str(tmp_path / "bin")}, tmp_path).status == "missing"
    assert probe(tool("acme", "1"), {"PATH": "elsewhere"}, tmp_path).status == "satisfied"
    assert probe(tool("./elsewhere/acme", "1"), {"PATH": ""}, tmp_path).status == "satisfied"
    assert probe(tool("acme", "1"), {"PATH": ":/bin"}, tmp_path / "elsewhere").status == "satisfied"


def test_the_tool_gets_the_given_environment_and_directory(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", 'echo "$ACME_VERSION $(pwd)"\n')
    (tmp_path / "here").mkdir()
    outcome = Prober({**env, "ACME_VERSION": "7.7"}, tmp_path / "here").probe(tool("acme", "7.7"))
    assert outcome.status == "satisfied"


def test_a_file_that_may_not_be_executed_and_a_directory_are_passed_over(
    make_tool: MakeTool, tmp_path: Path
) -> None:
    make_tool("acme", "echo 1\n", mode=0o644)
    (tmp_path / "dirs" / "acme").mkdir(parents=True)
    good = make_tool("acme", "echo 2\n", folder="good")
    path = f"{tmp_path / 'bin'}:{tmp_path / 'dirs'}:{tmp_path / 'good'}"
    assert find_executable("acme", {"PATH": path}, tmp_path) == good
    assert find_executable("", {"PATH": path}, tmp_path) is None
    assert find_executable("a\0b", {"PATH": path}, tmp_path) is None


def test_windows_looks_in_the_directory_first_and_knows_extensions(tmp_path: Path) -> None:
    for folder in ("cwd", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin" / "acme.CMD").touch(mode=0o755)
    env = {"PATH": str(tmp_path / "bin"), "PATHEXT": ".EXE"}
    found = find_executable("acme", env, tmp_path / "cwd", host_os="windows")
    assert found == tmp_path / "bin" / "acme.CMD"
    (tmp_path / "cwd" / "acme.EXE").touch(mode=0o755)
    found = find_executable("acme", env, tmp_path / "cwd", host_os="windows")
    assert found == tmp_path / "cwd" / "acme.EXE"


@pytest.mark.parametrize(
    ("shebang", "body", "status"),
    [
        ("#!/no/such/interpreter\n", "echo 1.2\n", "failing"),
        ("", "echo 1.2\n", "satisfied"),
        ("", "\0\0\0not a program\0", "failing"),
    ],
)
def test_files_that_do_not_start_are_failing(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path, shebang: str, body: str, status: str
) -> None:
    make_tool("acme", body, shebang=shebang)
    outcome = probe(tool("acme", "1.2"), env, tmp_path)
    assert outcome.status == status
    if status == "failing":
        assert outcome.exit_code == 126
        assert outcome.first_line


def test_a_vanished_working_directory_is_an_outcome(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", "echo 1\n")
    outcome = probe(tool("acme", "1"), env, tmp_path / "gone")
    assert outcome.status == "failing"
    assert outcome.first_line


def test_a_malformed_requirement_is_named_not_guessed(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", "echo 1\n")
    outcome = probe(tool("acme", "1.x"), env, tmp_path)
    finding = requirement_finding(outcome)
    assert outcome.status == "mismatch"
    assert finding is not None
    assert "write `1`" in finding.why
    assert "ota.yaml" in finding.next


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def pid_from(path: Path) -> int:
    return int(path.read_text())


def test_a_hanging_tool_is_killed_with_everything_it_started(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool(
        "acme",
        "trap '' TERM\n"
        f"setsid sh -c 'echo $$ > {tmp_path}/escaped; exec sleep 300' &\n"
        f"(trap '' TERM; exec sleep 300) & echo $! > {tmp_path}/child\n"
        f"while [ ! -s {tmp_path}/escaped ]; do sleep 0.01; done\n"
        "echo starting up\nsleep 300\n",
    )
    started = time.monotonic()
    outcome = probe(tool("acme", "1"), env, tmp_path, limit_s=0.6)
    assert time.monotonic() - started < 4
    assert (outcome.status, outcome.is_timed_out, outcome.exit_code) == ("failing", True, None)
    assert outcome.first_line == "starting up"
    assert not is_alive(pid_from(tmp_path / "child"))
    assert not is_alive(pid_from(tmp_path / "escaped"))
    finding = requirement_finding(outcome)
    assert finding is not None
    assert "did not answer in time" in finding.why


def test_a_child_that_keeps_the_output_open_does_not_hold_the_probe(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", f"echo 1.2.3\nsleep 300 & echo $! > {tmp_path}/child\n")
    started = time.monotonic()
    outcome = probe(tool("acme", "1.2"), env, tmp_path)
    assert outcome.status == "satisfied"
    assert time.monotonic() - started < 4.5
    assert not is_alive(pid_from(tmp_path / "child"))


def test_endless_output_is_bounded_in_time_and_memory(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", "exec yes 'version 1.2.3'\n")
    outcome = probe(tool("acme", "1"), env, tmp_path, limit_s=0.3)
    assert (outcome.status, outcome.is_timed_out) == ("failing", True)


def test_binary_output_is_read(make_tool: MakeTool, env: dict[str, str], tmp_path: Path) -> None:
    make_tool("acme", "printf '\\377\\376 v4.5.6\\n'\n")
    assert probe(tool("acme", "4.5"), env, tmp_path).version == "4.5.6"


def test_a_tool_that_reads_its_input_gets_none(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    make_tool("acme", "cat\necho 1.0\n")
    assert probe(tool("acme", "1"), env, tmp_path).status == "satisfied"


def test_many_are_probed_side_by_side_in_order(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    for number in range(12):
        make_tool(f"acme{number}", f"sleep 0.5\necho {number}.0\n")
    started = time.monotonic()
    outcomes = probe_many([tool(f"acme{number}", str(number)) for number in range(12)], env, tmp_path)
    assert time.monotonic() - started < 4
    assert [outcome.wanted.name for outcome in outcomes] == [f"acme{number}" for number in range(12)]
    assert {outcome.status for outcome in outcomes} == {"satisfied"}


def test_every_executable_is_asked_once(make_tool: MakeTool, env: dict[str, str], tmp_path: Path) -> None:
    make_tool("acme", f"echo asked >> {tmp_path}/count\nsleep 0.1\necho 2.1\n")
    prober = Prober(env, tmp_path)
    outcomes = prober.probe_many([tool("acme", "2"), tool("acme", "3"), tool("acme", ">=1")])
    assert [outcome.status for outcome in outcomes] == ["satisfied", "mismatch", "satisfied"]
    assert prober.probe(tool("acme", "2.1")).status == "satisfied"
    assert (tmp_path / "count").read_text().count("asked") == 1


def test_cancelling_kills_what_is_being_asked(
    make_tool: MakeTool, env: dict[str, str], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        make_tool(name, f"echo $$ > {tmp_path}/{name}.pid\nsleep 300\n")
    wanted = [tool("one", "1"), tool("two", "1")]

    def both_run() -> bool:
        return all((tmp_path / f"{name}.pid").exists() for name in ("one", "two"))

    prober = Prober(env, tmp_path, limit_s=60, should_stop=both_run)
    outcomes = prober.probe_many(wanted)
    assert [outcome.status for outcome in outcomes] == ["failing", "failing"]
    assert not is_alive(pid_from(tmp_path / "one.pid"))
    assert threading.active_count() == 1


def test_nothing_wanted_needs_no_thread(env: dict[str, str], tmp_path: Path) -> None:
    assert probe_many([], env, tmp_path) == ()


@pytest.mark.proves("S001-17")
def test_ranges_hold_at_their_edges(make_tool: MakeTool, env: dict[str, str], tmp_path: Path) -> None:
    cases = [
        ("py", "Python 3.12.0", ">=3.12,<3.14", "satisfied"),
        ("py-low", "Python 3.11.9", ">=3.12,<3.14", "mismatch"),
        ("py-high", "Python 3.14.0", ">=3.12,<3.14", "mismatch"),
        ("js", "v22.12.0", "^22.12.0", "satisfied"),
        ("js-low", "v22.11.9", "^22.12.0", "mismatch"),
        ("js-high", "v23.0.0", "^22.12.0", "mismatch"),
        ("poe", "Poetry (version 1.8.0)", ">=1.8", "satisfied"),
        ("poe-low", "Poetry (version 1.7.9)", ">=1.8", "mismatch"),
        ("pm", "10.5.0", ">=10.5.0", "satisfied"),
        ("pm-low", "10.4.9", ">=10.5.0", "mismatch"),
        ("present", "whatever", "*", "satisfied"),
    ]
    for name, output, _, _ in cases:
        make_tool(name, f'echo "{output}"\n')
    outcomes = probe_many([tool(name, requirement) for name, _, requirement, _ in cases], env, tmp_path)
    assert [outcome.status for outcome in outcomes] == [status for *_, status in cases]


@pytest.mark.proves("S001-17")
def test_the_real_lsof_is_present() -> None:
    environment = {"PATH": os.environ["PATH"]}
    if find_executable("lsof", environment, Path("/")) is None:
        pytest.skip("lsof is not installed")
    assert Prober(environment, Path("/")).probe(tool("lsof", "*")).status == "satisfied"


@pytest.mark.parametrize(
    "name", ["git", "make", "java", "maven", "node", "python", "bash", "cmake", "kubectl"]
)
def test_real_tools_of_this_machine_have_a_version(name: str, tmp_path: Path) -> None:
    environment = dict(os.environ)
    outcome = Prober(environment, tmp_path, limit_s=20).probe(tool(name, ">=0"))
    if outcome.status == "missing":
        pytest.skip(f"{name} is not installed")
    assert (outcome.status, outcome.first_line) == ("satisfied", "")
