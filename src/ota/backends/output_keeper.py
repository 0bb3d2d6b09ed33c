"""The small process that keeps the output of something that outlives ota: masked, and bounded in size.

Its standard input is the pipe that the kept process writes to, its standard output a socket to ota, over
which it gets its orders and passes on what it reads until ota has seen enough. It goes when the last
writer of the pipe has gone, and never makes a writer wait for a disk that is full or a file that is gone.

Where the kept process stands for something in a container, its standard error is a second socket to ota, its
office: it is told there which marks are no output, and what it is to own once ota lets go. It then lives as
long as what it owns, and when the output is over it becomes the program that takes the rest away.

`kept_output` starts it. It imports as little as masking needs, because every start of a service pays for it.

Source: runtime specification 13.1; decision D14.
"""

import os
import select
import signal
import stat
import sys

from ota.env.masking import Masker, as_bytes

ENOUGH = b"E"
"""Said by ota: pass on what is there, then nothing more."""
OWNED = b"O"
"""Said to ota: what was told is owned from here on."""
_NAME = b"ota-output"
_OFFICE = 2
_PART = "import sys; sys.path[:] = sys.argv[2:]; from ota.backends.container import parting; parting.main()"
_PIECE_BYTES = 65_536
_PIPE_PIECES = 16
"""More than a pipe holds: what is there when ota has seen enough, also while a writer never rests."""
_PRIVATE = 0o600


def encode_orders(log: str, limit_bytes: int, secrets: tuple[str, ...]) -> bytes:
    """What the keeper is told first: its log, the length of its parts, and what to hide."""
    return encode_fields((log, str(limit_bytes), *secrets))


def encode_fields(fields: tuple[str, ...]) -> bytes:
    """Texts without NUL as one message, which `decode_orders` takes apart."""
    told = b"\0".join(as_bytes(each) for each in fields)
    return b"%d\n" % len(told) + told


def decode_orders(said: bytes) -> tuple[list[str], bytes] | None:
    """The fields, and what was said after them; None while something is still to come."""
    size, newline, told = said.partition(b"\n")
    if not newline or len(told) < int(size):
        return None
    fields = [each.decode("utf-8", "surrogateescape") for each in told[: int(size)].split(b"\0")]
    return fields, told[int(size) :]


def older(log: str) -> str:
    """Where the part before the current one is."""
    return f"{log}.1"


