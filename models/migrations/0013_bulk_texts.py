from tortoise import fields, migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('models', '0012_recipient_count')]

    initial = False

    operations = [
        ops.AddField(
            model_name='BulkSend',
            name='subject',
            field=fields.CharField(db_default='', max_length=998),
        ),
        ops.AddField(
            model_name='BulkSend',
            name='body',
            field=fields.TextField(db_default='', unique=False),
        ),
        ops.AddField(
            model_name='Email',
            name='shared_body',
            field=fields.BooleanField(default=False, db_default=False),
        ),
        ops.AddField(
            model_name='Email',
            name='field_values',
            field=fields.TextField(null=True, unique=False),
        ),
    ]
