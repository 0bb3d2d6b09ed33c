"""The JSON Schema: current, well-formed, and of one mind with the parser."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contract.reading import FIXTURES, HEAD, loaded
from contract.test_fuzz import TEXTS, Material, Mutator
from contract.test_parse import P_RULES
from ota.contract.describe import COMMON, FIELDS, RECORDS, about_field
from ota.contract.model import Contract
from ota.contract.parse import field_key, records_of
from ota.contract.schema import contract_schema
from ota.errors import ContractError, ContractUnreadableError
from ota.source.tree import compose, plain_value

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "schema" / "ota.schema.json"


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(contract_schema())


def complaint(text: str) -> str | None:
    document = plain_value(compose("ota.yaml", text.encode()).root)
    error = next(iter(validator().iter_errors(document)), None)
    return None if error is None else f"{error.json_path}: {error.message[:300]}"


def test_the_meta_schema_accepts_it() -> None:
    Draft202012Validator.check_schema(contract_schema())


def test_it_is_the_same_each_time() -> None:
    assert json.dumps(contract_schema()) == json.dumps(contract_schema())


def test_the_committed_copy_is_current() -> None:
    text = json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n"
    assert COMMITTED.read_text(encoding="utf-8") == text, "run python tools/contract_reference.py"


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    schema = contract_schema()
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    assert used == set(schema["$defs"])


def test_every_key_has_a_description() -> None:
    silent = [
        f"{record.__name__}.{field_key(name)}"
        for record in records_of(Contract)
        for name in record.__struct_fields__
        if not about_field(record, field_key(name))
    ]
    assert silent == []


def test_every_description_is_one_sentence_of_prose_about_something_that_exists() -> None:
    records = {record.__name__ for record in records_of(Contract)}
    assert set(FIELDS) <= records
    assert set(RECORDS) <= records
    for texts in (COMMON, RECORDS, *FIELDS.values()):
        for text in texts.values():
            assert text[-1] in ".)`", text
            assert len(text) <= 120, text


FIXTURE_FILES = sorted(
    path for folder in ("contracts", "founding") for path in (FIXTURES / folder).glob("*.yaml")
)


@pytest.mark.parametrize("path", FIXTURE_FILES, ids=lambda path: path.stem)
def test_every_fixture_that_parses_validates(path: Path) -> None:
    assert complaint(path.read_text(encoding="utf-8")) is None


# JSON has no duplicate keys, and a key that is a list becomes text on the way.
UNSAYABLE = ("P08", "P02-key")


SAYABLE = [case for case in P_RULES if not str(case.id).startswith(UNSAYABLE)]


@pytest.mark.parametrize("text", [pytest.param(case.values[1], id=case.id) for case in SAYABLE])
def test_what_the_parser_refuses_fails(text: str) -> None:
    assert complaint(HEAD + text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "surfaces: {w: {kind: http, port: 70000}}\n",
        "surfaces: {w: {kind: http, port: 80, path: app}}\n",
        "surfaces: {w: {kind: http, port: 80, readiness: {kind: http, interval: soon}}}\n",
        "surfaces: {w: {kind: http, port: 80, readiness: {kind: http, timeout: 0}}}\n",
        "surfaces: {w: {kind: http, port: 80, readiness: {kind: http, success: {status: [99]}}}}\n",
        "execution: {contexts: {c: {container: {resources: {memory: {minimum: 2GB}}}}}}\n",
        "execution: {contexts: {c: {only_on: [bsd]}}}\n",
        "execution: {contexts: {c: {container: {platform: windows/amd64}}}}\n",
        "runtimes: {node: {version: '22', platforms: {bsd: {version: '22'}}}}\n",
        "toolchains: {cobol: {version: '1'}}\n",
        "tasks: {a: {run: x, inputs: {Level: {}}}}\n",
        "tasks: {a: {aggregate: {tasks: []}}}\n",
        "workspace: {type: monorepo, members: []}\n",
    ],
)
def test_values_outside_a_regular_grammar_fail(text: str) -> None:
    assert complaint(HEAD + text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "env:\ntasks:\nworkflows: ~\n",
        "tasks: {a: {run: x, runtime: {kind: service, surfaces: {w: , v: {}}}}}\n",
        "tasks: {x-a: 5, a: {x-b: 6, run: x}}\n",
        "runtimes: {python: 3.10, node: '22', java: {version: 21}}\n",
        "toolchains: {x-remark: 1, go: {version: 1.24, fulfillment: run}}\n",
        "execution: {contexts: {c: {container: {resources: {memory: {minimum: 1073741824}}}}}}\n",
        "checks: [{name: a, kind: health, severity: error, run: x, timeout: 10}]\n",
    ],
)
def test_other_spellings_validate(text: str) -> None:
    assert complaint(HEAD + text) is None


def test_hovering_over_a_key_says_what_it_means_and_what_it_is_by_default() -> None:
    schema = contract_schema()
    assert schema["properties"]["tasks"]["description"] == "Everything the repository can do, by name."
    task = schema["$defs"]["Task"]["properties"]
    assert task["internal"] == {
        "type": ["boolean", "null"],
        "description": "Hidden from listings and completion; still runs.",
        "default": False,
    }
    assert schema["$defs"]["CopyIfMissing"]["properties"]["kind"] == {"const": "copy_if_missing"}


def test_schema_and_reader_agree_about_mutated_contracts() -> None:
    material = Material(TEXTS)
    seen = set()
    for seed in range(300):
        text = Mutator(seed, material).case().decode()
        try:
            loaded(text)
            is_read = True
        except ContractUnreadableError:
            is_read = False
        except ContractError:
            continue  # shape is fine, meaning is not: the schema may say either
        seen.add(is_read)
        assert (complaint(text) is None) is is_read, f"seed {seed}: {text[:2000]}"
    assert seen == {True, False}
