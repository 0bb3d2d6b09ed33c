"""Just enough HTTP/1.1 to ask one question: the request's bytes and the reading of one answer.

Owns encoding a request and decoding a status line, headers and a bounded body. Opens no sockets and
judges nothing: `probes` does. Written by hand because the standard client is slow to import, follows
its own limits, and cannot be held to one total deadline.

Source: runtime specification 11.1.
"""

from msgspec import Struct

BODY_LIMIT = 32768
HEAD_LIMIT = 65536


class MalformedAnswerError(Exception):
    """The other side does not speak HTTP/1."""


class Head(Struct, frozen=True, kw_only=True):
    """Status line and headers. Names are lower case; of repeated headers the last one stands."""

    status: int
    headers: dict[str, str]

    @property
    def is_interim(self) -> bool:
        return 100 <= self.status < 200 and self.status != 101

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower().endswith("chunked")

    @property
    def content_length(self) -> int | None:
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def encode_request(method: str, path: str, host: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The bytes of one request. A declared header replaces ours of the same name."""
    ours = {"Host": host, "User-Agent": "ota-readiness", "Accept": "*/*", "Accept-Encoding": "identity"}
    declared = {name.lower() for name, _ in headers}
    lines = [f"{method} {_target(path)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in ours.items() if name.lower() not in declared]
    lines += [
        f"{_one_line(name)}: {_one_line(value)}" for name, value in headers if name.lower() != "connection"
    ]
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace")


def split_head(data: bytes) -> tuple[Head, bytes] | None:
    """The head at the beginning of `data` and what follows it; None while it is incomplete.

    Raises:
        MalformedAnswerError: not HTTP/1, or more than 64 KiB of headers.
    """
    if data and not data.startswith(b"HTTP/1."[: len(data)]):
        raise MalformedAnswerError(_excerpt(data))
    end = data.find(b"\r\n\r\n")
    gap = 4
    bare = data.find(b"\n\n")
    if bare >= 0 and (end < 0 or bare < end):
        end, gap = bare, 2
    if end < 0:
        if len(data) > HEAD_LIMIT:
            raise MalformedAnswerError("its headers are longer than 64 KiB")
        return None
    return _head(data[:end]), data[end + gap :]


def decode_chunks(data: bytes) -> tuple[bytes, bool]:
    """The body inside complete and incomplete chunks, and whether its end was seen.

    Raises:
        MalformedAnswerError: a chunk size is not a number.
    """
    body = bytearray()
    at = 0
    while True:
        line_end = data.find(b"\n", at)
        if line_end < 0:
            return bytes(body), False
        size_text = data[at:line_end].split(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            raise MalformedAnswerError(f"chunk size {_excerpt(size_text)}") from None
        if size <= 0:
            return bytes(body), True
        chunk = data[line_end + 1 : line_end + 1 + size]
        body += chunk
        if len(chunk) < size or len(body) > BODY_LIMIT:
            return bytes(body), False
        at = line_end + 1 + size
        if data[at : at + 2] == b"\r\n":
            at += 2
        elif data[at : at + 1] == b"\n":
            at += 1


def _head(data: bytes) -> Head:
    lines = data.decode("latin-1").splitlines()
    words = lines[0].split(None, 2)
    if len(words) < 2 or len(words[1]) != 3 or not (words[1].isascii() and words[1].isdigit()):
        raise MalformedAnswerError(_excerpt(data))
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Head(status=int(words[1]), headers=headers)


def _excerpt(data: bytes) -> str:
    text = data[:40].decode("ascii", "backslashreplace")
    return repr(text.splitlines()[0] if text.splitlines() else text)


def _target(path: str) -> str:
    # Spaces, controls and non-ASCII would end or break the request line.
    path = path.partition("#")[0]
    if not path.startswith("/"):
        path = "/" + path
    return "".join(
        c if "!" <= c <= "~" else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace")) for c in path
    )


def _one_line(text: str) -> str:
    return "".join(" " if c < " " or c == "\x7f" else c for c in text)
