"""Small real servers as files of a test repository, and free ports for them."""

import socket

SERVER = '''
"""Serve GET / and /health on HOST:PORT; print the injected environment first."""
import http.server, os, signal, sys, threading, time
delay = float(os.environ.get("READY_AFTER_S", "0"))
born = time.monotonic()
for name in sorted(os.environ):
    if name.startswith(("OTA_PUBLIC", "OTA_BIND", "OTA_INPUT", "OTA_TARGET")):
        print(f"{name}={os.environ[name]}", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() - born >= delay
        code = {"/": 200, "/health": 200 if ready else 503}.get(self.path, 404)
        body = b'{"status":"UP"}' if code == 200 else b"no"
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
ports = [int(word) for word in sys.argv[1:]] or [int(os.environ["PORT"])]
address = os.environ.get("LISTEN_ON", "127.0.0.1")
servers = [http.server.ThreadingHTTPServer((address, port), Handler) for port in ports]
def stop(number, frame):
    print(f"stopping on {number}", flush=True)
    os._exit(int(os.environ.get("EXIT_CODE", "0")))
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("listening", flush=True)
while True:
    time.sleep(3600)
'''


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether anything accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def service(port: int, *, extra: str = "", body: str = "python3 server.py", readiness: str = "") -> str:
    """A contract whose task `web` serves on one fixed port."""
    ready = readiness or "{kind: http, listener: http, path: /health, interval: 100ms, retries: 100}"
    return f"""
version: 1
project: {{name: served}}
tasks:
  web:
    run: {body}
    runtime:
      kind: service
      readiness: {ready}
      listeners:
        http: {{http: {port}}}
{extra}
"""
