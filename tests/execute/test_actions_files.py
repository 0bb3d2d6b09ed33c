"""File actions: once is enough, nothing is lost, nothing is written outside."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ota.contract.model.bodies import (
    CopyIfMissing,
    EnsureDirectory,
    EnsureEnvFile,
    EnsureFile,
    EnvFileVar,
    RandomValue,
)
from ota.errors import OtaError
from ota.execute.actions import ActionFailedError
from ota.execute.actions.files import Files, apply_file_part
from ota.system.clock import SYSTEM_CLOCK


class Repo:
    """A folder, and the actions done in it."""

    def __init__(self, path: Path, env: dict[str, str] | None = None) -> None:
        self.path = path
        self.secrets: list[str] = []
        self.files = Files(root=path, env=env or {}, clock=SYSTEM_CLOCK, learn=self.secrets.extend)

    def do(self, part) -> str:
        return apply_file_part(self.files, part)

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def mode(self, name: str) -> int:
        return stat.S_IMODE((self.path / name).stat().st_mode)

    def snapshot(self) -> dict[str, object]:
        """Content, mode and identity of everything: a file written again would have another inode."""
        return {
            str(path.relative_to(self.path)): (
                path.lstat().st_ino,
                path.lstat().st_mode,
                path.read_bytes() if path.is_file() else None,
            )
            for path in sorted(self.path.rglob("*"))
        }


@pytest.fixture
def repo(tmp_path):
    path = tmp_path / "repo"
    path.mkdir()
    return Repo(path)


def env_file(**vars_: EnvFileVar | str) -> EnsureEnvFile:
    made = {key: EnvFileVar(value=each) if isinstance(each, str) else each for key, each in vars_.items()}
    return EnsureEnvFile(path=".env", vars=made)


# --- the law ------------------------------------------------------------------------------------

_TARGETS = st.sampled_from(["a", "a/b", "a/b/c", "d", ".env", "a/.env", "link/e"])
_SOURCES = st.sampled_from(["tpl.env", "tool.sh", "missing"])
_RANDOM = st.builds(RandomValue, bytes=st.integers(1, 40), encoding=st.sampled_from(["hex", "base64"]))
_VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)
_VAR = st.one_of(
    st.builds(EnvFileVar, value=_VALUES, mode=st.sampled_from(["missing", "replace"])),
    st.builds(EnvFileVar, random=_RANDOM),  # with `replace` a new value each time is what is asked for
    st.builds(
        EnvFileVar,
        from_env=st.sampled_from(["HOME_OF", "EMPTY"]),
        mode=st.sampled_from(["missing", "replace"]),
    ),
    st.builds(EnvFileVar, mode=st.just("remove")),
)
_ENV_FILE = st.builds(
    EnsureEnvFile,
    path=_TARGETS,
    template=st.none() | _SOURCES,
    template_mode=st.sampled_from(["missing", "replace"]),
    vars=st.dictionaries(st.sampled_from(["A", "B", "SECRET", "EMPTY"]), _VAR, min_size=1),
)
_OTHERS = st.one_of(
    st.builds(CopyIfMissing, from_=_SOURCES, to=_TARGETS),
    st.builds(EnsureFile, path=_TARGETS, template=_SOURCES),
    st.builds(EnsureFile, path=_TARGETS, value=st.text(min_size=1, max_size=5)),
    st.builds(EnsureFile, path=_TARGETS, random=_RANDOM),
    st.builds(EnsureDirectory, path=_TARGETS),
)
_SEQUENCES = st.builds(
    lambda env_files, others: [*others, *env_files],
    st.lists(_ENV_FILE, max_size=3, unique_by=lambda each: each.path),
    st.lists(_OTHERS, max_size=6),
).flatmap(st.permutations)


def carry_out(repo: Repo, parts) -> list[str]:
    told = []
    for part in parts:
        try:
            told.append(repo.do(part))
        except OtaError as error:
            assert error.findings[0].why and error.findings[0].next
            return [*told, "failed"]
    return told


@settings(max_examples=150, deadline=None)
@given(
    parts=_SEQUENCES,
    before=st.sampled_from(["", "A=1\n", "SECRET=\nB='x y' # note", "\ufeffA=1\r\nbroken\r\n"]),
)
def test_doing_any_sequence_twice_is_doing_it_once(parts, before):
    with tempfile.TemporaryDirectory() as folder:
        repo = Repo(Path(folder).resolve() / "repo", {"HOME_OF": "/x y", "EMPTY": ""})
        repo.path.mkdir()
        repo.write("tpl.env", "# made\nA=from-template\nSECRET=\n")
        repo.write("tool.sh", b"#!/bin/sh\n\xff\xfe", 0o755)
        (repo.path / "inner").mkdir()
        (repo.path / "link").symlink_to("inner")
        if before:
            repo.write(".env", before, 0o640)
        first = carry_out(repo, parts)
        state = repo.snapshot()
        second = carry_out(repo, parts)
        assert repo.snapshot() == state
        assert all(text == "failed" or text.startswith("kept ") for text in second)
        assert len(first) == len(second)
        assert not [name for name in state if name.endswith(".tmp")]


# --- copy, file, directory ----------------------------------------------------------------------


def test_a_copy_has_the_bytes_and_the_mode_of_its_source(repo):
    repo.write("hook.sh", b"#!/bin/sh\n\xff\0", 0o755)
    assert repo.do(CopyIfMissing(from_="hook.sh", to=".hooks/run")) == "copied hook.sh to .hooks/run"
    assert (repo.path / ".hooks/run").read_bytes() == b"#!/bin/sh\n\xff\0"
    assert repo.mode(".hooks/run") == 0o755


def test_what_is_there_is_kept_even_without_a_source(repo):
    repo.write("mine", "mine")
    assert repo.do(CopyIfMissing(from_="gone", to="mine")) == "kept mine"
    assert repo.do(EnsureFile(path="mine", value="theirs")) == "kept mine"
    assert (repo.path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "part",
    [
        CopyIfMissing(from_="src", to="taken"),
        EnsureFile(path="taken", value="x"),
        EnsureEnvFile(path="taken", vars={"A": EnvFileVar(value="1")}),
    ],
)
def test_a_directory_in_the_place_of_a_file_is_refused(repo, part):
    repo.write("src", "x")
    repo.write("taken/inside", "x")
    with pytest.raises(ActionFailedError) as caught:
        repo.do(part)
    assert "is a directory" in caught.value.findings[0].why
    assert (repo.path / "taken/inside").read_text() == "x"


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_read(repo):
    os.mkfifo(repo.path / ".env")
    with pytest.raises(ActionFailedError, match="could not be carried out"):
        repo.do(env_file(A="1"))
    os.mkfifo(repo.path / "tpl")
    with pytest.raises(ActionFailedError):
        repo.do(EnsureFile(path="new", template="tpl"))


def test_a_file_in_the_place_of_a_directory_is_refused(repo):
    repo.write("taken", "x")
    with pytest.raises(ActionFailedError, match="could not be carried out"):
        repo.do(EnsureDirectory(path="taken"))
    with pytest.raises(ActionFailedError) as caught:
        repo.do(EnsureFile(path="taken/file", value="x"))
    assert "not a directory" in caught.value.findings[0].why


def test_a_missing_source_names_itself(repo):
    with pytest.raises(ActionFailedError) as caught:
        repo.do(CopyIfMissing(from_="no/such", to="x"))
    assert "`no/such` is not a file" in caught.value.findings[0].why
    assert not (repo.path / "x").exists()


def test_a_generated_file_is_private_and_its_value_a_secret_now_and_later(repo):
    part = EnsureFile(path="key", random=RandomValue(bytes=24, encoding="base64"))
    assert repo.do(part) == "created key"
    value = (repo.path / "key").read_text()
    assert len(value) == 32
    assert repo.mode("key") == 0o600
    assert repo.secrets == [value]
    repo.secrets.clear()
    assert repo.do(part) == "kept key"
    assert repo.secrets == [value]


# --- env files ----------------------------------------------------------------------------------


def test_an_env_file_is_seeded_then_set_and_keeps_its_comments(repo):
    repo.write("tpl", "# head\nA=1\nB=2 # two\n")
    part = EnsureEnvFile(
        path=".env",
        template="tpl",
        vars={
            "A": EnvFileVar(value="new"),
            "B": EnvFileVar(value="x y", mode="replace"),
            "C": EnvFileVar(value="3"),
        },
    )
    assert repo.do(part) == "created .env"
    assert (repo.path / ".env").read_text() == "# head\nA=1\nB='x y' # two\nC=3\n"
    assert repo.mode(".env") == 0o600


def test_an_updated_env_file_keeps_mode_line_ends_mark_and_broken_lines(repo):
    repo.write(".env", "\ufeffA=1\r\nnot an assignment\r\n", 0o664)
    assert repo.do(env_file(A="2", B="3")) == "updated .env"
    assert (repo.path / ".env").read_bytes() == "\ufeffA=1\r\nnot an assignment\r\nB=3\r\n".encode()
    assert repo.mode(".env") == 0o664


def test_an_empty_placeholder_gets_the_generated_value_and_a_set_one_keeps_its_own(repo):
    repo.write(".env", "FRESH=\nSET=mine-to-keep\n")
    wanted = EnvFileVar(random=RandomValue(bytes=16))
    assert repo.do(env_file(FRESH=wanted, SET=wanted)) == "updated .env"
    first, second = (repo.path / ".env").read_text().splitlines()
    assert len(first) == len("FRESH=") + 32
    assert second == "SET=mine-to-keep"
    assert set(repo.secrets) == {first.partition("=")[2], "mine-to-keep"}


def test_a_template_that_replaces_does_not_lose_generated_values(repo):
    repo.write("tpl", "A=1\nSECRET=\n")
    part = EnsureEnvFile(
        path=".env",
        template="tpl",
        template_mode="replace",
        vars={"SECRET": EnvFileVar(random=RandomValue())},
    )
    repo.do(part)
    before = (repo.path / ".env").read_text()
    assert repo.do(part) == "kept .env"
    repo.write("tpl", "A=2\nSECRET=\n")
    assert repo.do(part) == "updated .env"
    assert (repo.path / ".env").read_text() == before.replace("A=1", "A=2")


def test_a_value_from_the_environment_must_be_set(repo):
    with pytest.raises(ActionFailedError) as caught:
        repo.do(env_file(A=EnvFileVar(from_env="NOWHERE")))
    assert "`NOWHERE`, which is not set" in caught.value.findings[0].why
    assert not (repo.path / ".env").exists()


@pytest.mark.parametrize("content", [b"A=\xff\n", "A=1\n".encode("utf-16"), b"#" * (1 << 20) + b"\n"])
def test_what_is_no_dotenv_text_is_refused_and_left_alone(repo, content):
    repo.write(".env", content)
    with pytest.raises(ActionFailedError) as caught:
        repo.do(env_file(A="1"))
    assert "`.env` is no dotenv file" in caught.value.findings[0].why
    assert (repo.path / ".env").read_bytes() == content


def test_an_open_quote_is_refused_and_left_alone(repo):
    repo.write(".env", "A='open\n")
    with pytest.raises(OtaError, match="no closing"):
        repo.do(env_file(B="1"))
    assert (repo.path / ".env").read_text() == "A='open\n"


# --- staying inside -----------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.mkdir()
    (path / "file").write_text("theirs")
    return path


@pytest.mark.parametrize("target", ["../outside", "{outside}", "deep/../../outside"])
@pytest.mark.parametrize(
    "part",
    [
        EnsureFile(path="link/new", value="x"),
        EnsureDirectory(path="link/new"),
        EnsureEnvFile(path="link/file", vars={"A": EnvFileVar(value="1")}),
        CopyIfMissing(from_="src", to="link/new"),
        CopyIfMissing(from_="link/file", to="new"),
        EnsureFile(path="new", template="link/file"),
        EnsureFile(path="link", value="x"),
    ],
)
def test_a_link_out_of_the_repository_is_refused(repo, outside, target, part):
    repo.write("src", "x")
    (repo.path / "deep").mkdir()
    (repo.path / "link").symlink_to(target.format(outside=outside))
    with pytest.raises(ActionFailedError) as caught:
        repo.do(part)
    assert "out of the repository" in caught.value.findings[0].why
    assert [each.name for each in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "theirs"
    assert not (repo.path / "new").exists()


def test_a_link_inside_the_repository_is_followed_and_stays_a_link(repo):
    repo.write("shared/env", "A=1\n")
    (repo.path / ".env").symlink_to("shared/env")
    assert repo.do(env_file(B="2")) == "updated .env"
    assert (repo.path / ".env").is_symlink()
    assert (repo.path / "shared/env").read_text() == "A=1\nB=2\n"
    (repo.path / "absolute").symlink_to(repo.path / "shared")
    assert repo.do(EnsureFile(path="absolute/new", value="x")) == "created absolute/new"
    assert (repo.path / "shared/new").read_text() == "x"


def test_a_link_to_nothing_inside_is_filled_and_a_loop_is_refused(repo):
    (repo.path / "later").symlink_to("made/file")
    assert repo.do(EnsureFile(path="later", value="x")) == "created later"
    assert (repo.path / "made/file").read_text() == "x"
    (repo.path / "round").symlink_to("round")
    with pytest.raises(OtaError, match="cannot reach"):
        repo.do(EnsureFile(path="round", value="x"))


def test_a_repository_reached_through_a_link_is_still_inside_itself(repo, tmp_path):
    (tmp_path / "alias").symlink_to(repo.path)
    through = Repo(tmp_path / "alias")
    (repo.path / "real").mkdir()
    (repo.path / "absolute").symlink_to(repo.path / "real")
    assert through.do(EnsureFile(path="absolute/new", value="x")) == "created absolute/new"


def test_a_file_that_appears_at_the_last_moment_is_kept(repo, monkeypatch):
    """The other writer comes between the look and the write."""
    real = os.link

    def late(source, target, **place):
        monkeypatch.setattr(os, "link", real)
        repo.write("new", "theirs")
        return real(source, target, **place)

    monkeypatch.setattr(os, "link", late)
    assert repo.do(EnsureFile(path="new", value="mine")) == "kept new"
    assert (repo.path / "new").read_text() == "theirs"
    assert [each.name for each in repo.path.iterdir()] == ["new"]


def test_a_file_system_without_hard_links_gets_its_files_too(repo, monkeypatch):
    def refuse(*_args, **_places):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert repo.do(EnsureFile(path="new", value="mine")) == "created new"
    assert [each.name for each in repo.path.iterdir()] == ["new"]


def test_a_folder_swapped_for_a_link_during_the_walk_leads_nowhere(repo, outside, monkeypatch):
    """The attacker's moment: the folder was looked at, and is a link when it is opened."""
    folder = repo.path / "folder"
    folder.mkdir()
    real = os.readlink

    def swap(name, **place):
        try:
            return real(name, **place)
        finally:
            if name == "folder" and not folder.is_symlink():
                folder.rmdir()
                folder.symlink_to(outside)

    monkeypatch.setattr(os, "readlink", swap)
    with pytest.raises(OtaError):
        repo.do(EnsureDirectory(path="folder/new"))
    assert folder.is_symlink()
    assert [each.name for each in outside.iterdir()] == ["file"]


def test_two_writers_of_one_env_file_lose_nothing(repo):
    from concurrent.futures import ThreadPoolExecutor

    repo.write(".env", "START=1\n")
    parts = [env_file(**{f"KEY_{number}": str(number)}) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(repo.do, parts))
    assert told == ["updated .env"] * 24
    lines = (repo.path / ".env").read_text().splitlines()
    assert sorted(lines) == sorted(["START=1", *(f"KEY_{number}={number}" for number in range(24))])
