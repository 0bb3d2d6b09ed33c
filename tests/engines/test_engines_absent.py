"""What happens without engines: a visible skip, a failure where they are required, a refusal without root."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import engines

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_engines(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "HOME", tmp_path)
    monkeypatch.delenv("OTA_ENGINES", raising=False)
    return engines.Session()


def test_a_missing_engine_is_a_skip_that_says_what_to_do(no_engines):
    with pytest.raises(pytest.skip.Exception, match="no container engines are up; start them with"):
        no_engines.engine("docker")


def test_a_missing_engine_fails_the_run_that_exists_for_it(no_engines, monkeypatch):
    monkeypatch.setenv("OTA_ENGINES", "required")
    with pytest.raises(pytest.fail.Exception, match="no container engines are up"):
        no_engines.engine("docker")


@pytest.mark.edge
@pytest.mark.parametrize("verb", ["up", "down"])
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the tool is for Debian")
def test_without_root_the_tool_refuses_and_says_how(tmp_path, verb):
    # The interpreter itself may be out of reach for another user, so only the answer to "who am I" changes.
    as_user = (
        "import os, runpy; os.geteuid = lambda: 1000; runpy.run_path('tools/engines', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", as_user, verb],
        cwd=ROOT,
        env={**os.environ, "OTA_ENGINES_HOME": str(tmp_path / "engines")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"`engines {verb}` needs root" in done.stderr
    assert "Next: run it as root" in done.stderr
