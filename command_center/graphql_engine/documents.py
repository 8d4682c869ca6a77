"""From a text to an operation that may be carried out: parsed, held to the limits, validated, and kept for next time.

Nothing here knows who asks or by which transport. Whatever is refused is refused by name: `extensions.code` says what
it was, and where a number was exceeded the message says which. What is cheap to find out is found out first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    Node,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ValuesOfCorrectTypeRule,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.language import OperationType

from command_center.graphql_engine.cost import CostEstimator
from command_center.graphql_engine.hints import SchemaHints
from command_center.graphql_engine.introspection import CEILING
from command_center.graphql_engine.limits import DocumentLimits
from command_center.graphql_engine.list_sizes import sizes
from command_center.graphql_engine.literals import LiteralValuesRule
from command_center.graphql_engine.lru_cache import LruCache
from command_center.graphql_engine.overlap import Overlap
from command_center.graphql_engine.plans import Plans
from command_center.graphql_engine.rules import limit_violations
from command_center.graphql_engine.type_plans import TypePlans

CHARACTERS = 50
"""For each token that is allowed: comments, spaces and long values are read letter by letter."""

ENTRIES, BYTES = 512, 64 * 2**20
"""How many documents are kept, and about how much memory they may take together."""

TOKEN_BYTES = 1_300
"""What a token takes with its part of the tree, and a field of a plan, of which there are no more; measured."""

LONGEST = 500
"""Characters of an error's message."""

_INSTEAD: dict[type[ASTValidationRule], type[ASTValidationRule]] = {ValuesOfCorrectTypeRule: LiteralValuesRule}
_RULES = tuple(_INSTEAD.get(rule, rule) for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)


