from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0010_decided_until'), ('models', '0010_first_names')]

    initial = False

    operations = [
        ops.CreateModel(
            name='RestoreState',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('cursor_key', fields.CharField(max_length=32)),
                ('restores', fields.BigIntField()),
                ('identity', fields.CharField(null=True, max_length=100)),
                ('stamped', fields.BooleanField()),
                ('claims', fields.BigIntField()),
                ('paused', fields.BooleanField()),
                ('reason', fields.CharField(null=True, max_length=200)),
            ],
            options={'table': 'restore_state', 'app': 'models', 'pk_attr': 'id', 'table_description': 'What tells a database that was restored from a backup, and whether sending is paused since. One row.'},
            bases=['Model'],
        ),
    ]
