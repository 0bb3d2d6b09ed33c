"""`ota doctor --mode container` on real engines: what an image has, and nothing left of the question."""

import json
import os

import pytest

from support.container_project import image_with
from support.engines import BUSYBOX
from support.waiting import wait_until

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


def names(engine):
    return set(engine.run("ps", "-a", "--format", "{{.Names}}").stdout.split())


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_the_image_is_asked_and_nothing_of_it_stays(project, engine, assert_schema, lifecycle):
    text = CONTRACT.replace("LIFECYCLE", lifecycle).replace("ENGINE", engine.name)
    repo = project({"ota.yaml": text.replace("IMAGE", BUSYBOX).replace("tools: {host-only: '1'}\n", "")})
    before = names(engine)
    done = repo.run("doctor", "--mode", "container", "--json", timeout=100)
    assert_schema(done.json, "doctor")
    found = {each["summary"]: each for each in done.json["findings"]}
    assert found["Missing tool: not-in-there"]["severity"] == "error"
    assert f"inside image `{BUSYBOX}` of context `app`" in found["Missing tool: not-in-there"]["why"]
    assert not [summary for summary in found if "wget" in summary or "host-only" in summary]
    assert done.code == 1
    asked = {name for name in names(engine) - before if name.startswith("ota-doctor-")}
    # Other tests ask too; what they ask in is gone a moment later.
    wait_until(lambda: not asked & names(engine), "containers of doctor that go")
    assert not (repo.path / ".ota").exists()


def test_an_image_that_the_engine_lacks_is_not_fetched(project, engine):
    text = CONTRACT.replace("LIFECYCLE", "ephemeral").replace("ENGINE", engine.name)
    repo = project({"ota.yaml": text.replace("IMAGE", "localhost/ota-test/nowhere")})
    done = repo.run("doctor", "--mode", "container", "--json", timeout=100)
    (first, *_) = done.json["findings"]
    assert first["code"] == "OTA_CONTAINER_IMAGE_UNAVAILABLE", done
    assert f"`{engine.name} pull localhost/ota-test/nowhere`" in first["next"]
    # where nothing is asked inside, a run would fetch it and go on
    app = {"backend": "container", "lifecycle": "ephemeral"}
    app |= {"container": {"image": "localhost/ota-test/nowhere", "engines": [engine.name]}}
    execution = {"default_context": "app", "contexts": {"app": app}}
    contract = {
        "version": 1,
        "project": {"name": "x"},
        "execution": execution,
        "tasks": {"t": {"run": "true"}},
    }
    repo.write({"ota.yaml": json.dumps(contract)})
    done = repo.run("doctor", "--mode", "container", "--json", timeout=100)
    (told,) = [each for each in done.json["findings"] if each["code"] == first["code"]]
    assert (told["severity"], done.code) == ("warn", 0)


TOOL = "#!/bin/sh\necho tool 1.0\n"

ONE_SIDE = """
version: 1
project: {name: x}
tools: &tools {on-this-host: '*', in-the-image: '*', on-neither: '*', sh: '*'}
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app:
      backend: container
      lifecycle: ephemeral
      container: {image: IMAGE, engines: [ENGINE]}
      requirements: {tools: *tools}
tasks: {t: {run: 'true', context: app}, u: {run: 'true', context: host}}
"""


@pytest.mark.proves("S002-16")
def test_a_tool_of_one_side_is_missing_on_the_other_alone(project, engine, assert_schema, tmp_path):
    """The host has no `in-the-image`, the image no `on-this-host`; what neither has is told in both."""
    with_tool = image_with(engine, {"/bin/in-the-image": TOOL}, tmp_path)
    try:
        text = ONE_SIDE.replace("ENGINE", engine.name).replace("IMAGE", with_tool)
        repo = project({"ota.yaml": text})
        tool = repo.path.parent / "host-tools" / "on-this-host"
        tool.parent.mkdir()
        tool.write_text(TOOL)
        tool.chmod(0o755)
        env = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}

        def missing(*mode):
            document = repo.run("doctor", *mode, "--json", env=env, timeout=100).json
            assert_schema(document, "doctor")
            words = "Missing tool: "
            said = [each["summary"] for each in document["findings"]]
            return sorted(each.removeprefix(words) for each in said if each.startswith(words))

        assert missing() == ["in-the-image", "on-neither"]
        assert missing("--mode", "container") == ["on-neither", "on-this-host"]
    finally:
        engine.run("rmi", "-f", with_tool)
