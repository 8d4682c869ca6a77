"""Marks are taken away by whoever worked them off, in the transaction of what came of them, and by nobody twice."""

from collections.abc import Sequence

from command_center.database.connections import Connection


class StaleBatch(Exception):
    """Marks were removed meanwhile: what was decided from them may be stale, and nothing of it is written."""


async def claim_invalidations(tx: Connection, done: Sequence[int], progress: Sequence[tuple[int, int]] = ()) -> None:
    """Takes marks away that are worked off, and moves those on that are not. Raises Superseded where one is gone."""
    if done:
        all_or_none(await tx.execute(f"DELETE FROM marks WHERE {tx.in_any('id')}", tx.array_param(done)), done)
    for reached, mark in progress:
        if await tx.execute("UPDATE marks SET progress = ? WHERE id = ? AND progress < ?", reached, mark, reached) != 1:
            raise StaleBatch


def all_or_none(gone: int, done: Sequence[int]) -> None:
    """Raises Superseded where fewer marks were taken away than are worked off."""
    if gone != len(set(done)):
        raise StaleBatch
