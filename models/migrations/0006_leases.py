from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0005_log_without_times')]

    initial = False

    operations = [
        ops.CreateModel(
            name='Lease',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('epoch', fields.BigIntField()),
            ],
            options={'table': 'leases', 'app': 'models', 'pk_attr': 'id', 'table_description': 'The right of one process to do a job. Taking it increments `epoch`, and writes under an older one are refused.'},
            bases=['Model'],
        ),
    ]
