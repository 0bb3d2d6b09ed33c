"""`ota doctor --mode container` on real engines: what an image has, and nothing left of the question."""

import pytest

from support.engines import BUSYBOX

pytestmark = pytest.mark.engine

CONTRACT = """
version: 1
project: {name: x}
tools: {host-only: '1'}
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app:
      backend: container
      lifecycle: LIFECYCLE
      container: {image: IMAGE, engines: [ENGINE]}
      requirements: {tools: {wget: '*', busybox: '>=1', not-in-there: '*'}}
tasks: {t: {run: 'true', context: app}}
"""


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_the_image_is_asked_and_nothing_of_it_stays(project, engine, assert_schema, lifecycle):
    text = CONTRACT.replace("LIFECYCLE", lifecycle).replace("ENGINE", engine.name)
    repo = project({"ota.yaml": text.replace("IMAGE", BUSYBOX).replace("tools: {host-only: '1'}\n", "")})
    before = set(engine.run("ps", "-a", "--format", "{{.Names}}").stdout.split())
    done = repo.run("doctor", "--mode", "container", "--json", timeout=100)
    assert_schema(done.json, "doctor")
    found = {each["summary"]: each for each in done.json["findings"]}
    assert found["Missing tool: not-in-there"]["severity"] == "error"
    assert f"inside image `{BUSYBOX}` of context `app`" in found["Missing tool: not-in-there"]["why"]
    assert not [summary for summary in found if "wget" in summary or "host-only" in summary]
    assert done.code == 1
    new = set(engine.run("ps", "-a", "--format", "{{.Names}}").stdout.split()) - before
    assert not [name for name in new if name.startswith("ota-doctor-")]
    assert not (repo.path / ".ota").exists()


def test_an_image_that_the_engine_lacks_is_not_fetched(project, engine):
    text = CONTRACT.replace("LIFECYCLE", "ephemeral").replace("ENGINE", engine.name)
    repo = project({"ota.yaml": text.replace("IMAGE", "localhost/ota-test/nowhere")})
    done = repo.run("doctor", "--mode", "container", "--json", timeout=100)
    (first, *_) = done.json["findings"]
    assert first["code"] == "OTA_CONTAINER_IMAGE_UNAVAILABLE", done
    assert f"`{engine.name} pull localhost/ota-test/nowhere`" in first["next"]
