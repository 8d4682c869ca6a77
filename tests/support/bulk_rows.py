"""Rows by the hundred thousand, put in by one statement a table, and every connection of the API that holds them.

In the statements `i` numbers rows for good and `p` is a row's place in the order: three rows share a moment, so that
ties are everywhere. A new connection of the API is one more line of CONNECTIONS.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from command_center import ids as global_ids
from command_center.database.connections import Connection, database, transaction
from models.enums import (
    EmailOrderField,
    EmailStatus,
    EngagementKind,
    EngagementVerdict,
    FolderName,
    SavedSearchState,
    SendKind,
)

VARIABLES = "$first:Int,$after:String,$last:Int,$before:String"
PAGING = "first:$first,after:$after,last:$last,before:$before"
PAGE = "{pageInfo{hasNextPage hasPreviousPage startCursor endCursor} nodes{id}}"

BEGAN = 1_600_000_000_000_000
_AT = f"({BEGAN} + (p / 3) * 1000000)"
# Some are a colleague's own, and in the way.
_OWNER, _SHARED = "CASE WHEN p % 2 = 0 THEN {user} ELSE {other} END", "p % 10 <> 1"
_STATUS = f"CASE WHEN p % 10 = 0 THEN {int(EmailStatus.FAILED)} ELSE {int(EmailStatus.SENT)} END"
_VERDICT = f"CASE WHEN p % 2 = 0 THEN {int(EngagementVerdict.HUMAN)} ELSE {int(EngagementVerdict.MACHINE)} END"
_SUBJECT = "'s' || (p * 7) % 5003"


def _scattered(every: int, step: int) -> str:
    """A moment that does not go by the place, and is absent from all but one row of so many."""
    return f"CASE WHEN p % {every} = 0 THEN {BEGAN} + ((p * {step}) % 100003) / 2 * 1000000 END"


_OURS = {"team_id": "{team}", "created_at": _AT}
TABLES: Mapping[str, Mapping[str, str]] = {
    "users": _OURS
    | {"name": "'User'", "address": "'u' || i", "address_folded": "'u' || i", "role": "1", "time_zone": "'UTC'"},
    "people": _OURS
    | {"owner_id": _OWNER, "shared": _SHARED, "name": "'Person'", "name_folded": "'person'"}
    | {"address": "'p' || i", "address_folded": "'p' || i", "address_search": "'p' || i"},
    "person_groups": _OURS | {"owner_id": _OWNER, "shared": _SHARED, "name": "'Group'"},
    "campaigns": _OURS | {"owner_id": "{user}", "name": "'Campaign'"},
    "templates": _OURS | {"name": "'Template'", "subject": "'S'", "body": "''"},
    "saved_searches": _OURS
    | {"owner_id": "{user}", "shared": _SHARED, "name": "'List'", "definition": "'{{}}'", "updated_at": _AT}
    | {"state": str(int(SavedSearchState.LIVE)), "member_count": "0"},
    "emails": _OURS
    | {"sender_id": "{user}", "person_id": "{person}", "campaign_id": "{campaign}", "bulk_send_id": "{bulk}"}
    | {"send_kind": str(int(SendKind.GROUP)), "status": _STATUS, "archived": "FALSE", "success": "FALSE"}
    | {"cc": "'[]'", "bcc": "'[]'", "subject": _SUBJECT, "subject_folded": _SUBJECT, "body": "''"}
    | {"updated_at": _scattered(1, 17), "scheduled_at": _scattered(3, 31), "sent_at": _scattered(2, 29)}
    | {"failed_at": _scattered(10, 23), "latest_activity_at": _scattered(4, 19)}
    | dict.fromkeys(("views", "clicks", "replies", "attempts"), "0"),
    "engagements": {"team_id": "{team}", "email_id": "{email}", "sender_id": "{user}", "dedupe_key": "'scale ' || i"}
    | {"kind": str(int(EngagementKind.VIEW)), "verdict": _VERDICT, "verdict_reason": "''", "judged": "FALSE"}
    | {"occurred_at": _AT, "recorded_at": _AT},
}
"""For each table what its columns hold at (i, p)."""

STANDING = {
    "people": "person",
    "person_groups": "group",
    "campaigns": "campaign",
    "saved_searches": "search",
    "emails": "email",
}
"""One row of each of these, from the middle, has others hanging on it and stays."""

GROUPED = "INSERT INTO group_people (group_id, person_id) SELECT {group}, id FROM people WHERE "
LISTED = (
    "INSERT INTO memberships (search_id, email_id, joined_at, cause_kind) SELECT {search}, id, created_at, 1"
    " FROM emails WHERE "
)


@dataclass(frozen=True, slots=True)
class Paged:
    """A connection: its field, the noun of its nodes, and the rows they stand for.

    `held` selects the keys that are paged through, `table` takes new rows, `links` makes them part of the connection.
    `drop` takes rows out of it, of the table where nothing else is said. `under` is the node that it hangs on.
    """

    field: str
    noun: str
    table: str
    held: str
    drop: str = ""
    links: str = ""
    under: str = ""
    more: str = ""

    @property
    def name(self) -> str:
        return ".".join(part for part in (self.under, self.field, self.more.replace("orderBy:", "")) if part)

    def document(self, nodes: Mapping[str, str]) -> str:
        inner = f"{self.field}({PAGING} {self.more}){PAGE}"
        if self.under:
            inner = f'node(id:"{nodes[self.under]}"){{... on {self.under}{{{inner}}}}}'
        return f"query({VARIABLES}){{{inner}}}"


_VISIBLE = "WHERE shared OR owner_id = {user}"
_MAIL = "SELECT id FROM emails WHERE sender_id = {user}"
_MEMBERS = "SELECT m.id FROM memberships m JOIN emails e ON e.id = m.email_id WHERE m.search_id = {search}"
CONNECTIONS = (
    Paged("users", "User", "users", "SELECT id FROM users"),
    Paged("people", "Person", "people", f"SELECT id FROM people {_VISIBLE}"),
    Paged("groups", "Group", "person_groups", f"SELECT id FROM person_groups {_VISIBLE}"),
    Paged("campaigns", "Campaign", "campaigns", "SELECT id FROM campaigns"),
    Paged("templates", "Template", "templates", "SELECT id FROM templates"),
    Paged("savedSearches", "SavedSearch", "saved_searches", "SELECT id FROM saved_searches"),
    Paged("sharedSearches", "SharedSearch", "saved_searches", "SELECT id FROM saved_searches WHERE shared"),
    Paged("engagements", "Engagement", "engagements", "SELECT id FROM engagements"),
    Paged("engagements", "Engagement", "engagements", "SELECT id FROM engagements", under="Email"),
    Paged(
        "people",
        "Person",
        "people",
        "SELECT person_id AS id FROM group_people WHERE group_id = {group}",
        "DELETE FROM group_people WHERE group_id = {group} AND @person_id",
        GROUPED,
        under="Group",
    ),
    Paged(
        "members",
        "SavedSearchMember",
        "emails",
        _MEMBERS,
        "DELETE FROM memberships WHERE @id",
        LISTED,
        under="SavedSearch",
    ),
    Paged("emails", "Email", "emails", _MAIL),
    Paged("emails", "Email", "emails", f"{_MAIL} AND campaign_id = {{campaign}}", under="Campaign"),
    Paged("emails", "Email", "emails", f"{_MAIL} AND bulk_send_id = {{bulk}}", under="BulkSend"),
    Paged("emails", "Email", "emails", f"{_MAIL} AND status = {int(EmailStatus.SENT)}", under="Folder"),
    *(
        Paged("emails", "Email", "emails", _MAIL, more=f"orderBy:{{field:{order.name} direction:{way}}}")
        for order in EmailOrderField
        for way in ("ASC", "DESC")
    ),
)


@dataclass
class Scale:
    """The rows. `keys` are those of the nodes that the others hang on; they stay."""

    keys: dict[str, int]
    places: dict[str, dict[int, int]] = field(default_factory=dict)
    _serial: int = 0

    @classmethod
    async def made(cls, team: int, user: int, other: int, rows: int) -> "Scale":
        """So many rows in every connection of a user, the nodes that they hang on among them."""
        scale = cls({"team": team, "user": user, "other": other})
        async with transaction() as tx:
            row = await tx.fetch_one(
                "INSERT INTO bulk_sends (team_id, sender_id, send_kind, email_count, created_at)"
                f" VALUES (?, ?, {int(SendKind.GROUP)}, ?, {BEGAN}) RETURNING id",
                *(team, user, rows),
            )
            scale.keys["bulk"] = row["id"] if row else 0
            for table in TABLES:
                made = await scale.put(tx, table, range(1, rows + 1))
                if table in STANDING:
                    scale.keys[STANDING[table]] = made[rows // 20 * 10 - 1]
            await tx.execute(scale.said(GROUPED + "TRUE"))
            await tx.execute(scale.said(LISTED + "TRUE ORDER BY id"))
        return scale

    def said(self, sql: str) -> str:
        return sql.format(**self.keys)

    def nodes(self) -> dict[str, str]:
        """The ids of what connections hang on."""
        named = {
            "Email": "email",
            "Group": "group",
            "SavedSearch": "search",
            "Campaign": "campaign",
            "BulkSend": "bulk",
        }
        ids = {noun: global_ids.encode(noun, self.keys[key]) for noun, key in named.items()}
        return ids | {"Folder": global_ids.encode("Folder", f"{self.keys['user']}.{FolderName.DELIVERED.name}")}

    def standing(self, paged: Paged) -> set[int]:
        """The keys in a table that others hang on."""
        names = ("user", "other") if paged.table == "users" else (STANDING.get(paged.table, ""),)
        return set() if paged.drop else {self.keys[name] for name in names if name}

    async def held(self, paged: Paged) -> list[int]:
        """The keys in a connection, the oldest first."""
        rows = await database().fetch(self.said(paged.held))
        return sorted(row["id"] for row in rows)

    async def put(self, tx: Connection, table: str, places: Sequence[int]) -> list[int]:
        """Puts rows in at places; their keys."""
        first, self._serial = self._serial + 1, self._serial + len(places)
        if isinstance(places, range):
            one, last = "SELECT CAST(? AS BIGINT), CAST(? AS BIGINT)", "WHERE i < CAST(? AS BIGINT)"
            numbers, values = f"{one} UNION ALL SELECT i + 1, p + 1 FROM n {last}", [first, places[0], self._serial]
        else:
            numbers = "VALUES " + ", ".join(["(CAST(? AS BIGINT), CAST(? AS BIGINT))"] * len(places))
            values = [number for pair in enumerate(places, first) for number in pair]
        columns = TABLES[table]
        rows = await tx.fetch(
            f"INSERT INTO {table} ({', '.join(columns)}) WITH RECURSIVE n(i, p) AS ({numbers})"
            f" SELECT {self.said(', '.join(columns.values()))} FROM n RETURNING id",
            *values,
        )
        keys = sorted(row["id"] for row in rows)
        self.places.setdefault(table, {}).update(zip(keys, places, strict=True))
        return keys

    async def stir(self, paged: Paged, places: Sequence[int], doomed: Iterable[int]) -> None:
        """Rows come at these places, and those with these keys go, while somebody pages."""
        async with transaction() as tx:
            made = await self.put(tx, paged.table, places)
            if paged.links:
                await tx.execute(self.said(paged.links) + tx.in_any("id"), tx.array_param(made))
            statement, _, column = (paged.drop or f"DELETE FROM {paged.table} WHERE @id").partition("@")
            await tx.execute(self.said(statement) + tx.in_any(column), tx.array_param(doomed))
