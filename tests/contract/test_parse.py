"""Every section parses; every parse rule fires once, at its place, with a way out."""
# ruff: noqa: E501  one case per line reads as a table

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Struct

from contract.reading import FIXTURES, HEAD, codes, loaded, parse_findings, parsed
from ota.contract.model import Contract
from ota.contract.model.workflows import Instances, Workflows
from ota.contract.parse import records_of
from ota.errors import ContractUnreadableError

EVERYTHING = FIXTURES / "contracts" / "everything.yaml"


def structs_in(value: object) -> list[Struct]:
    found: list[Struct] = []
    if isinstance(value, Struct):
        found.append(value)
        value = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            found += structs_in(item)
    return found


@pytest.fixture(scope="module")
def everything() -> Contract:
    return parsed(EVERYTHING.read_text(encoding="utf-8"))


def test_the_contract_with_everything_says_every_field_of_every_record(everything: Contract) -> None:
    stated: dict[type[Struct], set[str]] = {}
    for record in structs_in(everything):
        bare = {
            name: default
            for name, default in zip(
                record.__struct_fields__[-len(record.__struct_defaults__) :] or (),
                record.__struct_defaults__,
                strict=False,
            )
            if record.__struct_defaults__
        }
        said = stated.setdefault(type(record), set())
        said |= {
            name
            for name in record.__struct_fields__
            if name not in bare or getattr(record, name) != bare[name]
        }
    silent = [
        f"{record.__name__}.{name}"
        for record in records_of(Contract)
        for name in record.__struct_fields__
        if name not in stated.get(record, ())
    ]
    # Defaults that are the only legal value of their field.
    assert set(silent) == {
        "LaunchVolume.kind",
        "EnsureVirtualenv.provider",
        "EnsureContainerNetwork.provider",
        "ResetComposeServiceVolume.provider",
        "BuildContainerImage.provider",
    }


def test_numbers_are_kept_as_their_source_text(everything: Contract) -> None:
    assert everything.runtimes["python"].version == "3.10"
    assert everything.toolchains["node"].version == "22"
    assert everything.toolchains["node"].package_managers == {"pnpm": "9.1", "yarn": "4"}
    dev = everything.tasks["dev"]
    assert dev.inputs["level"].default == "3"
    assert dev.inputs["level"].allowed == ("1", "2", "3", "true")


def test_workflows_and_instances_keep_their_own_keys_apart(everything: Contract) -> None:
    assert isinstance(everything.workflows, Workflows)
    assert everything.workflows.default == "app"
    assert list(everything.workflows.entries) == ["app"]
    instances = everything.workflows.entries["app"].instances
    assert isinstance(instances, Instances)
    assert instances.default == "one"
    assert list(instances.named) == ["one"]
    assert list(instances.generated) == ["many"]


# --- null ----------------------------------------------------------------------------------------


def test_null_is_the_same_as_leaving_an_optional_key_out() -> None:
    silent = parsed(HEAD + "tasks: {a: {run: x}}\n")
    null = parsed(
        HEAD + "metadata:\nenv: ~\nexecution: null\nworkflows:\nagent:\nchecks:\nextensions:\n"
        "tasks: {a: {run: x, env: , depends_on: ~, runtime: null, internal: , context: }}\n"
    )
    assert null == silent


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("version: 1\nproject:\n", "OTA_P02", "project"),
        (HEAD + "tasks: {a: }\n", "OTA_P02", "tasks.a"),
        (HEAD + "tasks: {a: {env: {K: }}}\n", "OTA_P02", "tasks.a.env.K"),
        (HEAD + "tasks: {a: {depends_on: [~]}}\n", "OTA_P02", "tasks.a.depends_on[0]"),
        (HEAD + "surfaces: {w: {kind: http, port: }}\n", "OTA_P02", "surfaces.w.port"),
    ],
)
def test_null_where_a_value_is_needed_is_refused(text: str, code: str, field: str) -> None:
    (finding,) = parse_findings(text)
    assert finding.code == code
    assert finding.place is not None
    assert finding.place.field == field
    assert finding.why == "found nothing"


