"""Rules of `checks`: one payload, of the check's own kind, that can be carried out.

V249 never fires: a file check without `expect` means `exists` (decision D19).

Source: contract specification 14; appendix A, V245 to V264; decisions D4, D19.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from ota.contract.durations import parse_check_timeout
from ota.contract.grammar import check_relative_path, check_repo_path, is_empty
from ota.contract.model.checks import Check, EnvAssertion, HostRule
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import bad_check_timeout, empty_text, unknown

PAYLOADS = ("run", "probe", "path", "env", "changed_files")
OPERATORS = ("state", "equals", "not_equals", "host", "url_host")

_OWN_PAYLOAD: Mapping[str, str] = MappingProxyType(
    {"file": "path", "env": "env", "changed_files": "changed_files"}
)
"""Kinds with a payload that no other kind may have; the other kinds take `run` or `probe`."""
_PAYLOAD_RULES = MappingProxyType(
    {"path": ("V247", "V248"), "env": ("V259", "V259"), "changed_files": ("V251", "V251")}
)
"""Per payload: the rule when its kind lacks it, the rule when another kind has it."""


def _checks(subject: Subject) -> Iterator[tuple[Check, FieldPath]]:
    for index, check in enumerate(subject.contract.checks):
        yield check, ("checks", index)


def _at(rule: str, check: Check, path: FieldPath, problem: str, why: str, next_: str) -> Violation:
    return Violation(rule=rule, path=path, summary=f"check `{check.name}` {problem}", why=why, next=next_)


def names(subject: Subject) -> Iterator[Violation]:
    """V245."""
    for check, path in _checks(subject):
        yield from empty_text("V245", (*path, "name"), check.name)


def payload(subject: Subject) -> Iterator[Violation]:
    """V246, V247, V248, V251, V259: exactly one payload, and of the check's own kind."""
    for check, path in _checks(subject):
        stated = [field for field in PAYLOADS if getattr(check, field) is not None]
        if len(stated) > 1:
            why = f"it declares {listed(stated)}"
            yield _at("V246", check, path, "must have exactly one payload", why, "keep one of them")
        else:
            yield from _one_payload(check, path, stated[0] if stated else "")


def _one_payload(check: Check, path: FieldPath, stated: str) -> Iterator[Violation]:
    own = _OWN_PAYLOAD.get(check.kind)
    if stated in _PAYLOAD_RULES and stated != own:
        kind = next(kind for kind, field in _OWN_PAYLOAD.items() if field == stated)
        yield _at(
            _PAYLOAD_RULES[stated][1],
            check,
            (*path, stated),
            f"of kind `{check.kind}` declares `{stated}`",
            f"`{stated}` is for `kind: {kind}` only",
            f"use `kind: {kind}`, or replace `{stated}` with {f'`{own}`' if own else '`run` or `probe`'}",
        )
    elif own is not None and stated != own:
        why = f"a {check.kind} check needs `{own}`" + (f"; it declares `{stated}`" if stated else "")
        mend = f"add `{own}`" + (f" and remove `{stated}`" if stated else "")
        yield _at(
            _PAYLOAD_RULES[own][0], check, (*path, own), f"of kind `{check.kind}` needs `{own}`", why, mend
        )
    elif own is None and not stated:
        why = "it declares none, so there is nothing to observe"
        yield _at(
            "V246",
            check,
            path,
            "must have exactly one payload",
            why,
            "add `run: <command>`, or `probe: <name>`",
        )


def file_fields(subject: Subject) -> Iterator[Violation]:
    """V250, V257."""
    for check, path in _checks(subject):
        if check.kind == "file":
            continue
        for rule, field in (("V250", "expect"), ("V257", "scope")):
            if getattr(check, field) is not None:
                yield _at(
                    rule,
                    check,
                    (*path, field),
                    f"of kind `{check.kind}` declares `{field}`",
                    f"`{field}` is for file checks only",
                    f"use `kind: file`, or remove `{field}`",
                )


def changed_files(subject: Subject) -> Iterator[Violation]:
    """V252, V253."""
    for check, check_path in _checks(subject):
        declared, path = check.changed_files, (*check_path, "changed_files")
        if declared is None:
            continue
        if not declared.paths:
            yield _at(
                "V252",
                check,
                (*path, "paths"),
                "watches no path",
                "`changed_files.paths` is empty",
                "list repository paths, such as `src/**`",
            )
        for index, text in enumerate(declared.paths):
            yield from _path("V252", check, (*path, "paths", index), text, check_repo_path)
        yield from empty_text("V253", (*path, "base_ref"), declared.base_ref)
        yield from empty_text("V253", (*path, "head_ref"), declared.head_ref)


