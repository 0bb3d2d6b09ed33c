"""Writes what the tables of the source say into the documentation: commands, flags and rule codes.

* In `docs/commands.md`, `<!-- commands -->` … `<!-- /commands -->` becomes the list of commands, and every

      <!-- command: execution plan -->
      ...
      <!-- /command -->

  the usage, arguments, options and examples of that command, as its `--help` has them.
* In `docs/findings.md`, `<!-- rules -->` … `<!-- /rules -->` becomes the codes of the contract reference.

    python tools/command_reference.py            write both
    python tools/command_reference.py --check    exit code 1 when one of them is not current
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from ota.cli.catalogue import COMMANDS  # noqa: E402 - the source of this checkout
from ota.cli.flags import GLOBAL_FLAGS, Command, Flag, usage_line  # noqa: E402
from ota.cli.render.help import _explanation, _spelling  # noqa: E402 - the words of `--help`, not a second set

DOCS = ROOT / "docs"
LIST = re.compile(r"<!-- commands -->\n.*?<!-- /commands -->", re.S)
EVERYWHERE = re.compile(r"<!-- everywhere -->\n.*?<!-- /everywhere -->", re.S)
BLOCK = re.compile(r"<!-- command: (?P<name>[\w ]+) -->\n.*?<!-- /command -->", re.S)
RULES = re.compile(r"<!-- rules -->\n.*?<!-- /rules -->", re.S)
CODES = re.compile(r"^### (?P<area>.+)$|^\| `(?P<code>OTA_\w+)` \| (?P<where>.*?) \| (?P<what>.*) \|$", re.M)


def commands_text(text: str) -> str:
    """The command reference with every generated block current."""
    by_name = {each.name: each for each in COMMANDS if not each.is_hidden}
    text = LIST.sub(lambda _: _framed("commands", _list(by_name.values())), text)
    text = EVERYWHERE.sub(lambda _: _framed("everywhere", _flags(GLOBAL_FLAGS)), text)
    return BLOCK.sub(lambda block: _command(by_name[block["name"]]), text)


def findings_text(text: str, reference: str) -> str:
    """The table of findings with the rules of the contract reference."""
    return RULES.sub(lambda _: _framed("rules", _rules(reference)), text)


def _framed(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f"<!-- {name} -->", *lines, f"<!-- /{name.partition(':')[0]} -->"])


def _list(commands: Iterable[Command]) -> list[str]:
    rows = [f"| [`ota {each.name}`](#{_anchor(each)}) | {each.summary} |" for each in commands]
    return ["| command | does |", "|---|---|", *rows]


def _anchor(command: Command) -> str:
    return "ota-" + command.name.replace(" ", "-")


def _command(command: Command) -> str:
    lines = ["```text", usage_line(command), "```"]
    if command.details:
        lines += ["", command.details.replace("\n", " ")]
    if command.positionals:
        rows = [f"| `{each.name}` | {_cell(each.help)} |" for each in command.positionals]
        lines += ["", "| argument | meaning |", "|---|---|", *rows]
    if command.flags:
        lines += ["", *_flags(command.flags)]
    if command.examples:
        width = max(len(line) for line, _ in command.examples)
        shown = [f"$ {line:<{width}}    # {what}" for line, what in command.examples]
        lines += ["", "```console", *shown, "```"]
    return _framed(f"command: {command.name}", lines)


def _flags(flags: Iterable[Flag]) -> list[str]:
    rows = [f"| `{_spelling(flag)}` | {_cell(_explanation(flag))} |" for flag in flags]
    return ["| option | meaning |", "|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _rules(reference: str) -> list[str]:
    """The code tables at the end of the contract reference, area by area."""
    lines: list[str] = []
    area = ""
    for found in CODES.finditer(reference):
        if found["area"]:
            area = found["area"]
            continue
        if area:
            lines += ["", f"### {area}", "", "| code | where | what is wrong |", "|---|---|---|"]
            area = ""
        lines.append(f"| `{found['code']}` | {found['where']} | {found['what']} |")
    return lines[1:]


def main() -> int:
    """Write or check; the exit code."""
    reference = (DOCS / "contract.md").read_text(encoding="utf-8")
    writers = {
        DOCS / "commands.md": commands_text,
        DOCS / "findings.md": lambda text: findings_text(text, reference),
    }
    code = 0
    for file, write in writers.items():
        before = file.read_text(encoding="utf-8")
        after = write(before)
        if after == before:
            continue
        shown = file.relative_to(ROOT)
        if "--check" in sys.argv[1:]:
            print(f"{shown} is not current: run python tools/command_reference.py")
            code = 1
        else:
            file.write_text(after, encoding="utf-8")
            print(f"wrote {shown}")
    return code


if __name__ == "__main__":
    sys.exit(main())
