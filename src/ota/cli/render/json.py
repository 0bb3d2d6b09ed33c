"""One JSON document on one stream.

Source: json-and-receipts specification 1.1.
"""

from typing import TextIO

import msgspec

from ota.system.json_bytes import json_bytes


def document_text(document: object) -> str:
    """Two-space indent, UTF-8, one final newline."""
    return msgspec.json.format(json_bytes(document), indent=2).decode() + "\n"


def print_document(document: object, stream: TextIO) -> None:
    """Write the document and nothing else; JSON is UTF-8 whatever the locale says."""
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(document_text(document))
    else:
        buffer.write(document_text(document).encode())
    stream.flush()
