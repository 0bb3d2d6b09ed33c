"""Writes what the records say into the documentation: the JSON Schema and the key tables.

* `docs/schema/ota.schema.json` is the schema `ota schema` prints.
* In `docs/contract.md`, every block

      <!-- keys: Task -->
      ...
      <!-- /keys -->

  is replaced by the table of that record's keys.

    python tools/contract_reference.py            write both
    python tools/contract_reference.py --check    exit code 1 when one of them is not current
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from ota.contract.schema import contract_schema  # noqa: E402 - the source of this checkout

SCHEMA_FILE = ROOT / "docs" / "schema" / "ota.schema.json"
REFERENCE = ROOT / "docs" / "contract.md"
BLOCK = re.compile(r"<!-- keys: (?P<record>\w+) -->\n.*?<!-- /keys -->", re.S)


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n"


def reference_text(text: str) -> str:
    """The reference with every key table current."""
    schema = contract_schema()
    return BLOCK.sub(lambda block: _block(schema, block["record"]), text)


def _block(schema: dict[str, Any], record: str) -> str:
    shape = _mapping_form(schema if record == "Contract" else schema["$defs"][record])
    rows = [
        f"| `{key}` | {_kind(value)} | {_needed(key, value, shape)} | {value.get('description', '')} |"
        for key, value in shape["properties"].items()
    ]
    table = "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])
    return f"<!-- keys: {record} -->\n{table}\n<!-- /keys -->"


def _mapping_form(shape: dict[str, Any]) -> dict[str, Any]:
    if "properties" in shape:
        return shape
    forms: list[dict[str, Any]] = [form for form in shape["anyOf"] if "properties" in form]
    return forms[-1]


def _needed(key: str, value: dict[str, Any], shape: dict[str, Any]) -> str:
    if key in shape.get("required", ()):
        return "required"
    if "default" in value:
        return f"`{json.dumps(value['default']).strip(chr(34))}`"
    return ""


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return "mapping"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"] if choice is not None)
    if "anyOf" in value:
        kinds = [_kind(each) for each in value["anyOf"] if each != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    kind = value.get("type", "any value")
    if isinstance(kind, list):
        kind = " or ".join(each for each in kind if each != "null")
    if kind == "array":
        return f"list of {_plural(_kind(value['items']))}"
    if kind == "object":
        inner = value.get("additionalProperties")
        return f"map of {_plural(_kind(inner))}" if isinstance(inner, dict) else "mapping"
    return str(kind)


def _plural(kind: str) -> str:
    return f"{kind}s" if kind in ("string", "integer", "mapping") else kind


def main() -> int:
    """Write or check; the exit code."""
    wanted = {SCHEMA_FILE: schema_text()}
    if REFERENCE.is_file():
        wanted[REFERENCE] = reference_text(REFERENCE.read_text(encoding="utf-8"))
    stale = [
        file
        for file, text in wanted.items()
        if not file.is_file() or file.read_text(encoding="utf-8") != text
    ]
    for file in stale:
        shown = file.relative_to(ROOT)
        if "--check" in sys.argv[1:]:
            print(f"{shown} is not current: run python tools/contract_reference.py")
        else:
            file.write_text(wanted[file], encoding="utf-8")
            print(f"wrote {shown}")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
