"""Programs from Debian: what is missing is installed by name; nothing that is there is replaced.

Compose v2 is packaged in Debian 13 only. Its package is fetched through an apt of its own (sources, lists and
status apart from the system's, so nothing can be upgraded), and only the plugin is taken out of it: it needs
nothing but the C library of Debian 12.
"""

import io
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

from engine_host import EngineError, ask, base_environment, find, must

PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"
# A program that shows that a package is not needed, and the package.
PROGRAMS = (
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("docker-compose", "docker-compose"),
    ("podman-compose", "podman-compose"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
)
DEBIAN_PROGRAMS = (("debootstrap", "debootstrap"),)
# netavark, aardvark-dns (names of containers) and catatonit (`--init`) are only recommended by podman.
LIBRARIES = (
    ("/usr/lib/podman/netavark", "netavark"),
    ("/usr/lib/podman/aardvark-dns", "aardvark-dns"),
    ("/usr/libexec/podman/catatonit", "catatonit"),
)
# What the images have from this machine.
SERVERS = (
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("/usr/lib/postgresql/15/bin/psql", "postgresql-client-15"),
)
TRIXIE = """\
Types: deb
URIs: {mirror}
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
SOURCES = Path("/etc/apt")
LOCK_LIMIT_S = 120


def debian_mirror() -> str:
    """The mirror this machine takes Debian itself from; security updates have one of their own."""
    files = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*.[ls]*"))]
    words = [
        word
        for file in files
        if file.suffix in (".list", ".sources") and file.is_file()
        for word in file.read_text(encoding="utf-8").split()
    ]
    mirror = next((word for word in words if "://" in word and word.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        raise EngineError(
            "no source of Debian packages is configured",
            "Compose v2 is fetched from the mirror this machine already uses",
            "add Debian to /etc/apt/sources.list.d, or install the docker compose plugin by hand",
        )
    return mirror


def is_static(program: str) -> bool:
    """Whether an ELF program runs alone in an image: it asks for no interpreter."""
    with Path(program).open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return False
        at, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        file.seek(at)
        headers = file.read(size * count)
    return all(struct.unpack_from("<I", headers, index * size)[0] != 3 for index in range(count))


def missing(*, with_debian: bool) -> list[str]:
    programs = PROGRAMS + (DEBIAN_PROGRAMS if with_debian else ())
    wanted = [package for program, package in programs if find(program) is None]
    wanted += [package for path, package in LIBRARIES + SERVERS if not Path(path).exists()]
    busybox = find("busybox")
    if busybox is None or not is_static(busybox):
        wanted.append("busybox-static")
    return sorted(set(wanted))


def install_missing(*, with_debian: bool) -> None:
    packages = missing(with_debian=with_debian)
    if not packages:
        return
    print(f"installing: {' '.join(packages)}", flush=True)
    # Runlevel 1: packages of services do not start them; the engine started here is the only one.
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    options = {
        # Another installation may be going on.
        "DPkg::Lock::Timeout": f"{LOCK_LIMIT_S}",
        # Most of the time would go into waiting for the disk after each file.
        "Dpkg::Options::": "--force-unsafe-io",
    }
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    install = ["apt-get", *settings, "install", "-q", "-y", "--no-install-recommends", *packages]
    if ask(*install, environment=quiet, limit_s=900).returncode != 0:
        # The lists of packages are missing or old. One foreign source that does not answer fails the update,
        # and concerns us only if the install fails too.
        ask("apt-get", "update", "-q", environment=quiet, limit_s=300)
        must(
            *install,
            environment=quiet,
            limit_s=900,
            advice="install them by hand, then run `engines up` again",
        )
    if still := missing(with_debian=with_debian):
        raise EngineError(
            f"still missing: {' '.join(still)}",
            "apt-get installed them without error",
            "see `dpkg -L <package>` for where the programs went",
        )


def place_compose_plugin(cache: Path, docker_config: Path) -> None:
    """Put Compose v2 where this docker configuration looks for plugins."""
    target = docker_config / "cli-plugins" / "docker-compose"
    if target.exists():
        return
    packages = sorted(cache.glob("docker-compose_*.deb"))
    package = packages[-1] if packages else fetch_compose(cache)
    listing = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True, env=base_environment()
    )
    with tarfile.open(fileobj=io.BytesIO(listing.stdout)) as content:
        plugin = content.extractfile(f"./{PLUGIN}")
        assert plugin is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".new")
        with partial.open("wb") as file:
            shutil.copyfileobj(plugin, file)
    partial.chmod(0o755)
    partial.replace(target)


def fetch_compose(cache: Path) -> Path:
    print("fetching Compose v2", flush=True)
    with tempfile.TemporaryDirectory(prefix="ota-engines-apt-") as folder:
        apart = Path(folder)
        for name in ("sources", "lists/partial", "cache/archives/partial", "fetched"):
            (apart / name).mkdir(parents=True)
        (apart / "sources" / "trixie.sources").write_text(TRIXIE.format(mirror=debian_mirror()))
        (apart / "status").touch()
        options = {
            "Dir::Etc::SourceList": os.devnull,
            "Dir::Etc::SourceParts": str(apart / "sources"),
            "Dir::State::Lists": str(apart / "lists"),
            "Dir::State::Status": str(apart / "status"),
            "Dir::Cache": str(apart / "cache"),
            "APT::Sandbox::User": "root",
        }
        settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        advice = "put the package docker-compose of Debian 13 into build/engines by hand"
        must("apt-get", *settings, "-q", "update", limit_s=300, advice=advice)
        # `download` writes into the working folder.
        done = subprocess.run(
            ["apt-get", *settings, "-q", "download", "docker-compose"],
            cwd=apart / "fetched",
            env=base_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        fetched = list((apart / "fetched").glob("docker-compose_*.deb"))
        if done.returncode != 0 or not fetched:
            raise EngineError(
                "Compose v2 could not be fetched", done.stderr.strip() or "no package came", advice
            )
        return Path(shutil.copy(fetched[0], cache / fetched[0].name))
