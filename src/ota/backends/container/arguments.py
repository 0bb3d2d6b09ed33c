"""The words that make a container: mounts, environment, labels, publication, memory, user.

Ephemeral and persistent containers differ in a few words only; what they share is written here once.

Source: runtime specification 4.3, 8, 9, 25.1; decision D14.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ota.backends.container.body import BODY_VARIABLE
from ota.backends.container.engine import Engine
from ota.backends.container.identity import IsolatedVolume, Labels, label_words
from ota.backends.container.publication import publish_arguments
from ota.backends.container.work import BodyEnvironment, PublishedPort, UserChoice, Work
from ota.errors import Finding, HostError
from ota.resolve.injection import CONTAINER_WORKSPACE

# Variables that tell an engine's command line where the engine is and how to talk to it. A secret of such
# a name cannot be handed over by environment without redirecting the call itself.
_STEERING = frozenset(
    {
        "HOME",
        "PATH",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "CONTAINER_HOST",
        "CONTAINER_SSHKEY",
        "CONTAINERS_CONF",
        "CONTAINERS_STORAGE_CONF",
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_CONFIG",
        "DOCKER_CERT_PATH",
        "DOCKER_TLS",
        "DOCKER_TLS_VERIFY",
        "DOCKER_API_VERSION",
        "DOCKER_DEFAULT_PLATFORM",
    }
)
_GIT = "GIT_CONFIG_"
_SELINUX = Path("/sys/fs/selinux/enforce")


def creation_words(
    engine: Engine,
    work: Work,
    *,
    name: str,
    labels: Labels,
    ports: Sequence[PublishedPort],
    volumes: Sequence[IsolatedVolume],
    networks: Sequence[str],
    user: UserChoice,
) -> tuple[str, ...]:
    """Everything between `create` and the environment."""
    container = work.container
    words = ["--init", "--stop-timeout", "0", "--pull", "never", "--name", name, *label_words(labels)]
    words += ("--entrypoint", "sh", *mount_words(engine, work.root), "-w", CONTAINER_WORKSPACE)
    if networks:
        words += ("--network", networks[0])
    if engine.name == "docker":
        # Docker Desktop and Podman give this name by themselves (D25)
        words += ("--add-host", "host.docker.internal:host-gateway")
    for volume in volumes:
        words += ("-v", f"{volume.name}:{volume.mount_point}")
    words += publish_arguments(ports)
    if container.memory_bytes is not None:
        words += ("--memory", str(container.memory_bytes))
    if container.platform:
        words += ("--platform", container.platform)
    if user.user is not None:
        words += ("--user", user.user)
    return tuple(words)


def mount_words(engine: Engine, root: Path) -> tuple[str, ...]:
    """The checkout at /workspace, whatever its path is made of."""
    source = str(root)
    relabel = ("--security-opt", "label=disable") if engine.is_podman and _SELINUX.exists() else ()
    if ":" not in source:
        return (*relabel, "-v", f"{source}:{CONTAINER_WORKSPACE}")
    # `-v` splits at colons and knows no quoting; `--mount` is a line of CSV
    quoted = source.replace('"', '""')
    return (*relabel, "--mount", f'type=bind,"source={quoted}",target={CONTAINER_WORKSPACE}')


def environment_words(environment: BodyEnvironment, *, body_mark: str, home: str | None) -> tuple[str, ...]:
    """`--env` for every variable; a secret by name only. PATH is the shell's business."""
    words: list[str] = []
    for name, value in _variables(environment.values, body_mark, home).items():
        words += ("--env", name if name in environment.secrets else f"{name}={value}")
    return tuple(words)


def _variables(values: Mapping[str, str], body_mark: str, home: str | None) -> dict[str, str]:
    variables = {name: value for name, value in values.items() if name != "PATH"}
    if not any(name.startswith(_GIT) for name in variables):
        # The checkout belongs to another user than the one inside: git would refuse to look at it.
        variables |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": CONTAINER_WORKSPACE,
        }
    if home is not None:
        variables.setdefault("HOME", home)
    variables[BODY_VARIABLE] = body_mark
    return variables


def cli_environment(engine: Engine, environment: BodyEnvironment) -> dict[str, str]:
    """The environment of the call that delivers `environment`: the engine's own, and the secrets.

    Raises:
        HostError: a secret has a name that would redirect the call.
    """
    secrets = {name: environment.values[name] for name in environment.secrets & environment.values.keys()}
    refused = sorted(
        name
        for name in secrets.keys() & _STEERING
        # PATH travels in the text of the shell
        if name == "PATH" or secrets[name] != engine.environ.get(name)
    )
    if refused:
        raise HostError(
            Finding(
                code="OTA_CONTAINER_SECRET_REFUSED",
                title="Secret cannot be delivered",
                summary=f"secret variable {refused[0]} cannot be handed to a container",
                why=f"{engine.name} itself reads {refused[0]}, and a secret may stand in no command line",
                next="give the variable another name, or do not mark it `secret`",
                category="environment",
                owner="repo_contract",
            )
        )
    return {**engine.environ, **secrets}
