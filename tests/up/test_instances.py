"""A workflow instance that builds on another one: brought up only while that one is up."""

import pytest

from support.servers import free_port
from up.conftest import codes_of, contract, web

pytestmark = pytest.mark.edge

INSTANCES = """    run: {{task: dev}}
    instances:
      default: base
      base: {{}}
      more:
        topology: {{requires_instances: [base]}}
        tasks:
          dev:
            runtime:
              listeners:
                http:
                  bind: {{port: {{mode: fixed, value: {port}}}}}
                  project: {{host: {{port: {{mode: fixed, value: {port}}}}}}}
"""


def test_an_instance_waits_for_the_one_it_requires(upped, assert_schema):
    base, more = free_port(), free_port()
    repo = upped(contract(tasks=web(base), workflow=INSTANCES.format(port=more)))
    blocked = repo.run("up", "--workflow", "app@more", "--json")
    assert_schema(blocked.json, "up")
    assert (blocked.code, codes_of(blocked.json)) == (1, ["OTA_UP_INSTANCE_UNSUPPORTED"])
    (finding,) = blocked.json["findings"]
    assert "requires instance `base`, which is not up" in finding["summary"]
    assert "`ota up --workflow app@base --detach`" in finding["next"]
    assert "which is not up" in repo.run("up", "--workflow", "app@more", "--dry-run").out
    assert repo.run("up", "--workflow", "app@base", "--detach").code == 0
    ready = repo.run("up", "--workflow", "app@more", "--json")
    assert (ready.code, ready.json["status"]) == (0, "READY"), ready
    assert repo.run("up", "--workflow", "app@base", "--stop").code == 0
    assert repo.run("up", "--workflow", "app@more").code == 1
