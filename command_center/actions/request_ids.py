"""What a client's requestId was first used for: a repeat is answered with that, and nothing is sent again for 24 h."""

import json
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256
from typing import Any

from command_center.actions.inputs import ErrorCollector
from command_center.changes.idempotency import RETENTION_MICROS
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection
from command_center.errors import user_error
from models.enums import UserErrorCode
from models.viewers import Viewer

PATH = ("requestId",)
"""Where what is wrong with a requestId is told, wherever in the arguments it stands."""
TRIM = 1000
"""Rows that are dropped at once."""


class CreatedRow(Enum):
    """What a request makes: the column it is remembered in."""

    EMAIL = "email_id"
    BULK_SEND = "bulk_send_id"


def validate(request_id: str | None, errors: ErrorCollector) -> str | None:
    """The name a client gave to its request; None where it gave none."""
    return None if request_id is None else errors.line(request_id, PATH, "A requestId")


async def find_created(
    uow: UnitOfWork, viewer: Viewer, request_id: str, mutation: str, arguments: Mapping[str, Any], made: CreatedRow
) -> int | None:
    """The key of what this request made when it came first; None where this is the first time.

    Two that come at once wait for each other, and the second sees the first. Raises Refused (TAKEN) where the name was
    used for something else.
    """
    print_ = sha256(json.dumps([mutation, arguments], sort_keys=True).encode()).hexdigest()
    tx = uow.connection
    if await tx.fetch_one(
        "INSERT INTO send_requests (user_id, request_id, fingerprint, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (user_id, request_id) DO UPDATE SET fingerprint = excluded.fingerprint, email_id = NULL,"
        " bulk_send_id = NULL, created_at = excluded.created_at WHERE send_requests.created_at <= ? RETURNING id",
        *(viewer.user_id, request_id, print_, uow.now, uow.now - RETENTION_MICROS),
    ):
        return None
    row = await tx.fetch_one(
        f"SELECT fingerprint, {made.value} AS made FROM send_requests WHERE user_id = ? AND request_id = ?",
        *(viewer.user_id, request_id),
    )
    if row is None or row["fingerprint"] != print_ or row["made"] is None:
        raise user_error(UserErrorCode.TAKEN, PATH, "This requestId was used for other arguments.")
    return int(row["made"])


async def store_created(uow: UnitOfWork, viewer: Viewer, request_id: str, made: CreatedRow, key: int) -> None:
    """Writes down what the request made, in the transaction it was made in."""
    await uow.connection.execute(
        f"UPDATE send_requests SET {made.value} = ? WHERE user_id = ? AND request_id = ?",
        *(key, viewer.user_id, request_id),
    )


async def trim(connection: Connection, table: str, now: int) -> int:
    """Drops a part of a table's rows that are remembered no more; how many."""
    return await connection.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE created_at <= ? ORDER BY created_at LIMIT ?)",
        *(now - RETENTION_MICROS, TRIM),
    )
