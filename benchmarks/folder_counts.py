"""The folders of a seller with a million emails, against those of one with ten thousand: counts are kept, no scan."""

from collections import Counter
from typing import Any

from strawberry import Schema

from benchmarks.measure import Ratio, Work, ratio
from command_center.actions import people, users
from command_center.actions.people import NewPerson
from command_center.database.connections import transaction
from command_center.server.runtime import Runtime, run_runtime
from models.enums import EmailStatus, Role
from models.folders import folder_of
from models.viewers import Viewer
from resolvers.context import Context
from schema.build import create_schema
from tests.support.server import settings

FEW, MANY = 10_000, 1_000_000
ASKED = 200
QUERY = "{folders{name emailCount folders{name emailCount}}}"
# Every status in turn; every other sent one is archived.
_FILL = (
    "INSERT INTO emails (team_id, sender_id, person_id, cc, bcc, subject, subject_folded, body, send_kind, status,"
    " archived, success, created_at, updated_at, views, clicks, replies, attempts) WITH RECURSIVE n(i) AS"
    " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT ?, ?, ?, '[]', '[]', 'Hello', 'hello', '', 1,"
    f" i % {len(EmailStatus)} + 1, i % {len(EmailStatus)} + 1 = {int(EmailStatus.SENT)} AND i / {len(EmailStatus)} % 2,"
    " 0, i, i, 0, 0, 0, 0 FROM n"
)
_SCAN = "SELECT status, archived, COUNT(*) AS count FROM emails WHERE sender_id = ? GROUP BY status, archived"


async def run(database_url: str) -> Ratio:
    async with run_runtime(settings(database_url), run_worker=False) as engine:
        schema = create_schema()
        few, many = [await _seller(engine, schema, count) for count in (FEW, MANY)]
        await few()
        await many()
        return await ratio(
            f"the folders' counts: with {MANY:,} emails / with {FEW:,}",
            many,
            few,
            (ASKED, ASKED),
        )


async def _seller(engine: Runtime, schema: Schema, count: int) -> Work:
    """Somebody with so many emails; the work is to ask for their folders, again and again."""
    name = f"Seller{count}"
    user = await users.add(engine.ctx, name, name, f"{name}@example.com".lower(), Role.MEMBER, "UTC")
    viewer = Viewer(user.id, user.team_id, Role.MEMBER)
    person = await people.create(engine.ctx, viewer, NewPerson("Pat", f"pat@{name}.example"))
    async with transaction() as tx:
        await tx.execute(_FILL, count, user.team_id, user.id, person.id)
        scanned = Counter[Any]()
        for row in await tx.fetch(_SCAN, user.id):
            scanned[folder_of(EmailStatus(row["status"]), bool(row["archived"]))] += row["count"]
        counts = [(user.id, int(folder), number) for folder, number in scanned.items()]
        await tx.execute_many("INSERT INTO folder_counts (sender_id, folder, email_count) VALUES (?, ?, ?)", counts)

    async def ask() -> None:
        for _ in range(ASKED):
            answer = await schema.execute(QUERY, context_value=Context(engine.services, viewer))
            assert answer.data is not None
            assert sum(group["emailCount"] for group in answer.data["folders"]) == count

    return ask
