from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0008_check_values')]

    initial = False

    operations = [
        ops.CreateModel(
            name='ClockState',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('decision', fields.BigIntField()),
                ('paused', fields.BooleanField()),
                ('kind', fields.CharField(max_length=8, null=True)),
                ('jumped_to', fields.BigIntField(null=True)),
                ('good_at', fields.BigIntField(null=True)),
                ('accepted_at', fields.BigIntField(null=True)),
            ],
            options={'table': 'clock_state', 'app': 'models', 'pk_attr': 'id', 'table_description': 'The decision on jumps of the clock, for all processes.'},
            bases=['Model'],
        ),
    ]