def test_an_empty_environment_of_a_shared_backend_is_a_statement() -> None:
    contract = parsed(
        HEAD + "execution: {shared_backends: {b: {scope: local, backend: container, "
        "lifecycle: persistent, environment: {}}}}\n"
    )
    assert contract.execution is not None
    assert contract.execution.shared_backends["b"].environment is not None


# --- parse rules ---------------------------------------------------------------------------------

P_RULES: list[Any] = [
    # code, text after the head, field, line, column, part of `next`
    pytest.param("P01", "taks: {}\n", "taks", 3, 1, "`tasks`", id="P01-top"),
    pytest.param("P01", "tasks:\n  a: {run: x, depend_on: []}\n", "tasks.a.depend_on", 4, 15, "`depends_on`", id="P01-typo"),
    pytest.param("P01", "tasks: {a: {run: x, dependsOn: []}}\n", "tasks.a.dependsOn", 3, 21, "`depends_on`", id="P01-camel"),
    pytest.param("P01", "tasks: {a: {run: x, depends-on: []}}\n", "tasks.a.depends-on", 3, 21, "`depends_on`", id="P01-dash"),
    pytest.param("P01", "tasks: {a: {run: x, cwd: y}}\n", "tasks.a.cwd", 3, 21, "remove `cwd`", id="P01-far"),
    pytest.param("P01", "tasks: {a: {run: x, memory: 1GiB}}\n", "tasks.a.memory", 3, 21, "remove `memory`", id="P01-task-memory"),
    pytest.param("P01", "services: {s: {start: x, resources: {}}}\n", "services.s.resources", 3, 26, "", id="P01-service-memory"),
    pytest.param("P01", "tasks: {a: {run: x, inputs: {u: {default_from: {}}}}}\n", "tasks.a.inputs.u.default_from", 3, 34, "`default`", id="P01-default-from"),
    pytest.param("P01", "tasks: {a: {execution: {modes: {cloud: {}}}}}\n", "tasks.a.execution.modes.cloud", 3, 33, "", id="P01-mode"),
    pytest.param("P01", "tasks: {a: {<<: {run: x}}}\n", "tasks.a.<<", 3, 13, "extends", id="P01-merge"),
    pytest.param("P01", "tasks: {a: {launch: {kind: compose, action: up, exe: x}}}\n", "tasks.a.launch.exe", 3, 49, "", id="P01-other-kind"),
    pytest.param("P02", "tasks: []\n", "tasks", 3, 8, "a mapping", id="P02-list"),
    pytest.param("P02", "tasks: {a: {run: 5}}\n", "tasks.a.run", 3, 18, 'quote it: "5"', id="P02-number"),
    pytest.param("P02", "tasks: {a: {run: true}}\n", "tasks.a.run", 3, 18, 'quote it: "true"', id="P02-boolean"),
    pytest.param("P02", "tasks: {a: {run: x, internal: yes}}\n", "tasks.a.internal", 3, 31, "write `true`", id="P02-yes"),
    pytest.param("P02", "tasks: {a: {run: x, depends_on: b}}\n", "tasks.a.depends_on", 3, 33, "write `[b]`", id="P02-scalar"),
    pytest.param("P02", "tasks: {a: {run: x, env: {K: 1}}}\n", "tasks.a.env.K", 3, 30, 'quote it: "1"', id="P02-env"),
    pytest.param("P02", "tasks: {[a]: {run: x}}\n", "tasks", 3, 9, "plain name", id="P02-key"),
    pytest.param("P02", "surfaces: {w: {kind: http, port: 3.5}}\n", "surfaces.w.port", 3, 34, "whole number", id="P02-fraction"),
    pytest.param("P02", "surfaces: {w: {kind: http, port: 99999999999999999999999}}\n", "surfaces.w.port", 3, 34, "whole number", id="P02-huge"),
    pytest.param("P02", "tasks: {a: {run: x, runtime: {kind: service, listeners: {h: {http: 3000x}}}}}\n", "tasks.a.runtime.listeners.h.http", 3, 68, "full form", id="P02-shorthand"),
    pytest.param("P03", "execution: {preferred: contaner}\n", "execution.preferred", 3, 24, "`container`", id="P03"),
    pytest.param("P03", "services: {s: {manager: {kind: systemd}}}\n", "services.s.manager.kind", 3, 32, "`compose`, `host`", id="P03-manager"),
    pytest.param("P03", "tasks: {a: {action: {kind: copy}}}\n", "tasks.a.action.kind", 3, 28, "", id="P03-tag"),
    pytest.param("P04", "checks: [{name: a, kind: health}]\n", "checks[0].severity", 3, 10, "add `severity`", id="P04"),
    pytest.param("P04", "tasks: {a: {launch: {exe: x}}}\n", "tasks.a.launch.kind", 3, 21, "add `kind`", id="P04-tag"),
    pytest.param("P04", "tasks: {a: {runtime: {kind: service, listeners: {h: {protocol: http}}}}}\n", "tasks.a.runtime.listeners.h.bind", 3, 53, "add `bind`", id="P04-listener"),
    pytest.param("P04", "extensions: {e: {kind: backend_provider}}\n", "extensions.e.command", 3, 17, "add `command`", id="P04-extension"),
    pytest.param("P05", "tasks: {a: {runtime: {kind: service, listeners: {h: {http: 3000, bind: {}}}}}}\n", "tasks.a.runtime.listeners.h", 3, 53, "remove `bind`", id="P05"),
    pytest.param("P05", "tasks: {a: {runtime: {kind: service, listeners: {h: {http: 3000, protocol: ~}}}}}\n", "tasks.a.runtime.listeners.h", 3, 53, "remove `protocol`", id="P05-null"),
    pytest.param("P05", "tasks: {a: {runtime: {kind: service, listeners: {h: {tcp: 3000, project: ''}}}}}\n", "tasks.a.runtime.listeners.h", 3, 53, "remove `project`", id="P05-empty"),
    pytest.param("P06", "tasks: {a: {runtime: {kind: service, listeners: {h: {http: 3000, tcp: 3000}}}}}\n", "tasks.a.runtime.listeners.h", 3, 53, "keep one", id="P06"),
    pytest.param("P07", "tasks: {a: {runtime: {kind: service, listeners: {h: {http: 0}}}}}\n", "tasks.a.runtime.listeners.h.http", 3, 60, "1 to 65535", id="P07-zero"),
    pytest.param("P07", "tasks: {a: {runtime: {kind: service, listeners: {h: {tcp: 65536}}}}}\n", "tasks.a.runtime.listeners.h.tcp", 3, 59, "1 to 65535", id="P07-high"),
    pytest.param("P08", "tasks:\n  a: {run: x}\n  b: {run: x}\n  a: {run: y}\n", "tasks.a", 6, 3, "keep one", id="P08"),
    pytest.param("P08", "metadata: {a: {b: 1, b: 2}}\n", "metadata.a.b", 3, 22, "keep one", id="P08-open"),
    pytest.param("P08", "tasks: {a: {runtime: {kind: service, listeners: {h: {http: 3000, http: 3000}}}}}\n", "tasks.a.runtime.listeners.h.http", 3, 66, "keep one", id="P08-shorthand"),
    pytest.param("P08", "agent: {posture: readiness_strict, posture: infra_authoring}\n", "agent.posture", 3, 36, "keep one", id="P08-record"),
    pytest.param("P09", "env: {vars: {A: value}}\n", "env.vars.A", 3, 17, "default", id="P09"),
    pytest.param("P09", "env: {vars: {A: 5}}\n", "env.vars.A", 3, 17, "default", id="P09-number"),
    pytest.param("P10", "workflows: {w: {instances: {one: {}}}}\n", "workflows.w.instances.default", 3, 28, "add `default`", id="P10"),
    pytest.param("P10", "workflows: {w: {instances: {default: , one: {}}}}\n", "workflows.w.instances.default", 3, 28, "add `default`", id="P10-null"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "field", "line", "column", "next_"), P_RULES)
