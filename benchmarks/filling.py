"""Fills a fresh database, directly in its tables: a team of sellers, their campaigns and mail, standing searches."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from benchmarks.populations import A_SELLER, HOT, POPULATIONS, campaigns, every, sellers
from command_center.database.connections import sqlite_path
from models.enums import EmailStatus, FolderName, Role, SavedSearchState, SendKind

TEAM, ADMIN, FIRST_SELLER = 1, 1, 2
FOLLOWED = 10
"""Sellers whose lists are followed, spread evenly over all."""
EMAILS = 5_000
"""In the campaigns of those who are followed; so many again, but at least one a campaign, are spread over all."""

EMAIL = (
    "id, team_id, sender_id, person_id, campaign_id, cc, bcc, subject, subject_folded, body, send_kind, status,"
    " archived, success, created_at, updated_at, sent_at, views, clicks, replies, attempts"
)

SEARCH = "id, team_id, owner_id, name, definition, shared, state, member_count, created_at, updated_at"
"""Their columns."""

Rows = Iterable[Sequence[Any]]


@dataclass(slots=True)
class Filled:
    """What was put in. Keys are the tables'."""

    url: str
    searches: int
    followed: list[int]
    """Users."""
    timed: list[int]
    """Emails that a followed list joins."""
    spread: list[int]
    campaign_of: dict[int, int]
    joins: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """The searches that an email of a campaign joins with its so-and-so-manieth view; of followed sellers alone."""


def seller_of(campaign: int) -> int:
    return FIRST_SELLER + campaign // A_SELLER


async def fill(url: str, population: str, searches: int, emails: int = EMAILS, spread: int = EMAILS) -> Filled:
    """The database must be migrated and empty."""
    count = sellers(searches)
    some = min(FOLLOWED, count)
    followed = [FIRST_SELLER + place * count // some for place in range(some)]
    watched = [(seller - FIRST_SELLER) * A_SELLER + place for seller in followed for place in range(A_SELLER)]
    if POPULATIONS[population].skewed:
        watched = [campaign for campaign in watched if campaign % HOT == 0]
    homes = [watched[number % len(watched)] for number in range(emails)]
    homes += [number % campaigns(searches) for number in range(max(spread, campaigns(searches)))]
    ids = range(1, len(homes) + 1)
    filled = Filled(url, searches, followed, [*ids[:emails]], [*ids[emails:]], dict(zip(ids, homes, strict=True)))
    await insert_tables(url, _tables(population, filled))
    return filled


async def insert_tables(url: str, tables: Iterable[tuple[str, str, Rows]], analyze: bool = True) -> None:
    """Inserts rows into the tables of either database. `analyze`: with SQLite, its planner is told what is in them."""
    if url.startswith("sqlite"):
        await asyncio.to_thread(fill_sqlite, sqlite_path(url), tables, analyze)
    else:
        await _fill_postgres(url, tables)


def crew(searches: int, now: int) -> Iterator[tuple[str, str, Rows]]:
    """The team, its sellers and their campaigns."""
    yield "teams", "id, name, created_at", [(TEAM, "Team", now)]
    yield "change_logs", "team_id, log_id, position, trimmed_to", [(TEAM, "0123456789abcdef", 0, 0)]
    users = ((key, f"user{key}@example.com") for key in range(ADMIN, FIRST_SELLER + sellers(searches)))
    yield (
        "users",
        "id, team_id, name, address, address_folded, role, time_zone, created_at",
        ((k, TEAM, "U", a, a, int(Role.ADMIN if k == ADMIN else Role.MEMBER), "UTC", now) for k, a in users),
    )
    listed = range(campaigns(searches))
    yield (
        "campaigns",
        "id, team_id, owner_id, name, created_at",
        ((campaign + 1, TEAM, seller_of(campaign), "Campaign", now) for campaign in listed),
    )


def _tables(population: str, filled: Filled) -> Iterator[tuple[str, str, Rows]]:
    """For each table its columns, and the rows as they are made."""
    now = time.time_ns() // 1000
    homes = filled.campaign_of.items()
    yield from crew(filled.searches, now)
    people = ((key, home, f"person{key}@example.org") for key, home in homes)
    yield (
        "people",
        "id, team_id, owner_id, name, name_folded, address, address_folded, address_search, shared, created_at",
        ((key, TEAM, seller_of(home), "Pat", "pat", a, a, a, True, now) for key, home, a in people),
    )
    sent = int(SendKind.CAMPAIGN), int(EmailStatus.SENT), False, False, now, now, now, 0, 0, 0, 0
    yield (
        "emails",
        EMAIL,
        (
            (k, TEAM, seller_of(home), k, home + 1, "[]", "[]", "An offer for you", "an offer for you", "", *sent)
            for k, home in homes
        ),
    )
    folders = Counter(seller_of(home) for _, home in homes)
    yield (
        "folder_counts",
        "sender_id, folder, email_count",
        ((seller, int(FolderName.DELIVERED), emails) for seller, emails in folders.items()),
    )
    yield "saved_searches", SEARCH, _searches(population, filled, now)


def _searches(population: str, filled: Filled, now: int) -> Iterator[Sequence[Any]]:
    followed = set(filled.followed)
    for key, search in enumerate(every(population, filled.searches), start=1):
        owner = ADMIN if search.campaign is None else seller_of(search.campaign)
        if owner in followed and search.campaign is not None and search.views is not None:
            filled.joins.setdefault((search.campaign, search.views), []).append(key)
        text = orjson.dumps(search.definition).decode()
        yield key, TEAM, owner, "List", text, False, int(SavedSearchState.LIVE), 0, now, now


def fill_sqlite(path: str, tables: Iterable[tuple[str, str, Rows]], analyze: bool = True) -> None:
    """Puts rows into a file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        for table, columns, rows in tables:
            marks = ", ".join("?" * len(columns.split(",")))
            connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        if analyze:
            connection.execute("ANALYZE")


async def _fill_postgres(url: str, tables: Iterable[tuple[str, str, Rows]]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table, columns, rows in tables:
            await connection.copy_records_to_table(table, columns=columns.split(", "), records=rows)
            if columns.startswith("id,"):
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}"
                )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
