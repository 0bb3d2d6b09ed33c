"""Rules of `action` bodies and action steps: files, env files, git, networks, images.

Source: contract specification 15.3 (`action`); appendix A V355 to V369.
"""

from collections.abc import Iterator

from ota.contract.grammar import (
    check_env_key,
    check_relative_path,
    check_repo_path,
    is_empty,
)
from ota.contract.model.bodies import (
    BuildContainerImage,
    ComposeFamily,
    CopyIfMissing,
    EnsureBundle,
    EnsureContainerNetwork,
    EnsureEnvFile,
    EnsureFile,
    EnsureGitCheckout,
    EnsureGitCheckouts,
    EnsureGitTemplate,
    EnvFileVar,
    GitRemote,
    GitSource,
    RandomValue,
    ResetComposeServiceVolume,
)
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.holders import SingleAction, holders, single_actions, task_actions
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import empty_text, refused_text, unknown
from ota.contract.rules.wording import broken

_INSIDE = "write a path relative to the contract, inside the repository"
_RELATIVE = "write a path relative to the contract"
RANDOM_BYTES_LIMIT = 1024


def action_plane(subject: Subject) -> Iterator[Violation]:
    """V355."""
    for holder in holders(subject):
        if holder.record is not holder.task or holder.task.action is None:
            continue
        other = [plane for plane in holder.planes if plane != "native"]
        if other:
            yield broken(
                "V355",
                (*holder.path, "action"),
                f"runs on {', '.join(other)}",
                "actions change the checkout on the host, so they are native only",
                "give the task a native context, or use a `run` body",
            )


def action_path(subject: Subject) -> Iterator[Violation]:
    """V356."""
    for path, step in single_actions(subject):
        for key, text in _repo_paths(step):
            yield from refused_text("V356", (*path, key), text, check_repo_path, _INSIDE)
        for place, text in _outward_paths(step):
            yield from refused_text("V356", (*path, *place), text, check_relative_path, _RELATIVE)
        if isinstance(step, ResetComposeServiceVolume) and step.compose is not None:
            yield from _compose_paths((*path, "compose"), step.compose)


def _repo_paths(step: SingleAction) -> Iterator[tuple[str, str | None]]:
    """Path fields that must stay inside the repository."""
    for key in ("from_", "to", "path", "template", "file", "context"):
        if key == "path" and isinstance(step, EnsureGitCheckout):
            continue
        if hasattr(step, key):
            yield key.rstrip("_"), getattr(step, key)


def _outward_paths(step: SingleAction) -> Iterator[tuple[FieldPath, str]]:
    """Git checkouts may stand beside the repository."""
    if isinstance(step, EnsureGitCheckout):
        yield ("path",), step.path
    if isinstance(step, EnsureGitCheckouts):
        for index, checkout in enumerate(step.checkouts):
            yield ("checkouts", index, "path"), checkout.path


def _compose_paths(path: FieldPath, compose: ComposeFamily) -> Iterator[Violation]:
    yield from refused_text("V356", (*path, "cwd"), compose.cwd, check_repo_path, _INSIDE)
    for key in ("env_files", "files"):
        for index, text in enumerate(getattr(compose, key) or ()):
            yield from refused_text("V356", (*path, key, index), text, check_repo_path, _INSIDE)


def self_copy(subject: Subject) -> Iterator[Violation]:
    """V357."""
    for path, step in single_actions(subject):
        if isinstance(step, CopyIfMissing) and _normal(step.from_) == _normal(step.to):
            yield broken(
                "V357",
                (*path, "to"),
                "is the file it copies from",
                f"`from` and `to` are both `{step.to}`",
                "name another target",
            )