class BoundedLog:
    """A file and the part before it, each of a limited length."""

    def __init__(self, path: str, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._size = 0
        _remove(older(path))
        self._descriptor = self._opened()

    def write(self, data: bytes) -> None:
        """Append; what cannot be written is dropped."""
        if self._size + len(data) > self._limit_bytes:
            rest_of_line = data.find(b"\n") + 1
            self._append(data[:rest_of_line])
            data = data[rest_of_line:]
            self._turn()
        self._append(data)

    def _append(self, data: bytes) -> None:
        try:
            while data and self._descriptor >= 0:
                written = os.write(self._descriptor, data)
                self._size += written
                data = data[written:]
        except OSError:
            return

    def _turn(self) -> None:
        """The current part becomes the older one; a file that is another's by now is left alone."""
        if self._descriptor < 0:
            return
        own = os.fstat(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        try:
            if os.path.samestat(own, os.stat(self._path)):  # noqa: PTH116 - pathlib costs more than all else
                os.replace(self._path, older(self._path))  # noqa: PTH105 - likewise
                self._descriptor = self._opened()
        except OSError:
            return

    def _opened(self) -> int:
        self._size = 0
        _remove(self._path)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            return os.open(self._path, flags, _PRIVATE)
        except OSError:
            return -1


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 - likewise
    except OSError:
        return


class Keeper:
    """From the pipe to the file, and for a while to ota too."""

    def __init__(self, log: str, limit_bytes: str, *secrets: str) -> None:
        self._log = BoundedLog(log, int(limit_bytes))
        self._stream = Masker(secrets).stream()
        self._is_heard = True
        self._office = Office() if stat.S_ISSOCK(os.fstat(_OFFICE).st_mode) else None

    def run(self, *, is_enough: bool) -> None:
        """Until nobody writes any more. `is_enough`: ota has seen enough already."""
        os.set_blocking(0, False)
        poller = select.poll()
        poller.register(0, select.POLLIN)
        if self._office is not None:
            poller.register(_OFFICE, select.POLLIN)
        if not is_enough:
            poller.register(1, select.POLLIN)
        is_over = is_enough and self._last_words()
        while not is_over:
            ready = dict(poller.poll())
            if self._office is not None and _OFFICE in ready:  # before ota has seen enough
                if not self._office.listen():
                    poller.unregister(_OFFICE)
            elif 1 in ready:  # the word that it is enough, or ota's end
                poller.unregister(1)
                is_over = self._last_words()
            else:
                is_over = self._read()
        if self._office is not None:
            self._office.part()

    def _last_words(self) -> bool:
        """Pass on what is there; what comes later is for the log. True at the end of the output."""
        is_over = False
        for _ in range(_PIPE_PIECES):
            is_there = select.select([0], [], [], 0)[0]
            is_over = bool(is_there) and self._read()
            if is_over or not is_there:
                break
        self._is_heard = False
        _give_null(1)
        return is_over

    def _read(self) -> bool:
        """One piece; True at the end of the output."""
        try:
            data = os.read(0, _PIECE_BYTES)
        except BlockingIOError:
            return False
        mark = self._office.mark if self._office is not None else None
        if mark is None:
            self._pass_on(self._stream.feed(data) if data else self._stream.flush())
        else:
            self._say(data)  # ota looks for the marks itself, and masks what it shows
            printed = mark.filter("stderr", data) if data else mark.finish()
            self._log.write(self._stream.feed(printed))
            self._log.write(b"" if data else self._stream.flush())
        return not data

    def _pass_on(self, data: bytes) -> None:
        self._log.write(data)
        self._say(data)

    def _say(self, data: bytes) -> None:
        try:
            while data and self._is_heard:
                data = data[os.write(1, data) :]
        except OSError:
            self._is_heard = False


class _Spelling:
    """How the marks of one body begin and end."""

    def __init__(self, prefix: str, end: str) -> None:
        self.prefix, self.end = as_bytes(prefix), as_bytes(end)


class Office:
    """What a keeper owns: nothing, until ota says what."""

    def __init__(self) -> None:
        self._said = b""
        self._duty: list[str] = []
        self._held = -1
        fields = self._hear()
        while fields is None:
            if not self._more():
                sys.exit(1)  # ota ended, or did not start what was to be kept
            fields = self._hear()
        self.mark = None
        if fields[0]:
            from ota.backends.container.start_mark import StartMark  # paid only by what is in a container

            self.mark = StartMark(_Spelling(*fields))

    def listen(self) -> bool:
        """Take over what ota tells; False when it will tell nothing more."""
        if not self._more():
            return False
        fields = self._hear()
        if fields is None:
            return True
        _, lock, *_ = fields
        if lock:
            import fcntl

            try:
                # inherited by the program that takes the rest away
                self._held = os.open(lock, os.O_RDWR)
                os.set_inheritable(self._held, True)
                fcntl.flock(self._held, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return False  # ota hears nothing, and does not let go
        self._duty = fields
        try:
            os.write(_OFFICE, OWNED)
        except OSError:
            return False
        return True

    def part(self) -> None:
        """Become what takes the rest of it away: the owner is the same process, as far as anybody can see."""
        if not self._duty:
            return
        journal, _, *path = self._duty
        for descriptor in (0, 1, _OFFICE):
            _give_null(descriptor)
        os.execv(sys.executable, (sys.executable, "-I", "-c", _PART, journal, *path))

    def _more(self) -> bool:
        try:
            piece = os.read(_OFFICE, _PIECE_BYTES)
        except OSError:
            piece = b""
        self._said += piece
        return bool(piece)

    def _hear(self) -> list[str] | None:
        heard = decode_orders(self._said)
        if heard is None:
            return None
        fields, self._said = heard
        return fields


def _give_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, descriptor)
    os.close(null)


def main() -> None:
    """The whole life of the process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    _take_name()
    said = b""
    while (orders := decode_orders(said)) is None:
        piece = os.read(1, _PIECE_BYTES)
        if not piece:
            sys.exit(1)  # ota ended before it said what to keep
        said += piece
    fields, more = orders
    Keeper(*fields).run(is_enough=bool(more))


def _take_name() -> None:
    try:
        descriptor = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return  # a name is a kindness, and not every system has the place for it
    os.write(descriptor, _NAME)
    os.close(descriptor)
