"""The test images, made from Debian packages for both engines under the same names.

`ota-test/busybox`  one static program: a shell, `httpd`, `nc`, `wget`; serves nothing by itself
`ota-test/kv`       a service on port 6379 (`KV_PORT`) that answers PING, SET, GET and DEL as Redis does
`ota-test/debian`   Debian by debootstrap with `python3`, `redis-server`, `apt-get`; only with `up --debian`

Those with programs of this machine in them are in engine_programs.
An image carries the digest of what it was made from and is made anew when that changes.
"""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine_host import EngineError, ask, base_environment, find, must

DIGEST_LABEL = "dev.ota.test.made-from"
SUITE = "bookworm"
DEBIAN_PACKAGES = ("python3-minimal", "redis-server")
USERS = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:::/bin/false
"""
GROUPS = "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n"
KV_SERVER = """\
#!/bin/sh
exec nc -ll -p "${KV_PORT:-6379}" -e /bin/kv-session
"""
# One connection of the service: inline commands and the arrays that client libraries send.
KV_SESSION = """\
#!/bin/sh
cr=$(printf '\\r')
take() { IFS= read -r line || exit 0; line=${line%"$cr"}; }
place() { printf '/tmp/kv-%s' "$(printf '%s' "$1" | md5sum | cut -c1-32)"; }
while take; do
    set --
    case $line in
        '*'*)
            count=${line#?}
            while [ "$count" -gt 0 ]; do take; take; set -- "$@" "$line"; count=$((count - 1)); done
            ;;
        *) set -f; set -- $line ;;
    esac
    case $1 in
        [Pp][Ii][Nn][Gg]) printf '+PONG\\r\\n' ;;
        [Ss][Ee][Tt])
            file=$(place "$2")
            printf '%s' "$3" > "$file.$$" && mv "$file.$$" "$file"
            printf '+OK\\r\\n'
            ;;
        [Gg][Ee][Tt])
            file=$(place "$2")
            if [ -f "$file" ]; then
                value=$(cat "$file")
                printf '$%d\\r\\n%s\\r\\n' "${#value}" "$value"
            else
                printf '$-1\\r\\n'
            fi
            ;;
        [Dd][Ee][Ll]) rm "$(place "$2")" 2> /dev/null; printf ':%d\\r\\n' "$(($? == 0))" ;;
        [Qq][Uu][Ii][Tt]) printf '+OK\\r\\n'; exit 0 ;;
        *) printf -- "-ERR unknown command '%s'\\r\\n" "$1" ;;
    esac
done
"""


def build_missing(environment: Mapping[str, str], cache: Path, *, with_debian: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="ota-engines-images-") as folder:
        archive = Path(folder) / "busybox.tar"
        pack_busybox(archive)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:16]
        for engine in ("docker", "podman"):
            keep(engine, "ota-test/busybox", archive, digest, ["CMD sh"], environment)
            keep(engine, "ota-test/kv", archive, digest, ["CMD kv", "EXPOSE 6379"], environment)
    if with_debian:
        archive = debian_archive(cache)
        for engine in ("docker", "podman"):
            keep(engine, "ota-test/debian", archive, archive.stem, ["CMD bash"], environment)


def keep(
    engine: str,
    name: str,
    archive: Path,
    digest: str,
    settings: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """Import the archive unless the engine has the image of this digest and these settings."""
    settings = [*settings, "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    source = hashlib.sha256("\n".join([digest, *settings]).encode()).hexdigest()[:16]
    wanted = f'{{{{index .Config.Labels "{DIGEST_LABEL}"}}}}'
    found = ask(engine, "image", "inspect", "--format", wanted, name, environment=environment)
    if found.returncode == 0:
        if found.stdout.strip() == source:
            return
        ask(engine, "image", "rm", "--force", name, environment=environment)
    changes = [*settings, f"LABEL {DIGEST_LABEL}={source} dev.ota.test=image"]
    words = [word for change in changes for word in ("--change", change)]
    must(engine, "import", *words, str(archive), f"{name}:latest", environment=environment, limit_s=300)


def pack_busybox(archive: Path, *, users: str = USERS, groups: str = GROUPS) -> None:
    """The same bytes for the same busybox: no times, no owners."""
    program = find("busybox")
    assert program is not None
    with tarfile.open(archive, "w") as tar:

        def add(
            name: str, kind: bytes, mode: int, *, content: bytes = b"", link: str = "", owner: int = 0
        ) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
            entry.uid = entry.gid = owner
            tar.addfile(entry, io.BytesIO(content))

        for folder in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var", "www"):
            add(folder, tarfile.DIRTYPE, 0o755)
        add("home/app", tarfile.DIRTYPE, 0o755, owner=1000)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        add("bin/busybox", tarfile.REGTYPE, 0o755, content=Path(program).read_bytes())
        for applet in must(program, "--list").split():
            if applet != "busybox":
                add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        add("usr/bin/env", tarfile.SYMTYPE, 0o777, link="/bin/busybox")
        for name, mode, text in (
            ("etc/passwd", 0o644, users),
            ("etc/group", 0o644, groups),
            ("www/index.html", 0o644, "hello\n"),
            ("bin/kv", 0o755, KV_SERVER),
            ("bin/kv-session", 0o755, KV_SESSION),
        ):
            add(name, tarfile.REGTYPE, mode, content=text.encode())


def debian_archive(cache: Path) -> Path:
    """The root file system as a tar file; built once per list of packages."""
    words = "-".join((SUITE, *DEBIAN_PACKAGES))
    archive = cache / f"debian-{hashlib.sha256(words.encode()).hexdigest()[:12]}.tar"
    if archive.exists():
        return archive
    print("building ota-test/debian (debootstrap)", flush=True)
    with tempfile.TemporaryDirectory(prefix="ota-engines-debian-") as folder:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(DEBIAN_PACKAGES)}", SUITE, folder],
            env=base_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        if done.returncode != 0:
            raise EngineError(
                "debootstrap failed", done.stdout[-800:], f"read {folder}/debootstrap/debootstrap.log"
            )
        for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*"):
            for path in Path(folder).glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        partial = archive.with_suffix(".new")
        must(
            "tar",
            "--create",
            "--file",
            str(partial),
            "--numeric-owner",
            "--directory",
            folder,
            ".",
            limit_s=300,
        )
        partial.replace(archive)
    return archive


def observe(environment: Mapping[str, str]) -> dict[str, str]:
    """For each test image the engines that have it."""
    found: dict[str, list[str]] = {}
    for engine in ("docker", "podman"):
        listing = ("image", "ls", "--format", "{{.Repository}}", "--filter", f"label={DIGEST_LABEL}")
        for name in ask(engine, *listing, environment=environment).stdout.split():
            found.setdefault(name.removeprefix("localhost/"), []).append(engine)
    return {name: "+".join(engines) for name, engines in sorted(found.items())}
