"""The one command most likely to bring a missing or wrong runtime or tool, without running it.

First what the contract hints at (`provider`), then what files of the repository say, then the version
manager that is there; else plain words. Container and remote planes never get a host command.

Source: doctor specification 6 (remediation).
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ota.diagnose.scene import Scene
from ota.requirements.executables import find_executable
from ota.resolve.plan import RequirementPlan

_PROVIDERS: Mapping[tuple[str, str], str] = {
    ("node", "volta"): "volta install node@{v}",
    ("node", "nvm"): "nvm install {v} && nvm use {v}",
    ("node", "nodenv"): "nodenv install {v}",
    ("python", "uv"): "uv python install {v}",
    ("python", "pyenv"): "pyenv install {v}",
    ("java", "sdkman"): "sdk install java {v}",
    ("go", "goenv"): "goenv install {v}",
    ("rust", "rustup"): "rustup toolchain install {v}",
    ("ruby", "rbenv"): "rbenv install {v}",
}
_FILES: tuple[tuple[str, str, str], ...] = (
    ("node", ".nvmrc", "nvm install {v} && nvm use {v}"),
    ("node", ".node-version", "nodenv install {v}"),
    ("python", "uv.lock", "uv python install {v}"),
    ("python", ".python-version", "pyenv install {v}"),
    ("go", ".go-version", "goenv install {v}"),
    ("ruby", ".ruby-version", "rbenv install {v}"),
)
_ALIASES = {"node": ("node", "nodejs"), "go": ("go", "golang")}
_REFERENCE = re.compile(r"(?:^|[\s,(])(?:>=|\^|~>?|==?)?\s*v?([0-9]+(?:\.[0-9]+)*[0-9A-Za-z.+-]*)")


def remedy(scene: Scene, requirement: RequirementPlan) -> str:
    """A whole `next` with the command and the rerun; empty when there is nothing better than plain words."""
    command = _command(scene, requirement)
    return f"`{command}`, then rerun `{scene.rerun}`" if command else ""


def _command(scene: Scene, requirement: RequirementPlan) -> str:
    name = requirement.name
    version = installable(requirement.version)
    hint = (requirement.provider or "").lower()
    if version and (name, hint) in _PROVIDERS:
        return _PROVIDERS[name, hint].format(v=version)
    if version and hint in ("asdf", "mise"):
        return f"asdf install {name} {version}" if hint == "asdf" else f"mise install {name}@{version}"
    root = scene.loaded.root
    found = _from_files(root, name, version)
    return found or _from_tool_versions(scene, name, version)


def installable(requirement: str) -> str:
    """An installable version that begins the range; empty for `*` and mere upper bounds."""
    match = _REFERENCE.search(requirement.strip())
    return match[1] if match is not None else ""


def _from_files(root: Path, name: str, version: str) -> str:
    for runtime, file, shape in _FILES:
        if runtime == name and version and (root / file).is_file():
            return shape.format(v=version)
    if name in ("java", "maven", "gradle"):
        pinned = _entry(root / ".sdkmanrc", name, "=")
        if pinned:
            return f"sdk install {name} {pinned}"
    if name == "dotnet":
        pinned = _dotnet_sdk(root / "global.json")
        if pinned:
            return f"curl -fsSL https://dot.net/v1/dotnet-install.sh | bash -s -- --version {pinned}"
    return ""


def _from_tool_versions(scene: Scene, name: str, version: str) -> str:
    root = scene.loaded.root
    for alias in _ALIASES.get(name, (name,)):
        pinned = _entry(root / ".tool-versions", alias, None)
        if not pinned:
            continue
        wanted = version or pinned
        if any((root / file).is_file() for file in ("mise.toml", "mise.local.toml")):
            return f"mise install {alias}@{wanted}"
        there = [each for each in ("asdf", "mise") if find_executable(each, scene.environ, root) is not None]
        if len(there) == 1:
            return f"asdf install {alias} {wanted}" if there == ["asdf"] else f"mise install {alias}@{wanted}"
    return ""


def _entry(path: Path, name: str, separator: str | None) -> str:
    """The value of `name` in a file of `name value` lines."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, *rest = line.partition("#")[0].strip().split(separator, 1)
        if key.strip() == name and rest:
            return rest[0].split()[0] if rest[0].split() else ""
    return ""


def _dotnet_sdk(path: Path) -> str:
    import json

    try:
        sdk = json.loads(path.read_text(encoding="utf-8")).get("sdk", {})
        version = sdk.get("version", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return version if isinstance(version, str) and re.fullmatch(r"[0-9A-Za-z.+-]+", version) else ""
