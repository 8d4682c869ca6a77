"""Maintains the summary of an email's human events.

It consists of the columns `views`, `clicks`, `replies` and `latest_…`.

New events are added to the counts. When the verdict on an earlier event changes, all events are counted again. Both
ways have the same result in any order of events: of two simultaneous ones, the greater dedupe key is the latest.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from command_center.database.connections import Connection, Statement
from models.enums import EngagementKind, EngagementVerdict

_COLUMN_TYPES = {"id": "bigint", "views": "int", "clicks": "int", "replies": "int", "latest": "bigint", "at": "bigint"}
EMAIL_COLUMNS = (
    "id",
    "team_id",
    "sender_id",
    "status",
    "archived",
    "sent_at",
    "latest_engagement_id",
    "latest_activity_at",
)
"""The columns of a SummarizedEmail, in the order of its attributes."""
_HUMAN = f"FROM engagements g WHERE g.email_id = emails.id AND g.verdict = {int(EngagementVerdict.HUMAN)}"


@dataclass(slots=True)
class SummarizedEmail:
    """A locked row of `emails`, and the new human events counted for it.

    The events are counted in memory.

    `latest_key` is the dedupe key of the latest event, if it was loaded.
    """

    id: int
    team_id: int
    sender_id: int
    status: int
    archived: bool
    sent_at: int | None
    latest_engagement_id: int | None
    latest_activity_at: int | None
    latest_key: str = ""
    views: int = 0
    clicks: int = 0
    replies: int = 0


async def lock_emails(connection: Connection, email_ids: Iterable[int]) -> None:
    """Lock emails in the order of their keys.

    So no other transaction changes their summaries.
    """
    await connection.fetch(
        f"SELECT id FROM emails WHERE {connection.in_any('id')} ORDER BY id" + connection.for_update("NO KEY UPDATE"),
        connection.array_param(sorted(set(email_ids))),
    )


def count_event(email: SummarizedEmail, key: int, kind: EngagementKind, occurred_at: int, dedupe_key: str) -> None:
    """Count a new human event of an email in memory.

    `key` is the key of the event; `occurred_at` is in microseconds.
    """
    match kind:
        case EngagementKind.VIEW:
            email.views += 1
        case EngagementKind.CLICK:
            email.clicks += 1
        case EngagementKind.REPLY:
            email.replies += 1
    latest_at = None if email.latest_engagement_id is None else email.latest_activity_at
    if latest_at is None or (occurred_at, dedupe_key) > (latest_at, email.latest_key):
        email.latest_engagement_id = key
        email.latest_activity_at = occurred_at
        email.latest_key = dedupe_key


def update_statement(connection: Connection, emails: Iterable[SummarizedEmail]) -> Statement:
    """Return the statement that adds the counts of these locked emails to their rows."""
    rows = [
        (
            *(email.id, email.views, email.clicks, email.replies),
            *(email.latest_engagement_id, email.latest_activity_at),
        )
        for email in emails
    ]
    table, values = connection.values_table(_COLUMN_TYPES, rows)
    update = (
        "UPDATE emails SET views = emails.views + new_values.views, clicks = emails.clicks + new_values.clicks,"
        " replies = emails.replies + new_values.replies, latest_engagement_id = new_values.latest,"
        f" latest_activity_at = new_values.at FROM {table} WHERE emails.id = new_values.id"
    )
    return update, values


async def recount(connection: Connection, email_ids: Collection[int]) -> None:
    """Count all human events of these locked emails again, in a single statement."""
    if not email_ids:
        return
    # Dedupe keys are compared by code points, as in Python.
    key = 'g.dedupe_key COLLATE "C"' if connection.postgres else "g.dedupe_key"
    latest = f"{_HUMAN} ORDER BY g.occurred_at DESC, {key} DESC LIMIT 1"
    await connection.execute(
        f"UPDATE emails SET views = (SELECT count(*) {_HUMAN} AND g.kind = {int(EngagementKind.VIEW)}),"
        f" clicks = (SELECT count(*) {_HUMAN} AND g.kind = {int(EngagementKind.CLICK)}),"
        f" replies = (SELECT count(*) {_HUMAN} AND g.kind = {int(EngagementKind.REPLY)}),"
        f" latest_engagement_id = (SELECT g.id {latest}), latest_activity_at = (SELECT g.occurred_at {latest})"
        f" WHERE {connection.in_any('id')}",
        connection.array_param(sorted(email_ids)),
    )
