"""Which package may import which. The rules keep the code simple to change: no arrow points back."""

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.support.dependency_rules import PACKAGES
from tests.support.paths import ROOT

HIDDEN = "command_center."
"""The prefix that is left out below: `database` is `command_center.database`."""
SMALL = {"email_addresses", "errors", "ids", "time_zones"}
"""Modules beside the packages. All of these may import them but those in `WITHOUT_SMALL`."""
WITHOUT_SMALL = {"database", "graphql_engine", "web"}
ENDS = {"demo", "importing", "server"}
"""Nobody else imports these."""

OUTSIDE = {
    "strawberry": {"schema", "resolvers", "api", "graphql_engine", "server"},
    "tortoise": {"api", "database", "models", "actions", "lists", "changes", "resolvers", "server"},
    "idna": {"email_addresses"},
    "starlette": {"web", "api", "server", "demo", "mail.routes", "mail.unsubscribe"},
    "uvicorn": {"web", "server", "demo"},
    "httptools": {"web.http_protocol"},
    "websockets": {"web", "demo"},
    "asyncpg": {"server.leases", "database.postgres"},
}
"""Libraries that only some packages or modules may import."""

PURE = {
    "search",
    "models.enums",
    "models.folders",
    "email_addresses",
    "errors",
    "ids",
    "time_zones",
}
"""Neither waits nor reads a clock."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for top in ("command_center", "models", "resolvers", "schema"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if ".migrations" not in name and name != "command_center":
                yield name.removeprefix(HIDDEN), ast.parse(path.read_text())


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


ALL = dict(modules())


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_module_imports_only_what_its_package_may(name: str) -> None:
    package = name.partition(".")[0]
    allowed = PACKAGES[package] | {package} | (set() if package in WITHOUT_SMALL else SMALL)
    for imported in imports(ALL[name]):
        first = imported.removeprefix(HIDDEN).partition(".")[0]
        if imported.startswith(HIDDEN) or first in {"models", "resolvers", "schema"}:
            known = "*" in allowed or within(imported.removeprefix(HIDDEN), allowed)
            assert known, f"{name} imports {imported}"
            assert first not in ENDS or package in {*ENDS, "__main__"}, f"{name} imports {imported}"
        elif first in OUTSIDE:
            assert within(name, OUTSIDE[first]), f"{name} imports {imported}"
        else:
            assert first not in {"tests", "benchmarks"}, f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(name for name in ALL if within(name, PURE)))
def test_pure_modules_import_nothing_that_waits_or_reads_a_clock(name: str) -> None:
    standard = {imported.partition(".")[0] for imported in imports(ALL[name])} & set(sys.stdlib_module_names)
    assert not standard & {"asyncio", "time", "random", "secrets", "os", "socket", "sqlite3"}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ALL[name]))


def test_the_enums_import_nothing_of_ours() -> None:
    firsts = {imported.partition(".")[0] for imported in imports(ALL["models.enums"])}
    assert not firsts & {"command_center", "models", "resolvers", "schema"}


@pytest.mark.parametrize("name", sorted(name for name in ALL if name.startswith("schema.")))
def test_the_schema_names_tables_only_in_annotations(name: str) -> None:
    tables = {
        alias.asname or alias.name
        for node in ast.walk(ALL[name])
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("models.")
        and node.module != "models.enums"
        for alias in node.names
    }
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ALL[name])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in tables
    }
    assert used == set()


def test_every_module_has_a_docstring() -> None:
    silent = [name for name, tree in ALL.items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_the_import_roots_are_four() -> None:
    tracked = {path.parent.name if path.name == "__init__.py" else path.stem for path in ROOT.glob("*/__init__.py")}
    assert tracked == {"benchmarks", "command_center", "models", "resolvers", "schema", "tests"}
    assert [path.name for path in ROOT.glob("*.py")] == []


def checking_modules() -> Iterator[tuple[str, ast.Module]]:
    """The modules of the tests and of the benchmarks, by their paths from the root."""
    for top in ("tests", "benchmarks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def test_no_module_imports_a_test_module() -> None:
    """What two test modules need is in tests/support, or in a module of the ring that alone needs it."""
    for path, tree in checking_modules():
        for imported in imports(tree):
            first, *rest = imported.split(".")
            if first == "tests":
                assert not any(part.startswith("test_") for part in rest), f"{path} imports {imported}"
                assert rest[0] == "support" or path.startswith(f"tests/{rest[0]}/"), f"{path} imports {imported}"
