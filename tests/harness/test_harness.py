"""The test harness itself: what every other test leans on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.leaks import left_behind
from support.project import Live
from support.schemas import FOLDER, assert_schema, validator

pytestmark = pytest.mark.edge


def _live(code: str, tmp_path: Path) -> Live:
    return Live([sys.executable, "-c", code], tmp_path, {}, None)


def test_a_process_left_behind_is_named_and_killed():
    mark = os.environ["TEST_PROCESS_MARK"]
    leftover = subprocess.Popen(["sleep", "60"], start_new_session=True)
    found = left_behind(mark, frozenset(), limit_s=0.1)
    assert found == [f"pid {leftover.pid}: sleep 60"]
    leftover.wait(5)
    assert not psutil.pid_exists(leftover.pid)


def test_waiting_for_text_ends_when_the_text_can_no_longer_come(tmp_path):
    live = _live("print('hello')", tmp_path)
    live.wait_for("hello")
    with pytest.raises(AssertionError, match="the command ended without printing 'bye'"):
        live.wait_for("bye")
    assert live.finish().out == "hello\n"


def test_waiting_for_text_gives_up_at_its_limit(tmp_path):
    live = _live("import time; time.sleep(60)", tmp_path)
    with pytest.raises(AssertionError, match=r"0.1 s passed without printing 'bye'"):
        live.wait_for("bye", timeout=0.1)
    live.discard()
    assert not live.is_running


def test_a_signal_reaches_the_command_and_shows_in_its_code(tmp_path):
    live = _live("import time; print('up', flush=True); time.sleep(60)", tmp_path)
    live.wait_for("up")
    live.signal(15)
    assert live.finish().code == -15


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_in_a_published_schema_is_valid_against_it(path):
    schema = json.loads(path.read_text())
    validator(path.stem).check_schema(schema)
    for example in schema.get("examples", []):
        assert_schema(example, path.stem)


def test_an_invalid_document_is_refused_with_the_place_of_the_fault():
    with pytest.raises(AssertionError, match="not a valid `validate` document"):
        assert_schema({"ok": "perhaps"}, "validate")
