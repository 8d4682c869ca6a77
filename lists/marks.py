"""Marks are taken away by whoever worked them off, in the transaction of what came of them, and by nobody twice."""

from models.database import Connection


class Superseded(Exception):
    """Another matcher has worked these marks off: what was decided here may be stale, and nothing of it is written."""


async def claim(tx: Connection, done: list[int], progress: list[tuple[int, int]] | None = None) -> None:
    """Takes marks away that are worked off, and moves those on that are not. Raises Superseded where one is gone."""
    gone = await tx.run(f"DELETE FROM marks WHERE {tx.within('id')}", tx.listed(done))
    if gone != len(set(done)):
        raise Superseded
    for reached, mark in progress or ():
        if await tx.run("UPDATE marks SET progress = ? WHERE id = ? AND progress < ?", reached, mark, reached) != 1:
            raise Superseded
