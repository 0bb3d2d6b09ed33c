"""How an address is written: brackets around IPv6 literals, and the port behind it. Text only, no socket.

Owns the one spelling that URLs, findings and child environments use. What an address means, and whether
anybody answers there, belongs to `ota.system.sockets`.

Source: runtime specification 10.6.
"""


def unbracketed(host: str) -> str:
    """`[::1]` as `::1`; anything else unchanged."""
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return host


def host_text(host: str) -> str:
    """A host as URLs and people write it: IPv6 literals in brackets."""
    bare = unbracketed(host)
    return f"[{bare}]" if ":" in bare else bare


def address_text(host: str, port: int) -> str:
    """`127.0.0.1:80`, `[::1]:80`."""
    return f"{host_text(host)}:{port}"
