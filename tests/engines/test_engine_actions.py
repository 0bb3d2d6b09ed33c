"""Steps of `action` and `prepare` that ask a container engine, against real Docker."""

import json
import threading

import pytest

from support.engines import BUSYBOX, PROJECT_LABEL, TEST_LABEL

pytestmark = pytest.mark.engine


def contract(**tasks):
    common = {
        "requirements": {"tools": {"docker": "*"}},
        "effects": {"external_state": ["engine-state"]},
    }
    return json.dumps(
        {
            "version": 1,
            "project": {"name": "engines"},
            "tasks": {name: {**common, **task} for name, task in tasks.items()},
        }
    )


@pytest.fixture
def removed(docker):
    """Names of images and networks that go with the test."""
    made = []
    yield made
    for kind, name in made:
        docker.run(kind, "rm", name, check=False)


def test_a_network_is_made_once_and_stays_also_when_two_runs_want_it_and_ota_cleans(
    project, docker, removed, assert_schema
):
    name = f"otatest-net-{docker.token[:8]}"
    removed.append(("network", name))
    network = {"kind": "ensure_container_network", "name": name}
    bundle = {"kind": "ensure_bundle", "steps": [{"kind": "ensure_directory", "path": "made"}, network]}
    repo = project({"ota.yaml": contract(net={"action": bundle})})
    codes = []
    runs = [
        threading.Thread(target=lambda: codes.append(repo.run("run", "net", timeout=60).code))
        for _ in range(2)
    ]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert codes == [0, 0]
    again = repo.run("run", "net", "--json")
    assert_schema(again.json, "run")
    assert f"kept network {name}" in again.out + again.err
    assert repo.run("clean").code == 0
    (found,) = json.loads(docker.run("network", "inspect", name).stdout)
    assert found["Labels"] == {}


def test_an_image_is_built_from_the_checkout_and_a_failure_shows_the_builders_own_words(
    project, docker, removed
):
    tag = f"ota-test/built-{docker.token[:8]}"
    removed.append(("image", tag))
    image = {"kind": "build_container_image", "file": "docker/Dockerfile", "context": "docker", "tag": tag}
    repo = project(
        {
            "ota.yaml": contract(
                image={"action": image}, broken={"action": {**image, "file": "docker/Broken"}}
            ),
            "docker/Dockerfile": f"FROM {BUSYBOX}\nCOPY greeting /greeting\n",
            "docker/Broken": f"FROM {BUSYBOX}\nCOPY nowhere /greeting\n",
            "docker/greeting": "hello",
        }
    )
    built = repo.run("run", "image", timeout=60)
    assert built.code == 0, built.err
    assert f"built image {tag}" in built.out + built.err
    assert docker.run("run", "--rm", tag, "cat", "/greeting").stdout == "hello"
    broken = repo.run("run", "broken", timeout=60)
    assert broken.code == 1
    assert "nowhere" in broken.out + broken.err
    assert "docker build" in broken.out + broken.err


def test_the_volume_of_a_service_is_renewed_and_anothers_of_that_name_is_left_alone(
    project, docker, compose_project
):
    repo = project({})
    db = {"image": BUSYBOX, "command": ["sleep", "600"], "volumes": ["data:/data"], "stop_grace_period": "0s"}
    volumes = {"data": {"labels": {TEST_LABEL: docker.token}}}
    compose = compose_project(
        "docker compose", {"services": {"db": db}, "volumes": volumes}, folder=repo.path / "stack"
    )
    where = {"cwd": "stack", "files": ["compose.yaml"], "project_name": compose.name}
    reset = {"kind": "reset_compose_service_volume", "service": "db", "volume": "data", "compose": where}
    repo.write(
        {"ota.yaml": contract(reset={"action": reset}, typo={"action": {**reset, "volume": "nothing"}})}
    )
    compose.run("up", "-d")
    docker.run("exec", compose.container("db"), "touch", "/data/old")

    done = repo.run("run", "reset", timeout=60)
    assert done.code == 0, done.err
    assert f"removed volume {compose.name}_data; service db started again" in done.out + done.err
    assert docker.run("exec", compose.container("db"), "ls", "/data").stdout == ""

    # what does not run is not started, and a volume that is not there is no error
    compose.run("rm", "-f", "-s", "db")
    docker.run("volume", "rm", f"{compose.name}_data")
    gone = repo.run("run", "reset", timeout=60)
    assert gone.code == 0, gone.err
    assert "there was no volume data to remove; service db not started" in gone.out + gone.err
    assert docker.containers(f"{PROJECT_LABEL}={compose.name}") == []

    docker.run("volume", "create", "--label", f"{TEST_LABEL}={docker.token}", f"{compose.name}_data")
    foreign = repo.run("run", "reset", timeout=60)
    assert foreign.code == 1
    assert "left alone" in foreign.err
    assert docker.run("volume", "inspect", f"{compose.name}_data").returncode == 0
    assert "declares no volume `nothing`" in repo.run("run", "typo", timeout=60).err


def test_images_are_asked_of_their_registry_and_those_that_are_built_here_are_not(
    project, docker, compose_project
):
    repo = project({})
    services = {
        "built": {"image": "ota-test/never-pushed", "build": "."},
        "fetched": {"image": "127.0.0.1:9/ota-test/nowhere"},
    }
    compose_project("docker compose", {"services": services}, folder=repo.path / "stack")

    def hydration(target):
        source = {"kind": "docker_compose", "cwd": "stack", "file": "compose.yaml"}
        return {
            "effects": {"network": True, "network_kind": "container_image_hydration"},
            "prepare": {
                "kind": "dependency_hydration",
                "medium": "container_images",
                "source": source,
                "targets": [target],
            },
        }

    repo.write({"ota.yaml": contract(built=hydration("built"), fetched=hydration("fetched"))})
    built = repo.run("run", "built", timeout=60)
    assert built.code == 0, built.err
    assert "docker compose pull: built" in built.out + built.err
    fetched = repo.run("run", "fetched", timeout=60)
    assert fetched.code != 0
    assert "127.0.0.1:9" in fetched.out + fetched.err
    assert "docker compose" in fetched.err
