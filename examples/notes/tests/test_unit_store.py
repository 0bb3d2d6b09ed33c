"""The notebook itself, on a database in a temporary folder."""

import tempfile
import unittest
from pathlib import Path

from notes.store import SAMPLES, InvalidNote, Store


class StoreTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "deep" / "notes.sqlite3"
        self.store = Store(self.path)

    def test_a_missing_or_foreign_file_is_not_migrated(self):
        self.assertFalse(self.store.is_migrated())
        self.path.parent.mkdir()
        self.path.write_bytes(b"this is no database at all, whatever its name says")
        self.assertFalse(self.store.is_migrated())

    def test_migrating_twice_changes_nothing(self):
        for _ in range(2):
            self.store.migrate(with_samples=True)
        self.assertTrue(self.store.is_migrated())
        self.assertEqual(len(self.store.all()), len(SAMPLES))

    def test_a_note_is_kept_found_and_deleted(self):
        self.store.migrate()
        added = self.store.add("Title", "Body")
        self.assertEqual(self.store.get(added["id"]), {"id": 1, "title": "Title", "body": "Body"})
        self.assertTrue(self.store.delete(added["id"]))
        self.assertFalse(self.store.delete(added["id"]))
        self.assertIsNone(self.store.get(added["id"]))

    def test_a_note_needs_a_title(self):
        self.store.migrate()
        for title in ("", "  ", None, 7):
            with self.assertRaises(InvalidNote):
                self.store.add(title)


if __name__ == "__main__":
    unittest.main()
