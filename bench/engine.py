"""The container engine to measure against: the one of `ota run engines:up`, with its small image."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

IMAGE = "ota-test/busybox"
HOME = Path(os.environ.get("OTA_ENGINES_HOME") or "/var/lib/ota-engines")


def engine_environment() -> Mapping[str, str] | None:
    """The environment in which `docker` has the image; None, with the reason told, when there is none."""
    try:
        stated = json.loads((HOME / "state.json").read_text(encoding="utf-8"))["environment"]
    except (OSError, ValueError, KeyError):
        stated = {}
    environ = {**os.environ, **stated}
    command = ["docker", "image", "inspect", IMAGE]
    try:
        found = subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        found = None
    if found is None or found.returncode:
        print(f"\nwithout `docker` and its image {IMAGE} containers are left out: `./ota run engines:up`")
        return None
    return environ
