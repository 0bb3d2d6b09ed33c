"""The listening TCP sockets of this machine, asked of the kernel directly.

To print `/proc/net/tcp` Linux walks its whole table of connections, 5 ms and more for each of the two files
however few there are, in the very moment in which a service became ready. The diagnosis socket takes the wish
for listeners with the question and answers in a tenth of a millisecond. Where it is missing (another system,
a kernel or a sandbox without it) the files are read: `ota.system.sockets`.
"""

import socket
from collections.abc import Iterator
from struct import Struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_LISTENING = 1 << 10
"""The set of states that holds TCP_LISTEN alone."""
_HEADER = Struct("=IHHII")
"""`nlmsghdr`: length, type, flags, sequence, port."""
_REQUEST = Struct("=BBBxI48x")
"""`inet_diag_req_v2`: family, protocol, extensions, states; any address."""
_ANSWER = Struct("=4x2s2x16s36x4x")
"""The start of `inet_diag_msg`: source port and address, up to `uid`."""
_OWNER = Struct("=II")
"""Its end: uid and inode."""
_OWNER_AT = 64
_LIMIT_S = 2.0


def listening_sockets(family: socket.AddressFamily) -> list[tuple[bytes, int, int, int]]:
    """`(packed address, port, inode, uid)` of every listening socket of this network namespace.

    Raises:
        OSError: the kernel does not answer such questions.
    """
    with socket.socket(getattr(socket, "AF_NETLINK", -1), socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_LIMIT_S)
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _LISTENING)
        header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
        kernel.sendall(header + request)
        size = 4 if family == socket.AF_INET else 16
        return [_parsed(message, size) for message in _messages(kernel)]


def _messages(kernel: socket.socket) -> Iterator[bytes]:
    while True:
        part = kernel.recv(1 << 16)
        if not part:
            raise OSError("the kernel's answer ended early")
        while part:
            length, kind, *_ = _HEADER.unpack_from(part)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEADER.size:
                raise OSError("the kernel does not tell its sockets")
            yield part[_HEADER.size : length]
            part = part[-(-length // 4) * 4 :]


def _parsed(message: bytes, size: int) -> tuple[bytes, int, int, int]:
    port, address = _ANSWER.unpack_from(message)
    uid, inode = _OWNER.unpack_from(message, _OWNER_AT)
    return address[:size], int.from_bytes(port, "big"), inode, uid
