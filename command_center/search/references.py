"""The rows that a filter refers to by id.

Rows that the viewer may not see can be removed from the filter.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from command_center.errors import InputPath
from command_center.search.filter_ast import Filter, Ids, IdsField, id_lists, replace_ids

Noun = Literal["Person", "User", "Group", "Campaign", "Template", "BulkSend"]

NOUNS: Mapping[IdsField, Noun] = {
    "sender": "User",
    "person": "Person",
    "personGroup": "Group",
    "campaign": "Campaign",
    "template": "Template",
    "bulkSend": "BulkSend",
}


@dataclass(frozen=True, slots=True)
class IdReference:
    """One id in a filter, with its path in the filter.

    The key is `NO_KEY` if the text is not an id of the noun.
    """

    noun: Noun
    key: int
    path: InputPath


def id_references(filter: Filter) -> list[IdReference]:
    """Return every id at any depth, in the order of the filter, with repetitions."""
    return [
        IdReference(NOUNS[leaf.field], key, (*leaf.path, str(position)))
        for leaf in id_lists(filter)
        for position, key in enumerate(leaf.ids)
    ]


def referenced_keys(filter: Filter) -> set[tuple[Noun, int]]:
    """Return the noun and key of every id, each once."""
    return {(NOUNS[leaf.field], key) for leaf in id_lists(filter) for key in leaf.ids}


def keep_visible_ids(filter: Filter, visible: Mapping[str, AbstractSet[int]]) -> Filter:
    """Return the filter with only the visible ids.

    A list that becomes empty matches nothing.

    A noun that `visible` lacks has no visible ids.
    """
    if all(key in visible.get(NOUNS[leaf.field], ()) for leaf in id_lists(filter) for key in leaf.ids):
        return filter
    return replace_ids(filter, lambda leaf: _keep_visible(leaf, visible.get(NOUNS[leaf.field], frozenset())))


def _keep_visible(leaf: Ids, visible: AbstractSet[int]) -> Ids:
    if all(key in visible for key in leaf.ids):
        return leaf
    visible_ids = [(key, text) for key, text in zip(leaf.ids, leaf.texts, strict=True) if key in visible]
    return Ids(leaf.field, tuple(key for key, _ in visible_ids), tuple(text for _, text in visible_ids), leaf.path)
