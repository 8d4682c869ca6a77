"""Which of the rows somebody names they may see: one query a noun, by each noun's own `visible`."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.connections import key_chunks
from models.campaigns import BulkSend, Campaign, Template
from models.people import Group, Person
from models.users import User
from models.viewers import Viewer


class _Seen(Protocol):
    @staticmethod
    def visible(viewer: Viewer) -> Q: ...


NOUNS: Mapping[str, type[Model]] = {
    "BulkSend": BulkSend,
    "Campaign": Campaign,
    "Group": Group,
    "Person": Person,
    "Template": Template,
    "User": User,
}


async def visible_keys(viewer: Viewer, named: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
    """The keys among (noun, key) pairs that the viewer can see, by noun."""
    wanted: dict[str, set[int]] = {}
    for noun, key in named:
        wanted.setdefault(noun, set()).add(key)
    seen: dict[str, set[int]] = {}
    for noun, keys in wanted.items():
        model = NOUNS[noun]
        visible = model.visible(viewer)  # type: ignore[attr-defined]
        seen[noun] = set()
        for part in key_chunks([key for key in keys if key > 0]):
            rows = await model.filter(visible, id__in=part).values_list("id", flat=True)
            seen[noun].update(int(str(key)) for key in rows)
    return seen
