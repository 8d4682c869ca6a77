"""Fixtures: a database of each kind, and a server on it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import schema_coverage_report as sdl_report
from tests.support.commands import InlineCommand
from tests.support.databases import KINDS, Databases, databases
from tests.support.server import ManualClock, Server, serving


def pytest_configure(config: pytest.Config) -> None:
    sdl_report.register_report(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need PostgreSQL or generate their cases, so that `make test-fast` can leave them out."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        kinds = {value for value in parameters if isinstance(value, str)}
        if "postgres_url" in getattr(item, "fixturenames", ()) or "postgresql" in kinds:
            item.add_marker(pytest.mark.postgresql)
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.generated)


@pytest.fixture(scope="session")
def all_databases() -> Iterator[Databases]:
    with databases() as made:
        yield made


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, all_databases: Databases) -> str:
    """A fresh database, migrated: every test that asks runs on SQLite and on PostgreSQL."""
    return all_databases.make(request.param)


@pytest.fixture
def sqlite_url(all_databases: Databases) -> str:
    return all_databases.make("sqlite")


@pytest.fixture
def postgres_url(all_databases: Databases) -> str:
    return all_databases.make("postgresql")


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    """The whole product: it matches and sends by itself, by the real clock."""
    async with serving(database_url) as running:
        yield running


@pytest.fixture
async def sqlite_server(sqlite_url: str) -> AsyncIterator[Server]:
    """The whole product, on the database that starts fastest: how requests travel does not depend on it."""
    async with serving(sqlite_url) as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def quiet_server(database_url: str, clock: ManualClock) -> AsyncIterator[Server]:
    """A server whose matcher looks only when the test calls `settle`, by a clock the test moves; it sends nothing."""
    async with serving(database_url, clock, works=False, looks=False) as running:
        yield running


@pytest.fixture
def run_inline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InlineCommand:
    return InlineCommand(monkeypatch, capsys)