def test_a_parse_rule_is_broken_alone(
    code: str, text: str, field: str, line: int, column: int, next_: str
) -> None:
    (finding,) = parse_findings(HEAD + text)
    assert finding.code == f"OTA_{code}"
    assert finding.place is not None
    assert finding.place.field == field
    assert (finding.place.line, finding.place.column) == (line, column)
    assert next_ in finding.next
    assert finding.why
    assert finding.title == "Contract could not be loaded"


def test_every_parse_rule_has_a_case() -> None:
    assert {case.values[0] for case in P_RULES} == {f"P{number:02}" for number in range(1, 11)}


@pytest.mark.proves("S002-67")
@pytest.mark.proves("S001-74")
def test_http_and_tcp_on_one_listener_are_refused() -> None:
    text = "tasks: {a: {run: x, runtime: {kind: service, listeners: {h: {http: 1, tcp: 2}}}}}\n"
    assert codes(HEAD + text) == ["OTA_P06"]


@pytest.mark.proves("S002-66")
@pytest.mark.proves("S001-73")
@pytest.mark.parametrize("short", ["http", "tcp"])
@pytest.mark.parametrize("field", ["protocol", "bind", "project"])
@pytest.mark.parametrize("value", ["~", "", "{}", "''", "http", "{host: {}}"])
def test_shorthand_beside_a_full_field_is_refused(short: str, field: str, value: str) -> None:
    listener = f"{{{short}: 3000, {field}: {value}}}"
    text = f"tasks: {{a: {{run: x, runtime: {{kind: service, listeners: {{h: {listener}}}}}}}}}\n"
    assert codes(HEAD + text) == ["OTA_P05"]


