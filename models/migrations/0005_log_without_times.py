from tortoise import migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('models', '0004_idempotent_requests')]

    initial = False

    operations = [
        ops.RemoveIndex(
            model_name='Change',
            name=None,
            fields=['at'],
        ),
    ]
