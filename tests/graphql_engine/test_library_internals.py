"""Decision 21 lists what the product uses of the insides of graphql-core and Strawberry, and nothing else is used.

Each release of a library may change such a name. The syntax trees of the product show the imports of modules that are
not public, the private names, and the methods that override one of a library's class.
"""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import product

import pytest

from tests.support.documentation import Page
from tests.support.paths import ROOT

LIBRARIES = {"graphql", "strawberry"}
PUBLIC_MODULES = {
    *("graphql", "graphql.execution", "graphql.pyutils", "graphql.utilities", "graphql.validation"),
    *("strawberry", "strawberry.dataloader", "strawberry.relay", "strawberry.schema.config", "strawberry.types"),
}
"""Modules whose exported names are documented."""
PRIVATE_NAMES = {
    *("_schema", "_strawberry_schema", "__strawberry_definition__", "_type_definition"),
    *("_raw_info", "_field", "_is_default", "_memoized_coerced_value", "_relevant_sub_fields", "_stream_usages"),
}
"""Private names of the two libraries, which are looked for in all modules."""
OTHER_NAMES = {"_asdict", "_fields", "_make", "_replace", "_meta"}
"""Documented names with an underscore: those of named tuples, and Tortoise's description of a model."""


def read_modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules of the product, each after its package."""
    for top in ("command_center", "models", "resolvers", "schema"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            yield "/".join(parts[: 2 if top == "command_center" else 1]), ast.parse(path.read_text())


def list_imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the imported names, each after its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, each.name) for each in node.names)
        elif isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names)


def is_exported(module: str, name: str) -> bool:
    """Return whether a name is part of a library's public interface."""
    return module in PUBLIC_MODULES and (not name or name in import_module(module).__all__)


def find_internal_imports(tree: ast.Module) -> Iterator[str]:
    for module, name in list_imports(tree):
        if module.partition(".")[0] in LIBRARIES and not is_exported(module, name):
            yield f"{module}.{name}" if name else module


def find_private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that are read from other objects, unless the module itself defines them.

    In a module that imports neither library, only their known names count.
    """
    imports_library = any(module.partition(".")[0] in LIBRARIES for module, _ in list_imports(tree))
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        name = ""
        if isinstance(node, ast.Attribute) and not is_self(node.value):
            name = node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            name = str(node.args[1].value) if isinstance(node.args[1], ast.Constant) else ""
        elif isinstance(node, ast.keyword):
            name = node.arg or ""
        suspicious = name.startswith("_") and not name.endswith("__") and name not in OTHER_NAMES
        if (name in PRIVATE_NAMES or (imports_library and suspicious)) and name not in own:
            yield name


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def find_overrides(tree: ast.Module) -> Iterator[str]:
    """Yield the members of classes that replace those of a library's class."""
    imported = {name: module for module, name in list_imports(tree) if module.partition(".")[0] in LIBRARIES}
    for node in ast.walk(tree):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            path = ast.unparse(base).partition("[")[0].split(".")
            module = imported.get(path[0]) or (path[0] if path[0] in LIBRARIES and len(path) > 1 else None)
            if module is None:
                continue
            class_ = getattr(import_module(module), path[-1])
            assert isinstance(node, ast.ClassDef)
            for member in list_members(node):
                if hasattr(class_, member) and not member.endswith("__"):
                    yield f"{path[-1]}.{member}"


def list_members(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield each.name
        elif isinstance(each, ast.Assign):
            yield from (target.id for target in each.targets if isinstance(target, ast.Name))
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id


def find_internals(tree: ast.Module) -> set[str]:
    return {*find_internal_imports(tree), *find_private_names(tree), *find_overrides(tree)}


@pytest.mark.slow
def test_the_decision_lists_all_internals_in_use() -> None:
    page = Page.read("decisions/0021-library-internals.md").text
    listed = set[tuple[str, str]]()
    for packages, names in re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE):
        listed |= set(product(*(re.findall(r"`([^`]+)`", cell) for cell in (packages, names))))
    used = {(package, name) for package, tree in read_modules() for name in find_internals(tree)}
    assert used - listed == set()
    assert listed - used == set()


@pytest.mark.parametrize(
    "text, found",
    [
        ("from graphql import parse", set()),
        ("from graphql.execution import Executor", set()),
        ("from graphql.execution.executor import CollectedErrors", {"graphql.execution.executor.CollectedErrors"}),
        ("import graphql.execution.values", {"graphql.execution.values"}),
        ("from graphql.execution import values", {"graphql.execution.values"}),
        ("import graphql\nschema._schema.get(schema.name)", {"_schema"}),
        ("create_schema()._schema", {"_schema"}),
        ("import graphql\ngetattr(schema, '_strawberry_schema')", {"_strawberry_schema"}),
        ("import graphql\nInfo(_raw_info=7)", {"_raw_info"}),
        ("import graphql\nclass C:\n  def f(self, other): return self._x + other._x + other._replace(x=1)", set()),
        ("from graphql import Visitor\nclass C(Visitor):\n  def enter_field(self, node, *_): ...", set()),
        (
            "from graphql import Visitor\nclass C(Visitor):\n  def get_enter_leave_for_kind(self): ...",
            {"Visitor.get_enter_leave_for_kind"},
        ),
        ("import graphql\nclass C(graphql.Visitor):\n  enter_leave_map = {}", set()),
        ("import graphql\nclass C(graphql.Executor):\n  def finish(self, result): ...", {"Executor.finish"}),
    ],
)
def test_internals_are_found(text: str, found: set[str]) -> None:
    assert find_internals(ast.parse(text)) == found