@pytest.mark.proves("S001-75")
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("0", "P07"),
        ("65536", "P07"),
        ("-1", "P07"),
        ("'3000'", "P02"),
        ("3000:80", "P02"),
        ("0.0.0.0:3000", "P02"),
        ("{bind: 3000, host: 80}", "P02"),
        ("[3000, 80]", "P02"),
        ("auto", "P02"),
        ("~", "P02"),
    ],
)
def test_shorthand_is_one_port_and_nothing_else(value: str, code: str) -> None:
    text = "tasks: {{a: {{run: x, runtime: {{kind: service, listeners: {{h: {{http: {}}}}}}}}}}}\n"
    (finding,) = parse_findings(HEAD + text.format(value))
    assert finding.code == f"OTA_{code}"
    full = (
        "tasks: {a: {run: x, runtime: {kind: service, listeners: {h: {protocol: http, "
        "bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}, "
        "project: {host: {address: 127.0.0.1, port: {mode: auto}}}}}}}}\n"
    )
    assert codes(HEAD + full) == []


@pytest.mark.proves("S001-98")
@pytest.mark.parametrize(
    "text",
    [
        "tasks: {a: {run: x, resources: {memory: {minimum: 1GiB}}}}\n",
        "tasks: {a: {run: x, memory: 1GiB}}\n",
        "tasks: {a: {run: x, container: {resources: {memory: {minimum: 1GiB}}}}}\n",
        "services: {s: {manager: {kind: compose, name: n, service: s}, resources: {memory: {minimum: 1GiB}}}}\n",
        "services: {s: {manager: {kind: compose, name: n, service: s}, memory: 1GiB}}\n",
    ],
)
def test_memory_belongs_to_contexts_only(text: str) -> None:
    assert codes(HEAD + text) == ["OTA_P01"]


@pytest.mark.proves("S004-26")
@pytest.mark.parametrize("value", ["{service: {task: dev}}", "{}", "x"])
def test_default_from_is_no_key_of_an_input(value: str) -> None:
    (finding,) = parse_findings(
        HEAD + f"tasks: {{a: {{run: x, inputs: {{u: {{default_from: {value}}}}}}}}}\n"
    )
    assert finding.code == "OTA_P01"
    assert "`default`" in finding.next


@pytest.mark.proves("S004-31")
def test_exactly_five_activation_modes_exist() -> None:
    text = "tasks: {{a: {{run: x, targets: {{t: {{url: http://x, activation: {{mode: {}}}}}}}}}}}\n"
    for mode in ("manual", "ensure_started", "restart_ready", "ensure_running", "ensure_ready"):
        assert parsed(HEAD + text.format(mode)).tasks["a"].targets["t"].activation.mode == mode
    for word in ("auto", "started", "ensure", "ENSURE_READY", "ensure-ready", "none"):
        (finding,) = parse_findings(HEAD + text.format(word))
        assert finding.code == "OTA_P03"
        assert "`ensure_started`" in finding.why


