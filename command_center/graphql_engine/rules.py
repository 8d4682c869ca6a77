"""Checks the limits that need no schema: depth, aliases, root fields, directives.

Each definition is read once, and a fragment counts once, however often it is spread. The multiplication that spreads
cause is limited by the cost instead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from command_center.graphql_engine.limits import DocumentLimits

INTROSPECTION = frozenset({"__schema", "__type"})
"""Introspection fields. They nest deeply by nature, and the cost estimate limits the objects they return."""


@dataclass(slots=True)
class DefinitionStats:
    """What one operation or fragment adds to the limits of its document.

    The fragments that it spreads are not included.
    """

    depth: int = 0
    root_fields: int = 0
    aliases: int = 0
    directives: int = 0
    spreads: dict[str, int] = field(default_factory=dict)
    """The deepest level at which each fragment is spread."""
    root_spreads: set[str] = field(default_factory=set)
    """The fragments that are spread at the root level."""

    @classmethod
    def count(cls, definition: OperationDefinitionNode | FragmentDefinitionNode) -> "DefinitionStats":
        """Return the depth and the counts of one operation or fragment."""
        stats = cls(directives=len(definition.directives or ()))
        for variable in definition.variable_definitions or ():
            stats.directives += len(variable.directives or ())
        # An explicit stack: inline fragments may nest deeper than Python's recursion limit. Depth None: introspection.
        todo: list[tuple[SelectionSetNode, int | None]] = [(definition.selection_set, 0)]
        while todo:
            selection_set, depth = todo.pop()
            for selection in selection_set.selections:
                stats.directives += len(selection.directives or ())
                below = depth
                if isinstance(selection, FieldNode):
                    below = stats._count_field(selection, depth)
                elif isinstance(selection, FragmentSpreadNode):
                    stats._count_spread(selection.name.value, depth)
                if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                    todo.append((selection.selection_set, below))
        return stats

    def _count_field(self, node: FieldNode, depth: int | None) -> int | None:
        """Count a field at a depth, and return the depth of its selection set.

        The depth is None inside introspection fields, which have no limit of depth.
        """
        self.aliases += node.alias is not None
        self.root_fields += depth == 0
        if depth is None or node.name.value in INTROSPECTION:
            return None
        self.depth = max(self.depth, depth + 1)
        return depth + 1

    def _count_spread(self, name: str, depth: int | None) -> None:
        if depth is not None:
            self.spreads[name] = max(self.spreads.get(name, 0), depth)
        if depth == 0:
            self.root_spreads.add(name)

    def measure_depth(self, fragment_depths: Mapping[str, int]) -> int:
        """Return the depth of the definition, including the fragments that it spreads.

        `fragment_depths` has the depth of each fragment by name.
        """
        return max([self.depth, *(at + fragment_depths.get(name, 0) for name, at in self.spreads.items())])


class DocumentStatistics:
    """Combines the statistics of all operations and fragments of a document.

    If fragments share a name, which validation rejects, the last one counts.
    """

    def __init__(self, document: DocumentNode) -> None:
        self._operations: list[DefinitionStats] = []
        self._fragments: dict[str, DefinitionStats] = {}
        self.aliases = self.directives = 0
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
                stats = DefinitionStats.count(definition)
                self.aliases += stats.aliases
                self.directives += stats.directives
                if isinstance(definition, OperationDefinitionNode):
                    self._operations.append(stats)
                else:
                    self._fragments[definition.name.value] = stats

    def measure_depth(self) -> int:
        """Return the depth of the deepest operation.

        The result is 0 for cyclic fragments, which validation rejects.
        """
        spreads = {
            name: [each for each in stats.spreads if each in self._fragments] for name, stats in self._fragments.items()
        }
        depths: dict[str, int] = {}
        try:
            for name in TopologicalSorter(spreads).static_order():
                depths[name] = self._fragments[name].measure_depth(depths)
        except CycleError:
            return 0
        return max((operation.measure_depth(depths) for operation in self._operations), default=0)

    def count_root_fields(self) -> int:
        """Return the number of root fields of the operation that has the most."""
        return max(map(self._count_root_fields, self._operations), default=0)

    def _count_root_fields(self, operation: DefinitionStats) -> int:
        total, seen, todo = operation.root_fields, set[str](), [operation.root_spreads]
        while todo:
            for name in todo.pop() - seen:
                seen.add(name)
                if name in self._fragments:
                    total += self._fragments[name].root_fields
                    todo.append(self._fragments[name].root_spreads)
        return total


def find_limit_violations(document: DocumentNode, limits: DocumentLimits) -> Iterator[GraphQLError]:
    """Yield one error for each limit that the document exceeds."""
    statistics = DocumentStatistics(document)
    for code, template, count, allowed in (
        ("TOO_DEEP", "nests {} deep; {} is allowed", statistics.measure_depth(), limits.depth),
        ("TOO_MANY_ALIASES", "has {} aliases; {} are allowed", statistics.aliases, limits.aliases),
        (
            "TOO_MANY_ROOT_FIELDS",
            "has {} root fields; {} are allowed",
            statistics.count_root_fields(),
            limits.root_fields,
        ),
        ("TOO_MANY_DIRECTIVES", "has {} directives; {} are allowed", statistics.directives, limits.directives),
    ):
        if count > allowed:
            sentence = template.format(f"{count:,}", f"{allowed:,}")
            yield GraphQLError(f"The document {sentence}.", extensions={"code": code})
