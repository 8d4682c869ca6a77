"""Renames the tables of invalidations and of the matcher's state, and the column of stored responses."""

from tortoise import migrations
from tortoise.indexes import Index, PartialIndex
from tortoise.migrations import operations as ops
from tortoise.migrations.schema_generator.state import State


class RenameTable(ops.RenameModel):
    """Renames a model and its table. Tortoise renames only tables that it named itself."""

    def __init__(self, old_name: str, new_name: str, table: str) -> None:
        super().__init__(old_name, new_name)
        self._table = table

    def state_forward(self, app_label: str, state: State) -> None:
        super().state_forward(app_label, state)
        model = state.models[app_label, self.new_name]
        model.table = model.options["table"] = self._table
        state.reload_model(app_label, self.new_name)


class Migration(migrations.Migration):
    dependencies = [("models", "0014_team_marks")]

    initial = False

    operations = [
        # The names of indexes contain the table's. SQLite cannot rename an index, so they are made again.
        ops.RemoveIndex(model_name="Mark", fields=["team_id", "id"]),
        ops.RemoveIndex(model_name="Mark", fields=["kind", "id"]),
        ops.RemoveIndex(model_name="Mark", fields=["id", "kind"]),
        RenameTable("Mark", "Invalidation", "invalidations"),
        ops.AddIndex(model_name="Invalidation", index=Index(fields=["team_id", "id"])),
        # 4 is SEARCH and 5 is USER. A migration must not change when the enumeration does.
        ops.AddIndex(model_name="Invalidation", index=PartialIndex(fields=["kind", "id"], condition={"kind": 4})),
        ops.AddIndex(model_name="Invalidation", index=PartialIndex(fields=["id", "kind"], condition={"kind": 5})),
        RenameTable("Tick", "MatcherState", "matcher_state"),
        ops.RenameField(model_name="MatcherState", old_name="ticked_at", new_name="transitions_until"),
        ops.RenameField(model_name="MatcherState", old_name="decided_until", new_name="evaluated_until"),
        ops.RenameField(model_name="IdempotentRequest", old_name="answer", new_name="response"),
    ]
