"""The rows a filter names by id: who they are, and the filter without those that may not be seen."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from command_center.search.filter_ast import Filter, Ids, IdsField, Path, id_lists, replace_ids

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
class NamedId:
    """One id of a filter. The key is `NO_KEY` where the text is no id of the noun; the path is that of the element."""

    noun: Noun
    key: int
    path: Path


def named_ids(filter: Filter) -> list[NamedId]:
    """Every id at any depth, in the order written, repetitions included."""
    return [
        NamedId(NOUNS[leaf.field], key, (*leaf.path, str(place)))
        for leaf in id_lists(filter)
        for place, key in enumerate(leaf.ids)
    ]


def named_keys(filter: Filter) -> set[tuple[Noun, int]]:
    """The same without their places, each once."""
    return {(NOUNS[leaf.field], key) for leaf in id_lists(filter) for key in leaf.ids}


def keep_ids(filter: Filter, visible: Mapping[str, AbstractSet[int]]) -> Filter:
    """The filter with only the visible ids: a list that is left empty matches nothing. A noun left out has none."""
    if all(key in visible.get(NOUNS[leaf.field], ()) for leaf in id_lists(filter) for key in leaf.ids):
        return filter
    return replace_ids(filter, lambda leaf: _kept(leaf, visible.get(NOUNS[leaf.field], frozenset())))


def _kept(leaf: Ids, visible: AbstractSet[int]) -> Ids:
    if all(key in visible for key in leaf.ids):
        return leaf
    kept = [(key, text) for key, text in zip(leaf.ids, leaf.texts, strict=True) if key in visible]
    return Ids(leaf.field, tuple(key for key, _ in kept), tuple(text for _, text in kept), leaf.path)