def _normal(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def _env_files(subject: Subject) -> Iterator[tuple[FieldPath, EnsureEnvFile]]:
    for path, step in single_actions(subject):
        if isinstance(step, EnsureEnvFile):
            yield path, step


def _env_vars(subject: Subject) -> Iterator[tuple[FieldPath, str, EnvFileVar]]:
    for path, step in _env_files(subject):
        for key, var in sorted(step.vars.items()):
            yield (*path, "vars", key), key, var


def no_vars(subject: Subject) -> Iterator[Violation]:
    """V358."""
    for path, step in _env_files(subject):
        if not step.vars:
            yield broken(
                "V358",
                (*path, "vars"),
                "is empty",
                "an env file step sets or removes keys",
                "name at least one key, or use `copy_if_missing`",
            )


def env_file_key(subject: Subject) -> Iterator[Violation]:
    """V359."""
    for path, key, _ in _env_vars(subject):
        reason = check_env_key(key)
        if reason is not None:
            yield broken(
                "V359", path, f"is not a shell-safe key: `{key}`", reason, "rename it, such as `API_KEY`"
            )


def one_source(subject: Subject) -> Iterator[Violation]:
    """V360."""
    for path, _, var in _env_vars(subject):
        stated = [key for key in ("value", "random", "from_env") if getattr(var, key) is not None]
        if len(stated) > 1 or (not stated and var.mode != "remove"):
            yield broken(
                "V360",
                path,
                "needs exactly one source",
                f"found {listed(stated) or 'none'} of `value`, `random`, `from_env`",
                "keep one source" if stated else "declare `value`, `random` or `from_env`",
            )


def single_line(subject: Subject) -> Iterator[Violation]:
    """V361."""
    for path, _, var in _env_vars(subject):
        if var.value is not None and ("\n" in var.value or "\r" in var.value):
            yield broken(
                "V361",
                (*path, "value"),
                "contains a newline",
                "a value of an env file is a single line",
                "write the value on one line",
            )


def random_size(subject: Subject) -> Iterator[Violation]:
    """V362."""
    places: list[tuple[FieldPath, RandomValue | None]] = []
    places += [((*path, "random"), var.random) for path, _, var in _env_vars(subject)]
    places += [
        ((*path, "random"), step.random)
        for path, step in single_actions(subject)
        if isinstance(step, EnsureFile)
    ]
    for path, random in places:
        if random is not None and not 1 <= random.bytes <= RANDOM_BYTES_LIMIT:
            yield broken(
                "V362",
                (*path, "bytes"),
                f"is out of range: {random.bytes}",
                f"a random value has 1 to {RANDOM_BYTES_LIMIT} bytes",
                "write a size such as 32",
            )


def file_source(subject: Subject) -> Iterator[Violation]:
    """V363."""
    for path, step in single_actions(subject):
        if isinstance(step, EnsureFile):
            stated = [key for key in ("template", "value", "random") if getattr(step, key) is not None]
            if len(stated) != 1:
                yield broken(
                    "V363",
                    path,
                    "needs exactly one source",
                    f"found {listed(stated) or 'none'} of `template`, `value`, `random`",
                    "keep one source" if stated else "declare `template`, `value` or `random`",
                )


def file_value(subject: Subject) -> Iterator[Violation]:
    """V364."""
    for path, step in single_actions(subject):
        if isinstance(step, EnsureFile):
            yield from empty_text("V364", (*path, "value"), step.value)


def empty_bundle(subject: Subject) -> Iterator[Violation]:
    """V365."""
    for path, action in task_actions(subject):
        if isinstance(action, EnsureBundle) and not action.steps:
            yield broken(
                "V365", (*path, "steps"), "is empty", "a bundle runs its steps in order", "add a step"
            )


def git_values(subject: Subject) -> Iterator[Violation]:
    """V366."""
    for path, source, remotes in _git(subject):
        yield from empty_text("V366", (*path, "source", "git"), source.git)
        yield from empty_text("V366", (*path, "source", "ref"), source.ref)
        for index, remote in enumerate(remotes):
            yield from empty_text("V366", (*path, "remotes", index, "name"), remote.name)
            yield from empty_text("V366", (*path, "remotes", index, "git"), remote.git)


def _git(subject: Subject) -> Iterator[tuple[FieldPath, GitSource, tuple[GitRemote, ...]]]:
    for path, step in single_actions(subject):
        match step:
            case EnsureGitCheckout():
                yield path, step.source, step.remotes
            case EnsureGitTemplate():
                yield path, step.source, ()
            case EnsureGitCheckouts():
                for index, checkout in enumerate(step.checkouts):
                    yield (*path, "checkouts", index), checkout.source, checkout.remotes


def no_checkouts(subject: Subject) -> Iterator[Violation]:
    """V367."""
    for path, step in single_actions(subject):
        if isinstance(step, EnsureGitCheckouts) and not step.checkouts:
            yield broken(
                "V367",
                (*path, "checkouts"),
                "is empty",
                "the step clones its checkouts in order",
                "add a checkout",
            )


def engine_names(subject: Subject) -> Iterator[Violation]:
    """V368."""
    for path, step in single_actions(subject):
        match step:
            case EnsureContainerNetwork():
                yield from empty_text("V368", (*path, "name"), step.name)
            case ResetComposeServiceVolume():
                yield from empty_text("V368", (*path, "service"), step.service)
                yield from empty_text("V368", (*path, "volume"), step.volume)
            case BuildContainerImage():
                yield from empty_text("V368", (*path, "tag"), step.tag)
                if not is_empty(step.tag) and any(char.isspace() for char in step.tag):
                    yield broken(
                        "V368",
                        (*path, "tag"),
                        f"holds a blank: `{step.tag}`",
                        "an image tag has no blanks",
                        "write the tag without blanks, such as `app:dev`",
                    )


def unknown_env(subject: Subject) -> Iterator[Violation]:
    """V369."""
    for path, _, var in _env_vars(subject):
        if var.from_env is not None:
            yield from unknown(
                subject,
                "V369",
                (*path, "from_env"),
                "env variable",
                var.from_env,
                subject.contract.env.vars,
            )


RULES: tuple[Rule, ...] = (
    action_plane,
    action_path,
    self_copy,
    no_vars,
    env_file_key,
    one_source,
    single_line,
    random_size,
    file_source,
    file_value,
    empty_bundle,
    git_values,
    no_checkouts,
    engine_names,
    unknown_env,
)
