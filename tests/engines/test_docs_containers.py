"""The transcripts of containers in the documentation are what the commands print."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.engines import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "containers.md"


def transcripts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("transcripts", ROOT / "tools" / "transcripts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_worked_example_prints_what_the_page_shows(
    docker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["transcripts"])
    tool = transcripts()
    shown = PAGE.read_text(encoding="utf-8")
    assert len(tool.CONTAINERS.findall(shown)) >= 4
    assert tool.current_in_containers(shown) == shown, "run python tools/transcripts.py --containers"
