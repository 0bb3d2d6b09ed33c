"""Notes in a SQLite file. Knows nothing about HTTP."""

import sqlite3
from contextlib import closing
from pathlib import Path

SCHEMA = 1
STATEMENTS = """
CREATE TABLE IF NOT EXISTS note (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL CHECK (length(trim(title)) > 0),
    body TEXT NOT NULL DEFAULT ''
);
PRAGMA user_version = 1;
"""
SAMPLES = (
    ("Read me", "These notes came from the setup task."),
    ("Try it", "curl $OTA_PUBLIC_URL/notes"),
)


class InvalidNote(ValueError):
    """A note without a title."""


class Store:
    """The notes of one database file; each call opens and closes the file, so any thread may call."""

    def __init__(self, path):
        self.path = Path(path)

    def _connect(self):
        connection = sqlite3.connect(str(self.path), timeout=5.0)
        connection.row_factory = sqlite3.Row
        return closing(connection)

    def migrate(self, with_samples=False):
        """Bring the file to the current schema; samples go in only when there are no notes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as connection:
            connection.executescript(STATEMENTS)
            count = connection.execute("SELECT count(*) FROM note").fetchone()[0]
            if with_samples and count == 0:
                connection.executemany("INSERT INTO note (title, body) VALUES (?, ?)", SAMPLES)
            connection.commit()

    def is_migrated(self):
        """Whether the file exists and has the schema this program needs."""
        if not self.path.is_file():
            return False
        try:
            with self._connect() as connection:
                return connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA
        except sqlite3.Error:
            return False

    def all(self):
        with self._connect() as connection:
            return [dict(row) for row in connection.execute("SELECT id, title, body FROM note ORDER BY id")]

    def get(self, number):
        """The note, or None."""
        with self._connect() as connection:
            row = connection.execute("SELECT id, title, body FROM note WHERE id = ?", (number,)).fetchone()
            return dict(row) if row else None

    def add(self, title, body=""):
        if not isinstance(title, str) or not title.strip() or not isinstance(body, str):
            raise InvalidNote("a note needs a title")
        with self._connect() as connection:
            cursor = connection.execute("INSERT INTO note (title, body) VALUES (?, ?)", (title, body))
            connection.commit()
            return {"id": cursor.lastrowid, "title": title, "body": body}

    def delete(self, number):
        """Whether there was such a note."""
        with self._connect() as connection:
            cursor = connection.execute("DELETE FROM note WHERE id = ?", (number,))
            connection.commit()
            return cursor.rowcount > 0
