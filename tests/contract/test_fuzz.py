"""Broken contracts of every kind: only a contract error comes out, and each finding can be acted on.

Real contracts are mutated, as trees and as bytes, and texts are made from nothing. `OTA_FUZZ_CASES` sets how
many (500 unless stated), `OTA_FUZZ_SEED` which ones; a failure names its seed.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.reading import FIXTURES
from ota.contract.load import load_bytes
from ota.errors import ContractError
from ota.source.tree import compose, plain_value

CASES = int(os.environ.get("OTA_FUZZ_CASES", "500"))
SEED = int(os.environ.get("OTA_FUZZ_SEED", "1"))
BATCHES = 10
TEXTS = [path.read_bytes() for path in sorted(FIXTURES.glob("*/*.yaml"))]

pytestmark = [pytest.mark.timeout(120 + CASES // 20), *([pytest.mark.slow] if CASES > 2000 else [])]

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    65536,
    10**30,
    1.5,
    float("inf"),
    "",
    " ",
    "\n",
    "x",
    "x-y",
    "<<",
    "..",
    "/abs",
    "a/../b",
    "\\\\host\\share",
    "C:\\x",
    "127.0.0.1",
    "0.0.0.0",
    "::",
    "localhost",
    "http://",
    "http://[::1",
    "ftp://x",
    ">=",
    "^",
    "1.2.3.4.5",
    "*",
    "0s",
    "99999999999999h",
    "5 s",
    "2GB",
    "${OTA_WORKFLOW_INSTANCE_INDEX}",
    "\ud7ff\u2028\x85",
    "ä" * 300,
    [],
    {},
    [None],
    [[]],
    {"": None},
    {"": {}},
    {"kind": "x"},
    {"mode": "fixed", "value": 1},
)


def check(data: bytes) -> None:
    """Read it; whatever is refused is refused properly."""
    try:
        load_bytes(data, Path("/repo/ota.yaml"), "ota.yaml")
    except ContractError as error:
        assert error.findings
        for finding in error.findings:
            assert finding.code.startswith("OTA_"), finding
            assert finding.summary, finding
            assert finding.why, finding
            assert finding.next, finding
            assert (finding.summary + finding.why + finding.next).isprintable(), finding
            assert finding.place is not None, finding
            assert finding.place.file == "ota.yaml", finding
            assert finding.place.line >= 1, finding
            assert finding.place.column >= 1, finding
            assert finding.place.field.isprintable(), finding


# --- trees ---------------------------------------------------------------------------------------


class Material:
    """What real contracts are made of, to make others that are nearly right."""

    def __init__(self, texts: list[bytes]) -> None:
        self.trees: list[str] = []
        """Whole contracts, as JSON."""
        self.values: dict[str, list[Any]] = {}
        """By key, every value seen below it."""
        self.beside: dict[str, list[str]] = {}
        """By key, every key seen beside it."""
        for text in texts:
            tree = plain_value(compose("ota.yaml", text).root)
            self._gather(tree)
            self.trees.append(json.dumps(tree))
            if isinstance(tree, dict) and len(tree) > 20:
                self._split(tree)
        self.keys = sorted(self.values)

    def _split(self, tree: dict[str, Any]) -> None:
        """The contract with everything, section by section: whole, one break hides all others."""
        head = {"version": 1, "project": tree["project"]}
        for key, section in tree.items():
            self.trees.append(json.dumps({**head, key: section}))
        for name, task in tree["tasks"].items():
            self.trees.append(json.dumps({**head, "tasks": {name: task}}))

    def _gather(self, node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                self.values.setdefault(key, []).append(value)
                self.beside.setdefault(key, []).extend(other for other in node if other != key)
                self._gather(value)
        elif isinstance(node, list):
            for item in node:
                self._gather(item)


class Mutator:
    """Changes a contract, given as plain data, at random places."""

    def __init__(self, seed: int, material: Material) -> None:
        self.random = random.Random(seed)
        self.material = material

    def case(self) -> bytes:
        tree = json.loads(self.random.choice(self.material.trees))
        blindly = self.random.random() < 0.3
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            parent, key = self.place(tree)
            if parent is None:
                continue
            if blindly:
                self.disturb(tree, parent, key)
            else:
                self.vary(tree, parent, key)
        return json.dumps(tree).encode()

    def vary(self, tree: Any, parent: Any, key: Any) -> None:
        """A change that keeps the contract well typed, most of the time: work for the rules."""
        choose = self.random.choice
        if isinstance(parent, list):
            other, there = self.place(tree)
            if isinstance(other, list):
                parent.append(self.copy(other[there]))
            else:
                del parent[key]
            return
        match self.random.randrange(5):
            case 0:
                del parent[key]
            case 1 if self.material.beside.get(key):
                new = choose(self.material.beside[key])
                parent[new] = self.copy(choose(self.material.values[new]))
            case 2 if isinstance(parent[key], str):
                parent[key] = choose([value for value in HOSTILE if isinstance(value, str)])
            case 3 if isinstance(parent[key], int):
                parent[key] = choose([0, 1, 65535, 65536, True, False])
            case _:
                parent[key] = self.copy(choose(self.material.values.get(key, [parent[key]])))

    def disturb(self, tree: Any, parent: Any, key: Any) -> None:
        """A change that respects nothing: work for the parser."""
        choose = self.random.choice
        match self.random.randrange(6):
            case 0:
                del parent[key]
            case 1:
                parent[key] = self.copy(choose(HOSTILE))
            case 2:
                parent[key] = self.copy(choose(self.material.values[choose(self.material.keys)]))
            case 3:
                other, there = self.place(tree)
                parent[key] = self.copy(other[there])
            case 4 if isinstance(parent, dict):
                parent[choose(self.material.keys)] = parent.pop(key)
            case _ if isinstance(parent, dict):
                parent[choose(self.material.keys)] = self.copy(choose(HOSTILE))
            case _:
                parent.insert(key, self.copy(choose(HOSTILE)))

    def copy(self, value: Any) -> Any:
        return json.loads(json.dumps(value))

    def place(self, node: Any) -> tuple[Any, Any]:
        """A random node's parent and key, each depth about equally likely."""
        parent, key = None, None
        while isinstance(node, dict | list) and node:
            parent = node
            key = (
                self.random.choice(list(node)) if isinstance(node, dict) else self.random.randrange(len(node))
            )
            node = parent[key]
            if self.random.random() < 0.2:
                break
        return parent, key


