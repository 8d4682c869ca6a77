from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state_apps import StateApps


async def _fill(_: StateApps, editor: BaseSchemaEditor) -> None:
    # The values are random. If a backup is restored and migrated again, its log therefore differs from the log that
    # clients have cursors of.
    number = "(random() * 9007199254740991)::bigint" if editor.client.capabilities.dialect == "postgres" else "abs(random() >> 1)"
    last = "SELECT c.check_value FROM changes c WHERE c.team_id = change_logs.team_id AND c.position = change_logs.position"
    for statement in (
        f"UPDATE changes SET check_value = {number}",
        f"UPDATE change_logs SET check_value = {number}",
        f"UPDATE change_logs SET check_value = COALESCE(({last}), check_value)",
        "UPDATE change_logs SET trimmed_check = check_value WHERE trimmed_to = position",
    ):
        await editor.client.execute_query(statement)


async def _leave(_: StateApps, __: BaseSchemaEditor) -> None:
    """Do nothing: dropping the columns removes the values."""


class Migration(migrations.Migration):
    dependencies = [('models', '0007_address_keys')]

    initial = False

    operations = [
        ops.AddField(model_name='Change', name='check_value', field=fields.BigIntField(db_default=0)),
        ops.AddField(model_name='ChangeLog', name='check_value', field=fields.BigIntField(db_default=0)),
        ops.AddField(model_name='ChangeLog', name='trimmed_check', field=fields.BigIntField(db_default=0)),
        ops.RunPython(_fill, _leave),
    ]
