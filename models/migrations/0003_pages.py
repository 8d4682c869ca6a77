from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('models', '0002_whole_contract')]

    initial = False

    operations = [
        ops.RemoveIndex(
            model_name='Email',
            name=None,
            fields=['sender_id', 'sent_at'],
        ),
        ops.RemoveIndex(
            model_name='Email',
            name=None,
            fields=['campaign_id', 'id'],
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['sender_id', 'updated_at', 'id']),
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['sender_id', 'scheduled_at', 'id']),
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['sender_id', 'sent_at', 'id']),
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['sender_id', 'failed_at', 'id']),
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['sender_id', 'latest_activity_at', 'id']),
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['sender_id', 'status', 'archived', 'created_at', 'id']),
        ),
        ops.AddIndex(
            model_name='Email',
            index=Index(fields=['campaign_id', 'created_at', 'id']),
        ),
        ops.AddIndex(
            model_name='User',
            index=Index(fields=['team_id', 'created_at', 'id']),
        ),
    ]
