"""Completion in the real shells, at a real prompt: keys in, the command line that results out."""

import os
import re
import shlex
import shutil
import subprocess

import pexpect
import pytest

from support.project import OTA

pytestmark = pytest.mark.edge

CONTRACT = """version: 1
project: {name: shop}
tasks:
  build: {run: "true", description: "Compile: everything"}
  "gen:api":
    run: "true"
    description: It's the API
    inputs:
      part: {allowed: [major, patch], description: Which part}
  "gen:web": {run: "true"}
  "gen:hidden": {run: "true", internal: true}
"""

# At the prompt it prints its words; asked for candidates it is the real command.
STAND_IN = """#!/bin/sh
if [ -n "$COMPLETE" ]; then exec {ota} "$@"; fi
printf 'WORDS'; printf '<%s>' "$@"; printf 'END\\n'
"""

SET_UP = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "PS1='@@ '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off';"
        " bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0';"
        ' eval "$(ota completion bash)"',
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "PS1='@@ '; unsetopt beep; setopt no_prompt_cr no_prompt_sp;"
        ' autoload -Uz compinit; compinit -D -u; eval "$(ota completion zsh)"',
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "function fish_prompt; echo -n '@@ '; end; function fish_right_prompt; end;"
        " set -g fish_greeting; ota completion fish | source",
    ),
}


def need(shell):
    if shutil.which(shell) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{shell} is missing, and CI exists to try it")
        pytest.skip(f"{shell} is not installed here")


@pytest.fixture
def repo(project, tmp_path):
    made = project({"ota.yaml": CONTRACT, "sub dir/ota.yaml": CONTRACT})
    folder = tmp_path / "bin"
    folder.mkdir()
    stand_in = folder / "ota"
    stand_in.write_text(STAND_IN.format(ota=shlex.join(OTA)))
    stand_in.chmod(0o755)
    real = folder / "ota-real"
    real.write_text(f'#!/bin/sh\nexec {shlex.join(OTA)} "$@"\n')
    real.chmod(0o755)
    made.bin = folder
    return made


def variables(repo, **changes):
    # a vt100 without bells: what is drawn stays close to what is typed
    path = f"{repo.bin}:{os.environ['PATH']}"
    return {**repo.environment(), "PATH": path, "TERM": "vt100", "INPUTRC": "/dev/null", **changes}


class Prompt:
    """An interactive shell with completion loaded."""

    def __init__(self, shell, repo):
        argv, set_up = SET_UP[shell]
        set_up = set_up.replace("ota completion", "ota-real completion")
        self._child = pexpect.spawn(
            argv[0],
            argv[1:],
            env=variables(repo),
            cwd=str(repo.path),
            encoding="utf-8",
            timeout=30,
            dimensions=(60, 160),
        )
        # the quotes keep the echo of this line from being taken for its output
        self._child.sendline(f"{set_up}; echo rea''dy")
        self._child.expect("ready\r\n")
        self._child.expect_exact("@@ ")

    def words(self, keys):
        """The words of the command line after these keys and Enter."""
        self._child.send(keys)
        self._child.send("\r")
        self._child.expect(r"WORDS(.*?)END", timeout=30)
        return re.findall("<(.*?)>", self._child.match.group(1))

    def listing(self, keys, *expected):
        """Wait until every expected word was drawn; everything drawn since the keys."""
        self._child.send(keys)
        drawn = ""
        for word in expected:
            self._child.expect_exact(word)
            drawn += self._child.before + self._child.after
        return drawn

    def close(self):
        self._child.close(force=True)


@pytest.fixture(params=["bash", "zsh", "fish"])
def prompt(request, repo):
    need(request.param)
    made = Prompt(request.param, repo)
    yield made
    made.close()


@pytest.mark.proves("S000-11")
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("ota run b\t", ["run", "build"]),
        ("ota run gen:a\t", ["run", "gen:api"]),
        ("ota run 'gen:w\t", ["run", "gen:web"]),
        ("ota run build --nat\t", ["run", "build", "--native"]),
        ("ota run gen:api --native --pa\tma\t", ["run", "gen:api", "--native", "--part", "major"]),
        ("ota run gen:api --part=p\t", ["run", "gen:api", "--part=patch"]),
        ("ota run gen:api --mode=re\t", ["run", "gen:api", "--mode=remote"]),
        ("ota execution pl\t--tas\tgen:w\t", ["execution", "plan", "--task", "gen:web"]),
        ("ota validate su\t", ["validate", "sub dir/"]),
        ("ota comp\tz\t", ["completion", "zsh"]),
    ],
    ids=lambda value: value.replace("\t", "<TAB>") if isinstance(value, str) else "",
)
def test_a_tab_completes_the_line(prompt, keys, words):
    assert prompt.words(keys) == words


@pytest.mark.proves("S000-60")
def test_internal_tasks_are_hidden(prompt):
    assert "hidden" not in prompt.listing("ota run gen:\t\t", "api", "web")


@pytest.mark.proves("S000-60")
def test_a_hidden_name_is_not_completed(prompt):
    assert prompt.words("ota run gen:h\t") == ["run", "gen:h"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_right_for_its_shell(repo, shell, tmp_path):
    need(shell)
    script = tmp_path / "script"
    script.write_text(repo.run("completion", shell).out)
    checked = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_bash_without_colon_in_its_word_breaks(repo):
    need("bash")
    prompt = Prompt("bash", repo)
    try:
        assert prompt.words("COMP_WORDBREAKS=${COMP_WORDBREAKS//:}; ota run gen:a\t") == ["run", "gen:api"]
        assert prompt.words("ota run gen:w\t") == ["run", "gen:web"]
    finally:
        prompt.close()


def test_fish_shows_help_beside_candidates(repo):
    need("fish")
    text = "ota-real completion fish | source; complete -C 'ota run g'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", text],
        env=variables(repo),
        cwd=repo.path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["gen:api\tIt's the API", "gen:web"]
