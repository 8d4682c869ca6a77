"""Adds the number of recipients to each email, because copies count against the daily limit too."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.schema_editor.base import BaseSchemaEditor

from command_center.database.connections import ClientConnection


async def count_copies(_: object, schema_editor: BaseSchemaEditor) -> None:
    connection = ClientConnection(schema_editor.client)
    length = "jsonb_array_length" if connection.postgres else "json_array_length"
    await connection.execute(
        f"UPDATE emails SET recipient_count = 1 + {length}(cc) + {length}(bcc) WHERE {length}(cc) + {length}(bcc) > 0"
    )


class Migration(migrations.Migration):
    dependencies = [('models', '0011_restore_state')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Email',
            name='recipient_count',
            field=fields.IntField(default=1, db_default=1),
        ),
        ops.RunPython(count_copies, ops.RunPython.noop),
    ]
