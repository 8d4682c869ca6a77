"""The fence: the epoch of the matcher's lease. It refuses the writes of a matcher after another one took the lease.

Taking the lease increments the epoch. Each transaction of a matcher first reads the epoch `FOR SHARE`, which keeps it
from changing until the commit, and writes nothing if it is not the matcher's own. So the matcher that takes the lease
waits for a transaction under way, and what it reads afterwards contains everything that was written before.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from command_center.changes.unit_of_work import UnitOfWork, Writer
from command_center.database.connections import Connection, Statement

T = TypeVar("T")
MATCHING = 1
"""The row of the matcher's lease."""
NO_EPOCH = 0
"""The epoch of a matcher that has not taken the lease: none is issued."""


class LeaseTaken(Exception):
    """Another matcher has taken the lease: the index may be stale, and nothing that was decided with it is written."""


async def take_lease(connection: Connection) -> int:
    """Increments the epoch and returns it."""
    row = await connection.fetch_one(
        "INSERT INTO leases (id, epoch) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET epoch = leases.epoch + 1"
        " RETURNING epoch",
        MATCHING,
    )
    if row is None:
        raise LookupError("the lease returned no epoch")
    return int(row["epoch"])


async def check_epoch(connection: Connection, epoch: int) -> None:
    """Raises: LeaseTaken if this is not the epoch. Otherwise it remains so until the transaction ends."""
    columns, (sql, values) = _held_epoch(connection)
    _compare(await connection.fetch_tuples(columns, sql, *values), epoch)


def fence_cte() -> str:
    """The part `fence` of a WITH on PostgreSQL, with one parameter: a row if this is the epoch, otherwise none.

    If the lease is being taken meanwhile, FOR SHARE waits, and the condition is checked against the row as it is then,
    although the rest of the statement sees the database as of its beginning.
    """
    return f"fence AS MATERIALIZED (SELECT 1 FROM leases WHERE id = {MATCHING} AND epoch = ?::bigint FOR SHARE)"


class FencedWriter:
    """Carries out the transactions of one matcher, and refuses them once another matcher has taken the lease."""

    def __init__(self, writer: Writer, epoch: int) -> None:
        self.epoch = epoch
        self._writer = writer

    async def run_in_transaction(
        self, work: Callable[[UnitOfWork], Coroutine[Any, Any, T]], now: int | None = None
    ) -> T:
        """A transaction that begins with the fence (see `Writer.at_once`). Raises: LeaseTaken."""
        return await self._writer.run_in_transaction(partial(self._checked, work), _held_epoch, now)

    async def _checked(self, work: Callable[[UnitOfWork], Coroutine[Any, Any, T]], uow: UnitOfWork) -> T:
        _compare(uow.first_rows, self.epoch)
        return await work(uow)


def _held_epoch(connection: Connection) -> tuple[Sequence[str], Statement]:
    return ("epoch",), ("SELECT epoch FROM leases WHERE id = ?" + connection.for_update("SHARE"), (MATCHING,))


def _compare(found: Sequence[Sequence[Any]], epoch: int) -> None:
    if [tuple(row) for row in found] != [(epoch,)]:
        raise LeaseTaken
