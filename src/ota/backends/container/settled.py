"""Which container each family of work was last reconciled into, so that the next run may go there at once.

A memory, never a proof: whoever goes in by it lets the body's shell see that the container is the one that
is meant (`body.keeper_arguments`), and asks the engine whenever it is not. It is forgotten before the family
gets another container, because then there is something to sweep. Nothing here is worth telling when it
cannot be read or written: the engine is asked then.

Source: runtime specification 7.1; lessons, "Engine talk".
"""

from contextlib import suppress
from pathlib import Path

from ota.backends.container.identity import ContainerIdentity, stable_digest
from ota.errors import HostError
from ota.system.files import private_directory, read_bytes, remove_file, write_atomic

_LIMIT_BYTES = 256


class Settled:
    """The memory of one family of work, and the container that is wanted for it now."""

    def __init__(self, root: Path, identity: ContainerIdentity, token: str) -> None:
        self._path = root / ".ota" / "state" / "cache" / "containers" / identity.family
        self.proof = stable_digest("settled", token, identity.persistent_name, identity.shape)
        """Names the container in its shape and of this checkout; it carries it from the start."""

    @property
    def is_known(self) -> bool:
        """Whether the family was last reconciled into this very container, which can show it."""
        try:
            return read_bytes(self._path, limit_bytes=_LIMIT_BYTES).decode("ascii", "replace") == self._text
        except HostError:
            return False

    def keep(self) -> None:
        """The container has shown that it is the one."""
        with suppress(HostError):
            private_directory(self._path.parent)
            write_atomic(self._path, self._text.encode())

    def forget(self) -> None:
        """Ask the engine next time.

        Raises:
            HostError: what is remembered cannot be forgotten.
        """
        remove_file(self._path)

    @property
    def _text(self) -> str:
        return f"{self.proof}\n"
