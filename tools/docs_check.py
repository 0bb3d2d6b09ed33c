"""Keeps the documentation true: what it shows is loaded, run and looked up.

Looks at README.md, CONTRIBUTING.md, docs/**/*.md and examples/**:

* Every `ota.yaml` under examples/, the project's own, and every fenced `yaml` block announced by a comment
  line directly above it loads as a contract. The comment is one of

      <!-- ota.yaml -->                 a whole, valid contract
      <!-- ota.yaml: part -->           valid once `version` and `project` are put before it
      <!-- ota.yaml: OTA_V043 -->       refused with exactly this code (also put after `part`)

* In fenced `console` blocks, each line `$ ota ...` or `$ ./ota ...` names an existing command, and each of
  its flags is in that command's help. With `<!-- runs in examples/notes -->` above it, the block is really
  run in a copy of that folder.
* Every relative link leads to a file, and to a section it has.
* Every code in a table of docs/findings.md exists in the source; every code the source names is in a table.

    python tools/docs_check.py            exit code 1 when something shown is not true
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
sys.path.insert(0, str(SOURCE))

from ota.contract.load import load_bytes  # noqa: E402 - the source of this checkout, not an installed one
from ota.errors import OtaError  # noqa: E402

COMMAND_LIMIT_S = 60
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.M | re.S)
ANNOUNCEMENT = re.compile(r"<!-- (?P<text>[^\n]*?) -->\n*\Z")
CONTRACT = re.compile(r"ota\.yaml(?::\s*(?P<part>part)?\s*,?\s*(?P<code>OTA_\w+)?)?\Z")
LINK = re.compile(r"\]\((?P<target>[^)#\s]*)(?:#(?P<section>[^)]*))?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.M)
CODE_CELL = re.compile(r"^\|\s*`(OTA_\w+)`", re.M)
PART_HEAD = "version: 1\nproject: {name: example}\n"


class Block(NamedTuple):
    """A fenced block, with what the comment above it says."""

    file: Path
    line: int
    language: str
    body: str
    announced: str

    @property
    def place(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """Every Markdown file whose promises are checked."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    below = [path for folder in ("docs", "examples") for path in sorted(ROOT.glob(f"{folder}/**/*.md"))]
    return [path for path in [*top, *below] if path.is_file()]


def blocks(file: Path) -> Iterator[Block]:
    text = file.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        indent = len(fence["indent"])
        body = "\n".join(line[indent:] for line in fence["body"].splitlines()) + "\n"
        above = ANNOUNCEMENT.search(text, 0, fence.start())
        line = text.count("\n", 0, fence.start()) + 1
        yield Block(file, line, fence["language"], body, above["text"] if above else "")


# Contracts


def codes_of(contract: bytes, shown: str) -> tuple[list[str], list[str]]:
    """Codes and one-line descriptions of what makes a contract invalid; empty when it is valid."""
    try:
        load_bytes(contract, ROOT / "ota.yaml", shown)
    except OtaError as refused:
        errors = [finding for finding in refused.findings if finding.severity == "error"]
        return [error.code for error in errors], [f"{error.code} {error.summary}" for error in errors]
    return [], []


def wrong_contract_file(file: Path) -> Iterator[str]:
    shown = str(file.relative_to(ROOT))
    _, told = codes_of(file.read_bytes(), shown)
    yield from (f"{shown}: {line}" for line in told)


def wrong_contract_block(block: Block) -> Iterator[str]:
    announced = CONTRACT.match(block.announced)
    if block.language != "yaml" or not announced:
        return
    head = PART_HEAD if announced["part"] else ""
    codes, told = codes_of((head + block.body).encode(), block.place)
    expected = announced["code"]
    if expected and codes != [expected]:
        yield f"{block.place}: is said to be refused with {expected}, but gives {codes or 'no error'}"
    elif not expected:
        yield from (f"{block.place}: {line}" for line in told)


# Commands


