"""What a document may hold by counting alone: depth, aliases, root fields, directives. No schema is needed for it.

Each definition is read once and each fragment counted once, however often it is spread: what spreading multiplies is a
matter of cost.
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
"""Fields that lead into the schema itself. They nest by nature, and are bounded by what they answer with."""


@dataclass(slots=True)
class DocumentStats:
    """One operation or fragment: its own fields, and the fragments it spreads with how deep in it they stand."""

    depth: int = 0
    root_fields: int = 0
    aliases: int = 0
    directives: int = 0
    spreads: dict[str, int] = field(default_factory=dict)
    root_spreads: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, definition: OperationDefinitionNode | FragmentDefinitionNode) -> "DocumentStats":
        found = cls(directives=len(definition.directives or ()))
        for variable in definition.variable_definitions or ():
            found.directives += len(variable.directives or ())
        # A stack of its own: inline fragments may nest deeper than Python likes to call. No depth: within the schema.
        todo: list[tuple[SelectionSetNode, int | None]] = [(definition.selection_set, 0)]
        while todo:
            selection_set, depth = todo.pop()
            for selection in selection_set.selections:
                found.directives += len(selection.directives or ())
                below = depth
                if isinstance(selection, FieldNode):
                    below = found._field(selection, depth)
                elif isinstance(selection, FragmentSpreadNode):
                    found._spread(selection.name.value, depth)
                if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                    todo.append((selection.selection_set, below))
        return found

    def _field(self, node: FieldNode, depth: int | None) -> int | None:
        """The depth of what it holds."""
        self.aliases += node.alias is not None
        self.root_fields += depth == 0
        if depth is None or node.name.value in INTROSPECTION:
            return None
        self.depth = max(self.depth, depth + 1)
        return depth + 1

    def _spread(self, name: str, depth: int | None) -> None:
        if depth is not None:
            self.spreads[name] = max(self.spreads.get(name, 0), depth)
        if depth == 0:
            self.root_spreads.add(name)

    def reach(self, below: Mapping[str, int]) -> int:
        """How deep it is with what it spreads, whose depths are known."""
        return max([self.depth, *(at + below.get(name, 0) for name, at in self.spreads.items())])


class DocumentStatistics:
    """All definitions of a document. Of fragments with one name, which validation refuses, the last counts."""

    def __init__(self, document: DocumentNode) -> None:
        self._operations: list[DocumentStats] = []
        self._fragments: dict[str, DocumentStats] = {}
        self.aliases = self.directives = 0
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
                outline = DocumentStats.of(definition)
                self.aliases += outline.aliases
                self.directives += outline.directives
                if isinstance(definition, OperationDefinitionNode):
                    self._operations.append(outline)
                else:
                    self._fragments[definition.name.value] = outline

    def depth(self) -> int:
        """Of the deepest operation; 0 where fragments spread themselves, which validation refuses."""
        spread = {
            name: [each for each in outline.spreads if each in self._fragments]
            for name, outline in self._fragments.items()
        }
        below: dict[str, int] = {}
        try:
            for name in TopologicalSorter(spread).static_order():
                below[name] = self._fragments[name].reach(below)
        except CycleError:
            return 0
        return max((operation.reach(below) for operation in self._operations), default=0)

    def root_fields(self) -> int:
        """Of the operation that has most."""
        return max(map(self._root_fields, self._operations), default=0)

    def _root_fields(self, operation: DocumentStats) -> int:
        total, seen, todo = operation.root_fields, set[str](), [operation.root_spreads]
        while todo:
            for name in todo.pop() - seen:
                seen.add(name)
                if name in self._fragments:
                    total += self._fragments[name].root_fields
                    todo.append(self._fragments[name].root_spreads)
        return total


def limit_violations(document: DocumentNode, limits: DocumentLimits) -> Iterator[GraphQLError]:
    """What there is more of than is allowed."""
    outlines = DocumentStatistics(document)
    for code, sentence, found, allowed in (
        ("TOO_DEEP", "nests {} deep; {} is allowed", outlines.depth(), limits.depth),
        ("TOO_MANY_ALIASES", "has {} aliases; {} are allowed", outlines.aliases, limits.aliases),
        ("TOO_MANY_ROOT_FIELDS", "has {} root fields; {} are allowed", outlines.root_fields(), limits.root_fields),
        ("TOO_MANY_DIRECTIVES", "has {} directives; {} are allowed", outlines.directives, limits.directives),
    ):
        if found > allowed:
            counted = sentence.format(f"{found:,}", f"{allowed:,}")
            yield GraphQLError(f"The document {counted}.", extensions={"code": code})
