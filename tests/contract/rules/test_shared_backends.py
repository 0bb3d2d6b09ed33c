"""Rules of shared backends, each broken alone, and how bound tasks must agree."""

import pytest

from contract.rules.table import Case, errors, only, prove

IMAGE = "container: {image: a}"


def backend(text: str, contexts: str = "") -> str:
    """An `execution` with the shared backend `b`; `contexts` is the inside of the map."""
    return f"execution:\n  contexts: {{{contexts}}}\n  shared_backends:\n    b: {text}\n"


def task(name: str, listener: str, extra: str = "", binding: str = "b") -> str:
    """A service task bound to `b`."""
    return (
        f"  {name}:\n    launch: {{kind: command, exe: ./serve}}\n"
        + (f"    {extra}\n" if extra else "")
        + f"    runtime: {{kind: service, backend_binding: {binding}, listeners: {{http: {listener}}}}}\n"
    )


def listener(port: int, address: str = "0.0.0.0", host: int | None = None, on: str = "127.0.0.1") -> str:
    """A full-form listener with a fixed bind, and a publication at `on:host` on demand."""
    bind = f"bind: {{address: '{address}', port: {{mode: fixed, value: {port}}}}}"
    if host is None:
        return f"{{protocol: http, {bind}}}"
    published = f"address: '{on}', port: {{mode: fixed, value: {host}}}, primary: true"
    return f"{{protocol: http, {bind}, project: {{host: {{{published}}}}}}}"


LOCAL = "{scope: local, backend: container, lifecycle: persistent}"
PINNED = "{scope: local, backend: container, lifecycle: persistent, context: c}"
NATIVE = "{scope: local, backend: native, lifecycle: persistent}"
REMOTE = "{scope: remote, backend: remote, lifecycle: persistent, context: r}"
VALID = backend(NATIVE)
LASTING = "context: c\n    lifecycle: persistent"


def c(name: str = "c", container: str = "image: a", extra: str = "", lifecycle: str = "persistent") -> str:
    """One container context as an entry of a flow map."""
    return f"{name}: {{backend: container, lifecycle: {lifecycle}, container: {{{container}}}{extra}}}"


def pair(first: str, second: str) -> str:
    """Two tasks bound to one unpinned container backend, each in a context of its own."""
    return (
        backend(LOCAL, f"{first}, {second}")
        + "tasks:\n"
        + task("x", listener(8080), "context: c")
        + task("y", listener(8081), "context: d")
    )


def group(one: str, two: str) -> str:
    """Two tasks with these listeners in one container backend."""
    text = backend(PINNED, c()) + "tasks:\n"
    return text + task("x", one, "context: c") + task("y", two, "context: c")


def native_group(one: str, two: str) -> str:
    """The same natively."""
    return backend(NATIVE, "h: {backend: native}") + "tasks:\n" + task("x", one) + task("y", two)


AGREED = pair(c(), c("d")).replace(LOCAL, PINNED).replace("context: d", "context: c")
E = "execution.shared_backends.b."

