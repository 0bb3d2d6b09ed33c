"""Measures what ota costs beside what it stands on: interpreter, parser, probes, engines; it asserts nothing.

sh tools/python bench/run.py [--rounds N] [--quick] [group ...]
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

# `tools/python` isolates the interpreter, so that it does not look beside this file by itself.
sys.path.insert(0, str(Path(__file__).parent))

import containers
import doctor
import start_up

import readiness
import up

GROUPS: Mapping[str, Callable[[int], None]] = {
    "start-up": start_up.bench_start_up,
    "large": lambda rounds: start_up.bench_large(min(rounds, 5)),
    "doctor": lambda rounds: doctor.bench(min(rounds, 5)),
    "readiness": readiness.bench,
    "up": lambda rounds: up.bench(min(rounds, 5)),
    "containers": lambda rounds: containers.bench(min(rounds, 10)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=15, help="rounds of what is quick; less of what is slow"
    )
    parser.add_argument("--quick", action="store_true", help="three rounds each")
    parser.add_argument("groups", nargs="*", metavar="group", help=f"{', '.join(GROUPS)}; all by default")
    options = parser.parse_args()
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    for name, bench in GROUPS.items():
        if not options.groups or name in options.groups:
            bench(3 if options.quick else options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