def _path(
    rule: str, check: Check, path: FieldPath, text: str, refuse: Callable[[str], str | None]
) -> Iterator[Violation]:
    reason = refuse(text)
    if reason is not None:
        yield _at(
            rule,
            check,
            path,
            f"names a path that escapes: `{text}`" if not is_empty(text) else "names an empty path",
            reason,
            "write a repo-relative path" if refuse is check_repo_path else "write a relative path",
        )


def commands(subject: Subject) -> Iterator[Violation]:
    """V254, V255."""
    for check, path in _checks(subject):
        yield from empty_text("V254", (*path, "run"), check.run)
        if check.probe is not None:
            probes = subject.contract.readiness.probes
            yield from unknown(subject, "V255", (*path, "probe"), "probe", check.probe, probes)


def file_path(subject: Subject) -> Iterator[Violation]:
    """V256."""
    for check, path in _checks(subject):
        if check.kind == "file" and check.path is not None:
            refuse = check_relative_path if check.scope == "workspace" else check_repo_path
            yield from _path("V256", check, (*path, "path"), check.path, refuse)


def timeout(subject: Subject) -> Iterator[Violation]:
    """V258."""
    for check, path in _checks(subject):
        yield from bad_check_timeout("V258", (*path, "timeout"), check.timeout)


def env(subject: Subject) -> Iterator[Violation]:
    """V260 to V264."""
    for check, check_path in _checks(subject):
        declared, path = check.env, (*check_path, "env")
        if declared is None:
            continue
        if declared.path is not None:
            yield from _path("V260", check, (*path, "path"), declared.path, check_repo_path)
        if not declared.assertions:
            yield _at(
                "V261",
                check,
                (*path, "assertions"),
                "asserts nothing",
                "`env.assertions` is empty",
                "add `assertions: [{key: NAME, state: present}]`",
            )
        for index, assertion in enumerate(declared.assertions):
            yield from _assertion(check, (*path, "assertions", index), assertion)


def _assertion(check: Check, path: FieldPath, assertion: EnvAssertion) -> Iterator[Violation]:
    yield from empty_text("V261", (*path, "key"), assertion.key)
    stated = [field for field in OPERATORS if getattr(assertion, field) is not None]
    if len(stated) != 1:
        yield _at(
            "V262",
            check,
            path,
            f"must use one operator on `{assertion.key}`",
            f"it declares {listed(stated) or 'none'}",
            f"use exactly one of {listed(OPERATORS)}",
        )
    for field in ("host", "url_host"):
        rule: HostRule | None = getattr(assertion, field)
        if rule is not None:
            yield from _host(check, (*path, field), rule)
    yield from _texts(check, (*path, "not_equals"), assertion.not_equals)


def _host(check: Check, path: FieldPath, rule: HostRule) -> Iterator[Violation]:
    if (rule.policy is None) == (rule.allowed is None):
        yield _at(
            "V263",
            check,
            path,
            "must say `policy` or `allowed`",
            f"it declares {'neither' if rule.policy is None else 'both'}; one of both",
            "write `policy: not_loopback`, or list the `allowed` hosts",
        )
    yield from _texts(check, (*path, "allowed"), rule.allowed)


def _texts(check: Check, path: FieldPath, texts: tuple[str, ...] | None) -> Iterator[Violation]:
    """V264."""
    if texts is None:
        return
    if not texts:
        yield _at(
            "V264", check, path, "compares with nothing", f"`{path[-1]}` is empty", "list at least one value"
        )
    for index, text in enumerate(texts):
        yield from empty_text("V264", (*path, index), text)


def timeout_reading(subject: Subject) -> Iterator[Violation]:
    """D4: how bare timeouts were read, once per contract."""
    for path, text in _timeouts(subject):
        try:
            read = parse_check_timeout(text)
        except ValueError:
            continue
        if read.reading != "duration":
            yield Violation(
                rule="TIMEOUT_READING",
                path=path,
                summary="timeouts without a unit are read by their size",
                why=f"`timeout: {text}` means {text.strip()} {read.reading}; milliseconds start at 1000",
                next="write a unit, such as `10s` or `500ms`",
                severity="info",
            )
            return


def _timeouts(subject: Subject) -> Iterator[tuple[FieldPath, str]]:
    for name, probe in sorted(subject.contract.readiness.probes.items()):
        if probe.timeout is not None:
            yield ("readiness", "probes", name, "timeout"), probe.timeout
    for name, service in sorted(subject.contract.services.items()):
        if service.timeout is not None:
            yield ("services", name, "timeout"), service.timeout
    for check, path in _checks(subject):
        if check.timeout is not None:
            yield (*path, "timeout"), check.timeout


RULES: tuple[Rule, ...] = (
    names,
    payload,
    file_fields,
    changed_files,
    commands,
    file_path,
    timeout,
    env,
    timeout_reading,
)
