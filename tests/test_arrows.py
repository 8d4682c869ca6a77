"""Which room may import which. The arrows keep the code simple to change: none points back."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMALL = {"email_addresses", "identifiers", "refusals"}
ROOMS = {
    "models": set(),
    "search": {"models.enums", "models.folders", "models.buckets"},
    "changes": {"models"},
    "lists": {"models", "search", "changes"},
    "actions": {"models", "search", "changes"},
    "mail": {"actions", "models"},
    "resolvers": {"actions", "models", "search", "changes", "lists.facts"},
    "schema": {"resolvers", "models.enums", "models.unavailable", "search.moments", "search.spans", "changes.cursors"},
    "server": {"models", "search", "changes", "lists", "actions", "mail", "resolvers", "schema"},
    "refusals": {"models.enums"},
    "identifiers": set(),
    "email_addresses": {"search.text"},
}
"""For each room, the rooms or single modules it may import beside itself and the small modules at the root."""

OUTSIDE = {
    "strawberry": {"schema", "resolvers", "server"},
    "tortoise": {"models", "actions", "lists", "changes", "resolvers", "server"},
    "idna": {"email_addresses"},
    "starlette": {"server", "mail.routes", "mail.unsubscribing"},
    "uvicorn": {"server"},
    "httptools": {"server.connections"},
    "websockets": {"server"},
    "asyncpg": {
        "server.lease",
        "models.postgres",
        "models.postgres_faults",
        "models.postgres_keyed",
        "models.postgres_straight",
    },
}
"""Libraries that only some rooms or modules may know."""

PURE = {
    "search",
    "models.buckets",
    "models.enums",
    "models.folders",
    "models.zones",
    "email_addresses",
    "identifiers",
    "refusals",
}
"""What neither waits nor reads a clock."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        folder = ROOT / room
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{room}.py"]:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if ".migrations." not in name:
                yield name.removesuffix(".__init__"), ast.parse(path.read_text())


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
def test_a_module_imports_only_what_its_room_may(name: str) -> None:
    room = name.partition(".")[0]
    for imported in imports(ALL[name]):
        first = imported.partition(".")[0]
        if first in ROOMS:
            allowed = ROOMS[room] | SMALL | {room}
            assert within(imported, allowed), f"{name} imports {imported}"
        elif first in OUTSIDE:
            assert within(name, OUTSIDE[first]), f"{name} imports {imported}"
        else:
            assert first != "tests", f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(name for name in ALL if within(name, PURE)))
def test_what_is_pure_imports_nothing_that_waits_or_knows_the_time(name: str) -> None:
    standard = {imported.partition(".")[0] for imported in imports(ALL[name])} & set(sys.stdlib_module_names)
    assert not standard & {"asyncio", "time", "random", "secrets", "os", "socket", "sqlite3"}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ALL[name]))


def test_the_enumerations_import_nothing_of_ours() -> None:
    assert not any(imported.partition(".")[0] in ROOMS for imported in imports(ALL["models.enums"]))


def test_every_module_says_at_its_head_what_it_is_for() -> None:
    silent = [name for name, tree in ALL.items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []
