"""Host ports that others take, and containers of dead runs that hold them, on real Docker and Podman."""

import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ota.backends.container.ephemeral import release_ephemeral
from ota.backends.container.identity import ephemeral_labels
from ota.errors import HostError
from ota.system.processes import observe_identity
from support.container_bench import Bench, listener
from support.engines import BUSYBOX
from support.waiting import wait_until

pytestmark = pytest.mark.engine

FreePort = Callable[[], int]


@contextmanager
def thief(address: str, port: int) -> Iterator[None]:
    """Somebody who listens on that very address and port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind((address, port))
        taken.listen()
        yield


def host_port(prepared: object) -> int:
    port = prepared.publications[0].host_port  # type: ignore[attr-defined]
    assert isinstance(port, int)
    return port


@pytest.mark.proves("S001-62")
def test_an_automatic_port_is_reserved_published_and_told_to_the_body(bench: Bench) -> None:
    body = "echo $PORT_HTTP; echo up; sleep 600"
    prepared = bench.ephemeral_run(bench.work(body, listeners=[listener()])).prepare()
    reserved = host_port(prepared)
    bindings = bench.raw.inspect(prepared.name)[0]["HostConfig"]["PortBindings"]["8080/tcp"]
    assert bindings == [{"HostIp": "127.0.0.1", "HostPort": str(reserved)}]
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", reserved))
    attached = bench.start(prepared)
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    assert bytes(attached.out).split()[0] == str(reserved).encode()
    assert bench.raw.address(prepared.name, 8080) == ("127.0.0.1", reserved)
    release_ephemeral(bench.engine, prepared.name)
    attached.wait()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.proves("S001-156")
def test_a_port_stolen_once_is_replaced_without_a_word(bench: Bench, address: str) -> None:
    run = bench.ephemeral_run(bench.work("echo ran $PORT_HTTP", listeners=[listener()]))
    first = run.prepare()
    first.release_ports()
    with thief(address, host_port(first)):
        lost = bench.enter(first)
        assert not lost.mark.is_started and lost.out == "" and lost.err == ""
        run.not_started(first, lost.mark.said)
        second = run.prepare()
        ran = bench.enter(second)
    assert host_port(second) != host_port(first)
    assert ran.out == f"ran {host_port(second)}\n"
    assert bench.names() == [second.name]  # no leftover in `Created`


def test_a_neighbour_on_the_other_loopback_is_no_thief(bench: Bench) -> None:
    run = bench.ephemeral_run(bench.work("echo ran", listeners=[listener()]))
    prepared = run.prepare()
    with thief("::1", host_port(prepared)):
        assert bench.enter(prepared).out == "ran\n"


@pytest.mark.proves("S000-41", "S001-156")
def test_a_port_stolen_every_time_is_given_up_after_five_attempts(bench: Bench) -> None:
    run = bench.ephemeral_run(bench.work("echo ran", listeners=[listener()]))
    attempts = 0
    with pytest.raises(HostError) as refused:
        while True:
            prepared = run.prepare()
            attempts += 1
            prepared.release_ports()
            with thief("127.0.0.1", host_port(prepared)):
                run.not_started(prepared, bench.enter(prepared).mark.said)
    (finding,) = refused.value.findings
    assert attempts == 5
    assert finding.code == "OTA_HOST_PUBLICATION_CONFLICT"
    assert f"could not publish host port {host_port(prepared)}" in finding.summary
    assert "listener `http`" in finding.summary and "keep `auto`" in finding.next
    assert "each of 5 ports that were free was taken" in finding.why
    assert bench.names() == []


def test_a_fixed_port_held_by_a_stranger_is_refused_before_anything_is_made(
    bench: Bench, free_port: FreePort
) -> None:
    port = free_port()
    engine = bench.engine
    run = bench.ephemeral_run(bench.work("true", listeners=[listener(port=port)]), engine=engine)
    with thief("127.0.0.1", port), pytest.raises(HostError) as refused:
        run.prepare()
    (finding,) = refused.value.findings
    assert finding.code == "OTA_HOST_PUBLICATION_CONFLICT"
    assert f"pid {os.getpid()}" in finding.why
    assert "create" not in [call[0] for call in engine.count.calls]


def test_a_fixed_port_lost_at_the_last_moment_is_refused_by_the_holder(
    bench: Bench, free_port: FreePort
) -> None:
    port = free_port()
    run = bench.ephemeral_run(bench.work("true", listeners=[listener(port=port)]))
    prepared = run.prepare()
    with thief("0.0.0.0", port), pytest.raises(HostError) as refused:
        run.not_started(prepared, bench.enter(prepared).mark.said)
    assert f"pid {os.getpid()}" in refused.value.findings[0].why
    assert bench.names() == []


def test_a_port_held_by_another_container_names_it(bench: Bench, free_port: FreePort) -> None:
    port = free_port()
    name = bench.raw.start(BUSYBOX, "sleep", "600", options=("-p", f"127.0.0.1:{port}:80"))
    with pytest.raises(HostError) as refused:
        bench.ephemeral_run(bench.work("true", listeners=[listener(port=port)])).prepare()
    (finding,) = refused.value.findings
    assert name in finding.why and f"{bench.raw.name} stop {name}" in finding.next


def test_an_ephemeral_run_takes_its_port_from_an_idle_container_of_ours(
    bench: Bench, free_port: FreePort
) -> None:
    port = free_port()
    kept = bench.persistent(bench.work("true", task="serve", listeners=[listener(port=port)]))
    ran = bench.ephemeral(bench.work("echo ran", listeners=[listener(port=port)]))
    assert ran.out == "ran\n"
    assert "reclaimed 1 conflicting persistent backend before starting task" in ran.prepared.notes
    assert kept.prepared.name not in bench.names()


def test_a_container_of_ours_that_a_run_is_in_keeps_its_port(bench: Bench, free_port: FreePort) -> None:
    port = free_port()
    inside = bench.persistent_run(bench.work("true", task="serve", listeners=[listener(port=port)])).prepare()
    with pytest.raises(HostError) as refused:
        bench.ephemeral_run(bench.work("true", listeners=[listener(port=port)])).prepare()
    assert inside.name in refused.value.findings[0].why + refused.value.findings[0].next
    inside.leave()
    assert inside.name in bench.names()


# -- orphans -------------------------------------------------------------------------------------------------


def dead_owner() -> tuple[int, str]:
    """A process that was, and is not any more."""
    with subprocess.Popen(["sleep", "600"]) as process:
        identity = observe_identity(process.pid)
        assert identity is not None
        process.kill()
    return process.pid, str(identity.start_ticks)


def plant(bench: Bench, name: str, labels: dict[str, str], *options: str, runs: bool = True) -> str:
    """A container as a run left it, for the test's end to remove."""
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    mine = ("--label", f"dev.ota.test={bench.raw.token}")
    verb = ("run", "-d") if runs else ("create",)
    bench.raw.run(*verb, "--init", "--stop-timeout", "0", "--name", name, *mine, *words, *options, BUSYBOX,
                  "sleep", "600")  # fmt: skip
    return name


