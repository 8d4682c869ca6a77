"""Checks that fields with the same response key can be merged.

It replaces graphql-core's OverlappingFieldsCanBeMergedRule, whose time is quadratic in the number of fields.

The original rule compares all pairs of fields. This one works on sets: all fields that end up in one object form a set.
Those with the same key are compared with the first of them, their selections form the next set, and each set is visited
once. There are two passes, as in the specification. If two fields may belong to the same object, the same key must mean
the same field with the same arguments. Whatever the object is, the same key must mean the same type shape.

The result equals that of the original rule for documents that pass the other rules: all types and fragments exist, no
fragment spreads itself, and nothing is streamed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
)

from command_center.graphql_engine.field_sets import FieldOccurrence, FieldSets

MAX_STEPS = 100_000
"""The fields that may be visited before a document is rejected. An ordinary document needs a few for each token.
Fragments can be arranged so that the number of sets grows exponentially, like the states of an automaton."""

Groups = Iterator[list[FieldOccurrence]]


class OverlapChecker:
    """Compares the overlapping fields of one document.

    `steps` is the number of fields visited.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, max_steps: int = MAX_STEPS) -> None:
        self._sets = FieldSets(schema, document)
        self._max_steps = max_steps
        self._compared = 0

    @property
    def steps(self) -> int:
        return self._compared + self._sets.steps

    def find_conflicts(self) -> Iterator[GraphQLError]:
        """Yield the conflicts.

        Type shapes are compared only if there are none, as different fields differ in shape.
        """
        has_conflict = False
        for error in self._compare_groups(_group_by_object_type, _compare_fields):
            has_conflict = True
            yield error
        if not has_conflict:
            yield from self._compare_groups(_group_by_key, _compare_shapes)

    def _compare_groups(
        self,
        grouped: Callable[[Iterable[FieldOccurrence]], Groups],
        reason: Callable[[list[FieldOccurrence]], GraphQLError | None],
    ) -> Iterator[GraphQLError]:
        pending = self._sets.collect_roots()
        seen = set(pending)
        while pending:
            fields = [field for block in pending.pop() for field in block.fields]
            self._compared += len(fields)
            for group in grouped(fields):
                error = reason(group) if len(group) > 1 else None
                if error is not None:
                    yield error
                    continue
                inner = self._sets.merge_selections(group)
                if inner not in seen:
                    seen.add(inner)
                    pending.append(inner)
            if self.steps > self._max_steps:
                yield GraphQLError("Fields overlap in more ways than can be looked at.")
                return


def _group_by_key(fields: Iterable[FieldOccurrence]) -> Groups:
    groups: defaultdict[str, list[FieldOccurrence]] = defaultdict(list)
    for each in fields:
        groups[each.key].append(each)
    yield from groups.values()


def _group_by_object_type(fields: Iterable[FieldOccurrence]) -> Groups:
    """Group fields by key and object type.

    Fields on abstract types belong to the groups of all object types.
    """
    for group in _group_by_key(fields):
        on_abstract: list[FieldOccurrence] = []
        by_object_type: defaultdict[str, list[FieldOccurrence]] = defaultdict(list)
        for each in group:
            fields_there = (
                by_object_type[each.parent.name] if isinstance(each.parent, GraphQLObjectType) else on_abstract
            )
            fields_there.append(each)
        for fields_of_type in by_object_type.values():
            yield fields_of_type + on_abstract
        if not by_object_type:
            yield on_abstract


def _compare_fields(group: list[FieldOccurrence]) -> GraphQLError | None:
    first = group[0]
    if all(each.name == first.name and each.arguments == first.arguments for each in group):
        return None
    first, *others = _sort_by_position(group)
    other = next((each for each in others if each.name != first.name), None)
    if other is not None:
        return _create_conflict(first, other, f"'{first.name}' and '{other.name}' are different fields")
    other = next(each for each in others if each.arguments != first.arguments)
    return _create_conflict(first, other, "they have differing arguments")


def _compare_shapes(group: list[FieldOccurrence]) -> GraphQLError | None:
    shaped = [each for each in group if each.shape is not None]
    if not shaped or all(each.shape == shaped[0].shape for each in shaped):
        return None
    first, *others = _sort_by_position(shaped)
    other = next(each for each in others if each.shape != first.shape)
    return _create_conflict(first, other, f"they return conflicting types '{first.returns}' and '{other.returns}'")


def _sort_by_position(group: Iterable[FieldOccurrence]) -> list[FieldOccurrence]:
    """Return the fields in the order of the document.

    Sets have no order, and error messages should be stable.
    """
    return sorted(group, key=lambda each: each.node.loc.start if each.node.loc else 0)


def _create_conflict(first: FieldOccurrence, other: FieldOccurrence, reason: str) -> GraphQLError:
    return GraphQLError(
        f"Fields '{first.key}' conflict because {reason}."
        " Use different aliases on the fields to fetch both if this was intentional.",
        [first.node, other.node],
    )
