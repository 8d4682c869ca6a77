"""The audit: stored membership against a fresh run of every filter, as of the last look."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from changes.deeds import Writer
from lists import filling, standing, ticking
from lists.standing import Standing
from models.database import Connection, transaction
from models.enums import ChangeCauseKind, MarkKind

PAGE = 200


class Outstanding(Exception):
    """Marks are waiting, so the lists are not meant to be equal yet."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A list that is not what its filter says: emails it lacks, emails it holds too many, or a wrong count."""

    search_id: int
    missing: tuple[int, ...]
    surplus: tuple[int, ...]
    counted: int
    held: int


async def differences(writer: Writer) -> list[Difference]:
    """Every list that differs; the database stands still meanwhile. Raises Outstanding."""
    async with transaction() as connection:
        if connection.postgres:
            await connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if await connection.row("SELECT id FROM marks LIMIT 1"):
            raise Outstanding
        now = await ticking.last(connection, await writer.clock.now(connection))
        return [each async for each in _differences(connection, now)]


async def repair(writer: Writer, found: list[Difference]) -> None:
    """Asks the matcher to fill each list anew; followers are told by its Reset."""
    async with writer.deed() as deed:
        for difference in found:
            row = await deed.connection.row(
                # Locked first, so that the count below sees what a pass under way writes.
                "SELECT team_id FROM saved_searches WHERE id = ?" + deed.connection.locked("NO KEY UPDATE"),
                difference.search_id,
            )
            if row is not None:
                deed.mark(MarkKind.SEARCH, row["team_id"], difference.search_id, ChangeCauseKind.SEARCH_CHANGED)
                await deed.connection.run(
                    "UPDATE saved_searches SET member_count = (SELECT COUNT(*) FROM memberships WHERE search_id = ?)"
                    " WHERE id = ?",
                    difference.search_id,
                    difference.search_id,
                )


async def _differences(connection: Connection, now: int) -> AsyncIterator[Difference]:
    after = 0
    while True:
        rows = await connection.rows("SELECT id FROM saved_searches WHERE id > ? ORDER BY id LIMIT ?", after, PAGE)
        for search in await standing.load(connection, [row["id"] for row in rows]):
            difference = await _difference(connection, search, now)
            if difference is not None:
                yield difference
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]


async def _difference(connection: Connection, search: Standing, now: int) -> Difference | None:
    fresh = await filling.matching(connection, search, now)
    rows = await connection.rows("SELECT email_id FROM memberships WHERE search_id = ?", search.id)
    held = {row["email_id"] for row in rows}
    row = await connection.row("SELECT member_count FROM saved_searches WHERE id = ?", search.id)
    counted = row["member_count"] if row else 0
    if fresh == held and counted == len(held):
        return None
    return Difference(search.id, tuple(sorted(fresh - held)), tuple(sorted(held - fresh)), counted, len(held))
