"""Real engines whose command line or socket fails at the worst moment."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ota.backends.container.ephemeral import observe_end, release_ephemeral, verify_published
from ota.backends.container.facts import inspect_containers
from ota.errors import Finding, HostError
from support.container_bench import Bench, listener
from support.engine_faults import Act, SocketProxy, put_before
from support.waiting import wait_until

pytestmark = pytest.mark.engine


def test_a_removal_that_fails_is_told_with_the_command_that_does_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = bench.ephemeral("true")
    put_before(
        bench.raw, tmp_path / "bin", '[ "$1" = rm ] && { echo "device busy" >&2; exit 1; }', monkeypatch
    )
    finding = bench.release(ran)
    assert finding is not None and finding.severity == "warn"
    assert finding.code == "OTA_CONTAINER_LEFT_BEHIND"
    assert f"ephemeral container cleanup failed for `{ran.prepared.name}`" in finding.summary
    assert finding.why == "device busy" and f"rm -f {ran.prepared.name}" in finding.next


def test_a_removal_that_fails_once_is_done_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = bench.ephemeral("true")
    script = '[ "$1" = rm ] && [ ! -e "$NOTES/failed" ] && { touch "$NOTES/failed"; exit 1; }'
    put_before(bench.raw, tmp_path / "bin", script, monkeypatch)
    assert bench.release(ran) is None
    assert bench.names() == []


def test_an_engine_that_dies_after_it_created_leaves_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = '[ "$1" = create ] && { "$REAL" "$@" >/dev/null; echo "unexpected EOF" >&2; exit 1; }'
    put_before(bench.raw, tmp_path / "bin", script, monkeypatch)
    with pytest.raises(HostError) as died:
        bench.ephemeral_run("true").prepare()
    assert died.value.findings[0].code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"
    assert bench.names() == []


def test_a_network_that_cannot_be_joined_leaves_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects = (f"otatest-a{bench.token}", f"otatest-b{bench.token}")
    script = '[ "$1 $2" = "network connect" ] && { echo "no free addresses" >&2; exit 1; }'
    put_before(bench.raw, tmp_path / "bin", script, monkeypatch)
    for run in (bench.ephemeral_run, bench.persistent_run):
        with pytest.raises(HostError) as refused:
            run(bench.work("true", compose_projects=projects)).prepare()
        assert "no free addresses" in refused.value.findings[0].why
    assert bench.names() == []


def reporting(port: str) -> str:
    """A stand-in whose inspections tell of another host port, or of none."""
    edit = f's/"HostPort": "[0-9]*"/"HostPort": "{port}"/'
    return f"""[ "$1" = inspect ] && {{ "$REAL" "$@" | sed '{edit}'; exit; }}"""


@pytest.mark.proves("S000-122")
def test_a_port_that_is_reported_late_is_waited_for(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first looks at a container tell of no published port."""
    script = """
if [ "$1" = inspect ]; then
  echo x >>"$NOTES/looks"
  if [ $(wc -l <"$NOTES/looks") -le 3 ]; then
    "$REAL" "$@" | sed 's/"HostPort": "[0-9]*"/"HostPort": ""/'; exit
  fi
fi"""
    folder = put_before(bench.raw, tmp_path / "bin", script, monkeypatch)
    ran = bench.persistent(bench.work("echo $PORT_HTTP", listeners=[listener()]))
    assert ran.out == f"{bench.raw.address(ran.prepared.name, 8080)[1]}\n"
    assert len((folder / "looks").read_text().split()) == 4


