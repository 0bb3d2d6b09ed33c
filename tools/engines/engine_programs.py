"""Root file systems of busybox and programs of this machine, with the libraries those are linked to.

`ota-test/postgres`   PostgreSQL 15 as user postgres, on port 5432, with a database `app`; it answers within a
                      second, because its folder is made with the image; trusts everybody, keeps nothing safe
`ota-test/toolchain`  `psql` and `pg_isready`, and stand-ins for java, mvn, node, npm, pnpm and next: they say
                      their version as the real ones do, and are a small application otherwise

An archive is kept in the cache under the digest of what it was made from.
"""

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from engine_host import EngineError, base_environment, find, must
from engine_images import GROUPS, USERS, keep, pack_busybox

SERVER = Path("/usr/lib/postgresql/15")
SHARE = Path("/usr/share/postgresql/15")
CLUSTER = "var/lib/postgresql"
# Whoever initialises a cluster must not be root; in the image it is another user's.
NOBODY = 65534
POSTGRES = 999
SETTINGS = """
listen_addresses = '*'
unix_socket_directories = '/tmp'
timezone = 'GMT'
log_timezone = 'GMT'
max_connections = 20
shared_buffers = 16MB
fsync = off
synchronous_commit = off
full_page_writes = off
jit = off
"""
EVERYBODY = "host all all all trust\n"
NAMES = "passwd: files\ngroup: files\nhosts: files dns\n"

APPLICATION = """\
#!/bin/sh
# The application of the examples: says how it was called, where it is and what it was given, asks its
# database, and serves what that answered on port 3000 when it was called to (`dev`).
echo "$* on $(hostname)"
env | grep -E '^(DB_URL|SERVER_ADDRESS|SERVER_PORT)=' | sort
answer='no database'
if [ -n "${DB_URL-}" ]; then
    answer=$(psql -U postgres -At -c "select 'database ' || current_database()" "${DB_URL#jdbc:}") || exit 1
fi
echo "$answer"
for last; do :; done
[ "$last" = dev ] || exit 0
mkdir -p /tmp/www && echo "$answer" > /tmp/www/index.html
exec httpd -f -p 3000 -h /tmp/www
"""
TOOL = """\
#!/bin/sh
case $1 in
    -v | --version)
        cat << 'END'
{version}
END
        ;;
    *) exec application {name} "$@" ;;
esac
"""
# The one that has two ways to say it.
JAVA = """\
#!/bin/sh
say() {
    echo "openjdk $1 2025-04-15 LTS"
    echo 'OpenJDK Runtime Environment Temurin-21.0.7+6 (build 21.0.7+6-LTS)'
    echo 'OpenJDK 64-Bit Server VM Temurin-21.0.7+6 (build 21.0.7+6-LTS, mixed mode, sharing)'
}
case $1 in
    -version) say 'version "21.0.7"' >&2 ;;
    *) say 21.0.7 ;;
esac
"""
MAVEN = """\
Apache Maven 3.9.14 (996c630dbc656c76214ce58821dcc58be960875b)
Maven home: /usr/share/maven
Java version: 21.0.7, vendor: Eclipse Adoptium, runtime: /opt/java/openjdk
Default locale: en_US, platform encoding: UTF-8
OS name: "linux", version: "6.1.0", arch: "amd64", family: "unix\""""
VERSIONS = {"mvn": MAVEN, "node": "v24.14.1", "npm": "11.11.0", "pnpm": "10.12.1", "next": "Next.js v15.3.2"}


