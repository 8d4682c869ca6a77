"""Stores which row a client's requestId created.

So a repeated request sends nothing again for 24 hours.

A repeat returns the row of the first request.
"""

import json
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256

from command_center.actions.inputs import check_line
from command_center.changes.idempotency import RETENTION_MICROS
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection
from command_center.errors import ErrorCollector, user_error
from models.enums import UserErrorCode
from models.viewers import Viewer

REQUEST_ID_PATH = ("requestId",)
"""The path of all errors about a requestId, regardless of its position among the arguments."""
TRIM_BATCH_ROWS = 1000
"""Number of rows that one statement deletes."""


class CreatedRow(Enum):
    """The kind of row that a request creates.

    The value is the column of `send_requests` with its key.
    """

    EMAIL = "email_id"
    BULK_SEND = "bulk_send_id"


def validate(request_id: str | None, errors: ErrorCollector) -> str | None:
    """Check a requestId, and return it without surrounding white space.

    The result is None if it is absent.
    """
    return None if request_id is None else check_line(errors, request_id, REQUEST_ID_PATH, "A requestId")


async def find_created(
    uow: UnitOfWork,
    viewer: Viewer,
    request_id: str,
    mutation: str,
    arguments: Mapping[str, object],
    created: CreatedRow,
) -> int | None:
    """Return the key of the row that the first request with this id created.

    The result is None if this is the first request.

    Of two simultaneous requests, the second waits and finds the row of the first. Raises: UserErrors (TAKEN) if the
    requestId was used for another mutation or other arguments.
    """
    fingerprint = sha256(json.dumps([mutation, arguments], sort_keys=True).encode()).hexdigest()
    tx = uow.connection
    if await tx.fetch_one(
        "INSERT INTO send_requests (user_id, request_id, fingerprint, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (user_id, request_id) DO UPDATE SET fingerprint = excluded.fingerprint, email_id = NULL,"
        " bulk_send_id = NULL, created_at = excluded.created_at WHERE send_requests.created_at <= ? RETURNING id",
        *(viewer.user_id, request_id, fingerprint, uow.now, uow.now - RETENTION_MICROS),
    ):
        return None
    row = await tx.fetch_one(
        f"SELECT fingerprint, {created.value} AS created_key FROM send_requests WHERE user_id = ? AND request_id = ?",
        *(viewer.user_id, request_id),
    )
    if row is None or row["fingerprint"] != fingerprint or row["created_key"] is None:
        raise user_error(UserErrorCode.TAKEN, REQUEST_ID_PATH, "This requestId was used for other arguments.")
    return int(row["created_key"])


async def store_created(uow: UnitOfWork, viewer: Viewer, request_id: str, created: CreatedRow, key: int) -> None:
    """Store the key of the created row, in the transaction that created it."""
    await uow.connection.execute(
        f"UPDATE send_requests SET {created.value} = ? WHERE user_id = ? AND request_id = ?",
        *(key, viewer.user_id, request_id),
    )


async def delete_expired(connection: Connection, table: str, now: int) -> int:
    """Delete one batch of expired rows of a table, and return their number.

    `now` is in microseconds.
    """
    return await connection.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE created_at <= ? ORDER BY created_at LIMIT ?)",
        *(now - RETENTION_MICROS, TRIM_BATCH_ROWS),
    )
