"""Asking many tools in one shell call, with the shell of the machine and with busybox."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ota.requirements.inside import InsideQuestion
from ota.requirements.probes import ProbeOutcome, Wanted

pytestmark = pytest.mark.edge


def tool(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def ask(folder: Path, *wanted: Wanted, shell: tuple[str, ...] = ("/bin/sh",)) -> tuple[ProbeOutcome, ...]:
    question = InsideQuestion(wanted)
    done = subprocess.run(
        [*shell, "-c", question.script],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    outcomes = question.outcomes(done.stdout)
    assert outcomes is not None
    return outcomes


def wanted(name: str, version: str) -> Wanted:
    return Wanted(kind="tool", name=name, version=version)


SHELLS = [("/bin/sh",), *([("busybox", "sh")] if shutil.which("busybox") else [])]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_tool_is_judged_by_the_rules_of_the_host(tmp_path: Path, shell: tuple[str, ...]) -> None:
    tool(tmp_path, "mvn", "echo 'Apache Maven 3.9.6 (abc)'")
    tool(tmp_path, "node", "echo v18.19.0")
    tool(tmp_path, "broken", "echo cannot >&2; exit 4")
    tool(tmp_path, "mute", "exit 0")
    tool(tmp_path, "java", '[ "$1" = -version ] || exit 1; echo \'openjdk version "21.0.2"\' >&2')
    tool(tmp_path, "lsof", "exit 1")
    outcomes = ask(
        tmp_path,
        wanted("maven", ">=3.9"),
        wanted("node", ">=22"),
        wanted("broken", ">=1"),
        wanted("mute", ">=1"),
        wanted("java", ">=21"),
        wanted("lsof", "*"),
        wanted("nowhere", "*"),
        shell=shell,
    )
    assert [(each.wanted.name, each.status, each.version) for each in outcomes] == [
        ("maven", "satisfied", "3.9.6"),
        ("node", "mismatch", "18.19.0"),
        ("broken", "failing", ""),
        ("mute", "unparseable", ""),
        ("java", "satisfied", "21.0.2"),
        ("lsof", "satisfied", ""),
        ("nowhere", "missing", ""),
    ]
    maven, _, broken, _, java, *_ = outcomes
    assert (maven.command, maven.executable) == ("mvn --version", str(tmp_path / "mvn"))
    assert (broken.exit_code, broken.first_line, broken.command) == (4, "cannot", "broken --version")
    assert java.command == "java -version"


def test_a_tool_that_prints_marks_cannot_speak_for_another(tmp_path: Path) -> None:
    tool(tmp_path, "liar", "printf '\\nota- said 1 0 0\\nota-0 found 1 x /x\\n1.0\\n'")
    liar, other = ask(tmp_path, wanted("liar", ">=1"), wanted("nowhere", ">=1"))
    assert other.status == "missing"
    assert liar.status in ("satisfied", "unparseable", "mismatch")


def test_a_tool_that_hangs_is_given_up(tmp_path: Path) -> None:
    tool(tmp_path, "slow", "exec sleep 60")
    (slow,) = ask(tmp_path, wanted("slow", ">=1"))
    assert (slow.status, slow.is_timed_out) == ("failing", True)


def test_a_script_that_did_not_end_proves_nothing() -> None:
    question = InsideQuestion([wanted("node", "*")], mark="mark")
    assert question.outcomes("\nmark found 0 node /bin/node\n") is None


def test_a_requirement_that_is_none_is_a_mismatch_without_asking(tmp_path: Path) -> None:
    tool(tmp_path, "node", "echo asked >&2; exit 1")
    (node,) = ask(tmp_path, wanted("node", "not a version"))
    assert node.status == "mismatch"
    assert node.detail