class Tree:
    """A tar file on top of busybox: the same bytes for the same content, no times."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._there = set(tar.getnames())

    def programs(self, paths: Iterable[Path]) -> None:
        """Programs where they are on this machine, by their names in /bin, with their libraries."""
        for path in paths:
            for each in (path, *linked(path)):
                self.file(str(each).lstrip("/"), each.read_bytes(), mode=0o755)
            self.link(f"bin/{path.name}", str(path))

    def file(self, name: str, content: bytes, *, mode: int = 0o644) -> None:
        self._add(name, tarfile.REGTYPE, mode, content=content)

    def link(self, name: str, target: str) -> None:
        self._add(name, tarfile.SYMTYPE, 0o777, link=target)

    def folder(self, source: Path, name: str, *, owner: int = 0) -> None:
        """A folder with everything in it, modes included."""
        self._add(name, tarfile.DIRTYPE, source.stat().st_mode & 0o777, owner=owner)
        for each in sorted(source.iterdir()):
            below = f"{name}/{each.name}"
            if each.is_dir():
                self.folder(each, below, owner=owner)
            elif each.is_file():
                self._add(
                    below,
                    tarfile.REGTYPE,
                    each.stat().st_mode & 0o777,
                    content=each.read_bytes(),
                    owner=owner,
                )

    def _add(
        self, name: str, kind: bytes, mode: int, *, content: bytes = b"", link: str = "", owner: int = 0
    ) -> None:
        if name in self._there:
            return
        self._there.add(name)
        above = name.rpartition("/")[0]
        if above:  # engines make folders that are missing as they like, and some for root alone
            self._add(above, tarfile.DIRTYPE, 0o755)
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
        entry.uid = entry.gid = owner
        self._tar.addfile(entry, io.BytesIO(content))


def linked(program: Path) -> list[Path]:
    """The libraries a program is started with, the loader included."""
    said = must("ldd", str(program))
    return [Path(word) for word in said.split() if word.startswith("/")]


def build_missing(environment: Mapping[str, str], cache: Path) -> None:
    server = f'CMD ["postgres", "-D", "/{CLUSTER}"]'
    for name, pack, settings in (
        ("postgres", pack_postgres, [server, "USER postgres", "EXPOSE 5432"]),
        ("toolchain", pack_toolchain, ["CMD sh"]),
    ):
        archive = kept(cache, name, pack)
        for engine in ("docker", "podman"):
            keep(engine, f"ota-test/{name}", archive, archive.stem, settings, environment)


def kept(cache: Path, name: str, pack: Callable[[Tree], None]) -> Path:
    """The archive of this recipe, packed unless the cache has it; those of older recipes go."""
    archive = cache / f"{name}-{recipe()}.tar"
    if not archive.exists():
        print(f"building ota-test/{name}", flush=True)
        partial = archive.with_suffix(".new")
        pack_busybox(
            partial,
            users=f"{USERS}postgres:x:{POSTGRES}:{POSTGRES}::/{CLUSTER}:/bin/sh\n",
            groups=f"{GROUPS}postgres:x:{POSTGRES}:\n",
        )
        with tarfile.open(partial, "a") as tar:
            tree = Tree(tar)
            tree.file("etc/nsswitch.conf", NAMES.encode())
            pack(tree)
        for old in cache.glob(f"{name}-*.tar"):
            old.unlink()
        partial.replace(archive)
    return archive


def recipe() -> str:
    """What the archives are made from: this file, busybox, and the version of PostgreSQL."""
    busybox = find("busybox")
    assert busybox is not None
    version = must(str(SERVER / "bin" / "postgres"), "--version")
    parts = (Path(__file__).read_bytes(), Path(busybox).read_bytes(), version.encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]


def pack_postgres(tree: Tree) -> None:
    tree.programs(SERVER / "bin" / name for name in ("postgres", "psql", "pg_isready"))
    tree.file(str(SERVER / "lib" / "plpgsql.so").lstrip("/"), (SERVER / "lib" / "plpgsql.so").read_bytes())
    tree.folder(SHARE / "timezonesets", str(SHARE / "timezonesets").lstrip("/"))
    with tempfile.TemporaryDirectory(prefix="ota-engines-postgres-") as folder:
        made = make_cluster(Path(folder))
        tree.folder(made, CLUSTER, owner=POSTGRES)


def make_cluster(folder: Path) -> Path:
    """The folder of a server that nobody has to wait for: initialised, with a database `app`."""
    os.chown(folder, NOBODY, NOBODY)
    cluster = folder / "cluster"
    options = ("--username=postgres", "--auth=trust", "--locale=C", "--encoding=UTF8")
    quick = ("--no-sync", "--no-instructions", "--wal-segsize=1")
    as_nobody(folder, "initdb", "-D", str(cluster), *options, *quick)
    for name, more in (("postgresql.conf", SETTINGS), ("pg_hba.conf", EVERYBODY)):
        with (cluster / name).open("a") as file:
            file.write(more)
    as_nobody(folder, "postgres", "--single", "-D", str(cluster), "postgres", give="CREATE DATABASE app;\n")
    return cluster


def as_nobody(folder: Path, program: str, *args: str, give: str = "") -> None:
    done = subprocess.run(
        [str(SERVER / "bin" / program), *args],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd=folder,
        env={**base_environment(), "LC_ALL": "C", "TZ": "GMT"},
        input=give,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode != 0:
        raise EngineError(
            f"{program} failed with {done.returncode}",
            (done.stderr or done.stdout).strip()[-800:],
            "see that PostgreSQL 15 of Debian works here, then run `engines up` again",
        )


def pack_toolchain(tree: Tree) -> None:
    tree.programs(SERVER / "bin" / name for name in ("psql", "pg_isready"))
    for name, text in stand_ins().items():
        tree.file(f"bin/{name}", text.encode(), mode=0o755)


def stand_ins() -> Mapping[str, str]:
    tools = {name: TOOL.format(name=name, version=version) for name, version in VERSIONS.items()}
    return {"application": APPLICATION, "java": JAVA, **tools}
