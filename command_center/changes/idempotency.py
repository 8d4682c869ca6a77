"""Requests with an Idempotency-Key as the database stores them, for 24 hours.

A request claims its key before it does anything. Each of its transactions records under the claim that something was
done, and its response is stored at the end. A claim whose process is gone ends in one of two ways: if nothing was done
under it, it is removed; otherwise its response is lost. Removing one too early costs a response and nothing else,
because a transaction under a lost claim is rolled back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from command_center.database.clock import Clock
from command_center.database.connections import Connection, Row, database

RETENTION_MICROS = timedelta(hours=24) // timedelta(microseconds=1)
"""How long a request is stored. Older ones count as absent, whether they are deleted yet or not."""


@dataclass(frozen=True, slots=True, order=True)
class IdempotencyClaim:
    """The row that a request claimed. No key is given out twice."""

    key: int


class ClaimLost(Exception):
    """The claim was given up, and somebody else may have the key by now: nothing may be done under it any more."""


async def mark_done(connection: Connection, claims: Iterable[IdempotencyClaim]) -> None:
    """Writes that something was done under each. Raises ClaimLost, so that the transaction comes to nothing."""
    # Sorted, so that two transactions never wait for each other in a circle.
    for claim in sorted(set(claims)):
        if not await connection.execute("UPDATE idempotent_requests SET done = ? WHERE id = ?", True, claim.key):
            raise ClaimLost


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with a key. `process` is the life of the server that asks: random, new with every start."""

    user_id: int
    key: str
    fingerprint: str
    process: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What a request was answered; None where the answer is lost, though something was done."""

    answer: str | None


class KeyTaken(Exception):
    """The key was used for another request."""


async def claim(clock: Clock, asked: Asked, patience: int) -> IdempotencyClaim | Kept | None:
    """The key for whoever comes first, else what the first was answered; None while it is under way elsewhere.

    One process asks for a key once at a time. `patience`: after how long, in microseconds, a process of which nothing
    is known counts as gone. Raises KeyTaken.
    """
    db = database()
    while True:
        now = await clock.now(db)
        row = await db.fetch_one(
            "SELECT id, fingerprint, process, done, answer, created_at FROM idempotent_requests"
            " WHERE user_id = ? AND key = ?",
            *(asked.user_id, asked.key),
        )
        if row is None:
            made = await _insert(db, asked, now)
            if made is not None:
                return made
        elif row["created_at"] <= now - RETENTION_MICROS:
            await db.execute("DELETE FROM idempotent_requests WHERE id = ?", row["id"])
        elif row["answer"] is None and not row["done"] and _gone(db, row, asked, now - patience):
            await release(IdempotencyClaim(row["id"]))
        elif row["fingerprint"] != asked.fingerprint:
            raise KeyTaken
        elif row["answer"] is None and not _gone(db, row, asked, now - patience):
            return None
        else:
            return Kept(row["answer"])


async def _insert(db: Connection, asked: Asked, now: int) -> IdempotencyClaim | None:
    """None where another process was faster."""
    row = await db.fetch_one(
        "INSERT INTO idempotent_requests (user_id, key, fingerprint, process, done, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (user_id, key) DO NOTHING RETURNING id",
        *(asked.user_id, asked.key, asked.fingerprint, asked.process, False, now),
    )
    return None if row is None else IdempotencyClaim(row["id"])


def _gone(db: Connection, row: Row, asked: Asked, before: int) -> bool:
    """Whether nobody works on it any more. A SQLite file has one server, so any other is one of the past."""
    return row["process"] == asked.process or not db.postgres or bool(row["created_at"] <= before)


async def keep(claim: IdempotencyClaim, answer: str) -> bool:
    """Writes down what the request was answered; False where the claim was lost."""
    return bool(await database().execute("UPDATE idempotent_requests SET answer = ? WHERE id = ?", answer, claim.key))


async def release(claim: IdempotencyClaim) -> bool:
    """Gives the key up, unless something was done under it: whether nothing was."""
    # On PostgreSQL this waits for a deed that is about to commit, and then sees what it marked.
    return bool(
        await database().execute(
            "DELETE FROM idempotent_requests WHERE id = ? AND done = ? AND answer IS NULL", claim.key, False
        )
    )
