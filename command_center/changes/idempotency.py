"""Stores requests with an Idempotency-Key and their responses for 24 hours.

A request claims its key before it changes anything. Each of its transactions marks the claim as done, and its response
is stored at the end. If the process of a claim ends before that, the claim is deleted if it is not marked; otherwise
its response is lost. Deleting a claim too early costs a response and nothing else, because a transaction under a lost
claim is rolled back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from command_center.database.clock import Clock
from command_center.database.connections import Connection, database

RETENTION_MICROS = timedelta(hours=24) // timedelta(microseconds=1)
"""How long a request is stored. Older ones count as absent, whether or not they are deleted yet."""


@dataclass(frozen=True, slots=True, order=True)
class IdempotencyClaim:
    """The right of one request to use an idempotency key.

    It contains the id of the row that the request inserted. Ids are never reused.
    """

    key: int


class ClaimLost(Exception):
    """The claim was deleted, so another request may have claimed the key.

    The request of the deleted claim must not change anything any more.
    """


async def mark_done(connection: Connection, claims: Iterable[IdempotencyClaim]) -> None:
    """Record that each claim's request has changed something.

    Raises: ClaimLost if a claim was deleted; the transaction must then be rolled back.
    """
    # Sorted, so that two transactions cannot deadlock.
    for claim in sorted(set(claims)):
        if not await connection.execute("UPDATE idempotent_requests SET done = ? WHERE id = ?", True, claim.key):
            raise ClaimLost


@dataclass(frozen=True, slots=True)
class IdempotencyRequest:
    """A request with an idempotency key.

    `process` is a random id that each start of a server creates.
    """

    user_id: int
    key: str
    fingerprint: str
    process: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response of an earlier request with the same idempotency key.

    It is None if that request changed something but its response was lost.
    """

    response: str | None


class _StoredRequest(NamedTuple):
    """A row of the table `idempotent_requests`."""

    id: int
    fingerprint: str
    process: str
    done: bool
    response: str | None
    created_at: int


class KeyReused(Exception):
    """The key was used for a different request."""


async def claim(
    clock: Clock, request: IdempotencyRequest, takeover_micros: int
) -> IdempotencyClaim | StoredResponse | None:
    """Claim the key of a request, or return the stored response of its first use.

    The result is None while the first request with this key still runs in another process. The caller ensures that this
    process claims a key once at a time.

    `takeover_micros` is the age, in microseconds, at which the unfinished claim of another process counts as abandoned.

    Raises: KeyReused if the key was used for a different request.
    """
    db = database()
    while True:
        now = await clock.now(db)
        row = await db.fetch_one(
            f"SELECT {', '.join(_StoredRequest._fields)} FROM idempotent_requests WHERE user_id = ? AND key = ?",
            *(request.user_id, request.key),
        )
        earlier = None if row is None else _StoredRequest(**row)
        if earlier is None:
            new_claim = await _insert(db, request, now)
            if new_claim is not None:
                return new_claim
        elif earlier.created_at <= now - RETENTION_MICROS:
            await db.execute("DELETE FROM idempotent_requests WHERE id = ?", earlier.id)
        elif (
            earlier.response is None and not earlier.done and _is_abandoned(db, earlier, request, now - takeover_micros)
        ):
            await release(IdempotencyClaim(earlier.id))
        elif earlier.fingerprint != request.fingerprint:
            raise KeyReused
        elif earlier.response is None and not _is_abandoned(db, earlier, request, now - takeover_micros):
            return None
        else:
            return StoredResponse(earlier.response)


async def _insert(db: Connection, request: IdempotencyRequest, now: int) -> IdempotencyClaim | None:
    """Insert and return the claim of a request.

    Return None if another process has inserted a claim for the same key first.
    """
    row = await db.fetch_one(
        "INSERT INTO idempotent_requests (user_id, key, fingerprint, process, done, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (user_id, key) DO NOTHING RETURNING id",
        *(request.user_id, request.key, request.fingerprint, request.process, False, now),
    )
    return None if row is None else IdempotencyClaim(row["id"])


def _is_abandoned(db: Connection, earlier: _StoredRequest, request: IdempotencyRequest, before: int) -> bool:
    """Return whether no process works on an earlier request with the same key.

    On PostgreSQL that is assumed of a request from before `before`, in microseconds. An SQLite file has one server, so
    any other process has ended.
    """
    return earlier.process == request.process or not db.postgres or earlier.created_at <= before


async def store_response(claim: IdempotencyClaim, response: str) -> bool:
    """Store the response of a request. Return False if its claim was lost."""
    return bool(
        await database().execute("UPDATE idempotent_requests SET response = ? WHERE id = ?", response, claim.key)
    )


async def release(claim: IdempotencyClaim) -> bool:
    """Delete a claim, unless it is marked as done or has a response.

    Return whether it was deleted.
    """
    # On PostgreSQL this waits for a transaction that has marked the claim, and then does not delete it.
    return bool(
        await database().execute(
            "DELETE FROM idempotent_requests WHERE id = ? AND done = ? AND response IS NULL", claim.key, False
        )
    )
