"""Migrations: what an earlier version stored is there after them, and they make the tables that the models describe."""

import pytest
from tortoise.context import require_context
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.operations import AlterModelOptions

from command_center.database.connections import configuration, database, migrate, open_database

INDEXES = {
    True: "SELECT indexname AS name FROM pg_indexes WHERE schemaname = 'public'",
    False: "SELECT name FROM sqlite_master WHERE type = 'index'",
}


@pytest.mark.slow
async def test_renamed_tables_keep_their_rows(database_url: str) -> None:
    config = configuration(database_url)["apps"]
    async with open_database(database_url):
        executor = MigrationExecutor(require_context().db(), config)
        await executor.migrate([MigrationTarget(app_label="models", name="0014_team_marks")])
        db = database()
        await db.execute("INSERT INTO marks (team_id, kind, subject_id, cause, progress) VALUES (1, 1, 7, 2, 3)")
        await db.execute("INSERT INTO ticks (id, ticked_at, decided_until) VALUES (1, 10, 20)")
        await migrate(database_url)
        found = await db.fetch("SELECT team_id, kind, subject_id, cause, progress FROM invalidations")
        assert [tuple(row.values()) for row in found] == [(1, 1, 7, 2, 3)]
        found = await db.fetch("SELECT id, transitions_until, evaluated_until FROM matcher_state")
        assert [tuple(row.values()) for row in found] == [(1, 10, 20)]
        # New rows get ids of their own.
        await db.execute(
            "INSERT INTO invalidations (team_id, kind, subject_id, cause, progress) VALUES (1, 1, 8, 2, 0)"
        )
        assert len(await db.fetch("SELECT DISTINCT id FROM invalidations")) == 2
        names = {row["name"] for row in await db.fetch(INDEXES[db.postgres])}
        assert not [name for name in names if "marks" in name and "pkey" not in name]
        assert len([name for name in names if name.startswith("idx_invalidatio")]) == 3


async def test_migrations_make_the_tables_of_the_models(sqlite_url: str) -> None:
    async with open_database(sqlite_url):
        apps = require_context().apps
        assert apps is not None
        detector = MigrationAutodetector(apps, configuration(sqlite_url)["apps"])
        found = [operation for writer in await detector.changes() for operation in writer.operations]
        # A model's options contain its docstring, which is no part of the schema.
        assert [each.describe() for each in found if not isinstance(each, AlterModelOptions)] == []
