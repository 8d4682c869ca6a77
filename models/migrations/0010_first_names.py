from tortoise import fields, migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('models', '0009_clock_state')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Person',
            name='first_name',
            field=fields.CharField(null=True, max_length=200),
        ),
    ]
