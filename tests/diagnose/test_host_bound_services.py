"""Services that only the host knows: told beside container tasks that need them, and beside no others."""

import pytest

CONTRACT = """version: 1
project: {{name: bound}}
execution:
  default_context: app
  contexts:
    host: {{backend: native}}
    app: {{backend: container, lifecycle: ephemeral, container: {{image: x, engines: [nerdctl]}}}}
services:
  db: {{healthcheck: 'true'}}
  api: {{start: 'true', depends_on: [db]}}
tasks:
  inside: {{run: 'true', requires_services: [{inside}]}}
  outside: {{context: host, run: 'true', requires_services: [db]}}
workflows:
  default: w
  w:
    setup: {{task: outside}}
    run: {{task: inside}}
    services: {{required: [{workflow}]}}
"""


@pytest.mark.parametrize(
    ("inside", "workflow", "is_told"),
    [("", "", False), ("db", "", True), ("api", "", True), ("", "api", True)],
    ids=["needed on the host only", "required", "by what it requires", "by the workflow"],
)
def test_a_legacy_service_is_told_where_a_container_task_needs_it(project, inside, workflow, is_told):
    repo = project({"ota.yaml": CONTRACT.format(inside=inside, workflow=workflow)})
    document = repo.run("doctor", "--json").json
    found = [each for each in document["findings"] if each["code"] == "OTA_SERVICE_TOPOLOGY_HOST_BOUND"]
    assert bool(found) is is_told
