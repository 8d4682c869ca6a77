from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0001_initial')]

    initial = False

    operations = [
        ops.AlterModelOptions(
            name='ChangeLog',
            options={'table': 'change_logs', 'app': 'models', 'pk_attr': 'team_id', 'table_description': 'One log for each team. `position` is the last one given out, and rows up to `trimmed_to` are gone.'},
        ),
        ops.AddField(
            model_name='Engagement',
            name='judged',
            field=fields.BooleanField(default=False, db_default=False),
        ),
        ops.AddField(
            model_name='SendRequest',
            name='bulk_send_id',
            field=fields.BigIntField(null=True),
        ),
        ops.AddField(
            model_name='Task',
            name='name_folded',
            field=fields.CharField(db_default='', max_length=800),
        ),
    ]
