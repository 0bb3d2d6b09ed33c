"""Git actions: a checkout is complete or not there, and no work in one is ever overwritten.

A clone is made beside its place and renamed into it. An existing checkout gets its remotes put
right and is moved to another commit only when nothing can be lost by it.

Source: contract specification 15.3 (`ensure_git_checkout`, `ensure_git_template`).
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from ota.contract.model.bodies import EnsureGitCheckout, EnsureGitTemplate, GitCheckout, GitSource
from ota.errors import HostError
from ota.execute.actions.children import Answer, Children
from ota.execute.actions.failure import failed
from ota.execute.actions.packages import credentials_in
from ota.execute.actions.places import inner_target, open_spot, outer_target, remove_tree
from ota.system.files import refused
from ota.system.locks import try_lock

_TIED_TO_A_REPOSITORY = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    )
)
"""Set inside git hooks and aliases; with them git would work on the caller's repository instead."""

_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Checkout = GitCheckout | EnsureGitCheckout
GitPart = Checkout | EnsureGitTemplate


class _Found(Struct, frozen=True, kw_only=True):
    """What a ref means in one repository."""

    branch: str | None = None
    is_local: bool = False
    """A branch that is here already, not only at the remote."""
    commit: str = ""


def ensure_checkout(children: Children, part: Checkout) -> str:
    """Clone what is missing; put an existing checkout's remotes and commit right.

    Raises:
        ActionFailedError: something else is in its place, or work would be lost.
        ChildEndedError: git failed.
    """
    target = outer_target(children.root, part.path, part)
    wanted = {"origin": _address(children.root, part.source.git)}
    wanted |= {each.name: _address(children.root, each.git) for each in part.remotes}
    if _is_missing(target, part, part.path):
        with _clone(children, part, part.source, target) as git:
            git.set_remotes(wanted)
            head = git.head()
            git.settle(target)
        return f"checked out {part.path} at {head}"
    git = _Git(children, target, part)
    changed = git.set_remotes(wanted)
    was_moved = part.source.ref is not None and git.move(part.source.ref, _address_of(children, part.source))
    told = f"{'moved' if was_moved else 'kept'} {part.path} {'to' if was_moved else 'at'} {git.head()}"
    return f"{told}, set remote {', '.join(changed)}" if changed else told


def ensure_template(children: Children, part: EnsureGitTemplate) -> str:
    """Clone, drop the history, begin a new one; an existing repository stays as it is.

    Raises:
        ActionFailedError: something that is no git repository is in its place.
        ChildEndedError: git failed.
    """
    with open_spot(children.root, part.path, part, make_parents=True):
        target = inner_target(children.root, part.path, part)
    if not _is_missing(target, part, part.path):
        return f"kept {part.path}"
    with _clone(children, part, part.source, target) as git:
        head = git.head()
        git.begin_anew()
        git.settle(target)
    return f"created {part.path} from {head}"


def _is_missing(target: Path, part: GitPart, shown: str) -> bool:
    """Whether the place is free; a git checkout is not, anything else is refused."""
    try:
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return True
    except OSError as error:
        raise refused(error, action="look into", path=target) from error
    if not os.path.lexists(target / ".git"):
        raise failed(
            part,
            f"`{shown}` exists and is no git checkout; nothing in it was touched",
            f"move `{shown}` away, or name another path",
        )
    return False


def _address(root: Path, git: str) -> str:
    """What git is given and remembers: a relative path counts from the contract."""
    if "://" in git or ":" in git.split("/", 1)[0]:
        return git
    return os.path.normpath(root / git)


def _address_of(children: Children, source: GitSource) -> str:
    children.learn(credentials_in(source.git))
    return _address(children.root, source.git)


@contextmanager
def _clone(children: Children, part: GitPart, source: GitSource, target: Path) -> "Iterator[_Git]":
    """A complete clone beside its place, at the wanted ref; gone again unless it settles."""
    address = _address_of(children, source)
    with _partial_directory(target) as partial:
        git = _Git(children, partial, part)
        quiet = () if children.is_terminal else ("--quiet",)
        checkout = () if source.ref is None else ("--no-checkout",)
        git.run("clone", *quiet, *checkout, "--", address, ".")
        if source.ref is not None:
            git.check_out(git.find_or_fetch(source.ref, address))
        yield git


