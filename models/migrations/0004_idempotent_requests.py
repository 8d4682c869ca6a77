from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from command_center.database.fields import MomentField

class Migration(migrations.Migration):
    dependencies = [('models', '0003_pages')]

    initial = False

    operations = [
        ops.CreateModel(
            name='IdempotentRequest',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user', fields.ForeignKeyField('models.User', source_field='user_id', db_constraint=True, to_field='id', on_delete=OnDelete.CASCADE)),
                ('key', fields.CharField(max_length=200)),
                ('fingerprint', fields.CharField(max_length=64)),
                ('process', fields.CharField(max_length=16)),
                ('done', fields.BooleanField(default=False)),
                ('answer', fields.TextField(null=True, unique=False)),
                ('created_at', MomentField()),
            ],
            options={'table': 'idempotent_requests', 'app': 'models', 'unique_together': (('user_id', 'key'),), 'indexes': [Index(fields=['created_at'])], 'pk_attr': 'id', 'table_description': 'A key as a user first used it: `done` once a deed was done under it, `answer` once there is one.'},
            bases=['Model'],
        ),
    ]
