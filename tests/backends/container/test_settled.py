"""Going back into a container without asking the engine first: what is remembered, and what proves it."""

from pathlib import Path

import pytest

from ota.backends.container.identity import ContainerIdentity
from ota.backends.container.persistent import PersistentRun
from ota.backends.container.settled import Settled
from ota.backends.container.work import Work
from ota.errors import HostError
from support.container_bench import Bench, Ran, environment
from support.engines import BUSYBOX

REUSED = "persistent container reused"


def presuming(bench: Bench, work: Work | str) -> PersistentRun:
    work = bench.work(work) if isinstance(work, str) else work
    return PersistentRun(bench.engine, work, environment({}, {}), bench.scene, may_presume=True)


def went(bench: Bench, work: Work | str) -> Ran:
    """Run a body as a run does."""
    run = presuming(bench, work)
    while True:
        prepared = run.prepare()
        ran = bench.enter(prepared)
        if ran.mark.is_started:
            break
        run.not_started(prepared, ran.mark.said)
    if ran.mark.is_proven:
        prepared.remember()
    prepared.leave()
    return ran


# -- what is remembered --------------------------------------------------------------------------------------


def identity(image: str = "i", user: str | None = None) -> ContainerIdentity:
    return ContainerIdentity(root="/r", engine="docker", image=image, task="t", user=user)


@pytest.mark.edge
def test_a_memory_is_of_one_container_in_one_shape_of_one_checkout(tmp_path: Path) -> None:
    settled = Settled(tmp_path, identity(), "a" * 16)
    assert not settled.is_known
    settled.keep()
    assert Settled(tmp_path, identity(), "a" * 16).is_known
    assert not Settled(tmp_path, identity(), "b" * 16).is_known
    assert not Settled(tmp_path, identity(image="other"), "a" * 16).is_known
    assert not Settled(tmp_path, identity(user="1000"), "a" * 16).is_known
    settled.forget()
    assert not settled.is_known


@pytest.mark.edge
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x" * 100_000])
def test_a_damaged_memory_is_none(tmp_path: Path, content: bytes) -> None:
    settled = Settled(tmp_path, identity(), "a" * 16)
    settled.keep()
    (path,) = (tmp_path / ".ota" / "state" / "cache" / "containers").iterdir()
    path.write_bytes(content)
    assert not settled.is_known


# -- on engines ----------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_a_container_that_showed_itself_is_entered_without_a_question(bench: Bench) -> None:
    assert not went(bench, "echo one >/tmp/here").prepared.is_presumed
    engine = bench.engine
    run = PersistentRun(
        engine, bench.work("cat /tmp/here"), environment({}, {}), bench.scene, may_presume=True
    )
    prepared = run.prepare()
    ran = bench.enter(prepared)
    prepared.leave()
    assert engine.count.calls == [] and prepared.is_presumed
    assert (ran.out, ran.err, ran.code) == ("one\n", "", 0)
    # another task of the same context has not been there: what served it before has to be looked for
    other = went(bench, bench.work("true", task="other"))
    assert (other.prepared.is_presumed, other.prepared.notes[-1]) == (False, REUSED)
    assert went(bench, bench.work("true", task="other")).prepared.is_presumed


@pytest.mark.engine
def test_a_stranger_with_the_name_is_not_entered(bench: Bench) -> None:
    name = went(bench, "true").prepared.name
    bench.raw.run("rm", "-f", name)
    mine = ("--label", f"dev.ota.test={bench.raw.token}")
    bench.raw.run("run", "-d", "--init", "--name", name, *mine, BUSYBOX, "sleep", "600")
    with pytest.raises(HostError) as refused:
        went(bench, "touch /tmp/was-here")
    assert refused.value.findings[0].code == "OTA_CONTAINER_NAME_TAKEN"
    assert bench.raw.run("exec", name, "ls", "/tmp").stdout == ""


@pytest.mark.engine
@pytest.mark.parametrize(
    ("words", "note"),
    [
        (("pause",), "persistent container reused (existing container was paused, and was resumed)"),
        (
            ("stop", "-t", "0"),
            "persistent container recreated (existing container was stopped before execution)",
        ),
        (("rm", "-f"), "persistent container created"),
    ],
)
def test_what_somebody_did_to_the_container_is_seen_before_the_body(
    bench: Bench, words: tuple[str, ...], note: str
) -> None:
    bench.raw.run(*words, went(bench, "true").prepared.name)
    ran = went(bench, "echo ran")
    assert (ran.out, ran.prepared.notes[-1], ran.prepared.is_presumed) == ("ran\n", note, False)
    assert went(bench, "true").prepared.is_presumed


@pytest.mark.engine
def test_what_served_the_work_in_another_shape_is_never_overlooked(bench: Bench) -> None:
    went(bench, bench.work("true", task="owner"))
    went(bench, bench.work("true"))
    bigger = went(bench, bench.work("true", memory_bytes=64 * 1024**2))
    back = went(bench, bench.work("true"))
    assert not back.prepared.is_presumed
    assert bigger.prepared.name not in bench.names()
