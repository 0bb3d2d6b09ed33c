"""What starting ota costs is importing: less of six modules than they offer, and ota's own by a short way.

Each of the six modules is made with the few names that ota's own imports ask for, without running its
code; the first other name that anybody asks for runs it after all, in place. So nothing is missing, only
later. Beside a bare interpreter of 12 ms this saves

* 12 ms of `yaml`, when a contract is proven: of PyYAML only its C parser is used, while the package
  compiles the patterns of readers, resolvers and emitters written in Python;
* 3 ms of `msgspec`: its core does everything; JSON Schema, inspection, TOML and YAML are beside it;
* 2.5 ms of `urllib.parse` (with `ipaddress`), which `pathlib` of Python 3.11 takes for one method;
* 1.5 ms of `datetime`, which Python 3.11 defines in Python before it takes the compiled one;
* 4 ms of `hashlib`, which loads all of OpenSSL for the one digest that names containers;
* 2.5 ms of `platform`, which `uuid` of Python 3.11 asks for the system's name.

Where a package is not built as expected, it is imported whole.

Ota's own modules come from where the compiled ones are, without the search: 0.05 ms of each of a hundred.
A compiled module counts only for the source as it is now; for any other the search goes on as usual, and
writes the compiled one.

All this is for a process that is ota alone: nobody else's imports are touched.
"""

import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from marshal import loads
from os import stat

TYPE_CHECKING = False  # see `ota.cli.main`
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, ModuleType

    Names = dict[str, object]


def _msgspec() -> "Names":
    from types import SimpleNamespace

    from msgspec import _core

    core = {name: value for name, value in vars(_core).items() if not name.startswith("_")}
    json = SimpleNamespace(
        decode=_core.json_decode,
        encode=_core.json_encode,
        format=_core.json_format,
        Decoder=_core.JSONDecoder,
        Encoder=_core.JSONEncoder,
    )
    msgpack = SimpleNamespace(
        decode=_core.msgpack_decode,
        encode=_core.msgpack_encode,
        Decoder=_core.MsgpackDecoder,
        Encoder=_core.MsgpackEncoder,
        Ext=_core.Ext,
    )
    return {**core, "field": _core.Field, "json": json, "msgpack": msgpack}


def _yaml() -> "Names":
    from types import SimpleNamespace

    import yaml.error
    import yaml.events
    import yaml.nodes
    import yaml.tokens

    # `yaml._yaml` takes its errors from the modules of the Python implementation that raise the same.
    # What is below a YAMLError is known to `ota.source.tree` by the names that `yaml._yaml` has for them.
    class ReaderError(yaml.error.YAMLError):
        def __init__(
            self, name: object, position: int, character: object, encoding: object, reason: object
        ) -> None:
            self.name, self.position, self.character = name, position, character
            self.encoding, self.reason = encoding, reason

    names: Names = {"reader": SimpleNamespace(ReaderError=ReaderError)}
    for module in ("scanner", "parser", "composer", "constructor"):
        error = f"{module.capitalize()}Error"
        names[module] = SimpleNamespace(**{error: type(error, (yaml.error.MarkedYAMLError,), {})})
    for module in ("emitter", "serializer", "representer"):
        error = f"{module.capitalize()}Error"
        names[module] = SimpleNamespace(**{error: type(error, (yaml.error.YAMLError,), {})})
    return names


def _urllib_parse() -> "Names":
    def quote_from_bytes(text: bytes, safe: str | bytes = "/") -> str:
        from urllib import parse

        _ = parse.quote  # a name that is not listed: now the module is whole, and this function replaced
        return parse.quote_from_bytes(text, safe)

    return {"quote_from_bytes": quote_from_bytes}


def _datetime() -> "Names":
    import _datetime  # type: ignore[import-not-found]  # compiled, and nobody wrote a stub

    public = {name: value for name, value in vars(_datetime).items() if not name.startswith("_")}
    return {"UTC": _datetime.timezone.utc, **public}


