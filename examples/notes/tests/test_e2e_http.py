"""The running service, over HTTP, wherever the environment says it is."""

import json
import os
import unittest
import urllib.error
import urllib.request

URL = (os.environ.get("OTA_INPUT_URL") or os.environ.get("OTA_PUBLIC_URL") or "http://127.0.0.1:8765").rstrip(
    "/"
)


def ask(path, method="GET", body=None):
    """Status and document of one request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


class ServiceTest(unittest.TestCase):
    def test_it_says_that_it_is_ready(self):
        self.assertEqual(ask("/health"), (200, {"status": "ready"}))

    def test_a_note_makes_the_round_trip(self):
        status, note = ask("/notes", "POST", {"title": "From a test", "body": "über HTTP"})
        self.assertEqual(status, 201)
        self.assertEqual(ask(f"/notes/{note['id']}"), (200, note))
        self.assertIn(note, ask("/notes")[1])
        self.assertEqual(ask(f"/notes/{note['id']}", "DELETE"), (200, {"deleted": note["id"]}))
        self.assertEqual(ask(f"/notes/{note['id']}")[0], 404)

    def test_nonsense_is_refused(self):
        self.assertEqual(ask("/notes", "POST", {"title": " "})[0], 400)
        self.assertEqual(ask("/notes", "POST", ["no note"])[0], 400)
        self.assertEqual(ask("/notes/99999999")[0], 404)


if __name__ == "__main__":
    unittest.main()
