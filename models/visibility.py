"""Finds out which of the rows that a filter or an input names the viewer may see.

It runs one query for each type of row, with the `visible` condition of its table.
"""

from collections.abc import Iterable, Mapping

from command_center.database.connections import split_keys
from models.campaigns import BulkSend, Campaign, Template
from models.people import Group, Person
from models.users import User
from models.viewers import Viewer

MODELS_BY_TYPE: Mapping[str, type[BulkSend | Campaign | Group | Person | Template | User]] = {
    "BulkSend": BulkSend,
    "Campaign": Campaign,
    "Group": Group,
    "Person": Person,
    "Template": Template,
    "User": User,
}


async def visible_keys(viewer: Viewer, named: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
    """Return the keys of the named rows that the viewer may see, by type name.

    `named` has pairs of type name and key.
    """
    keys_by_type: dict[str, set[int]] = {}
    for type_name, key in named:
        keys_by_type.setdefault(type_name, set()).add(key)
    visible: dict[str, set[int]] = {}
    for type_name, keys in keys_by_type.items():
        model = MODELS_BY_TYPE[type_name]
        condition = model.visible(viewer)
        visible[type_name] = set()
        for chunk in split_keys([key for key in keys if key > 0]):
            rows = await model.filter(condition, id__in=chunk).values_list("id", flat=True)
            visible[type_name].update(int(str(key)) for key in rows)
    return visible
