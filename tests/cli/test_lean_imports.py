"""What is left out of the imports is there when somebody asks for it; compiled modules are never stale."""

import py_compile
import subprocess
import sys
from importlib.util import module_from_spec
from pathlib import Path

import pytest

from ota.cli.lean_imports import _CompiledFinder

SOURCE = Path(__file__).resolve().parents[2] / "src"
INSTALL = "from ota.cli.lean_imports import install; install(); import sys\n"


def printed(code: str) -> str:
    """What a fresh interpreter prints that imports leanly from its first line on."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", INSTALL + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        ("from msgspec import Struct, json; json.encode(1)", "msgspec.inspect"),
        ("from yaml._yaml import CParser; CParser(b'a: 1').get_event()", "yaml.reader"),
        ("import pathlib", "ipaddress"),
        ("import hashlib; hashlib.sha256(b'')", "_hashlib"),
    ],
)
def test_a_module_is_left_out_until_it_is_asked_for(statement: str, left_out: str) -> None:
    assert printed(f"{statement}\nprint({left_out!r} in sys.modules)") == "False"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import yaml; print(yaml.safe_load('a: [1, x]'))", "{'a': [1, 'x']}"),
        ("from yaml import safe_dump; print(safe_dump({'a': 1}).strip())", "a: 1"),
        ("import yaml.reader; print(yaml.reader.Reader.__name__)", "Reader"),
        ("import msgspec; print(msgspec.__version__ > '0')", "True"),
        ("import msgspec.json; print(msgspec.json.schema(int))", "{'type': 'integer'}"),
        ("from msgspec import inspect; print(inspect.type_info(int).__class__.__name__)", "IntType"),
        ("import msgspec; print(msgspec.field(default=1).default)", "1"),
        ("from urllib.parse import urlsplit; print(urlsplit('http://a:1/b').port)", "1"),
        ("from pathlib import Path; print(Path('/a b').as_uri())", "file:///a%20b"),
        ("import platform; print(platform.python_implementation() != '')", "True"),
        (
            "from datetime import UTC, datetime; print(datetime(2026, 1, 2, tzinfo=UTC).isoformat()[:10])",
            "2026-01-02",
        ),
        (
            "import datetime; print('date' in datetime.__all__, datetime.date is type(datetime.date.min))",
            "True True",
        ),
        (
            "import msgspec, datetime; print(msgspec.json.encode(datetime.date(2026, 1, 2)))",
            "b'\"2026-01-02\"'",
        ),
        ("import hashlib; print(hashlib.sha256(b'a').hexdigest()[:8])", "ca978112"),
        ("import hashlib; print(hashlib.new('sha1', b'a').hexdigest()[:8])", "86f7e437"),
        ("import platform, os; print(platform.system() == os.uname().sysname)", "True"),
        ("import inspect, yaml; print('def safe_load' in inspect.getsource(yaml))", "True"),
    ],
)
def test_everything_that_is_left_out_can_be_had(statement: str, expected: str) -> None:
    assert printed(statement) == expected


def test_an_error_of_the_parser_is_caught_as_an_error_of_yaml() -> None:
    code = """
from yaml._yaml import CParser
class Composer(CParser):
    resolve = lambda *_: ""
    ascend_resolver = descend_resolver = lambda *_: None
import yaml
for text in (b"a: [", b"a: *b", b"\\x01", b"a: 1\\n--- 2"):
    try:
        Composer(text).get_single_node()
    except yaml.YAMLError as error:
        print(type(error).__name__, type(error).__mro__[1].__name__)
"""
    assert printed(code).splitlines() == [
        "ParserError MarkedYAMLError",
        "ComposerError MarkedYAMLError",
        "ReaderError YAMLError",
        "ComposerError MarkedYAMLError",
    ]


def test_a_package_that_is_built_in_another_way_is_imported_whole(tmp_path: Path) -> None:
    (tmp_path / "msgspec").mkdir()
    (tmp_path / "msgspec" / "__init__.py").write_text("built = 'without a core'")
    code = f"sys.path.insert(0, {str(tmp_path)!r}); import msgspec; print(msgspec.built)"
    assert printed(code) == "without a core"


def compiled(folder: Path, name: str = "part.py") -> Path:
    source = folder / name
    source.parent.mkdir(exist_ok=True)
    source.write_text("value = 1\n")
    py_compile.compile(str(source))
    return source


def test_a_compiled_module_is_found_beside_its_source(tmp_path: Path) -> None:
    source = compiled(tmp_path)
    spec = _CompiledFinder().find_spec("ota.part", [str(tmp_path)])
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (module.value, module.__file__, module.__package__) == (1, str(source), "ota")
    assert spec.loader.get_source("ota.part") == "value = 1\n"  # type: ignore[attr-defined]


def test_a_compiled_package_knows_where_its_modules_are(tmp_path: Path) -> None:
    compiled(tmp_path, "room/__init__.py")
    spec = _CompiledFinder().find_spec("ota.room", [str(tmp_path)])
    assert spec is not None
    assert spec.submodule_search_locations == [str(tmp_path / "room")]


def _edit(source: Path) -> None:
    source.write_text("value = 22\n")


def _delete(source: Path) -> None:
    source.unlink()


def _never_compile(source: Path) -> None:
    for each in (source.parent / "__pycache__").iterdir():
        each.unlink()


def _compile_with_hash(source: Path) -> None:
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


@pytest.mark.parametrize("change", [_edit, _delete, _never_compile, _compile_with_hash])
def test_a_module_that_is_not_compiled_as_it_is_now_is_left_to_the_usual_search(change, tmp_path) -> None:
    change(compiled(tmp_path))
    assert _CompiledFinder().find_spec("ota.part", [str(tmp_path)]) is None


def test_only_modules_of_ota_are_looked_for(tmp_path: Path) -> None:
    compiled(tmp_path)
    assert _CompiledFinder().find_spec("part", [str(tmp_path)]) is None
    assert _CompiledFinder().find_spec("other.part", [str(tmp_path)]) is None
