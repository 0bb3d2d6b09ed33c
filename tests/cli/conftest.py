"""A repository with one of everything a listing can show."""

import pytest

from cli.transcripts import contract


@pytest.fixture
def shop(project):
    return project({"ota.yaml": contract("shop"), ".env": "API_TOKEN=hunter2\nPORT=4100\n"})
