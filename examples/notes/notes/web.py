"""The HTTP side: `/health`, `/notes`, `/notes/<id>` and a front page."""

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from notes.store import InvalidNote

LARGEST_BODY = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """One request. `server.store` holds the notes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        store = self.server.store
        if self.path == "/":
            self._send(200, {"service": "notes", "see": ["/health", "/notes"]})
        elif self.path == "/health":
            ready = store.is_migrated()
            self._send(200 if ready else 503, {"status": "ready" if ready else "waiting for migration"})
        elif self.path == "/notes":
            self._send(200, store.all())
        elif (number := self._number()) is not None and (note := store.get(number)):
            self._send(200, note)
        else:
            self._send(404, {"error": "no such note"})

    do_HEAD = do_GET

    def do_POST(self):
        if self.path != "/notes":
            self._send(404, {"error": "post to /notes"})
            return
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 <= length <= LARGEST_BODY:
                raise InvalidNote("the body is too large")
            note = json.loads(self.rfile.read(length))
            if not isinstance(note, dict):
                raise InvalidNote("a note is an object")
            self._send(201, self.server.store.add(note.get("title"), note.get("body", "")))
        except ValueError as problem:
            self.close_connection = True
            self._send(400, {"error": str(problem)})

    def do_DELETE(self):
        number = self._number()
        if number is not None and self.server.store.delete(number):
            self._send(200, {"deleted": number})
        else:
            self._send(404, {"error": "no such note"})

    def _number(self):
        prefix, _, rest = self.path.rpartition("/")
        return int(rest) if prefix == "/notes" and rest.isdecimal() and len(rest) < 10 else None

    def _send(self, status, document):
        content = (json.dumps(document) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def serve(store, address, port):
    """Serve until TERM or INT, then finish the requests that are under way."""
    server = ThreadingHTTPServer((address, port), Handler)
    server.store = store

    def stop(number, frame):
        # shutdown() waits for the loop that this very thread runs, so it needs a thread of its own.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with server:
        print(f"listening on {address}:{server.server_address[1]}", flush=True)
        server.serve_forever(poll_interval=0.1)
    print("stopped", flush=True)
