"""Docker: one that answers already, or a plain `dockerd` of our own; and what compose commands answer."""

import ipaddress
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine_host import (
    EngineError,
    Home,
    ask,
    end,
    helpers_of,
    must,
    started_at,
    wait_until,
)

# Only what the daemon needs: its containers' helpers must not carry what somebody's shell happened to hold.
DAEMON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BRIDGE = Path("/sys/class/net/docker0")
START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0


def socket(home: Home) -> str:
    return f"unix://{home.path}/docker.sock"


def environment(home: Home, host: str) -> dict[str, str]:
    """A configuration folder of our own, so that contexts and credentials of the user play no part."""
    folder = home.path / "docker-config"
    folder.mkdir(exist_ok=True)
    # Podman wants the file to exist as soon as the variable is set.
    (folder / "config.json").write_text("{}\n")
    return {"DOCKER_HOST": host, "DOCKER_CONFIG": str(folder)}


def server_version(environment: Mapping[str, str]) -> str | None:
    done = ask("docker", "version", "--format", "{{.Server.Version}}", environment=environment, limit_s=20)
    return done.stdout.strip() or None if done.returncode == 0 else None


def is_ours(noted: Mapping[str, Any] | None) -> bool:
    return bool(noted and noted["own"] and started_at(noted["pid"]) == noted["started"])


def start(home: Home, noted: Mapping[str, Any] | None) -> dict[str, Any]:
    """The note about a Docker that answers: `{own, host}` and, for one of our own, `pid` and `started`."""
    if noted is not None and is_ours(noted) and server_version({"DOCKER_HOST": socket(home)}):
        give_back_bridge({"DOCKER_HOST": socket(home)})
        return dict(noted)
    if os.environ.get("DOCKER_HOST") != socket(home) and server_version({}):
        # A second daemon would fight with this one over bridges and packet filter rules.
        found = (
            os.environ.get("DOCKER_HOST")
            or ask("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").stdout.strip()
        )
        return {"own": False, "host": found or "unix:///var/run/docker.sock"}
    return start_own(home)


def give_back_bridge(environment: Mapping[str, str]) -> None:
    """Make the bridge again that the daemon believes in: another one with `--bridge=none` takes it away.

    Without it no container starts that names no network. Those that were on it before stay cut off.
    """
    if BRIDGE.exists():
        return
    wanted = "{{range .IPAM.Config}}{{.Subnet}}{{end}}"
    words = ask("docker", "network", "inspect", "bridge", "--format", wanted, environment=environment)
    if words.returncode != 0 or not words.stdout.strip():
        return
    subnet = ipaddress.ip_network(words.stdout.strip())
    must("ip", "link", "add", BRIDGE.name, "type", "bridge")
    # The daemon takes the first address for itself, and makes it the gateway of containers.
    must("ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", BRIDGE.name)
    must("ip", "link", "set", BRIDGE.name, "up")


def start_own(home: Home) -> dict[str, Any]:
    # A daemon of an interrupted `up`, or one that hangs, holds the data that the new one needs.
    for pid, started in helpers_of(home.docker):
        end(pid, started, 5.0)
    configuration = home.docker / "daemon.json"
    configuration.write_text(json.dumps({"log-level": "warn"}))
    pidfile = home.docker / "dockerd.pid"
    pidfile.unlink(missing_ok=True)
    argv = ["dockerd", "--config-file", str(configuration), "--host", socket(home), "--pidfile", str(pidfile)]
    argv += ["--data-root", str(home.docker / "data"), "--exec-root", str(home.docker / "exec")]
    if ask("iptables", "-t", "nat", "-S").returncode != 0:
        # Published ports then go through Docker's own proxy; containers reach each other, not the outside.
        argv.append("--iptables=false")
    log = home.docker / "dockerd.log"
    with log.open("w") as out:
        daemon = subprocess.Popen(
            argv,
            cwd="/",
            env={"PATH": DAEMON_PATH, "HOME": str(home.docker)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(
        lambda: daemon.poll() is not None or bool(server_version({"DOCKER_HOST": socket(home)})),
        START_LIMIT_S,
    )
    started = started_at(daemon.pid)
    if daemon.poll() is not None or started is None or not server_version({"DOCKER_HOST": socket(home)}):
        last = log.read_text(errors="replace").splitlines()[-8:]
        if started is not None:
            end(daemon.pid, started, 10.0)
        raise EngineError("dockerd does not start", "\n        ".join(last), f"read {log}")
    return {"own": True, "host": socket(home), "pid": daemon.pid, "started": started}


def stop(home: Home, noted: Mapping[str, Any] | None, environment: Mapping[str, str]) -> None:
    """End our own daemon with all it holds; of another one only what our tests put there."""
    if noted is None or not environment:
        pass
    elif not noted["own"]:
        remove_all(environment, ("--filter", "label=dev.ota.test"), with_images=True)
        return
    elif is_ours(noted):
        remove_all(environment, (), with_images=False)
        end(noted["pid"], noted["started"], STOP_LIMIT_S)
    # A daemon that was killed leaves containerd and its shims behind.
    for pid, started in helpers_of(home.docker):
        end(pid, started, 5.0)


def remove_all(environment: Mapping[str, str], chosen: tuple[str, ...], *, with_images: bool) -> None:
    def each(kind: str, *listing: str) -> list[str]:
        return ask("docker", kind, *listing, "-q", *chosen, environment=environment).stdout.split()

    if containers := each("container", "ls", "-a"):
        ask("docker", "container", "rm", "-f", "-v", *containers, environment=environment)
    if volumes := each("volume", "ls"):
        ask("docker", "volume", "rm", *volumes, environment=environment)
    own = (*chosen, "--filter", "type=custom")
    networks = ask("docker", "network", "ls", "-q", *own, environment=environment).stdout.split()
    if networks:
        ask("docker", "network", "rm", *networks, environment=environment)
    if with_images and (images := each("image", "ls")):
        ask("docker", "image", "rm", "-f", *images, environment=environment)


def observe(environment: Mapping[str, str]) -> dict[str, str] | None:
    if not environment:
        return None
    done = ask("docker", "info", "--format", "{{json .}}", environment=environment, limit_s=20)
    try:
        facts = json.loads(done.stdout)
    except ValueError:
        return None
    if done.returncode != 0 or not facts.get("ServerVersion"):
        return None
    return {
        "server": facts["ServerVersion"],
        "client": ask(
            "docker", "version", "--format", "{{.Client.Version}}", environment=environment
        ).stdout.strip(),
        "storage": facts["Driver"],
        "cgroups": facts.get("CgroupVersion", "?"),
        "host": environment["DOCKER_HOST"],
    }


def observe_compose(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Version of each compose command, `None` for one that does not answer."""

    def version(*argv: str) -> str | None:
        done = ask(*argv, environment=environment, limit_s=30)
        lines = done.stdout.split()
        return lines[-1].lstrip("v") if done.returncode == 0 and lines else None

    podman = ask("podman-compose", "--version", environment=environment, limit_s=30)
    words = [line.split()[-1] for line in podman.stdout.splitlines() if line.startswith("podman-compose")]
    return {
        "docker compose": version("docker", "compose", "version", "--short"),
        "docker-compose": version("docker-compose", "version", "--short"),
        "podman-compose": words[0] if podman.returncode == 0 and words else None,
    }