def test_a_port_that_is_never_reported_is_given_up(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = '[ "$1" = inspect ] && { "$REAL" "$@" | sed \'s/"HostPort": "[0-9]*"/"HostPort": ""/\'; exit; }'
    put_before(bench.raw, tmp_path / "bin", script, monkeypatch)
    with pytest.raises(HostError) as refused:
        bench.persistent_run(bench.work("true", listeners=[listener()])).prepare()
    (finding,) = refused.value.findings
    assert finding.code == "OTA_CONTAINER_PORT_UNKNOWN"
    assert "container engine did not report a host port" in finding.summary


def test_another_port_than_the_reserved_one_is_found_out(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = bench.ephemeral_run(bench.work("echo up; sleep 600", listeners=[listener()])).prepare()
    attached = bench.start(prepared)
    wait_until(lambda: b"up" in attached.out, "the body to be up")

    def verified() -> Finding | None:
        facts = inspect_containers(bench.engine, [prepared.name]).get(prepared.name)
        return verify_published(bench.engine, prepared, bench.work(), facts)

    assert verified() is None
    put_before(bench.raw, tmp_path / "bin", reporting("9"), monkeypatch)
    finding = verified()
    assert finding is not None and finding.code == "OTA_CONTAINER_PORT_UNKNOWN"
    release_ephemeral(bench.engine, prepared.name)
    attached.wait()
    assert verified() is None  # gone: nothing to hold against it


def test_a_full_disk_under_the_engine_is_told_in_its_words(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Error response from daemon: mkdir /var/lib/x: no space left on device"
    script = f'case "$1" in create|run) echo "{said}" >&2; exit 1;; esac'
    put_before(bench.raw, tmp_path / "bin", script, monkeypatch)
    for run in (bench.ephemeral_run, bench.persistent_run):
        with pytest.raises(HostError) as refused:
            run("true").prepare()
        (finding,) = refused.value.findings
        assert finding.code == "OTA_CONTAINER_ENGINE_FULL" and "no space left on device" in finding.why
    assert bench.names() == []


# -- docker's socket -----------------------------------------------------------------------------------------


@pytest.fixture
def proxied(
    bench_on: Callable[[str], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[bytes], Act]], Bench]]:
    """A bench whose Docker is behind a proxy that cuts what `judge` says."""
    proxies: list[SocketProxy] = []

    def make(judge: Callable[[bytes], Act]) -> Bench:
        bench = bench_on("docker")
        assert bench.token
        target = bench.raw.environment["DOCKER_HOST"]
        proxies.append(SocketProxy(tmp_path / "s", target, judge))
        monkeypatch.setenv("DOCKER_HOST", proxies[-1].address)
        return bench

    yield make
    monkeypatch.undo()
    for proxy in proxies:
        proxy.close()


@pytest.mark.parametrize("act", ["cut", "refuse"])
@pytest.mark.parametrize("path", [b"/containers/create", b"/containers/json"])
def test_a_connection_that_is_cut_is_an_engine_that_is_gone(
    proxied: Callable[[Callable[[bytes], Act]], Bench], act: Act, path: bytes
) -> None:
    bench = proxied(lambda data: act if path in data.partition(b"\r\n")[0] else "pass")
    with pytest.raises(HostError) as died:
        bench.ephemeral_run("true").prepare()
    assert died.value.findings[0].code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"
    assert bench.names() == []


def test_an_engine_that_goes_away_while_the_body_runs_is_told_and_cleaned_up_after(
    proxied: Callable[[Callable[[bytes], Act]], Bench],
) -> None:
    gone: list[bool] = []
    bench = proxied(lambda data: "refuse" if gone else "pass")
    prepared = bench.ephemeral_run("echo up; sleep 600").prepare()
    attached = bench.start(prepared)
    wait_until(lambda: b"up" in attached.out, "the body to be up")
    gone.append(True)
    with pytest.raises(HostError) as away:
        observe_end(bench.engine, prepared.name)
    assert away.value.findings[0].code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"
    finding = release_ephemeral(bench.engine, prepared.name)
    assert finding is not None and finding.code == "OTA_CONTAINER_LEFT_BEHIND"
    gone.clear()
    assert release_ephemeral(bench.engine, prepared.name) is None
    attached.wait()
    assert bench.names() == []
