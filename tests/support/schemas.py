"""Checking a JSON document of ota against the published schema of its command."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema" / "output"


@cache
def _schemas() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


@cache
def _registry() -> Registry[Any]:
    resources = [(schema["$id"], Resource.from_contents(schema)) for schema in _schemas().values()]
    return Registry().with_resources(resources)


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator for `docs/schema/output/<name>.json`."""
    return Draft202012Validator(_schemas()[name], registry=_registry())


def assert_schema(document: object, name: str) -> None:
    """Fail, naming the place and the rule, unless `document` is valid against the schema called `name`."""
    error = best_match(validator(name).iter_errors(document))
    if error is None:
        return
    lines = [f"not a valid `{name}` document"]
    for each in [error, *(error.context or ())]:
        lines.append(f"  {each.json_path}: {each.message[:300]}")
    raise AssertionError("\n".join([*lines, json.dumps(document, indent=1)]))