def ota(*args: str, cwd: Path = ROOT) -> tuple[int, str]:
    """Exit code and everything printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTA_")}
    env["PYTHONPATH"] = str(SOURCE)
    command = [sys.executable, "-P", "-m", "ota", *args]
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT_S
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


@cache
def help_of(words: tuple[str, ...]) -> str:
    """The help of a command; empty when there is no such command."""
    code, text = ota(*words, "--help")
    return text if code == 0 else ""


def shown_commands(block: Block) -> Iterator[list[str]]:
    """The arguments of each `$ ota ...` line of a console block."""
    if block.language != "console":
        return
    for line in block.body.splitlines():
        if re.match(r"\$ (\./)?ota\b", line):
            yield shlex.split(line[2:], comments=True)[1:]


def command_words(args: list[str]) -> tuple[str, ...]:
    """The words that name the command: two where the first has subcommands."""
    plain = [arg for arg in args if not arg.startswith("-")]
    has_second = plain[:1] in (["execution"], ["workspace"], ["policy"], ["assist"], ["proof"])
    return tuple(plain[: 2 if has_second else 1])


def wrong_command(block: Block) -> Iterator[str]:
    for args in shown_commands(block):
        if any(mark in args for mark in ("&", "|", ">", "&&", ";")):
            args = args[: next(index for index, arg in enumerate(args) if arg in ("&", "|", ">", "&&", ";"))]
        words = command_words(args)
        text = help_of(words)
        if not text:
            yield f"{block.place}: `ota {' '.join(words)}` is no command"
            continue
        # What follows `run <task>` may be an input of that task, which no help knows.
        flags = [arg.partition("=")[0] for arg in args if arg.startswith("-") and arg != "--"]
        if words != ("run",):
            yield from (
                f"{block.place}: `ota {' '.join(words)}` has no flag {flag}"
                for flag in flags
                if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text + help_of(()))
            )


def wrong_run(block: Block) -> Iterator[str]:
    """Really run the commands of a block that says where."""
    if not block.announced.startswith("runs in "):
        return
    origin = ROOT / block.announced.removeprefix("runs in ")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / origin.name
        shutil.copytree(origin, copy, ignore=shutil.ignore_patterns(".ota", "data", "__pycache__"))
        for args in shown_commands(block):
            code, text = ota(*args, cwd=copy)
            if code:
                yield f"{block.place}: `ota {shlex.join(args)}` ended with exit code {code}\n{text}"


# Links and codes


def wrong_link(file: Path) -> Iterator[str]:
    text = FENCE.sub("", file.read_text(encoding="utf-8"))
    for link in LINK.finditer(text):
        target = link["target"]
        if "://" in target or target.startswith("mailto:"):
            continue
        leads_to = file.parent / target if target else file
        if not leads_to.exists():
            yield f"{file.relative_to(ROOT)}: the link to {target} leads nowhere"
        elif link["section"] and leads_to.suffix == ".md" and link["section"] not in sections(leads_to):
            yield f"{file.relative_to(ROOT)}: {target or 'this page'} has no section #{link['section']}"


@cache
def sections(file: Path) -> set[str]:
    """What a page's headings are called in links."""
    headings = HEADING.findall(FENCE.sub("", file.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Composed(NamedTuple):
    """A code that is put together from pieces: `code=f"OTA_{kind.upper()}_{what}"`."""

    parts: tuple[str | bool, ...]
    """Fixed text, and for each piece whether it is written in small letters in the source."""

    def makes(self, code: str, source: str, at: int = 0) -> bool:
        """Whether some way of cutting the code leaves only literals of the source as pieces."""
        if at == len(self.parts):
            return not code
        part = self.parts[at]
        if isinstance(part, str):
            return code.startswith(part) and self.makes(code[len(part) :], source, at + 1)
        return any(
            f'"{code[:end].lower() if part else code[:end]}"' in source
            and self.makes(code[end:], source, at + 1)
            for end in range(1, len(code) + 1)
        )


def codes_in_source() -> tuple[set[str], list[Composed]]:
    """Every `code="OTA_..."` argument in the source, and every one that is composed."""
    whole, composed = set(), []
    for file in SOURCE.glob("ota/**/*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if not isinstance(node, ast.keyword) or node.arg != "code":
                continue
            if isinstance(node.value, ast.Constant):
                whole.add(str(node.value.value))
            elif isinstance(node.value, ast.JoinedStr):
                composed.append(_composed(node.value))
    return {code for code in whole if code.startswith("OTA_")}, composed


def _composed(text: ast.JoinedStr) -> Composed:
    parts: list[str | bool] = []
    for piece in text.values:
        if isinstance(piece, ast.Constant):
            parts.append(str(piece.value))
        else:
            assert isinstance(piece, ast.FormattedValue)
            parts.append(isinstance(piece.value, ast.Call))
    return Composed(tuple(parts))


def wrong_codes() -> Iterator[str]:
    table = ROOT / "docs" / "findings.md"
    if not table.is_file():
        return
    listed = set(CODE_CELL.findall(table.read_text(encoding="utf-8")))
    named, composed = codes_in_source()
    everything = "".join(file.read_text(encoding="utf-8") for file in SOURCE.glob("ota/**/*.py"))
    for code in sorted(listed - named):
        if f'"{code}"' not in everything and not any(each.makes(code, everything) for each in composed):
            yield f"docs/findings.md: {code} does not exist in the source"
    yield from (f"docs/findings.md: {code} is missing from the table" for code in sorted(named - listed))


def complaints() -> Iterator[str]:
    """Everything shown that is not true."""
    for file in [ROOT / "ota.yaml", *sorted(ROOT.glob("examples/**/ota.yaml"))]:
        yield from wrong_contract_file(file)
    for file in documents():
        yield from wrong_link(file)
        for block in blocks(file):
            yield from wrong_contract_block(block)
            yield from wrong_command(block)
            yield from wrong_run(block)
    yield from wrong_codes()


def main() -> int:
    found = list(complaints())
    for line in found:
        print(line)
    print(f"documentation: {len(documents())} documents, {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
