"""What an email's human events come to: its columns `views`, `clicks`, `replies` and `latest_…`.

New events are added; when the verdict on an old one changes, all are counted anew from the rows. Both come to the same,
whatever order events come in: of two at the same moment the one with the greater dedupe key is the newer.
"""

from collections.abc import Collection, Iterable, Mapping

from command_center.database.connections import Connection, Row, Statement
from models.enums import EngagementKind, EngagementVerdict

_COUNTED = {"id": "bigint", "views": "int", "clicks": "int", "replies": "int", "latest": "bigint", "at": "bigint"}
_COUNTERS = {kind: kind.name for kind in EngagementKind}
"""What is new of each kind, in a row that is being counted."""
_HUMAN = f"FROM engagements g WHERE g.email_id = emails.id AND g.verdict = {int(EngagementVerdict.HUMAN)}"


async def lock_emails(connection: Connection, email_ids: Iterable[int]) -> None:
    """Locks emails in the order of their keys: nobody adds to a summary while it is counted."""
    await connection.fetch(
        f"SELECT id FROM emails WHERE {connection.in_any('id')} ORDER BY id" + connection.for_update("NO KEY UPDATE"),
        connection.array_param(sorted(set(email_ids))),
    )


def count_event(email: Row, key: int, kind: EngagementKind, occurred_at: int, dedupe_key: str) -> None:
    """Counts a new human event in, in the email's row alone; `latest_key` there is the newest one's dedupe key."""
    name = _COUNTERS[kind]
    email[name] = email.get(name, 0) + 1
    first = email["latest_engagement_id"] is None
    if first or (occurred_at, dedupe_key) > (email["latest_activity_at"], email.get("latest_key", "")):
        email["latest_engagement_id"] = key
        email["latest_activity_at"] = occurred_at
        email["latest_key"] = dedupe_key


def update_statement(connection: Connection, emails: Mapping[int, Row]) -> Statement:
    """Writes down what was counted in emails that are locked, by their keys."""
    counted = [
        (
            key,
            *[email.get(name, 0) for name in _COUNTERS.values()],
            email["latest_engagement_id"],
            email["latest_activity_at"],
        )
        for key, email in emails.items()
    ]
    given, values = connection.values_table(_COUNTED, counted)
    add = (
        "UPDATE emails SET views = emails.views + given.views, clicks = emails.clicks + given.clicks,"
        " replies = emails.replies + given.replies, latest_engagement_id = given.latest,"
        f" latest_activity_at = given.at FROM {given} WHERE emails.id = given.id"
    )
    return add, values


async def recount(connection: Connection, email_ids: Collection[int]) -> None:
    """Counts the human events of emails that are locked, in one statement however many they are."""
    if not email_ids:
        return
    # Keys are compared by code points, as Python does.
    key = 'g.dedupe_key COLLATE "C"' if connection.postgres else "g.dedupe_key"
    newest = f"{_HUMAN} ORDER BY g.occurred_at DESC, {key} DESC LIMIT 1"
    await connection.execute(
        f"UPDATE emails SET views = (SELECT count(*) {_HUMAN} AND g.kind = {int(EngagementKind.VIEW)}),"
        f" clicks = (SELECT count(*) {_HUMAN} AND g.kind = {int(EngagementKind.CLICK)}),"
        f" replies = (SELECT count(*) {_HUMAN} AND g.kind = {int(EngagementKind.REPLY)}),"
        f" latest_engagement_id = (SELECT g.id {newest}), latest_activity_at = (SELECT g.occurred_at {newest})"
        f" WHERE {connection.in_any('id')}",
        connection.array_param(sorted(email_ids)),
    )
