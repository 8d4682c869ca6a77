"""Deletes processed invalidations, each exactly once.

This happens in the transaction that writes the changes they led to.
"""

from collections.abc import Sequence
from typing import NamedTuple

from command_center.database.connections import Connection


class PendingInvalidation(NamedTuple):
    """A row of the table `invalidations` (see `models.changes`).

    `kind` and `cause` are the numbers of enum members.
    """

    id: int
    team_id: int
    kind: int
    subject_id: int
    cause: int
    engagement_id: int | None
    people: list[int] | str | None
    """Ids of people; the database returns them as a list or as JSON."""
    progress: int


class StaleBatch(Exception):
    """Invalidations of the matcher's batch were removed meanwhile.

    What was decided may be stale, so nothing is written.
    """


async def claim_invalidations(
    tx: Connection, completed_ids: Sequence[int], progress: Sequence[tuple[int, int]] = ()
) -> None:
    """Delete the completed invalidations, and store the progress of others.

    `progress` holds pairs of the last email id reached and the id of the invalidation.

    Raises: StaleBatch if one of the invalidations no longer exists.
    """
    if completed_ids:
        require_all_deleted(
            await tx.execute(f"DELETE FROM invalidations WHERE {tx.in_any('id')}", tx.array_param(completed_ids)),
            completed_ids,
        )
    for email_id, invalidation_id in progress:
        if (
            await tx.execute(
                "UPDATE invalidations SET progress = ? WHERE id = ? AND progress < ?",
                email_id,
                invalidation_id,
                email_id,
            )
            != 1
        ):
            raise StaleBatch


def require_all_deleted(deleted_count: int, completed_ids: Sequence[int]) -> None:
    """Raise StaleBatch if fewer invalidations were deleted than were completed."""
    if deleted_count != len(set(completed_ids)):
        raise StaleBatch
