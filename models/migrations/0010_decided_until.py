from tortoise import migrations
from tortoise.migrations import operations as ops
from command_center.database.fields import MomentField

class Migration(migrations.Migration):
    dependencies = [('models', '0009_clock_state')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Tick',
            name='decided_until',
            field=MomentField(null=True),
        ),
    ]
