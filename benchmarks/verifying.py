"""No figure without this: the lists hold what a fresh query finds, and the frames that came replay to them."""

import asyncio
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import orjson

from benchmarks.filling import Filled
from command_center.database.connections import Connection, database, open_database
from command_center.ids import decode_key
from command_center.lists import backfill, standing_searches

SETTLE_SECONDS = 900.0
SAMPLE = 500
PART = 500


class Wrong(AssertionError):
    """What was measured did not do its work."""


async def settled() -> None:
    """Nothing is left to look at. The database must be open."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while await database().fetch_one("SELECT id FROM invalidations LIMIT 1"):
            await asyncio.sleep(0.02)


async def lists(
    filled: Filled, frames: Sequence[dict[str, Any]], whole: bool = False, more: Collection[int] = ()
) -> int:
    """Holds lists against their filters, and the frames against the followed lists; how many lists. Raises Wrong.

    Unless `whole`, these are the lists of every campaign that an event happened in, and a sample of the others. The
    others are empty, for all of them: they ask for what has not happened to any of their emails. `more` are lists that
    were made since.
    """
    async with open_database(filled.url):
        await settled()
        db = database()
        keys = {*range(1, filled.searches + 1)} if whole else await _touched(db, filled.searches)
        keys.update(more)
        for part in _parts(sorted(keys)):
            await compare(db, part)
        total = await db.fetch_one("SELECT COUNT(*) AS count FROM memberships")
        held = await _count(db, keys)
        if total is None or total["count"] != held:
            raise Wrong(f"{held} of {total} members are in lists that anything happened to")
        await _replay(db, filled.followed, frames)
        return len(keys)


async def _touched(db: Connection, searches: int) -> set[int]:
    rows = await db.fetch(
        "SELECT DISTINCT sender_id, campaign_id FROM emails WHERE views > 0 OR clicks > 0 OR replies > 0"
    )
    senders, campaigns = ({row[name] for row in rows} for name in ("sender_id", "campaign_id"))
    named = await db.fetch(
        f"SELECT id, definition FROM saved_searches WHERE {db.in_any('owner_id')}", db.array_param(senders)
    )
    keys = {row["id"] for row in named if _campaign(row["definition"]) in campaigns}
    return keys | set(random.Random(4).sample(range(1, searches + 1), min(SAMPLE, searches)))


def _campaign(definition: Any) -> int | None:
    found = (orjson.loads(definition) if isinstance(definition, str) else definition).get("campaign")
    return decode_key("Campaign", str(found[0])) if isinstance(found, list) else None


async def compare(db: Connection, keys: Sequence[int], now: int = 0) -> None:
    """Holds what is stored of these lists against a fresh query of that moment. Raises Wrong."""
    members: dict[int, set[int]] = {}
    condition = db.in_any("search_id")
    for row in await db.fetch(f"SELECT search_id, email_id FROM memberships WHERE {condition}", db.array_param(keys)):
        members.setdefault(row["search_id"], set()).add(row["email_id"])
    counted = await db.fetch(
        f"SELECT id, member_count FROM saved_searches WHERE {db.in_any('id')}", db.array_param(keys)
    )
    for row in counted:
        if row["member_count"] != len(members.get(row["id"], ())):
            raise Wrong(f"list {row['id']} counts {row['member_count']} members")
    for search in await standing_searches.load_searches(db, keys):
        if await backfill.load_matching_ids(db, search, now) != members.get(search.id, set()):
            raise Wrong(f"list {search.id} is not what its filter finds")


async def _count(db: Connection, keys: Iterable[int]) -> int:
    total = 0
    for part in _parts(sorted(keys)):
        found = await db.fetch_one(
            f"SELECT COUNT(*) AS count FROM memberships WHERE {db.in_any('search_id')}", db.array_param(part)
        )
        total += found["count"] if found else 0
    return total


async def _replay(db: Connection, owners: Sequence[int], frames: Sequence[dict[str, Any]]) -> None:
    folded: dict[str, tuple[str, str]] = {}
    for frame in frames:
        if frame["__typename"] == "MemberJoined":
            folded[frame["memberId"]] = (frame["savedSearchId"], frame["emailId"])
        elif frame["__typename"] == "MemberLeft":
            del folded[frame["memberId"]]
        else:
            raise Wrong(f"a {frame['__typename']} came")
    rows = await db.fetch(
        "SELECT m.id, m.search_id, m.email_id FROM memberships m JOIN saved_searches s ON s.id = m.search_id"
        f" WHERE {db.in_any('s.owner_id')}",
        db.array_param(owners),
    )
    held = {row["id"]: (row["search_id"], row["email_id"]) for row in rows}
    seen = {
        decode_key("SavedSearchMember", member): (decode_key("SavedSearch", search), decode_key("Email", email))
        for member, (search, email) in folded.items()
    }
    if seen != held:
        raise Wrong(f"{len(seen)} members by the frames, {len(held)} by the table")


def _parts(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), PART):
        yield keys[start : start + PART]
