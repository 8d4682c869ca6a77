"""Loads rows by key, one statement for all keys that are needed together.

Loaders check no permissions: a viewer who may see a row may also see the rows it refers to.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from strawberry.dataloader import DataLoader
from tortoise.models import Model

from command_center.changes import folder_counts as counts
from command_center.changes.folder_counts import Counts
from command_center.database.connections import MAX_KEYS_PER_STATEMENT, database
from command_center.database.hydration import hydrate
from models.campaigns import Campaign, Template
from models.people import Group, Person
from models.users import User

M = TypeVar("M", bound=Model)
V = TypeVar("V")
LoadFunction: TypeAlias = Callable[[list[int]], Awaitable[list[V]]]

MAX_INLINE_ROWS = 100
"""The most rows that are read on the event loop itself. More would block it for too long."""
_NAMED_MODELS: dict[str, type[User | Person | Group | Campaign | Template]] = {
    "User": User,
    "Person": Person,
    "Group": Group,
    "Campaign": Campaign,
    "Template": Template,
}


async def load_rows_in_order(model: type[M], keys: Sequence[int]) -> list[M]:
    """Return the rows that exist, in the order of their keys.

    There may be any number of keys.
    """
    rows = await load_rows_by_key(model, keys)
    return [rows[key] for key in keys if key in rows]


async def load_rows_by_key(model: type[M], keys: Sequence[int]) -> dict[int, M]:
    """Return the rows that exist by their keys. There may be any number of keys."""
    db = database()
    fetch = db.fetch_inline if len(keys) <= MAX_INLINE_ROWS else db.fetch
    rows = await fetch(f"SELECT * FROM {model._meta.db_table} WHERE {db.in_any('id')}", db.array_param(keys))
    return dict(zip([row["id"] for row in rows], hydrate(model, rows), strict=True))


class Loaders:
    """The loaders of one response. Rows that were loaded once are not read again."""

    def __init__(self) -> None:
        # Each loader returns what its own load function returns, so the values have no common type.
        self._loaders: dict[Hashable, DataLoader[int, Any]] = {}
        self._prefetched: dict[type[Model], dict[int, Model | None]] = {}

    def _loader(self, name: Hashable, load: LoadFunction[V]) -> DataLoader[int, V]:
        if name not in self._loaders:
            self._loaders[name] = DataLoader(load_fn=load, max_batch_size=MAX_KEYS_PER_STATEMENT)
        return self._loaders[name]

    async def _load(self, name: Hashable, load: LoadFunction[V], key: int) -> V:
        """Return the value for one key, loaded with all other keys requested at once.

        `name` identifies the loader, and `load` returns the values for many keys. Cancelling one caller does not cancel
        the load, because other fields may wait for it.
        """
        return await asyncio.shield(self._loader(name, load).load(key))

    async def compute_once(self, name: str, make: Callable[[], Awaitable[V]]) -> V:
        """Call `make` once for the whole response, and return its result every time.

        `name` identifies the value.
        """

        async def load(keys: list[int]) -> list[V]:
            return [await make() for _ in keys]

        return await self._load(name, load, 0)

    async def load_row(self, model: type[M], key: int | None) -> M | None:
        """Return the row with this key, or None if there is none."""
        if key is None:
            return None
        prefetched = self._prefetched.get(model)
        if prefetched is not None and key in prefetched:
            return cast("M | None", prefetched[key])

        async def load(keys: list[int]) -> list[M | None]:
            rows = await load_rows_by_key(model, keys)
            return [rows.get(each) for each in keys]

        return await self._load(model, load, key)

    async def prefetch(self, model: type[Model], keys: Iterable[int | None]) -> None:
        """Load the rows that fields will need soon.

        A single missing row is left to `load_row`, which batches it with the keys of other fields.
        """
        prefetched = self._prefetched.setdefault(model, {})
        missing = [key for key in dict.fromkeys(keys) if key is not None and key not in prefetched]
        if len(missing) > 1:
            prefetched |= dict.fromkeys(missing) | await load_rows_by_key(model, missing)

    def get_or_load_row(self, model: type[M], key: int | None) -> M | Awaitable[M | None] | None:
        """Return the row with this key, or None if there is none.

        If the row was not prefetched, return an awaitable of this result.
        """
        if key is None:
            return None
        prefetched = self._prefetched.get(model)
        if prefetched is None or key not in prefetched:
            return self.load_row(model, key)
        return cast("M | None", prefetched[key])

    def get_prefetched_rows(self, model: type[M], keys: Iterable[int | None]) -> list[M | None] | None:
        """Return the rows with these keys, or None unless all of them were prefetched."""
        prefetched = self._prefetched.get(model, {})
        try:
            rows = [None if key is None else prefetched[key] for key in keys]
        except KeyError:
            return None
        return cast("list[M | None]", rows)

    async def load_group_ids(self, person_id: int) -> list[int]:
        """Return the ids of the groups that contain a person."""

        async def load(keys: list[int]) -> list[list[int]]:
            db = database()
            rows = await db.fetch(
                f"SELECT person_id, group_id FROM group_people WHERE {db.in_any('person_id')} ORDER BY id",
                db.array_param(keys),
            )
            groups: dict[int, list[int]] = {key: [] for key in keys}
            for row in rows:
                groups[row["person_id"]].append(row["group_id"])
            return [groups[key] for key in keys]

        return await self._load("group_ids", load, person_id)

    async def count_people(self, group_id: int) -> int:
        """Return the number of people in a group."""

        async def load(keys: list[int]) -> list[int]:
            db = database()
            rows = await db.fetch(
                f"SELECT group_id, COUNT(*) AS count FROM group_people WHERE {db.in_any('group_id')} GROUP BY group_id",
                db.array_param(keys),
            )
            counts = {row["group_id"]: row["count"] for row in rows}
            return [counts.get(key, 0) for key in keys]

        return await self._load("person_count", load, group_id)

    async def load_folder_counts(self, sender_id: int) -> Counts:
        """Return the stored, exact email counts of one sender's folders."""
        return await asyncio.shield(self._folder_counts().load(sender_id))

    def prime_folder_counts(self, sender_id: int, counts: Counts) -> None:
        """Store counts that have been read, so that `load_folder_counts` returns them."""
        self._folder_counts().prime(sender_id, counts)

    def _folder_counts(self) -> DataLoader[int, Counts]:
        async def load(keys: list[int]) -> list[Counts]:
            counts_by_sender = await counts.read_counts(keys)
            return [counts_by_sender[key] for key in keys]

        return self._loader("folder_counts", load)

    async def load_name(self, type_name: str, key: int) -> str | None:
        """Return the name of a row, or None if it does not exist or has no name."""
        model = _NAMED_MODELS.get(type_name)
        row = None if model is None else await self.load_row(model, key)
        return None if row is None else row.name
