"""Fences the matcher's writes by the epoch of its lease.

A matcher that takes the lease increments the epoch. Each transaction of a matcher first reads the epoch `FOR SHARE`,
so that it cannot change before the commit. If it is not the matcher's own epoch, the transaction writes nothing.

So a matcher that takes the lease waits for a transaction under way. What it reads afterwards contains everything that
was written before. `server/leases.py` chooses the process that matches; the fence protects the data while two believe
that they are chosen.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from command_center.changes.unit_of_work import UnitOfWork, UnitOfWorkBody, Writer
from command_center.database.connections import Connection, RowValues, Statement

T = TypeVar("T")
MATCHER_LEASE_ID = 1
"""The id of the matcher's row in `leases`."""
NO_EPOCH = 0
"""The epoch of a matcher that has not taken the lease. No lease ever has this epoch."""
FENCE_CTE = (
    f"fence AS MATERIALIZED (SELECT 1 FROM leases WHERE id = {MATCHER_LEASE_ID} AND epoch = :epoch::bigint FOR SHARE)"
)
"""The common table expression `fence` for PostgreSQL, with the parameter `:epoch`.

It yields a row if the lease has this epoch, otherwise none. If the lease is being taken meanwhile, FOR SHARE waits and
checks the condition against the new row. The rest of the statement still sees the older snapshot.
"""


class LeaseTaken(Exception):
    """Another matcher has taken the lease.

    The index of this one may be stale, so nothing that was decided with it is written.
    """


async def take_lease(connection: Connection) -> int:
    """Increment the epoch of the lease, and return it."""
    row = await connection.fetch_one(
        "INSERT INTO leases (id, epoch) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET epoch = leases.epoch + 1"
        " RETURNING epoch",
        MATCHER_LEASE_ID,
    )
    if row is None:
        raise LookupError("the lease returned no epoch")
    return int(row["epoch"])


async def check_epoch(connection: Connection, epoch: int) -> None:
    """Check that a matcher's epoch is still that of the lease, and lock the latter.

    The lock ends with the transaction.

    Raises: LeaseTaken if the lease has another epoch.
    """
    columns, (sql, values) = _build_epoch_query(connection)
    _require_epoch(await connection.fetch_tuples(columns, sql, *values), epoch)


class FencedWriter:
    """Runs the transactions of one matcher.

    It refuses them once another matcher has taken the lease.
    """

    def __init__(self, writer: Writer, epoch: int) -> None:
        self.epoch = epoch
        self._writer = writer

    async def run_in_transaction(self, body: UnitOfWorkBody[T], now: int | None = None) -> T:
        """Run a transaction that first checks the matcher's epoch.

        See `Writer.run_in_transaction`.

        Raises: LeaseTaken if another matcher has taken the lease.
        """
        return await self._writer.run_in_transaction(partial(self._run_fenced, body), _build_epoch_query, now)

    async def _run_fenced(self, body: UnitOfWorkBody[T], uow: UnitOfWork) -> T:
        _require_epoch(uow.first_rows, self.epoch)
        return await body(uow)


def _build_epoch_query(connection: Connection) -> tuple[Sequence[str], Statement]:
    return ("epoch",), ("SELECT epoch FROM leases WHERE id = ?" + connection.for_update("SHARE"), (MATCHER_LEASE_ID,))


def _require_epoch(rows: Sequence[RowValues], epoch: int) -> None:
    if [tuple(row) for row in rows] != [(epoch,)]:
        raise LeaseTaken
