"""Who a body runs as, so that what it writes into the checkout belongs to whoever asked for it.

Only on a rootful engine of a Linux host does it matter: root in the container is root on the host. A
rootless engine maps the container's root to the invoking user, and a virtual machine (macOS) does so too.

Source: decision D13.
"""

from collections.abc import Mapping
from pathlib import Path

from ota.backends.container.body import WRITABLE_HOME
from ota.backends.container.engine import Engine, ask
from ota.backends.container.work import UserChoice
from ota.system.host import observe_host

_ROOT = ("", "0", "root", "0:0", "root:root")


def choose_user(engine: Engine, image: str, declared: str | None) -> UserChoice:
    """The contract's user, else the image's unless that is root, else whoever runs ota.

    Asks the engine for the image's user only where the answer matters. An image that is not there yet is
    asked again when it is.
    """
    if declared:
        return UserChoice(user=declared, note=f"runs as {declared}, as the contract says")
    host = observe_host()
    if host.os != "linux" or host.uid <= 0 or is_rootless(engine.name, engine.environ, host.uid):
        return UserChoice(user=None)
    own = image_user(engine, image)
    if own not in _ROOT:
        return UserChoice(user=None, note=f"runs as {own}, the user of the image")
    return UserChoice(
        user=f"{host.uid}:{host.gid}",
        home=WRITABLE_HOME,
        note=f"runs as {host.uid}:{host.gid}, so that new files in the checkout are yours",
    )


def is_rootless(engine: str, environ: Mapping[str, str], uid: int) -> bool:
    """Whether the container's root is the invoking user; seen from the outside, without a call."""
    if engine == "podman":
        # a remote Podman may be rootful; its socket then belongs to root
        remote = environ.get("CONTAINER_HOST", "")
        return not remote or _owns_socket(remote, uid)
    address = environ.get("DOCKER_HOST") or _context_host(environ)
    return _owns_socket(address, uid) if address else False


def _owns_socket(address: str, uid: int) -> bool:
    scheme, _, path = address.partition("://")
    if scheme != "unix":
        return False
    try:
        return Path(path).stat().st_uid == uid
    except OSError:
        return False


def _context_host(environ: Mapping[str, str]) -> str:
    """Where Docker's current context points, when it is not the default one."""
    import hashlib

    import msgspec

    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")
    try:
        chosen = environ.get("DOCKER_CONTEXT") or _text(folder / "config.json", "currentContext")
        if not chosen or chosen == "default":
            return ""
        digest = hashlib.sha256(chosen.encode()).hexdigest()
        meta = msgspec.json.decode((folder / "contexts" / "meta" / digest / "meta.json").read_bytes())
        return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return ""


def _text(path: Path, key: str) -> str:
    import msgspec

    return str(msgspec.json.decode(path.read_bytes()).get(key) or "")


def image_user(engine: Engine, image: str) -> str:
    """The user an image asks for; empty when it asks for none, or is not there."""
    answer = ask(engine, "image", "inspect", "-f", "{{.Config.User}}", image)
    return answer.stdout.strip() if answer.is_ok else ""


def is_root(user: str) -> bool:
    """Whether a user text means root."""
    return user in _ROOT or user.partition(":")[0] in _ROOT