@pytest.fixture(scope="session")
def material() -> Material:
    return Material(TEXTS)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_contracts_are_read_or_refused(batch: int, material: Material) -> None:
    for number in range(CASES // BATCHES):
        seed = SEED * 1_000_000_007 + batch * 1_000_003 + number
        data = Mutator(seed, material).case()
        try:
            check(data)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data.decode()[:3000]}") from error


# --- bytes ---------------------------------------------------------------------------------------

_BYTES = b"\t\n\r :-?[]{},&*!|>'\"%@`#~<\\\x00\x07\x1b\x7f\x85\xa0\xc3\xff09ax"


def broken_bytes(seed: int) -> bytes:
    chance = random.Random(seed)
    data = bytearray(chance.choice(TEXTS))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        start = chance.randrange(len(data)) if data else 0
        end = min(len(data), start + chance.choice((1, 1, 2, 10, 200)))
        match chance.randrange(5):
            case 0:
                del data[start:end]
            case 1:
                data[start:start] = data[start:end]
            case 2:
                data[start:end] = bytes(chance.choices(_BYTES, k=end - start))
            case 3:
                data[start:start] = bytes([chance.choice(_BYTES)])
            case _:
                other = chance.choice(TEXTS)
                there = chance.randrange(len(other))
                data[start:end] = other[there : there + 200]
    return bytes(data)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_damaged_files_are_read_or_refused(batch: int) -> None:
    for number in range(CASES // BATCHES // 2):
        seed = SEED * 1_000_000_007 + batch * 1_000_003 + number
        data = broken_bytes(seed)
        try:
            check(data)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data!r}") from error


# --- from nothing --------------------------------------------------------------------------------

NAMES = [
    "version",
    "project",
    "name",
    "tasks",
    "run",
    "execution",
    "contexts",
    "backend",
    "extends",
    "workflows",
]
_NAMES = st.sampled_from(NAMES)
_DATA = st.recursive(
    st.sampled_from(HOSTILE) | st.text(max_size=5) | st.integers() | _NAMES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=25,
)


def invented(chance: random.Random, depth: int = 0) -> Any:
    """Any document, with names of contracts here and there."""
    kind = chance.random() * (1 + depth / 5)
    if kind < 0.4:
        keys = (chance.choice(NAMES) if chance.random() < 0.8 else text(chance, 3) for _ in range(5))
        return {key: invented(chance, depth + 1) for key in keys if chance.random() < 0.6}
    if kind < 0.6:
        return [invented(chance, depth + 1) for _ in range(chance.randrange(4))]
    match chance.randrange(4):
        case 0:
            return text(chance, 5)
        case 1:
            return chance.randrange(-(2 ** chance.randrange(1, 80)), 2 ** chance.randrange(1, 80))
        case 2:
            return chance.choice(NAMES)
        case _:
            return chance.choice(HOSTILE)


def text(chance: random.Random, longest: int) -> str:
    """A few characters from anywhere, and mostly from where programs stumble."""
    ranges = ((0, 0x20), (0x20, 0x7F), (0x20, 0x7F), (0x80, 0x2030), (0xD800, 0xE000), (0xE000, 0x110000))
    size = chance.randrange(longest + 1)
    return "".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(size))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_any_invented_document_is_read_or_refused(batch: int) -> None:
    for number in range(max(2, CASES // 5 // BATCHES)):
        seed = SEED * 1_000_000_007 + batch * 1_000_003 + number
        document = invented(random.Random(seed))
        try:
            check(json.dumps(document).encode())
        except Exception as error:
            raise AssertionError(f"seed {seed}: {document!r}") from error


def test_a_few_bytes_are_read_or_refused() -> None:
    for number in range(max(20, CASES // 5)):
        chance = random.Random(SEED * 1_000_000_007 + number)
        data = (
            chance.randbytes(chance.randrange(61))
            if number % 2
            else text(chance, 60).encode("utf-8", "surrogatepass")
        )
        try:
            check(data)
        except Exception as error:
            raise AssertionError(f"number {number}: {data!r}") from error


# The same, searched for and made small by hypothesis, which costs it more than the reading.


@settings(max_examples=max(20, CASES // 100))
@given(document=_DATA)
def test_any_document_is_read_or_refused(document: Any) -> None:
    check(json.dumps(document).encode())


@settings(max_examples=max(20, CASES // 100))
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    check(data)
