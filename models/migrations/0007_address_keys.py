"""Stores comparison keys of addresses in `address_folded`, and their folded texts in `address_search`.

If another row has the key already, a number is added to the key. Duplicates of an unsubscribed person are unsubscribed.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.schema_editor.base import BaseSchemaEditor

from command_center.email_addresses import lookup_key, numbered_key, strip_number
from command_center.database.connections import ClientConnection, Connection
from command_center.search.text import fold

BATCH = 5000


async def compute_keys(_: object, schema_editor: BaseSchemaEditor) -> None:
    connection = ClientConnection(schema_editor.client)
    await _compute(connection, "people", "other.team_id = people.team_id AND ")
    await _compute(connection, "users", "")
    await _unsubscribe_duplicates(connection)


async def _compute(connection: Connection, table: str, scope: str) -> None:
    changed: list[tuple[int, str]] = []
    last = 0
    while rows := await connection.fetch(
        f"SELECT id, address, address_folded FROM {table} WHERE id > ? ORDER BY id LIMIT {BATCH}", last
    ):
        last = rows[-1]["id"]
        if table == "people":
            texts = [(fold(row["address"]), row["id"]) for row in rows]
            await connection.execute_many("UPDATE people SET address_search = ? WHERE id = ?", texts)
        new = ((row["id"], lookup_key(row["address"]), row["address_folded"]) for row in rows)
        changed += [(row_id, key) for row_id, key, old in new if key != old]
    # Each row first gets a key that no other row can have. Otherwise its new key could be the old key of another row.
    await connection.execute_many(
        f"UPDATE {table} SET address_folded = ? WHERE id = ?", [(f" {row_id}", row_id) for row_id, _ in changed]
    )
    for row_id, key in changed:
        number = 1
        while not await connection.execute(
            f"UPDATE {table} SET address_folded = ? WHERE id = ? AND NOT EXISTS"
            f" (SELECT 1 FROM {table} other WHERE {scope}other.address_folded = ?)",
            *(numbered_key(key, number), row_id, numbered_key(key, number)),
        ):
            number += 1


async def _unsubscribe_duplicates(connection: Connection) -> None:
    numbered = await connection.fetch("SELECT team_id, address_folded FROM people WHERE address_folded LIKE '% %'")
    for team_id, key in sorted({(row["team_id"], strip_number(row["address_folded"])) for row in numbered}):
        keys = [
            row["address_folded"]
            for row in numbered
            if row["team_id"] == team_id and strip_number(row["address_folded"]) == key
        ]
        same = f"team_id = ? AND {connection.in_texts('address_folded')}"
        values = (team_id, connection.text_array_param([key, *keys]))
        await connection.execute(
            f"UPDATE people SET unsubscribed_at = (SELECT min(unsubscribed_at) FROM people WHERE {same})"
            f" WHERE unsubscribed_at IS NULL AND {same}",
            *(*values, *values),
        )


class Migration(migrations.Migration):
    dependencies = [('models', '0006_leases')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Person',
            name='address_search',
            field=fields.CharField(db_default='', max_length=1280),
        ),
        ops.RunPython(compute_keys, ops.RunPython.noop),
    ]
