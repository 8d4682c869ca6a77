"""Loaders: rows by key, gathered into one statement for everything an answer asks at the same time.

No rights are checked here: what a readable row points at is readable through it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar, cast

from strawberry.dataloader import DataLoader
from tortoise.models import Model

from command_center.changes import folder_counts as counts
from command_center.changes.folder_counts import Counts
from command_center.database.connections import MAX_KEYS_PER_STATEMENT, database
from command_center.database.hydration import hydrated
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.people import Group, Person
from models.searches import Membership, SavedSearch
from models.users import User

M = TypeVar("M", bound=Model)
V = TypeVar("V")

FEW = 100
"""Rows that are read at a glance: more would hold up the event loop."""
_NAMED: dict[str, type[Model]] = {
    "User": User,
    "Person": Person,
    "Group": Group,
    "Campaign": Campaign,
    "Template": Template,
}


async def in_order(model: type[M], keys: Sequence[int]) -> list[M]:
    """The rows that are there, in the order of their keys, however many."""
    found = await by_key(model, keys)
    return [found[key] for key in keys if key in found]


async def by_key(model: type[M], keys: Sequence[int]) -> dict[int, M]:
    """The rows that are there, however many."""
    db = database()
    read = db.fetch_inline if len(keys) <= FEW else db.fetch
    rows = await read(f"SELECT * FROM {model._meta.db_table} WHERE {db.in_any('id')}", db.array_param(keys))
    return dict(zip([row["id"] for row in rows], hydrated(model, rows), strict=True))


class Loaders:
    """One set for one answer."""

    def __init__(self) -> None:
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        self._near: dict[type[Model], dict[int, Any]] = {}

    def _loader(self, name: Hashable, load: Callable[[list[Any]], Awaitable[list[Any]]]) -> DataLoader[Any, Any]:
        if name not in self._loaders:
            self._loaders[name] = DataLoader(load_fn=load, max_batch_size=MAX_KEYS_PER_STATEMENT)
        return self._loaders[name]

    async def _load(self, name: Hashable, load: Callable[[list[Any]], Awaitable[list[Any]]], key: Any) -> Any:
        """What all fields that ask for the key wait for: one that is given up must not end it for the others."""
        return await asyncio.shield(self._loader(name, load).load(key))

    async def once(self, name: str, make: Callable[[], Awaitable[V]]) -> V:
        """What is worked out once for one answer, however many fields ask for it at the same time."""

        async def load(keys: list[int]) -> list[V]:
            return [await make() for _ in keys]

        return cast(V, await self._load(name, load, 0))

    async def row(self, model: type[M], key: int | None) -> M | None:
        """The row with this key, or None."""
        if key is None:
            return None
        near = self._near.get(model)
        if near is not None and key in near:
            return cast("M | None", near[key])

        async def load(keys: list[int]) -> Any:
            rows = await by_key(model, keys)
            return [rows.get(each) for each in keys]

        return cast("M | None", await self._load(model, load, key))

    async def ahead(self, model: type[Model], keys: Iterable[int | None]) -> None:
        """Loads rows that fields are about to ask for. One alone may as well be asked for with others'."""
        near = self._near.setdefault(model, {})
        missing = [key for key in dict.fromkeys(keys) if key is not None and key not in near]
        if len(missing) > 1:
            near |= dict.fromkeys(missing) | await by_key(model, missing)

    def near(self, model: type[M], key: int | None) -> M | Awaitable[M | None] | None:
        """The row with this key, or None: at once where it was loaded ahead."""
        if key is None:
            return None
        near = self._near.get(model)
        return self.row(model, key) if near is None or key not in near else cast("M | None", near[key])

    def all_near(self, model: type[M], keys: Iterable[int | None]) -> list[M | None] | None:
        """The rows with these keys, if all of them were loaded ahead."""
        near = self._near.get(model, {})
        try:
            return [None if key is None else near[key] for key in keys]
        except KeyError:
            return None

    async def group_ids(self, person_id: int) -> list[int]:
        """The groups a person is in."""

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

        return cast(list[int], await self._load("group_ids", load, person_id))

    async def person_count(self, group_id: int) -> int:
        """How many people are in a group."""

        async def load(keys: list[int]) -> list[int]:
            db = database()
            rows = await db.fetch(
                f"SELECT group_id, COUNT(*) AS count FROM group_people WHERE {db.in_any('group_id')} GROUP BY group_id",
                db.array_param(keys),
            )
            counts = {row["group_id"]: row["count"] for row in rows}
            return [counts.get(key, 0) for key in keys]

        return cast(int, await self._load("person_count", load, group_id))

    async def folder_counts(self, sender_id: int) -> Counts:
        """Exact counts of one sender's folders, as the transitions kept them."""
        return cast(Counts, await asyncio.shield(self._folder_counts().load(sender_id)))

    def know_folder_counts(self, sender_id: int, known: Counts) -> None:
        """Answers with these, which have been read already."""
        self._folder_counts().prime(sender_id, known)

    def _folder_counts(self) -> DataLoader[Any, Any]:
        async def load(keys: list[int]) -> list[Counts]:
            found = await counts.read_counts(keys)
            return [found[key] for key in keys]

        return self._loader("folder_counts", load)

    async def name(self, noun: str, key: int) -> str | None:
        """What a row is called."""
        model = _NAMED.get(noun)
        row = None if model is None else await self.row(model, key)
        return None if row is None else str(row.name)  # type: ignore[attr-defined]


__all__ = ["BulkSend", "Email", "Engagement", "Loaders", "Membership", "SavedSearch"]
