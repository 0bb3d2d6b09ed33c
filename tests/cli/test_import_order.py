"""No command depends on what another part of ota imported before: any order of imports works.

A module is imported by whichever command needs it first, often from inside a function. That can only fail
where modules import each other in a circle while they are loaded, or use a module that they do not import.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
# A package that imports its modules itself.
LOADS_ITS_OWN = frozenset(("msgspec",))


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(path): ast.parse(path.read_bytes()) for path in sorted((SOURCE / "ota").rglob("*.py"))}


def made_while_loading(node: ast.AST) -> Iterator[ast.stmt]:
    """The imports that are made while a module is loaded: not in functions, not for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        ):
            continue
        elif not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from made_while_loading(child)


def targets(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.ImportFrom):
        assert statement.level == 0, ast.unparse(statement)
        for alias in statement.names:
            submodule = f"{statement.module}.{alias.name}"
            yield submodule if submodule in TREES else str(statement.module)
    elif isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)


def with_packages(module: str) -> Iterator[str]:
    """A module and the packages around it, which are loaded before it."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def test_no_circle_of_modules_is_loaded_together() -> None:
    graph = {
        name: {
            each
            for statement in made_while_loading(tree)
            for target in targets(statement)
            for each in with_packages(target)
            if each in TREES and each != name and not name.startswith(f"{each}.")
        }
        for name, tree in TREES.items()
    }
    assert sum(map(len, graph.values())) > len(graph)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_every_module_of_a_package_is_asked_for_by_its_own_name() -> None:
    """`import package` says nothing about the modules in it, which may or may not be loaded."""
    for name, tree in TREES.items():
        nodes = list(ast.walk(tree))
        imports = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        imported = {alias.name for alias in imports if not alias.asname}
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                package = ast.unparse(node.value)
                asked = f"{package}.{node.attr}"
                if package in imported and asked not in imported and is_module(asked):
                    raise AssertionError(f"{name} uses {asked} without importing it: line {node.lineno}")


@functools.cache
def is_module(dotted: str) -> bool:
    package, _, _ = dotted.rpartition(".")
    if package in LOADS_ITS_OWN or not hasattr(importlib.import_module(package), "__path__"):
        return False
    return importlib.util.find_spec(dotted) is not None
