from tortoise import migrations
from tortoise.indexes import Index, PartialIndex
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0013_bulk_texts")]

    initial = False

    operations = [
        ops.AddIndex(model_name="Mark", index=Index(fields=["team_id", "id"])),
        # 4 is SEARCH and 5 is USER. A migration must not change when the enumeration does.
        ops.AddIndex(model_name="Mark", index=PartialIndex(fields=["kind", "id"], condition={"kind": 4})),
        ops.AddIndex(model_name="Mark", index=PartialIndex(fields=["id", "kind"], condition={"kind": 5})),
    ]
