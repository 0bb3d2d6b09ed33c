"""Compose networks a container joins, so that `postgres:5432` answers inside it.

A network that compose has not made yet is made as compose would make it, with labels that say so and ours
beside them: compose adopts it, and `ota clean` removes it while it is unused.

Source: runtime specification 13.4, 4.2; decisions D24, D30.
"""

from collections.abc import Iterable, Sequence

from ota.backends.container.engine import Engine, ask, ask_list, refusal
from ota.backends.container.identity import label_words, network_labels
from ota.errors import HostError
from ota.resolve.plan import compose_network

_JOINED = ("already exists", "already connected", "is already attached")


def compose_networks(projects: Iterable[str]) -> tuple[str, ...]:
    """The network compose gives each project."""
    return tuple(dict.fromkeys(map(compose_network, projects)))


def ensure_networks(engine: Engine, projects: Sequence[str], token: str) -> tuple[str, ...]:
    """See that every project's network exists; notes about those that were made. One call when all are there.

    Raises:
        HostError: the engine refuses.
    """
    if not projects:
        return ()
    listed = existing_networks(engine)
    notes = []
    for project, network in zip(dict.fromkeys(projects), compose_networks(projects), strict=True):
        if network not in listed and _make(engine, project, network, token):
            notes.append(f"network {network} created, for compose project {project} to adopt")
    return tuple(notes)


def existing_networks(engine: Engine) -> tuple[str, ...]:
    """The names of all networks.

    Raises:
        HostError: the engine does not say.
    """
    answer = ask_list(engine, "network", "ls", "--format", "{{.Name}}")
    if not answer.is_ok:
        raise HostError(refusal(engine, answer, "list networks"))
    return tuple(answer.stdout.split())


def _make(engine: Engine, project: str, network: str, token: str) -> bool:
    """False when another run was faster.

    Raises:
        HostError: the engine refuses.
    """
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.network": "default",
        **network_labels(token),
    }
    answer = ask(engine, "network", "create", *label_words(labels), network)
    if answer.is_ok:
        return True
    if "already exists" in answer.stderr.lower():
        return False
    raise HostError(refusal(engine, answer, f"create network {network}"))


def join_networks(engine: Engine, container: str, networks: Iterable[str]) -> None:
    """Connect a container to networks it is not in yet.

    Raises:
        HostError: the engine refuses.
    """
    for network in networks:
        answer = ask(engine, "network", "connect", network, container)
        if not answer.is_ok and not any(text in answer.stderr.lower() for text in _JOINED):
            raise HostError(refusal(engine, answer, f"connect {container} to network {network}"))
