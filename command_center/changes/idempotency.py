"""The claim of a request on its Idempotency-Key. Each deed of the request writes in its own transaction that it was
done, so that a crash leaves no doubt. Who claims, and what is kept, is `actions/idempotency.py`'s."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.database import Connection


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """The row that a request claimed. No key is given out twice."""

    key: int


class ClaimLost(Exception):
    """The claim was given up, and somebody else may have the key by now: nothing may be done under it any more."""


async def mark(connection: Connection, claims: Iterable[Claim]) -> None:
    """Writes that something was done under each. Raises ClaimLost, so that the transaction comes to nothing."""
    # Sorted, so that two transactions never wait for each other in a circle.
    for claim in sorted(set(claims)):
        if not await connection.run("UPDATE idempotent_requests SET done = ? WHERE id = ?", True, claim.key):
            raise ClaimLost
