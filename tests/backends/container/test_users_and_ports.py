"""Who a body runs as and what is published, decided without an engine."""

import json
import os
import socket
from hashlib import sha256
from pathlib import Path

import pytest

from ota.backends.container.facts import PortMapping
from ota.backends.container.leases import Leases
from ota.backends.container.publication import (
    literal_address,
    lost_port,
    publish_arguments,
    published_ports,
    publishes,
    reserve,
    taken_port,
)
from ota.backends.container.user import is_root, is_rootless
from ota.errors import HostError
from support.container_bench import listener


@pytest.fixture
def own_socket(tmp_path: Path) -> Path:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    return path


def test_a_socket_of_ones_own_is_a_rootless_docker(own_socket: Path) -> None:
    environ = {"DOCKER_HOST": f"unix://{own_socket}"}
    assert is_rootless("docker", environ, os.getuid())
    assert not is_rootless("docker", environ, os.getuid() + 1)


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1:2375", "unix:///nonexistent.sock", "ssh://host"])
def test_any_other_docker_counts_as_rootful(address: str, tmp_path: Path) -> None:
    assert not is_rootless("docker", {"DOCKER_HOST": address, "DOCKER_CONFIG": str(tmp_path)}, 1000)


def test_the_current_context_of_docker_is_followed(own_socket: Path, tmp_path: Path) -> None:
    meta = tmp_path / "contexts" / "meta" / sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    endpoints = {"Endpoints": {"docker": {"Host": f"unix://{own_socket}"}}}
    (meta / "meta.json").write_text(json.dumps(endpoints))
    config = {"DOCKER_CONFIG": str(tmp_path)}
    assert is_rootless("docker", {**config, "DOCKER_CONTEXT": "mine"}, os.getuid())
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    assert is_rootless("docker", config, os.getuid())
    (tmp_path / "config.json").write_text("not json")
    assert not is_rootless("docker", config, os.getuid())


def test_podman_of_a_user_is_rootless_unless_it_talks_to_somebody_elses(own_socket: Path) -> None:
    assert is_rootless("podman", {}, 1000)
    assert is_rootless("podman", {"CONTAINER_HOST": f"unix://{own_socket}"}, os.getuid())
    assert not is_rootless("podman", {"CONTAINER_HOST": "unix:///run/podman/podman.sock"}, 1000)


@pytest.mark.parametrize(
    ("user", "root"),
    [("", True), ("0", True), ("0:5", True), ("root", True), ("1000", False), ("app:0", False)],
)
def test_root_in_every_spelling(user: str, root: bool) -> None:
    assert is_root(user) is root


# -- ports ---------------------------------------------------------------------------------------------------


def test_what_is_published_is_literal_and_said_once() -> None:
    ports = published_ports(
        [
            listener("b", 81, port=9001, address="::1"),
            listener("a", 80, port=9000, address="localhost"),
            listener("c", 82),
        ]
    )
    assert publish_arguments((*ports, *ports)) == (
        *("-p", "127.0.0.1:9000:80/tcp"),
        *("-p", "[::1]:9001:81/tcp"),
        *("-p", "127.0.0.1::82/tcp"),
    )
    assert literal_address("[::1]") == "::1"


def test_automatic_ports_are_held_until_they_are_released_and_fixed_ones_are_not() -> None:
    ports, held = reserve(published_ports([listener("a", 80), listener("b", 81, port=9000)]))
    assert ports[0].host_port and ports[1].host_port == 9000 and len(held) == 1
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", ports[0].host_port))
    held[0].release()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports[0].host_port))


def test_nothing_stays_held_when_one_of_several_cannot_be_reserved() -> None:
    with pytest.raises(HostError) as refused:
        reserve(published_ports([listener("a", 80), listener("b", 81, address="203.0.113.7")]))
    assert refused.value.findings[0].code == "OTA_HOST_PORT_RESERVATION_FAILED"


def test_only_a_fixed_port_that_is_taken_here_is_in_the_way() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        there = published_ports([listener("a", 80), listener("b", 81, port=port)])
        assert taken_port(there) == there[1]
        elsewhere = published_ports([listener("b", 81, port=port, address="203.0.113.7")])
        assert taken_port(elsewhere) is None  # an address of the engine's machine


@pytest.mark.parametrize(
    "said",
    [
        "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:9001 failed: "
        "port is already allocated",
        "Error starting userland proxy: listen tcp4 127.0.0.1:9001: bind: address already in use",
        "Error: cannot listen on the TCP port: listen tcp4 127.0.0.1:9001: bind: address already in use",
    ],
)
def test_the_port_an_engine_lost_is_known_by_its_words(said: str) -> None:
    ports = published_ports([listener("a", 80, port=9000), listener("b", 81, port=9001)])
    assert lost_port(said, ports) == ports[1]
    assert lost_port("no such image", ports) is None
    assert lost_port(said, ()) is None


def test_publications_exclude_each_other_by_address() -> None:
    mapping = PortMapping(container_port=80, protocol="tcp", host_address="0.0.0.0", host_port=9000)
    assert publishes([mapping], "127.0.0.1", 9000)
    assert not publishes([mapping], "127.0.0.1", 9001)
    assert not publishes([mapping], "::1", 9000)


# -- leases --------------------------------------------------------------------------------------------------


def test_many_are_inside_and_nobody_takes_it_away_meanwhile(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    one, other = leases.enter("ota-1"), leases.enter("ota-1")
    assert one is not None and other is not None and leases.try_alone("ota-1") is None
    one.release()
    assert leases.try_alone("ota-1") is None
    other.release()
    other.release()
    alone = leases.try_alone("ota-1")
    assert alone is not None and leases.enter("ota-1") is None
    alone.release()


def test_who_waits_for_a_container_stops_waiting_when_asked(tmp_path: Path) -> None:
    patient, hurried = Leases(tmp_path), Leases(tmp_path, should_stop=lambda: True)
    with (
        patient.reconciling("ota-1", "the first"),
        pytest.raises(HostError) as held,
        hurried.reconciling("ota-1", "the second"),
    ):
        raise AssertionError("two at once")
    assert held.value.findings[0].code == "OTA_LOCK_HELD"
