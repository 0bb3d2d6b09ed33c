"""Rules of `execution` and its contexts, each broken alone, and what the messages promise."""

import pytest

from contract.rules.table import Case, errors, only, prove


def context(text: str, name: str = "c") -> str:
    """A contract with one context."""
    return f"execution:\n  contexts:\n    {name}: {text}\n"


def contexts(**texts: str) -> str:
    """A contract with several contexts."""
    return "execution:\n  contexts:\n" + "".join(f"    {name}: {text}\n" for name, text in texts.items())


def box(extra: str = "", image: str = 'image: "debian:12"') -> str:
    """A complete container context; `image` is the inside of `container`."""
    return f"{{backend: container, lifecycle: ephemeral, container: {{{image}}}{extra}}}"


def far(remote: str = "provider: ssh, target: me@host", extra: str = "") -> str:
    """A complete remote context."""
    return f"{{backend: remote, remote: {{{remote}}}{extra}}}"


def here(extra: str = "") -> str:
    """A native context."""
    return f"{{backend: native{extra}}}"


NATIVE = context(here())
IMAGE = 'backends: {container: {image: "debian:12"}}'
PROVIDER = "extensions: {acme: {kind: %s, command: ./acme, api_version: %s}}\n"
C = "execution.contexts.c."

CASES = (
    Case("V020", "execution.default_context", 'execution: {default_context: ""}\n', NATIVE),
    Case(
        "V021",
        "execution.default_context",
        "execution: {default_context: d, contexts: {c: {backend: native}}}\n",
        "execution: {default_context: c, contexts: {c: {backend: native}}}\n",
    ),
    Case(
        "V022",
        "execution.preferred",
        f"execution: {{preferred: container, lifecycle: persistent, {IMAGE}, default_context: app, "
        "contexts: {app: {backend: container}}}\n",
        f"execution: {{lifecycle: persistent, {IMAGE}, default_context: app, "
        "contexts: {app: {backend: container}}}\n",
    ),
    Case(
        "V023",
        "execution.preferred",
        "execution: {preferred: native, supported: [container]}\n",
        "execution: {preferred: native, supported: [container, native]}\n",
    ),
    Case(
        "V024",
        "execution.backends.container.image",
        "execution: {preferred: container, lifecycle: ephemeral}\n",
        f"execution: {{preferred: container, lifecycle: ephemeral, {IMAGE}}}\n",
    ),
    Case(
        "V025",
        "execution.lifecycle",
        f"execution: {{preferred: container, {IMAGE}}}\n",
        f"execution: {{preferred: container, lifecycle: persistent, {IMAGE}}}\n",
    ),
    Case(
        "V026",
        "execution.backends.remote.provider",
        "execution: {preferred: remote}\n",
        "execution: {preferred: remote, backends: {remote: {provider: ssh, target: me@host}}}\n",
    ),
    Case(
        "V027",
        "execution.backends.remote.target",
        "execution: {preferred: remote, backends: {remote: {provider: ssh}}}\n",
        "execution: {preferred: remote, backends: {remote: {provider: kubectl, target: pod/web}}}\n",
    ),
    Case("V028", C + "container.image", context(box(image='image: ""')), context(box())),
    Case(
        "V028",
        "execution.backends.container.image",
        'execution: {backends: {container: {image: " "}}}\n',
        f"execution: {{{IMAGE}}}\n",
    ),
    Case("V029", C + "remote.provider", context(far('provider: "", target: me@host')), context(far())),
    Case("V030", C + "remote.target", context(far('provider: ssh, target: ""')), context(far())),
    Case(
        "V031",
        C + "remote.cwd",
        context(far('provider: ssh, target: me@host, cwd: ""')),
        context(far("provider: ssh, target: me@host, cwd: /srv")),
    ),
    Case("V032", C + "remote.provider", context(far("provider: acme, target: x")), context(far())),
    Case(
        "V033",
        C + "remote.provider",
        context(far("provider: acme, target: x")) + PROVIDER % ("check_provider", 1),
        context(far("provider: acme, target: x")) + PROVIDER % ("backend_provider", 1),
    ),
    Case(
        "V034",
        C + "remote.provider",
        context(far("provider: acme, target: x")) + PROVIDER % ("backend_provider", 2),
        context(far("provider: acme, target: x")) + PROVIDER % ("backend_provider", 1),
    ),
    Case(
        "V035",
        C + "remote.ssh",
        context(far("provider: tsh, target: me@host, ssh: {config_file: a}")),
        context(far("provider: ssh, target: me@host, ssh: {config_file: a}")),
    ),
    Case(
        "V035",
        "execution.contexts.d.remote.ssh",
        contexts(
            c=far("provider: ssh, target: me@host, ssh: {identity_file: k}"),
            d="{extends: c, remote: {provider: kubectl}}",
            e="{extends: d, remote: {cwd: /srv}}",
        ),
        contexts(c=far("provider: ssh, target: me@host, ssh: {identity_file: k}"), d="{extends: c}"),
    ),
    Case(
        "V036",
        C + "remote.ssh.identity_file",
        context(far('provider: ssh, target: me@host, ssh: {identity_file: ""}')),
        context(far("provider: ssh, target: me@host, ssh: {identity_file: key}")),
    ),
    Case(
        "V037",
        C + "container.resources.memory.minimum",
        context(box(image="image: a, resources: {memory: {minimum: 2GB}}")),
        context(box(image="image: a, resources: {memory: {minimum: 2GiB}}")),
    ),
    Case(
        "V038",
        C + "container.resources.memory.default",
        context(box(image="image: a, resources: {memory: {minimum: 2GiB, default: 1024MiB}}")),
        context(box(image="image: a, resources: {memory: {minimum: 2GiB, default: 2048MiB}}")),
    ),
    Case(
        "V038",
        "execution.contexts.d.container.resources.memory.default",
        contexts(
            c=box(image="image: a, resources: {memory: {minimum: 2GiB}}"),
            d="{extends: c, container: {resources: {memory: {default: 1GiB}}}}",
            e="{extends: d, container: {image: b}}",
        ),
        contexts(
            c=box(image="image: a, resources: {memory: {minimum: 2GiB}}"),
            d="{extends: c, container: {resources: {memory: {default: 3GiB}}}}",
        ),
    ),
    Case("V039", 'execution.contexts.""', context(here(), '""'), NATIVE),
    Case("V040", C + "extends", context('{extends: ""}'), NATIVE),
    Case("V041", C + "extends", context("{extends: nobody}"), contexts(base=here(), c="{extends: base}")),
    Case(
        "V042",
        "execution.contexts.a.extends",
        contexts(a="{extends: b}", b="{extends: a}", c="{extends: a}"),
        contexts(a=here(), b="{extends: a}", c="{extends: b}"),
    ),
    Case("V042", C + "extends", context("{extends: c, backend: native}"), NATIVE),
    Case(
        "V043",
        "execution.contexts.fast.backend",
        contexts(
            base=here(", env: {LOG: info}"), fast="{extends: base, " + box()[1:], last="{extends: fast}"
        ),
        contexts(base=here(), fast="{extends: base, backend: native}"),
    ),
    Case("V044", C + "backend", contexts(c="{env: {A: b}}", d="{extends: c}"), NATIVE),
    Case("V045", C + "only_on", context(here(", only_on: []")), context(here(", only_on: [linux]"))),
    Case("V045", C + "only_on[0]", context(here(", only_on: [beos]")), context(here(", only_on: [macos]"))),
    Case("V045", C + "only_on[1]", context(here(", only_on: [linux, linux]")), NATIVE),
    Case("V046", C + "only_arch", context(here(", only_arch: []")), context(here(", only_arch: [x64]"))),
    Case("V046", C + "only_arch[0]", context(here(', only_arch: [""]')), NATIVE),
    Case("V046", C + "only_arch[0]", context(here(', only_arch: ["x 64"]')), NATIVE),
    Case(
        "V046",
        C + "only_arch[1]",
        context(here(", only_arch: [arm64, arm64]")),
        context(here(", only_arch: [arm64, x64]")),
    ),
    Case("V047", C + "lifecycle", context(here(", lifecycle: persistent")), NATIVE),
    Case(
        "V048",
        C + "fulfillment",
        context(here(", fulfillment: run")),
        context(box(", fulfillment: run")),
    ),
    Case("V048", C + "fulfillment", context(far(extra=", fulfillment: none")), context(far())),
    Case("V049", C + "container", context(here(", container: {image: a}")), NATIVE),
    Case("V049", C + "remote", context(here(", remote: {provider: ssh, target: me@host}")), NATIVE),
    Case(
        "V050",
        C + "container.image",
        context("{backend: container, lifecycle: ephemeral}"),
        f"execution: {{{IMAGE}, contexts: {{c: {{backend: container, lifecycle: ephemeral}}}}}}\n",
    ),
    Case(
        "V051",
        C + "lifecycle",
        context("{backend: container, container: {image: a}}"),
        "execution: {lifecycle: persistent, contexts: {c: {backend: container, container: {image: a}}}}\n",
    ),
    Case("V052", C + "remote", context(box(", remote: {provider: ssh}")), context(box())),
    Case(
        "V053",
        C + "remote.provider",
        context("{backend: remote, remote: {target: me@host}}"),
        "execution: {backends: {remote: {provider: ssh}}, "
        "contexts: {c: {backend: remote, remote: {target: me@host}}}}\n",
    ),
    Case(
        "V054",
        C + "remote.target",
        context("{backend: remote, remote: {provider: daytona}}"),
        context("{backend: remote, remote: {provider: daytona, target: sandbox-dev}}"),
    ),
    Case("V055", C + "container", context(far(extra=", container: {image: a}")), context(far())),
    Case(
        "V056",
        C + "attachments.compose[0]",
        context(box(', attachments: {compose: [""]}')),
        context(box(", attachments: {compose: []}")),
    ),
    Case(
        "V057",
        C + "attachments.compose[0]",
        context(box(", attachments: {compose: [local]}")),
        context(box(", attachments: {compose: [local]}"))
        + "services: {db: {manager: {kind: compose, name: local, service: db}}}\n",
    ),
    Case(
        "V058",
        C + "attachments.isolated_paths",
        context(here(", attachments: {isolated_paths: [node_modules]}")),
        context(box(", attachments: {isolated_paths: [node_modules]}")),
    ),
    Case(
        "V058",
        C + "attachments.isolated_paths",
        context(far(extra=", attachments: {isolated_paths: [node_modules]}")),
        context(far()),
    ),
    Case(
        "V058",
        C + "attachments.compose",
        context(here(", attachments: {compose: [local]}")),
        context(here(", attachments: {}")),
    ),
    *(
        Case(
            "V059",
            C + "attachments.isolated_paths[0]",
            context(box(f", attachments: {{isolated_paths: ['{path}']}}")),
            context(box(", attachments: {isolated_paths: [web/node_modules]}")),
        )
        for path in ("", "/abs", "../up", ".", "C:x")
    ),
    Case(
        "V060",
        C + "attachments.isolated_paths[1]",
        context(box(", attachments: {isolated_paths: [a/b, ./a//b]}")),
        context(box(", attachments: {isolated_paths: [a/b, a/c]}")),
    ),
    Case(
        "V061",
        C + "container.platform",
        context(box(image="image: a, platform: windows/amd64")),
        context(box(image="image: a, platform: linux/arm64/v8")),
    ),
    Case(
        "V062",
        C + "requirements.toolchains[0]",
        context(here(", requirements: {toolchains: [rust]}")),
        context(here(", requirements: {toolchains: [rust]}")) + 'toolchains: {rust: {version: "1.94"}}\n',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_execution_rule_is_broken_alone(case: Case) -> None:
    prove(case)


FOREIGN = ("V047", "V048", "V049", "V052", "V055", "V058")


@pytest.mark.proves("S002-04")
@pytest.mark.parametrize("case", [case for case in CASES if case.rule in FOREIGN], ids=str)
def test_a_setting_of_another_plane_is_an_error(case: Case) -> None:
    prove(case)


@pytest.mark.proves("S001-34")
@pytest.mark.parametrize("case", [case for case in CASES if case.rule in ("V058", "V059", "V060")], ids=str)
def test_isolated_paths_are_relative_distinct_and_for_containers(case: Case) -> None:
    prove(case)


@pytest.mark.proves("S004-112", "S004-113")
@pytest.mark.parametrize("text", [here(", fulfillment: run"), far(extra=", fulfillment: run")])
def test_fulfillment_is_for_containers_only(text: str) -> None:
    found = only(context(text))
    assert found.code == "OTA_V048"
    assert "only for container contexts" in found.why


@pytest.mark.proves("S004-62")
@pytest.mark.parametrize("case", [case for case in CASES if case.rule in ("V032", "V033", "V034")], ids=str)
def test_a_provider_is_built_in_or_a_backend_provider(case: Case) -> None:
    prove(case)
    assert only(case.broken).next


@pytest.mark.proves("S004-63")
@pytest.mark.parametrize(
    ("provider", "example"),
    [("daytona", "sandbox-dev"), ("ssh", "user@host"), ("tsh", "user@host"), ("kubectl", "pod/name")],
)
def test_a_missing_target_shows_how_one_looks(provider: str, example: str) -> None:
    assert example in only(context(f"{{backend: remote, remote: {{provider: {provider}}}}}")).next
    shorthand = f"execution: {{preferred: remote, backends: {{remote: {{provider: {provider}}}}}}}\n"
    assert example in only(shorthand).next


@pytest.mark.proves("S004-67")
@pytest.mark.parametrize("provider", ["daytona", "tsh", "kubectl"])
@pytest.mark.parametrize("field", ["config_file", "identity_file"])
def test_ssh_files_are_for_ssh_only(provider: str, field: str) -> None:
    text = context(far(f"provider: {provider}, target: x@y, ssh: {{{field}: a}}"))
    assert errors(text) == [("V035", C + "remote.ssh")]


def test_mixing_both_models_shows_both_and_both_ways_out() -> None:
    found = only(next(case.broken for case in CASES if case.rule == "V022"))
    assert "shorthand" in found.why and "named contexts" in found.why
    assert "use contexts" in found.next and "drop contexts" in found.next


@pytest.mark.parametrize("plane", ["native", "container", "remote"])
def test_preferred_beside_contexts_is_one_error_on_every_plane(plane: str) -> None:
    text = f"execution: {{preferred: {plane}, contexts: {{c: {{backend: native}}}}}}\n"
    assert errors(text) == [("V022", "execution.preferred")]


def test_a_plane_switch_names_child_parent_and_the_way_out() -> None:
    found = only(contexts(parent=here(), child="{extends: parent, backend: container}"))
    assert found.code == "OTA_V043"
    assert "`child`" in found.summary and "`parent`" in found.summary
    assert "define a separate base for the container family" in found.next


@pytest.mark.proves("S002-35")
@pytest.mark.parametrize("child", ["{extends: base}", "{extends: base, backend: native}"])
def test_a_child_may_omit_or_repeat_the_inherited_backend(child: str) -> None:
    assert errors(contexts(base=here(), child=child)) == []


def test_a_cycle_is_told_once_with_its_route() -> None:
    found = only(contexts(a="{extends: b}", b="{extends: c}", c="{extends: a}"))
    assert "a -> b -> c -> a" in found.why


@pytest.mark.parametrize("size", ["0", "1.5GiB", "2g", "-1MiB", "lots", ""])
def test_a_memory_size_that_is_none_says_why(size: str) -> None:
    text = context(box(image=f"image: a, resources: {{memory: {{default: '{size}'}}}}"))
    found = only(text)
    assert found.code == "OTA_V037" and found.why


@pytest.mark.proves("S000-66", "S000-67", "S001-55")
@pytest.mark.parametrize(
    "memory", ["{minimum: 2GiB}", "{default: 3gib}", "{minimum: 1GiB, default: 1073741824}"]
)
def test_a_container_context_may_state_memory(memory: str) -> None:
    assert errors(context(box(image=f"image: a, resources: {{memory: {memory}}}"))) == []


def test_root_values_complete_a_context_and_settings_of_other_planes_stay_out() -> None:
    text = (
        "execution:\n  lifecycle: persistent\n"
        "  backends: {container: {image: a}, remote: {provider: ssh, target: me@host}}\n"
        "  contexts: {n: {backend: native}, c: {backend: container}, r: {backend: remote}}\n"
    )
    assert errors(text) == []


def test_a_long_chain_of_contexts_is_walked() -> None:
    chain = {f"c{i}": f"{{extends: c{i - 1}}}" for i in range(1, 200)}
    assert errors(contexts(c0=here(), **chain)) == []


@pytest.mark.proves("S002-02")
def test_a_context_runs_on_one_of_three_planes() -> None:
    assert [errors(context(text)) for text in (here(), box(), far())] == [[], [], []]
    for plane in ("host", "docker", "Native", "none"):
        found = only(context(f"{{backend: {plane}}}"))
        assert (found.code, found.place and found.place.field) == ("OTA_P03", C + "backend")
        assert "`native`, `container`, `remote`" in found.why