@contextmanager
def _partial_directory(target: Path) -> Iterator[Path]:
    """A new directory beside `target`, locked while it is in use.

    One whose lock is free belongs to a run that was killed, whoever and wherever that was.
    """
    path = target.with_name(f".{target.name}.{os.urandom(4).hex()}.ota-partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        path.mkdir()
        descriptor = os.open(path, _DIRECTORY)
    except OSError as error:
        raise refused(error, action="create the directory", path=path) from error
    try:
        with suppress(HostError):  # no locks on this file system: then nothing is ever taken for abandoned
            try_lock(descriptor, path)
        yield path
    finally:
        remove_tree(path)
        os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    """What killed runs left of clones into this very place."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.ota-partial")
    for path in target.parent.iterdir():
        if pattern.fullmatch(path.name):
            with suppress(OSError, HostError):
                descriptor = os.open(path, _DIRECTORY)
                try:
                    if try_lock(descriptor, path):
                        remove_tree(path)
                finally:
                    os.close(descriptor)


class _Git:
    """Git in one directory."""

    def __init__(self, children: Children, path: Path, part: GitPart) -> None:
        self._children = children
        self._path = path
        self._part = part
        self._env = _environment(children.env)

    def run(self, *args: str) -> None:
        """Run git, its output shown."""
        self._children.run(("git", *args), self._path, self._env)

    def _ask(self, *args: str) -> Answer:
        return self._children.ask(("git", *args), self._path, self._env)

    def _told(self, *args: str) -> str:
        """An answer that must be one."""
        answer = self._ask(*args)
        if not answer.is_yes:
            raise self._children.fail_with(answer)
        return answer.text

    def head(self) -> str:
        """The commit, shortened; a repository without any says so."""
        answer = self._ask("rev-parse", "--short", "--verify", "--quiet", "HEAD")
        return answer.text if answer.is_yes else "no commit"

    def settle(self, target: Path) -> None:
        """Take the place. An empty directory there is replaced; anything else that appeared is not."""
        try:
            self._path.rename(target)
        except OSError as error:
            raise refused(error, action="create", path=target) from error

    def begin_anew(self) -> None:
        """Forget the history."""
        remove_tree(self._path / ".git")
        self.run("init", "--quiet")

    def set_remotes(self, wanted: Mapping[str, str]) -> tuple[str, ...]:
        """Add or correct remotes; the names of those that were not right. Others stay."""
        changed = []
        for name, address in wanted.items():
            self._children.learn(credentials_in(address))
            now = self._ask("config", "--get", f"remote.{name}.url")
            if now.is_yes and now.text == address:
                continue
            self.run("remote", *(("set-url",) if now.is_yes else ("add",)), "--", name, address)
            changed.append(name)
        return tuple(changed)

    def move(self, ref: str, address: str) -> bool:
        """Go to `ref`; False when the checkout is there already.

        Raises:
            ActionFailedError: tracked files are changed, or commits would be held by nothing.
        """
        branch = self._ask("symbolic-ref", "--short", "--quiet", "HEAD")
        if branch.is_yes and branch.text == ref.removeprefix("refs/heads/"):
            return False
        found = self.find_or_fetch(ref, address)
        head = self._told("rev-parse", "HEAD")
        if found.branch is None and found.commit == head:
            return False
        shown = self._part.path
        if self._told("status", "--porcelain", "--untracked-files=no"):
            raise failed(
                self._part,
                f"`{shown}` has local changes and is not at `{ref}`; nothing in it was touched",
                f"commit or stash them, see `git -C {shown} status`, then run the task again",
            )
        if not branch.is_yes and not self._told("for-each-ref", "--contains", head, "--count=1"):
            raise failed(
                self._part,
                f"`{shown}` is at commit {head[:10]}, which no branch holds, and not at `{ref}`",
                f"keep it with `git -C {shown} branch keep {head[:10]}`, then run the task again",
            )
        self.check_out(found)
        return True

    def check_out(self, found: _Found) -> None:
        """Put the files of a ref in place; git itself refuses to overwrite untracked ones."""
        if found.branch is None:
            self.run("checkout", "--quiet", "--detach", found.commit)
        elif found.is_local:
            self.run("checkout", "--quiet", found.branch, "--")
        else:
            origin = f"refs/remotes/origin/{found.branch}"
            self.run("checkout", "--quiet", "-b", found.branch, "--track", origin)

    def find_or_fetch(self, ref: str, address: str) -> _Found:
        """What `ref` means: a branch, else a tag, else a commit; asks the source when it is not here.

        Raises:
            ActionFailedError: nobody knows it.
        """
        found = None if ref.startswith("-") else self._find(ref)
        if found is None and not ref.startswith("-"):
            found = self._fetched(ref, address)
        if found is None:
            raise failed(
                self._part,
                f"`{ref}` is no branch, tag or commit of the source",
                "correct `source.ref`, or push it to the source",
            )
        return found

    def _find(self, ref: str) -> _Found | None:
        name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if not ref.startswith("refs/tags/"):
            for place in ("heads", "remotes/origin"):
                if commit := self._commit(f"refs/{place}/{name}"):
                    return _Found(branch=name, is_local=place == "heads", commit=commit)
        if not ref.startswith("refs/heads/") and (commit := self._commit(f"refs/tags/{name}")):
            return _Found(commit=commit)
        if _COMMIT.fullmatch(ref) and (commit := self._commit(ref)):
            return _Found(commit=commit)
        return None

    def _commit(self, name: str) -> str:
        answer = self._ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return answer.text if answer.is_yes else ""

    def _fetched(self, ref: str, address: str) -> _Found | None:
        """Bring the branches and tags up to date; a commit or a ref of another kind is asked for by name."""
        self.run("fetch", "--quiet", "--tags", "origin")
        found = self._find(ref)
        if found is None and self._ask("fetch", "--quiet", "--", address, ref).is_yes:
            commit = self._commit("FETCH_HEAD")
            found = _Found(commit=commit) if commit else None
        return found


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """Never ask for a password, never touch the repository that a hook runs in."""
    kept = {name: value for name, value in env.items() if name not in _TIED_TO_A_REPOSITORY}
    return {"GIT_TERMINAL_PROMPT": "0", **kept}
