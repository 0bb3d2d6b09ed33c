"""What Docker and Podman answer, read into one shape: as they were recorded, and as they should not be."""

from pathlib import Path

import msgspec
import pytest

from ota.backends.container.engine import CallCount, Engine
from ota.backends.container.facts import (
    PortMapping,
    container_facts,
    inspect_containers,
    list_containers,
    ports_of_text,
)
from ota.errors import HostError
from support.container_bench import Bench
from support.engines import BUSYBOX

IDENTIFIER = "b430f3e53d0e" + "0" * 52


def saying(tmp_path: Path, text: str, *, name: str = "docker", code: int = 0, error: str = "") -> Engine:
    """An engine that answers this, whatever it is asked."""
    (tmp_path / "out").write_text(text)
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/out; echo '{error}' >&2; exit {code}\n")
    program.chmod(0o755)
    return Engine(name=name, program=str(program), environ={"PATH": "/usr/bin:/bin"}, count=CallCount())


def test_dockers_published_ports() -> None:
    text = "127.0.0.1:32768->80/tcp, :::3000-3001->3000-3001/tcp, 443/tcp, 0.0.0.0:53->53/udp, [::1]:9->9/tcp"
    assert [
        (each.container_port, each.protocol, each.host_address, each.host_port)
        for each in ports_of_text(text)
    ] == [
        (80, "tcp", "127.0.0.1", 32768),
        (3000, "tcp", "::", 3000),
        (3001, "tcp", "::", 3001),
        (53, "udp", "0.0.0.0", 53),
        (9, "tcp", "::1", 9),
    ]


def test_podmans_list_is_one_json_array(tmp_path: Path) -> None:
    entry = {
        "Id": IDENTIFIER,
        "Names": ["ota-1"],
        "State": "running",
        "Labels": {"dev.ota.managed": "true", "other": "x"},
        "Networks": ["b", "a"],
        "Ports": [{"host_ip": "", "container_port": 80, "host_port": 8000, "range": 2, "protocol": "tcp"}],
    }
    engine = saying(tmp_path, msgspec.json.encode([entry]).decode(), name="podman")
    (listed,) = list_containers(engine)
    assert (listed.name, listed.is_running, listed.networks) == ("ota-1", True, ("a", "b"))
    assert listed.labels == {"dev.ota.managed": "true"}
    assert [(port.container_port, port.host_port) for port in listed.ports] == [(80, 8000), (81, 8001)]


@pytest.mark.parametrize("text", ["", "[]", "null"])
def test_an_empty_list_of_podman_is_no_container(tmp_path: Path, text: str) -> None:
    assert list_containers(saying(tmp_path, text, name="podman")) == ()


@pytest.mark.parametrize("text", ["not json", '"x"\t"y"', "{", "\x00"])
def test_an_answer_that_is_none_is_refused_and_never_taken_for_nothing(tmp_path: Path, text: str) -> None:
    for name in ("docker", "podman"):
        with pytest.raises(HostError) as refused:
            list_containers(saying(tmp_path, text, name=name))
        assert refused.value.findings[0].code == "OTA_CONTAINER_ENGINE_REFUSED"


@pytest.mark.parametrize(
    "state",
    [
        {"Running": False, "ExitCode": 137, "OOMKilled": True, "Status": "exited"},
        {"running": "false", "exitCode": "137", "oomKilled": "true"},
        {"Running": "False", "exit_code": 137, "oom_killed": True},
    ],
)
def test_every_spelling_of_a_state_is_understood(state: dict[str, object]) -> None:
    facts = container_facts({"Id": IDENTIFIER, "Name": "/ota-1", "State": state})
    assert (facts.is_running, facts.exit_code, facts.oom_killed) == (False, 137, True)
    assert facts.was_started


def test_what_is_missing_or_null_is_not_known() -> None:
    facts = container_facts(
        {"Id": IDENTIFIER, "State": None, "Mounts": None, "NetworkSettings": {"Ports": None}}
    )
    assert (facts.is_running, facts.exit_code, facts.pid, facts.ports, facts.mounts) == (
        None,
        None,
        None,
        (),
        (),
    )
    assert not facts.oom_killed


def test_a_container_that_never_ran_was_not_started() -> None:
    for status in ("created", "configured"):
        assert not container_facts(
            {"Id": IDENTIFIER, "State": {"Status": status, "ExitCode": 128}}
        ).was_started


def test_asked_for_ports_are_told_of_a_container_that_does_not_run() -> None:
    facts = container_facts(
        {
            "Id": IDENTIFIER,
            "State": {"Running": False, "Status": "exited"},
            "HostConfig": {
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}], "81/tcp": None}
            },
            "NetworkSettings": {"Ports": {}},
        }
    )
    assert facts.ports == (
        PortMapping(container_port=80, protocol="tcp", host_address="127.0.0.1", host_port=None),
    )


def test_absent_containers_are_left_out_and_others_kept(tmp_path: Path) -> None:
    text = msgspec.json.encode([{"Id": IDENTIFIER, "Name": "/ota-1", "State": {"Running": True}}]).decode()
    engine = saying(tmp_path, text, code=1, error="Error: No such object: ota-2")
    assert list(inspect_containers(engine, ["ota-1", "ota-2", IDENTIFIER[:12]])) == ["ota-1", IDENTIFIER[:12]]


def test_an_engine_that_is_down_is_not_an_absent_container(tmp_path: Path) -> None:
    engine = saying(tmp_path, "[]", code=1, error="Cannot connect to the Docker daemon")
    with pytest.raises(HostError) as down:
        inspect_containers(engine, ["ota-1"])
    assert down.value.findings[0].code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"


@pytest.mark.engine
def test_a_label_that_looks_like_another_container_is_only_a_label(bench: Bench) -> None:
    forged = f'"feed"\t"ota-ephemeral-forged"\nx\t{bench.token}'
    options = ("--label", "dev.ota.managed=true", "--label", f"dev.ota.run={forged}")
    name = bench.raw.start(BUSYBOX, "sleep", "600", options=options)
    found = [each for each in list_containers(bench.engine) if each.name == name]
    assert [each.labels["dev.ota.run"] for each in found] == [forged]


@pytest.mark.engine
def test_list_and_inspection_agree_on_a_real_container(bench: Bench) -> None:
    options = (
        "-p",
        "127.0.0.1::80",
        "-p",
        "127.0.0.1::81",
        "--memory",
        "64m",
        "--label",
        "dev.ota.managed=true",
    )
    name = bench.raw.start(BUSYBOX, "sleep", "600", options=options)
    listed = next(each for each in list_containers(bench.engine) if each.name == name)
    facts = inspect_containers(bench.engine, [name])[name]
    assert listed.id == facts.id and listed.is_running and facts.is_running
    assert set(listed.ports) == set(facts.ports) and len(facts.ports) == 2
    assert listed.networks == facts.networks
    assert facts.memory_bytes == 64 << 20 and facts.pid and BUSYBOX in facts.image
    bench.raw.run("rm", "-f", name)