CASES = (
    Case("V065", 'execution.shared_backends.""', VALID.replace("    b:", '    "":'), VALID),
    Case("V066", E + "scope", backend("{scope: remote, backend: container, lifecycle: persistent}"), VALID),
    Case("V066", E + "scope", backend("{scope: remote, backend: native, lifecycle: persistent}"), VALID),
    Case(
        "V067",
        E + "backend",
        backend("{scope: local, backend: remote, lifecycle: persistent}"),
        backend("{scope: remote, backend: remote, lifecycle: persistent}"),
    ),
    Case("V068", E + "lifecycle", backend(NATIVE.replace("persistent", "ephemeral")), VALID),
    Case(
        "V069",
        E + "lifecycle",
        backend("{scope: remote, backend: remote, lifecycle: ephemeral}"),
        backend("{scope: remote, backend: remote, lifecycle: persistent}"),
    ),
    Case("V070", E + "context", backend(PINNED.replace("context: c", 'context: ""')), VALID),
    Case("V071", E + "context", backend(PINNED), backend(PINNED, c())),
    Case("V072", E + "context", backend(PINNED, "c: {backend: native}"), backend(PINNED, c())),
    Case("V073", E + "lifecycle", backend(PINNED, c(lifecycle="ephemeral")), backend(PINNED, c())),
    Case(
        "V074",
        E + "environment",
        backend(NATIVE[:-1] + ", environment: {image: a}}"),
        backend(LOCAL[:-1] + ", environment: {image: a}}"),
    ),
    Case(
        "V075",
        E + "environment",
        backend(LOCAL[:-1] + ", environment: {profile: p, image_alias: a}}"),
        backend(LOCAL[:-1] + ", environment: {profile: p}}"),
    ),
    Case(
        "V076",
        E + "environment.profile",
        backend(LOCAL[:-1] + ', environment: {profile: ""}}'),
        backend(LOCAL[:-1] + ", environment: {}}"),
    ),
    Case(
        "V077",
        E + "environment.source",
        backend(LOCAL[:-1] + ", environment: {image_alias: a, source: internal}}"),
        backend(LOCAL[:-1] + ", environment: {image: a, source: internal}}"),
    ),
    Case(
        "V078",
        "tasks.x.runtime.backend_binding",
        backend(PINNED, c() + ", " + c("d")) + "tasks:\n" + task("x", listener(8080), "context: d"),
        backend(PINNED, c() + ", " + c("d")) + "tasks:\n" + task("x", listener(8080), "context: c"),
    ),
    Case(
        "V079",
        "tasks.x.runtime.backend_binding",
        backend(PINNED, c()) + "tasks:\n" + task("x", listener(8080), "context: c\n    lifecycle: ephemeral"),
        backend(PINNED, c())
        + "tasks:\n"
        + task("x", listener(8080), "context: c\n    lifecycle: persistent"),
    ),
    Case("V080", E + "context", pair(c(), c("d")), AGREED),
    Case("V081", "tasks.y.runtime.backend_binding", pair(c(), c("d", "image: b")), AGREED),
    Case(
        "V081",
        "tasks.y.runtime.backend_binding",
        pair(c(), c("d", extra=", attachments: {isolated_paths: [node_modules]}")),
        AGREED,
    ),
    Case(
        "V081",
        "tasks.y.runtime.backend_binding",
        pair(c(), c("d", "image: a, resources: {memory: {default: 1GiB}}")),
        AGREED,
    ),
    Case("V081", "tasks.y.runtime.backend_binding", pair(c(), c("d", "image: a, engines: [podman]")), AGREED),
    Case(
        "V082",
        "tasks.y.runtime.listeners.http.bind.port",
        native_group(listener(8080), "{http: 8080}"),
        native_group(listener(8080), "{http: 8081}"),
    ),
    Case(
        "V083",
        "tasks.y.runtime.listeners.http.project.host.port",
        group(listener(8080, host=80), listener(8081, host=80)),
        group(listener(8080, host=80), listener(8081, host=81)),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_shared_backend_rule_is_broken_alone(case: Case) -> None:
    prove(case)


@pytest.mark.proves("S004-57", "S004-109")
@pytest.mark.parametrize("scope", ["local", "remote"])
@pytest.mark.parametrize("plane", ["native", "container", "remote"])
@pytest.mark.parametrize("lifecycle", ["persistent", "ephemeral"])
def test_only_three_families_are_legal(scope: str, plane: str, lifecycle: str) -> None:
    found = errors(backend(f"{{scope: {scope}, backend: {plane}, lifecycle: {lifecycle}}}"))
    fits = (scope == "remote") == (plane == "remote")
    lasts = plane == "container" or lifecycle == "persistent"
    assert (found == []) == (fits and lasts), found


@pytest.mark.proves("S004-43")
def test_bound_tasks_agree_on_the_image() -> None:
    found = only(pair(c(), c("d", "image: b")))
    assert "image" in found.summary and "`a` and `b`" in found.why


@pytest.mark.proves("S004-44")
def test_bound_tasks_agree_on_isolation() -> None:
    found = only(pair(c(), c("d", extra=", attachments: {isolated_paths: [node_modules]}")))
    assert "isolated paths" in found.summary


@pytest.mark.proves("S004-45")
def test_bound_tasks_agree_on_memory() -> None:
    different = pair(c(), c("d", "image: a, resources: {memory: {default: 1GiB}}"))
    assert "memory" in only(different).summary
    spelled = "image: a, resources: {memory: {default: %s}}"
    equal = pair(c("c", spelled % "1GiB"), c("d", spelled % "1024MiB"))
    assert errors(equal) == [("V080", E + "context")]


def test_a_shared_image_makes_context_images_irrelevant() -> None:
    text = pair(c(), c("d", "image: b")).replace(LOCAL, LOCAL[:-1] + ", environment: {profile: p}}")
    assert errors(text) == [("V080", E + "context")]


@pytest.mark.proves("S004-50")
@pytest.mark.parametrize(
    ("one", "two", "meet"),
    [
        ("0.0.0.0", "10.0.0.1", True),
        ("10.0.0.1", "::", True),
        ("0.0.0.0", "0.0.0.0", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
    ],
)
def test_listeners_of_one_backend_do_not_claim_one_endpoint(one: str, two: str, meet: bool) -> None:
    text = group(listener(8080, one), listener(8080, two))
    assert errors(text) == ([("V082", "tasks.y.runtime.listeners.http.bind.port")] if meet else [])


@pytest.mark.parametrize(
    ("one", "two"), [("127.0.0.1", "localhost"), ("::1", "127.0.0.1"), ("127.0.0.2", "LOCALHOST")]
)
def test_loopback_spellings_are_one_address(one: str, two: str) -> None:
    text = native_group(listener(8080, one), listener(8080, two))
    assert errors(text) == [("V082", "tasks.y.runtime.listeners.http.bind.port")]


@pytest.mark.proves("S004-51")
@pytest.mark.parametrize(
    ("one", "two", "meet"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("127.0.0.1", "10.0.0.1", False),
    ],
)
def test_publications_of_one_backend_do_not_meet(one: str, two: str, meet: bool) -> None:
    text = group(listener(1, host=80, on=one), listener(2, host=80, on=two))
    assert [code for code, _ in errors(text)] == (["V083"] if meet else [])


@pytest.mark.proves("S004-104")
@pytest.mark.parametrize(
    "stated", ["profile: p, image_alias: a", "profile: p, image: i", "image_alias: a, image: i"]
)
def test_an_environment_has_one_intent(stated: str) -> None:
    assert errors(backend(LOCAL[:-1] + f", environment: {{{stated}}}}}")) == [("V075", E + "environment")]


def test_a_remote_backend_holds_its_tasks_to_its_context() -> None:
    remote = "{backend: remote, remote: {provider: ssh, target: me@host}}"
    text = backend(REMOTE, f"r: {remote}, s: {remote}") + "tasks:\n" + task("x", listener(8080), "context: s")
    assert errors(text) == [("V078", "tasks.x.runtime.backend_binding")]


@pytest.mark.proves("S004-111")
def test_a_bound_task_resolves_the_context_plane_and_lifecycle_of_its_backend() -> None:
    for rule in ("V078", "V079", "V080"):
        for case in CASES:
            if case.rule == rule:
                prove(case)
    other_plane = (
        backend(LOCAL, "h: {backend: native}") + "tasks:\n" + task("x", listener(8080), "context: h")
    )
    assert errors(other_plane) == [("V421", "tasks.x.runtime.backend_binding")]
