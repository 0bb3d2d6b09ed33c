"""`python3 -m notes migrate [--samples]` and `python3 -m notes serve`.

Where to keep the notes and where to listen come from the environment: `NOTES_DB`, `OTA_BIND_ADDRESS`,
`OTA_BIND_PORT`.
"""

import argparse
import os

from notes.store import Store
from notes.web import serve


def main():
    parser = argparse.ArgumentParser(prog="notes", description="A notebook over HTTP")
    commands = parser.add_subparsers(dest="command", required=True)
    migrate = commands.add_parser("migrate", help="create or update the database")
    migrate.add_argument("--samples", action="store_true", help="add a few notes to an empty notebook")
    commands.add_parser("serve", help="serve until interrupted")
    options = parser.parse_args()

    store = Store(os.environ.get("NOTES_DB", "data/notes.sqlite3"))
    if options.command == "migrate":
        store.migrate(with_samples=options.samples)
        print(f"{store.path}: {len(store.all())} notes")
    else:
        address = os.environ.get("OTA_BIND_ADDRESS", "127.0.0.1")
        serve(store, address, int(os.environ.get("OTA_BIND_PORT", "8765")))


if __name__ == "__main__":
    main()