class Rejected(Exception):
    """Refused before anything was carried out. Each error has its `extensions.code`."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, eq=False)
class PreparedOperation:
    """One operation of a valid document: the same object for as long as its text is kept."""

    document: DocumentNode
    operation: OperationDefinitionNode
    meter: CostEstimator
    plans: Plans
    bytes: int = 0
    """About what the document takes in memory while anything refers to it."""
    shaping: frozenset[str] = frozenset()
    """Of a subscription: the variables that shape what is said of a frame, and not only what is followed."""

    @property
    def kind(self) -> OperationType:
        return self.operation.operation

    def cost(self, variables: Mapping[str, Any]) -> int:
        """How many objects an answer may hold, by the variables as the client sent them, whatever they are."""
        return self.meter.cost(variables)


class Documents:
    """Prepares documents for one schema, and keeps those it found valid. `taken` counts the operations by their kind
    that nothing was found against."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits, hints: SchemaHints, errors: int = 20) -> None:
        self._schema = schema
        self._sizes = sizes(schema, hints)
        self._shapes = TypePlans(schema, hints.reference_key)
        self._limits = limits
        self._max_page = hints.max_page
        self._errors = errors
        self.taken: Counter[OperationType] = Counter()
        self._kept: LruCache[str, Mapping[str | None, PreparedOperation]] = LruCache(ENTRIES, BYTES)

    def prepare(self, text: str, operation_name: str | None) -> PreparedOperation:
        """The operation to carry out. Raises Rejected."""
        operations = self._kept.get(text)
        if operations is None:
            document = self._valid(text)
            tokens = _tokens(document)
            # A letter takes up to 4 bytes, in the text and once more in the values of the tree.
            size = TOKEN_BYTES * tokens + 8 * len(text)
            operations = self._operations(document, Plans(self._shapes, tokens), size)
            self._kept.add(text, operations, size)
        prepared = operations.get(operation_name)
        if prepared is None:
            message = (
                f"There are {len(operations)} operations: `operationName` has to say which of them is meant."
                if operation_name is None
                else "The document has no operation of the name given in `operationName`."
            )
            raise _rejected("OPERATION_NOT_FOUND", message)
        return prepared

    def afford(self, prepared: PreparedOperation, variables: Mapping[str, Any], beside: int = 0) -> int:
        """What the operation costs with these variables, which cost `beside` themselves. Raises Rejected where that is
        too much."""
        cost, most = prepared.cost(variables), self._limits.cost
        if cost + beside > most:
            found = f"{CEILING:,} objects or more" if cost == CEILING else f"{cost:,} objects"
            also = f", and its variables count as {beside:,} more" if beside else ""
            raise _rejected("COST_EXCEEDED", f"The answer may hold {found}{also}; {most:,} are allowed.")
        self.taken[prepared.kind] += 1
        return cost + beside

    def _valid(self, text: str) -> DocumentNode:
        document = self._parsed(text)
        self._refuse(limit_violations(document, self._limits))
        # The comparison of fields comes last, as it relies on what the other rules make sure of.
        for errors in (
            validate(self._schema, document, _RULES, self._errors, hide_suggestions=True),
            Overlap(self._schema, document).conflicts(),
        ):
            self._refuse(_told(error, "GRAPHQL_VALIDATION_FAILED") for error in errors)
        return document

    def _parsed(self, text: str) -> DocumentNode:
        most = self._limits.tokens
        if len(text) > CHARACTERS * most:
            message = f"The document has {len(text):,} characters; {CHARACTERS * most:,} are allowed."
            raise _rejected("DOCUMENT_TOO_LARGE", f"{message} Long values belong in the variables.")
        try:
            return parse(text, max_lexical_tokens=most, max_comments=most)
        except GraphQLSyntaxError as error:
            for what in ("tokens", "comments"):
                # Other descriptions begin otherwise, whatever of the text they repeat.
                if error.description.startswith(f"Document contains more than {most} {what}."):
                    message = f"The document has more than {most:,} {what}; {most:,} are allowed."
                    raise _rejected("DOCUMENT_TOO_LARGE", message) from None
            raise Rejected([_told(error, "GRAPHQL_PARSE_FAILED")]) from None

    def _refuse(self, errors: Iterable[GraphQLError]) -> None:
        """Raises Rejected with the first of the errors, if there are any."""
        told = list(islice(errors, self._errors))
        if told:
            raise Rejected(told)

    def _operations(self, document: DocumentNode, plans: Plans, size: int) -> Mapping[str | None, PreparedOperation]:
        """By name; where there is but one, also by none."""
        fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
        found: dict[str | None, PreparedOperation] = {}
        for each in document.definitions:
            if isinstance(each, OperationDefinitionNode):
                meter = CostEstimator(self._schema, self._sizes, fragments, each, self._limits.cost, self._max_page)
                shaping = _shaping(each, fragments.values())
                found[each.name.value if each.name else None] = PreparedOperation(
                    document, each, meter, plans, size, shaping
                )
        if len(found) == 1:
            found[None] = next(iter(found.values()))
        return found


def _shaping(operation: OperationDefinitionNode, fragments: Iterable[FragmentDefinitionNode]) -> frozenset[str]:
    """All that are used, but for those that are used only as arguments of the fields at a subscription's root."""
    if operation.operation is not OperationType.SUBSCRIPTION:
        return frozenset()
    parts: list[Node] = [*(operation.directives or ()), *fragments]
    for each in operation.selection_set.selections:
        if isinstance(each, FieldNode):
            parts += [*(each.directives or ()), *filter(None, [each.selection_set])]
        else:
            parts.append(each)
    uses = _Uses()
    for part in parts:
        visit(part, uses)
    return frozenset(uses.names)


class _Uses(Visitor):
    """Collects the names of the variables it meets."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)


def _rejected(code: str, message: str) -> Rejected:
    return Rejected([GraphQLError(message, extensions={"code": code})])


def _told(error: GraphQLError, code: str) -> GraphQLError:
    """graphql-core's, with its code. Its messages repeat what is wrong, a value of any length among it."""
    error.extensions = {"code": code}
    if len(error.message) > LONGEST:
        error.message = f"{error.message[:LONGEST]}…"
    return error


def _tokens(document: DocumentNode) -> int:
    """They hang together in a chain."""
    tokens, token = 0, document.loc and document.loc.start_token
    while token:
        tokens, token = tokens + 1, token.next
    return tokens