@pytest.mark.proves("S002-96")
def test_exactly_three_address_views_exist() -> None:
    text = "tasks: {{a: {{run: x, targets: {{t: {{service: {{task: a, address_view: {}}}}}}}}}}}\n"
    for view in ("host", "topology", "internal"):
        target = parsed(HEAD + text.format(view)).tasks["a"].targets["t"]
        assert target.service is not None
        assert target.service.address_view == view
    for word in ("external", "Host", "container", "local"):
        assert parse_findings(HEAD + text.format(word))[0].code == "OTA_P03"


@pytest.mark.proves("S002-02")
def test_exactly_three_planes_exist() -> None:
    text = "execution: {{contexts: {{c: {{backend: {}}}}}}}\n"
    for plane in ("native", "container", "remote"):
        execution = parsed(HEAD + text.format(plane)).execution
        assert execution is not None
        assert execution.contexts["c"].backend == plane
    for word in ("host", "docker", "Native", "ssh", "5", "''"):
        (finding,) = parse_findings(HEAD + text.format(word))
        assert finding.code == "OTA_P03"
        assert finding.why == "supported: `native`, `container`, `remote`"


@pytest.mark.proves("S001-174")
@pytest.mark.parametrize("kind", ["systemd", "podman", "kubernetes", "launchd"])
def test_other_service_managers_are_refused_and_the_supported_ones_named(kind: str) -> None:
    (finding,) = parse_findings(HEAD + f"services: {{s: {{manager: {{kind: {kind}}}}}}}\n")
    assert finding.code == "OTA_P03"
    assert finding.why == "supported: `compose`, `host`"


@pytest.mark.proves("S004-77")
def test_a_section_pasted_twice_is_a_duplicate_with_its_line() -> None:
    text = (
        "execution: {contexts: {a: {backend: native}}}\n"
        "tasks: {t: {run: x}}\n"
        "execution: {contexts: {b: {backend: native}}}\n"
    )
    (finding,) = parse_findings(HEAD + text)
    assert finding.code == "OTA_P08"
    assert finding.why == "the first declaration is on line 3"
    assert finding.place is not None
    assert (finding.place.field, finding.place.line) == ("execution", 5)


# --- several findings ----------------------------------------------------------------------------


def test_independent_findings_come_together_in_file_order() -> None:
    findings = parse_findings(
        "version: one\n"
        "projct: {name: x}\n"
        "tasks:\n"
        "  a:\n"
        "    run: 5\n"
        "    context: [x]\n"
        "  b:\n"
        "    launch: {kind: rocket}\n"
        "checks:\n"
        "  - {name: c, kind: file}\n"
        "  - 7\n"
    )
    places = [(finding.code, finding.place.line) for finding in findings if finding.place]
    assert places == [
        ("OTA_P04", 1),
        ("OTA_P02", 1),
        ("OTA_P01", 2),
        ("OTA_P02", 5),
        ("OTA_P02", 6),
        ("OTA_P03", 8),
        ("OTA_P04", 10),
        ("OTA_P02", 11),
    ]


def test_known_keys_are_listed_only_without_a_suggestion_and_never_all_of_many() -> None:
    (mistyped,) = parse_findings(HEAD + "tasks: {a: {run: x, depend_on: []}}\n")
    assert mistyped.why == "`tasks.a` has no such key"
    (strange,) = parse_findings(HEAD + "tasks: {a: {run: x, cwd: y}}\n")
    assert strange.why.startswith("`tasks.a` knows `action`, `adapter_inputs`, ")
    assert strange.why.endswith(" more (`ota schema` has them all)")
    assert len(strange.why) < 260
    (few,) = parse_findings(HEAD + "tasks: {a: {run: x, when: {zzz: 1}}}\n")
    assert few.why == "`tasks.a.when` knows `checks`, `os`"


