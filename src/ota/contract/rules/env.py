"""Rules of `env`: variables, sources, profiles.

Source: contract specification 9; appendix A, V150 to V160.
"""

from collections.abc import Iterator

from ota.contract.grammar import check_repo_path, is_empty
from ota.contract.model.env import EnvProfile, EnvSource
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys
from ota.contract.rules.values import empty_entries, empty_text, said

_PATH_LISTS = ("prepend", "append")


def _profiles(subject: Subject) -> Iterator[tuple[str, EnvProfile, FieldPath]]:
    for name, profile in sorted(subject.contract.env.profiles.items()):
        yield name, profile, ("env", "profiles", name)


def sources(subject: Subject) -> Iterator[Violation]:
    """V150, V151, for the contract's sources and each profile's own."""
    yield from _sources(("env", "sources"), subject.contract.env.sources)
    for _, profile, path in _profiles(subject):
        yield from _sources((*path, "sources"), profile.sources)


def _sources(path: FieldPath, declared: tuple[EnvSource, ...]) -> Iterator[Violation]:
    seen: set[tuple[str, str]] = set()
    for index, source in enumerate(declared):
        yield from empty_text("V150", (*path, index, "path"), source.path)
        key = (source.kind, source.path)
        if key in seen and not is_empty(source.path):
            yield Violation(
                rule="V151",
                path=(*path, index),
                summary=said((*path, index), f"repeats {source.kind} source `{source.path}`"),
                why="a source is read once",
                next="remove the duplicate source",
            )
        seen.add(key)


def variable_names(subject: Subject) -> Iterator[Violation]:
    """V152."""
    yield from empty_keys("V152", ("env", "vars"), "`env`", subject.contract.env.vars)


def secrets(subject: Subject) -> Iterator[Violation]:
    """V153."""
    for name, variable in sorted(subject.contract.env.vars.items()):
        if variable.secret and variable.default is not None:
            yield Violation(
                rule="V153",
                path=("env", "vars", name, "default"),
                summary=f"env variable `{name}` cannot combine `secret` with `default`",
                why="a default is written in the contract for everyone to read",
                next="remove `default`, and let the environment or a declared source provide the value",
            )


def path_lists(subject: Subject) -> Iterator[Violation]:
    """V154, V155."""
    for name, variable in sorted(subject.contract.env.vars.items()):
        path: FieldPath = ("env", "vars", name)
        for field in _PATH_LISTS:
            entries = getattr(variable, field)
            yield from empty_entries("V154", (*path, field), entries)
            if entries and name != "PATH":
                yield Violation(
                    rule="V155",
                    path=(*path, field),
                    summary=f"env variable `{name}` declares `{field}`",
                    why="only `PATH` is a list that can be extended",
                    next=f"move `{field}` to `env.vars.PATH`, or remove it",
                )


def profile_names(subject: Subject) -> Iterator[Violation]:
    """V156."""
    yield from empty_keys("V156", ("env", "profiles"), "`env`", subject.contract.env.profiles)


def profile_paths(subject: Subject) -> Iterator[Violation]:
    """V157."""
    for _, profile, profile_path in _profiles(subject):
        for path, text in _paths(profile, profile_path):
            reason = check_repo_path(text)
            if reason is not None:
                yield Violation(
                    rule="V157",
                    path=path,
                    summary=said(path, f"is not a repository path: `{text}`"),
                    why=reason,
                    next="write a repo-relative path, such as `.env.local`",
                )


def _paths(profile: EnvProfile, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    for index, source in enumerate(profile.sources):
        if not is_empty(source.path):  # V150 says it
            yield (*path, "sources", index, "path"), source.path
    for index, text in enumerate(profile.env_files):
        yield (*path, "env_files", index), text
    render = profile.render
    if render is None:
        return
    if render.dotenv is not None:
        yield (*path, "render", "dotenv", "path"), render.dotenv.path
        if render.dotenv.template is not None:
            yield (*path, "render", "dotenv", "template"), render.dotenv.template
    for index, file in enumerate(render.files):
        where = (*path, "render", "files", index)
        yield (*where, "path"), file.path
        for position, text in enumerate(file.sources):
            yield (*where, "sources", position), text


def rendered_dotenv(subject: Subject) -> Iterator[Violation]:
    """V158, V159."""
    for name, profile, profile_path in _profiles(subject):
        dotenv = profile.render.dotenv if profile.render is not None else None
        if dotenv is None:
            continue
        path, target = (*profile_path, "render", "dotenv"), _same(dotenv.path)
        if dotenv.template is not None and _same(dotenv.template) == target:
            yield Violation(
                rule="V158",
                path=(*path, "template"),
                summary=f"env profile `{name}` renders onto its own template",
                why=f"`{dotenv.path}` is both `path` and `template`; keep them separate",
                next="name another file as `template`",
            )
        if target in {_same(file) for file in profile.env_files}:
            yield Violation(
                rule="V159",
                path=(*path, "path"),
                summary=f"env profile `{name}` lists its rendered file in `env_files`",
                why=f"`{dotenv.path}` becomes the first env file of the profile by itself",
                next=f"remove `{dotenv.path}` from `env_files`; do not repeat it",
            )


def _same(path: str) -> str:
    """`./a` and `a` are one file."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def rendered_files(subject: Subject) -> Iterator[Violation]:
    """V160."""
    for name, profile, path in _profiles(subject):
        for index, file in enumerate(profile.render.files if profile.render is not None else ()):
            if not file.sources:
                yield Violation(
                    rule="V160",
                    path=(*path, "render", "files", index, "sources"),
                    summary=f"env profile `{name}` renders `{file.path}` from nothing",
                    why="a structured file needs sources to merge",
                    next="list at least one file in `sources`",
                )


RULES: tuple[Rule, ...] = (
    sources,
    variable_names,
    secrets,
    path_lists,
    profile_names,
    profile_paths,
    rendered_dotenv,
    rendered_files,
)
