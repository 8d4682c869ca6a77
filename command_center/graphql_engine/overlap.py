"""Fields that answer to one name must be one field: graphql-core's OverlappingFieldsCanBeMergedRule, by sets.

The stock rule compares each field with each. Here all fields that come to stand in one object are a set; those of one
name are compared with the first of them, what they hold is the next set, and a set that was seen is not seen again.
There are two passes, as in the specification: where it may be the same object, one name means one field with the same
arguments; whatever the object turns out to be, it means one shape.

The verdict is the stock rule's, for documents that the other rules find nothing wrong with: all types and fragments are
known, no fragment spreads itself, nothing is streamed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
)

from command_center.graphql_engine.field_sets import Field, FieldSets

STEPS = 100_000
"""Fields looked at in all, until a document is refused. An honest one needs a few for each token, yet fragments can be
laid out so that they make as many sets as an automaton has states."""

Groups = Iterator[list[Field]]


class Overlap:
    """One document looked at once. `steps`: how many fields it took."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, most: int = STEPS) -> None:
        self._sets = FieldSets(schema, document)
        self._most = most
        self._looked = 0

    @property
    def steps(self) -> int:
        return self._looked + self._sets.steps

    def conflicts(self) -> Iterator[GraphQLError]:
        """What cannot be merged. Of shapes only where nothing else is wrong: different fields have different ones."""
        found = False
        for error in self._differing(_by_object, _meanings):
            found = True
            yield error
        if not found:
            yield from self._differing(_by_answer, _shapes)

    def _differing(
        self, grouped: Callable[[Iterable[Field]], Groups], reason: Callable[[list[Field]], GraphQLError | None]
    ) -> Iterator[GraphQLError]:
        todo = self._sets.roots()
        seen = set(todo)
        while todo:
            fields = [field for block in todo.pop() for field in block.fields]
            self._looked += len(fields)
            for group in grouped(fields):
                error = reason(group) if len(group) > 1 else None
                if error is not None:
                    yield error
                    continue
                below = self._sets.below(group)
                if below not in seen:
                    seen.add(below)
                    todo.append(below)
            if self.steps > self._most:
                yield GraphQLError("Fields overlap in more ways than can be looked at.")
                return


def _by_answer(fields: Iterable[Field]) -> Groups:
    groups: defaultdict[str, list[Field]] = defaultdict(list)
    for each in fields:
        groups[each.answer].append(each)
    yield from groups.values()


def _by_object(fields: Iterable[Field]) -> Groups:
    """Of one name, those that may stand in one object: of one object type, and with them those of all abstract ones."""
    for group in _by_answer(fields):
        anywhere: list[Field] = []
        objects: defaultdict[str, list[Field]] = defaultdict(list)
        for each in group:
            (objects[each.parent.name] if isinstance(each.parent, GraphQLObjectType) else anywhere).append(each)
        for those in objects.values():
            yield those + anywhere
        if not objects:
            yield anywhere


def _meanings(group: list[Field]) -> GraphQLError | None:
    first = group[0]
    if all(each.name == first.name and each.arguments == first.arguments for each in group):
        return None
    first, *others = _in_order(group)
    other = next((each for each in others if each.name != first.name), None)
    if other is not None:
        return _conflict(first, other, f"'{first.name}' and '{other.name}' are different fields")
    other = next(each for each in others if each.arguments != first.arguments)
    return _conflict(first, other, "they have differing arguments")


def _shapes(group: list[Field]) -> GraphQLError | None:
    known = [each for each in group if each.shape is not None]
    if not known or all(each.shape == known[0].shape for each in known):
        return None
    first, *others = _in_order(known)
    other = next(each for each in others if each.shape != first.shape)
    return _conflict(first, other, f"they return conflicting types '{first.returns}' and '{other.returns}'")


def _in_order(group: Iterable[Field]) -> list[Field]:
    """As they are written: a set has no order, and an error should read the same each time."""
    return sorted(group, key=lambda each: each.node.loc.start if each.node.loc else 0)


def _conflict(first: Field, other: Field, reason: str) -> GraphQLError:
    return GraphQLError(
        f"Fields '{first.answer}' conflict because {reason}."
        " Use different aliases on the fields to fetch both if this was intentional.",
        [first.node, other.node],
    )