@pytest.mark.parametrize("text", ["- 1\n", "text\n", "5\n", "[]\n"])
def test_a_contract_that_is_no_mapping_is_said(text: str) -> None:
    (finding,) = parse_findings(text)
    assert finding.code == "OTA_P02"
    assert finding.summary == "`contract` must be a mapping"
    assert finding.place is not None
    assert (finding.place.line, finding.place.column) == (1, 1)


def test_an_empty_mapping_misses_what_a_contract_needs() -> None:
    fields = [finding.place.field for finding in parse_findings("{}\n") if finding.place]
    assert fields == ["version", "project"]


def test_what_the_file_says_is_quoted_on_one_line() -> None:
    (finding,) = parse_findings(HEAD + 'execution: {preferred: "a\\nb\\e[31m' + "x" * 100 + '"}\n')
    told = finding.summary + finding.why + finding.next
    assert "\n" not in told
    assert "\x1b" not in told
    assert len(finding.summary) < 120


# --- x- and later layers -------------------------------------------------------------------------


def test_x_keys_are_accepted_and_ignored_in_records_and_named_maps() -> None:
    plain = parsed(HEAD + "tasks: {a: {run: x, runtime: {kind: service, listeners: {h: {http: 3000}}}}}\n")
    remarked = parsed(
        HEAD + "x-top: [1]\n"
        "tasks: {x-base: {nonsense: 1}, a: {x-a: ~, run: x, "
        "runtime: {kind: service, x-r: 1, listeners: {x-l: 1, h: {http: 3000, x-h: 1}}}}}\n"
    )
    assert remarked == plain


def test_x_names_are_data_where_names_are_data() -> None:
    contract = parsed(
        HEAD + "metadata: {x-a: 1, b: {x-c: 2}}\n"
        "readiness: {probes: {p: {kind: http, url: http://x, timeout: 1s, headers: {x-trace: on}}}}\n"
    )
    assert contract.metadata == {"x-a": 1, "b": {"x-c": 2}}
    assert contract.readiness.probes["p"].headers == {"x-trace": "on"}


def test_later_layers_are_accepted_with_one_note() -> None:
    told = loaded(
        HEAD + "governance: {crossing_authority: {authority_id: x}}\n"
        "artifacts: {anything: [goes]}\n"
        "tasks: {a: {run: x, replay_inputs: {}, effects: {declared: [y]}}}\n"
        "workflows: {w: {run: {task: a}, proof: {claim: z}}}\n"
    ).warnings
    (note,) = [finding for finding in told if finding.code == "OTA_CONTRACT_LATER_LAYER"]
    assert note.severity == "info"
    for field in ("`governance`", "`artifacts`", "`tasks.a.replay_inputs`", "`tasks.a.effects.declared`"):
        assert field in note.why
    assert note.why.endswith("`workflows.w.proof`")


def test_flat_fulfillment_of_a_toolchain_draws_an_advisory() -> None:
    told = loaded(HEAD + "toolchains: {go: {version: '1.24', fulfillment: run}}\n").warnings
    assert [finding.code for finding in told] == ["OTA_W14"]
    told = loaded(HEAD + "toolchains: {go: {version: '1.24', fulfillment: {mode: run}}}\n").warnings
    assert told == ()


# --- minimum version -----------------------------------------------------------------------------


def test_a_newer_minimum_version_is_refused_before_everything_else() -> None:
    text = (
        "version: 1\nproject: {name: x}\nmetadata: {ota: {minimum_version: 99.0.0}}\n"
        "gadgets: {}\ntasks: {a: {run: 5}}\n"
    )
    with pytest.raises(ContractUnreadableError) as caught:
        loaded(text)
    (finding,) = caught.value.findings
    assert finding.code == "OTA_V004"
    assert "99.0.0" in finding.why
    assert "`gadgets`" in finding.why
    assert "upgrade" in finding.next
    assert finding.place is not None
    assert (finding.place.line, finding.place.field) == (3, "metadata.ota.minimum_version")


@pytest.mark.parametrize("version", ["0.0.1", '"1.0.0"', "1.6.26", "1.6.26-rc.1"])
def test_an_older_or_equal_minimum_version_is_fine(version: str) -> None:
    loaded(HEAD + f"metadata: {{ota: {{minimum_version: {version}}}}}\n")