def _hashlib() -> "Names":
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]  # compiled; from Python 3.12 on
    except ImportError:
        from _sha256 import sha256  # type: ignore[import-not-found]

    return {"sha256": sha256}


def _platform() -> "Names":
    import os

    return {"system": lambda: os.uname().sysname}


_LEAN: "dict[str, Callable[[], Names]]" = {
    "msgspec": _msgspec,
    "yaml": _yaml,
    "urllib.parse": _urllib_parse,
    "datetime": _datetime,
    "hashlib": _hashlib,
    "platform": _platform,
}
_NOT_AS_EXPECTED = (ImportError, AttributeError)


class _LeanLoader:
    """Makes a module with some names; `whole` runs its code when another name is asked for."""

    def __init__(self, name: str, whole: "object") -> None:
        self._name = name
        self._whole = whole

    def __getattr__(self, name: str) -> "object":
        return getattr(self._whole, name)  # what else loaders can do: sources, resources

    def exec_module(self, module: "ModuleType") -> None:
        try:
            names = _LEAN[self._name]()
        except _NOT_AS_EXPECTED:
            self._complete(module)
            return

        def absent(name: str) -> object:
            if name == "__path__":  # every `from ... import` asks whether a module is a package
                raise AttributeError(name)
            self._complete(module)
            return getattr(module, name)

        vars(module).update(names, __getattr__=absent)

    def _complete(self, module: "ModuleType") -> None:
        vars(module).pop("__getattr__", None)
        self._whole.exec_module(module)  # type: ignore[attr-defined]  # a loader, as the import system has it


class _LeanFinder:
    """Asks the other finders, and puts its loader before theirs."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        if name not in _LEAN:
            return None
        others = (each.find_spec(name, path, target) for each in sys.meta_path if each is not self)
        spec = next((each for each in others if each is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _LeanLoader(name, spec.loader)  # type: ignore[assignment]  # it stands in for one
        return spec


class _CompiledLoader(SourceFileLoader):
    """The loader of a module whose code was found with it."""

    def __init__(self, name: str, path: str, code: "CodeType") -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> "CodeType":
        return self._code


class _CompiledFinder:
    """Finds modules of ota where the import system keeps them compiled."""

    def __init__(self) -> None:
        self._suffix = f".{sys.implementation.cache_tag}.pyc"

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        if not path or not name.startswith("ota."):
            return None
        folder, leaf = path[0], name.rpartition(".")[2]
        return self._found(name, folder, leaf) or self._found(name, f"{folder}/{leaf}", "__init__")

    def _found(self, name: str, folder: str, leaf: str) -> ModuleSpec | None:
        source, compiled = f"{folder}/{leaf}.py", f"{folder}/__pycache__/{leaf}{self._suffix}"
        try:
            with open(compiled, "rb", 0) as file:  # noqa: PTH123  `pathlib` is one of the costs
                content = file.read()
            facts = stat(source)  # noqa: PTH116
        except OSError:
            return None
        # the layout of PEP 552: magic number, 0 for "by time and size", then the two of the source
        numbers = (0, int(facts.st_mtime), facts.st_size)
        seen = b"".join((each % 2**32).to_bytes(4, "little") for each in numbers)
        if content[:16] != MAGIC_NUMBER + seen:
            return None
        loader = _CompiledLoader(name, source, loads(memoryview(content)[16:]))
        spec = ModuleSpec(name, loader, origin=source, is_package=leaf == "__init__")
        spec.has_location, spec.cached = True, compiled
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(folder)
        return spec


def install() -> None:
    """From now on. What is imported already stays as it is."""
    sys.meta_path.insert(0, _LeanFinder())
    is_usual = sys.implementation.cache_tag and not sys.pycache_prefix and not sys.flags.optimize
    if is_usual:
        sys.meta_path.insert(0, _CompiledFinder())