def orphan_labels(bench: Bench, *, start: bool = True) -> dict[str, str]:
    pid, ticks = dead_owner()
    return ephemeral_labels(bench.token, owner_pid=pid, owner_start=ticks if start else "")


@pytest.mark.parametrize("runs", [True, False], ids=["running", "created"])
def test_what_a_dead_run_left_is_reclaimed_before_the_next_body(bench: Bench, runs: bool) -> None:
    plant(bench, f"ota-ephemeral-{bench.token}", orphan_labels(bench), runs=runs)
    ran = bench.ephemeral("true")
    assert ran.prepared.notes == ("reclaimed 1 orphaned ephemeral container before starting task",)
    assert bench.names() == [ran.prepared.name]


@pytest.mark.proves("S000-43")
def test_bait_beside_the_orphan_is_left_alone(bench: Bench) -> None:
    pid, ticks = dead_owner()
    ours = ephemeral_labels(bench.token, owner_pid=pid, owner_start=ticks)
    own = observe_identity(os.getpid())
    assert own is not None
    bait = {
        "another-repository": {**ours, "dev.ota.repo": "feedfeedfeedfeed"},
        "no-token": {key: value for key, value in ours.items() if key != "dev.ota.repo"},
        "not-managed": {**ours, "dev.ota.managed": "yes"},
        "persistent": {**ours, "dev.ota.lifecycle": "persistent"},
        "living-owner": ephemeral_labels(
            bench.token, owner_pid=os.getpid(), owner_start=str(own.start_ticks)
        ),
        "no-owner": {key: value for key, value in ours.items() if not key.startswith("dev.ota.owner")},
        "another-name": ours,
        "another-machine": {**ours, "dev.ota.owner_start": f"{ticks}/{uuid.uuid4()}/pid:[1]"},
    }
    planted = [
        plant(bench, f"{'other' if what == 'another-name' else 'ota-ephemeral'}-{what}-{bench.token}", labels)
        for what, labels in bait.items()
    ]
    orphan = plant(bench, f"ota-ephemeral-{bench.token}", ours)
    bench.ephemeral("true")
    left = bench.raw.containers(f"dev.ota.test={bench.raw.token}")
    assert sorted(set(planted) - set(left)) == [] and orphan not in left


def test_a_pid_that_somebody_else_has_now_is_no_owner(bench: Bench) -> None:
    labels = ephemeral_labels(bench.token, owner_pid=os.getpid(), owner_start="12345")
    plant(bench, f"ota-ephemeral-{bench.token}", labels)
    assert bench.ephemeral("true").prepared.notes != ()


@pytest.mark.proves("S000-42")
def test_a_container_of_an_earlier_version_that_holds_the_port_is_reclaimed(
    bench: Bench, free_port: FreePort
) -> None:
    port = free_port()
    labels = {"dev.ota.managed": "true", "dev.ota.repo": bench.token}
    plant(bench, f"ota-ephemeral-{bench.token}", labels, "-p", f"127.0.0.1:{port}:8080")
    ran = bench.ephemeral(bench.work("echo ran", listeners=[listener(port=port)]))
    assert ran.out == "ran\n"
    assert "reclaimed 1 orphaned ephemeral container before starting task" in ran.prepared.notes
    assert bench.names() == [ran.prepared.name]


@pytest.mark.proves("S000-43")
def test_one_of_an_earlier_version_is_left_alone_elsewhere(bench: Bench, free_port: FreePort) -> None:
    port, other_port = free_port(), free_port()
    ours = {"dev.ota.managed": "true", "dev.ota.repo": bench.token}
    theirs = {**ours, "dev.ota.repo": "feedfeedfeedfeed"}
    plant(bench, f"ota-ephemeral-a{bench.token}", ours, "-p", f"127.0.0.1:{other_port}:8080")
    holder = plant(bench, f"ota-ephemeral-b{bench.token}", theirs, "-p", f"127.0.0.1:{port}:8080")
    with pytest.raises(HostError) as refused:
        bench.ephemeral_run(bench.work("true", listeners=[listener(port=port)])).prepare()
    assert holder in refused.value.findings[0].why + refused.value.findings[0].next
    assert bench.names() == [f"ota-ephemeral-a{bench.token}"]
    assert bench.raw.inspect(holder)[0]["State"]["Running"]
