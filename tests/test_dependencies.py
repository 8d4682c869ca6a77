"""Which package may import which. The rules keep the code simple to change: no arrow points back."""

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

HIDDEN = "command_center."
"""The prefix that is left out below: `database` is `command_center.database`."""
SMALL = {"email_addresses", "errors", "ids", "time_zones"}
"""Modules beside the packages. All of these may import them but those in `WITHOUT_SMALL`."""
PACKAGES = {
    "errors": {"models.enums"},
    "ids": set(),
    "email_addresses": {"search.text"},
    "time_zones": set(),
    "graphql_engine": set(),
    "database": {"errors"},
    "models": {"database"},
    "search": {"models.enums", "models.folders"},
    "changes": {"models", "database"},
    "lists": {"search", "changes", "models", "database"},
    "actions": {"search", "changes", "models", "database"},
    "mail": {"actions", "changes", "models", "database"},
    # `explain` evaluates one email from the facts that the matcher reads.
    "resolvers": {"actions", "search", "changes", "models", "database", "lists.facts"},
    "schema": {"resolvers", "models.enums", "search.datetimes", "search.durations", "changes.cursors"},
    "web": {"errors"},
    # Beside the context: who asks, the messages that are broadcast, and the errors of a database that fails.
    "api": {
        *("schema", "graphql_engine", "web", "changes", "resolvers.context", "resolvers.change_messages"),
        *("models.enums", "models.viewers", "database.errors"),
    },
    "importing": {"*"},
    "demo": {"*"},
    "server": {"*"},
    "__main__": {"server.cli"},
}
"""For each package, the packages or single modules it may import beside itself and the small modules."""
WITHOUT_SMALL = {"database", "graphql_engine", "web"}
ENDS = {"demo", "importing", "server"}
"""Nobody else imports these."""

OUTSIDE = {
    "strawberry": {"schema", "resolvers", "api", "graphql_engine", "server"},
    "tortoise": {"api", "graphql_engine", "database", "models", "actions", "lists", "changes", "resolvers", "server"},
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
def test_a_pure_module_imports_nothing_that_waits_or_reads_a_clock(name: str) -> None:
    standard = {imported.partition(".")[0] for imported in imports(ALL[name])} & set(sys.stdlib_module_names)
    assert not standard & {"asyncio", "time", "random", "secrets", "os", "socket", "sqlite3"}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ALL[name]))


def test_the_enums_import_nothing_of_ours() -> None:
    firsts = {imported.partition(".")[0] for imported in imports(ALL["models.enums"])}
    assert not firsts & {"command_center", "models", "resolvers", "schema"}


def test_every_module_has_a_docstring() -> None:
    silent = [name for name, tree in ALL.items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_the_import_roots_are_four() -> None:
    tracked = {path.parent.name if path.name == "__init__.py" else path.stem for path in ROOT.glob("*/__init__.py")}
    assert tracked == {"benchmarks", "command_center", "models", "resolvers", "schema", "tests"}
    assert [path.name for path in ROOT.glob("*.py")] == []
