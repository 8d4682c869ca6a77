"""Parses, limits and validates query texts, and caches the operations in them.

This module knows neither users nor transports. Every rejection has a code in `extensions.code`, and if a limit was
exceeded, the message names it. Cheap checks run first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

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
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    ValuesOfCorrectTypeRule,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)

from command_center.graphql_engine.cost import CostEstimator
from command_center.graphql_engine.hints import SchemaHints
from command_center.graphql_engine.introspection import MAX_COST
from command_center.graphql_engine.limits import DocumentLimits
from command_center.graphql_engine.list_sizes import estimate_field_sizes
from command_center.graphql_engine.literals import LiteralValuesRule
from command_center.graphql_engine.lru_cache import LruCache
from command_center.graphql_engine.overlap import OverlapChecker
from command_center.graphql_engine.plans import DocumentPlans
from command_center.graphql_engine.rules import find_limit_violations
from command_center.graphql_engine.type_plans import TypePlans

CHARACTERS_PER_TOKEN = 50
"""Characters allowed per allowed token. Comments, spaces and long values are scanned character by character."""

MAX_DOCUMENTS, MAX_CACHE_BYTES = 512, 64 * 2**20
"""How many documents the cache holds, and about how much memory they may take together."""

TOKEN_BYTES = 1_300
"""The measured memory of one token with its part of the syntax tree, and of one planned field.

A document's plans have at most as many fields as the document has tokens.
"""

MAX_MESSAGE_CHARACTERS = 500
"""The most characters of an error message."""

_INSTEAD: dict[type[ASTValidationRule], type[ASTValidationRule]] = {ValuesOfCorrectTypeRule: LiteralValuesRule}
_RULES = tuple(_INSTEAD.get(rule, rule) for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)


class Rejected(Exception):
    """The operation is rejected before it is executed.

    Each error has `extensions.code`.
    """

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, eq=False)
class PreparedOperation:
    """One operation of a valid document.

    It stays the same object as long as its document is cached.
    """

    document: DocumentNode
    operation: OperationDefinitionNode
    cost_estimator: CostEstimator
    plans: DocumentPlans
    bytes: int = 0
    """About how much memory the document takes while it is referenced."""
    shaping_variables: frozenset[str] = frozenset()
    """Variables of a subscription that shape the response to an event, not only select the events."""

    @property
    def kind(self) -> OperationType:
        return self.operation.operation

    def estimate_cost(self, variables: Mapping[str, object]) -> int:
        """Return the cost for the variables as the client sent them."""
        return self.cost_estimator.estimate(variables)


class Documents:
    """Prepares documents for one schema, and caches the valid ones.

    `accepted` counts the accepted operations by type.
    """

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits, hints: SchemaHints, errors: int = 20) -> None:
        self._schema = schema
        self._sizes = estimate_field_sizes(schema, hints)
        self._type_plans = TypePlans(schema, hints.reference_key, hints.row_types)
        self._limits = limits
        self._max_page = hints.max_page
        self._errors = errors
        self.accepted: Counter[OperationType] = Counter()
        self._cache: LruCache[str, Mapping[str | None, PreparedOperation]] = LruCache(MAX_DOCUMENTS, MAX_CACHE_BYTES)

    def prepare(self, text: str, operation_name: str | None) -> PreparedOperation:
        """Return the operation to execute.

        Raises: Rejected if the document is invalid or lacks the operation.
        """
        operations = self._cache.get(text)
        if operations is None:
            document = self._parse_and_validate(text)
            tokens = _count_tokens(document)
            # A character takes up to 4 bytes, in the text and again in the values of the syntax tree.
            size = TOKEN_BYTES * tokens + 8 * len(text)
            operations = self._prepare_operations(document, DocumentPlans(self._type_plans, tokens), size)
            self._cache.add(text, operations, size)
        prepared = operations.get(operation_name)
        if prepared is None:
            message = (
                f"There are {len(operations)} operations: `operationName` has to say which of them is meant."
                if operation_name is None
                else "The document has no operation of the name given in `operationName`."
            )
            raise _create_rejection("OPERATION_NOT_FOUND", message)
        return prepared

    def check_cost(self, prepared: PreparedOperation, variables: Mapping[str, object], variables_cost: int = 0) -> int:
        """Return the operation's cost, and count the operation as accepted.

        `variables_cost` is the cost of the variables themselves, which is added. Raises: Rejected if the sum is too
        high.
        """
        cost, max_cost = prepared.estimate_cost(variables), self._limits.cost
        if cost + variables_cost > max_cost:
            amount = f"{MAX_COST:,} objects or more" if cost == MAX_COST else f"{cost:,} objects"
            of_variables = f", and its variables count as {variables_cost:,} more" if variables_cost else ""
            raise _create_rejection(
                "COST_EXCEEDED", f"The answer may hold {amount}{of_variables}; {max_cost:,} are allowed."
            )
        self.accepted[prepared.kind] += 1
        return cost + variables_cost

    def _parse_and_validate(self, text: str) -> DocumentNode:
        document = self._parse(text)
        self._raise_first(find_limit_violations(document, self._limits))
        # Fields are compared last, because the comparison relies on what the other rules check.
        for errors in (
            validate(self._schema, document, _RULES, self._errors, hide_suggestions=True),
            OverlapChecker(self._schema, document).find_conflicts(),
        ):
            self._raise_first(_add_code(error, "GRAPHQL_VALIDATION_FAILED") for error in errors)
        return document

    def _parse(self, text: str) -> DocumentNode:
        max_tokens = self._limits.tokens
        if len(text) > CHARACTERS_PER_TOKEN * max_tokens:
            message = f"The document has {len(text):,} characters; {CHARACTERS_PER_TOKEN * max_tokens:,} are allowed."
            raise _create_rejection("DOCUMENT_TOO_LARGE", f"{message} Long values belong in the variables.")
        try:
            return parse(text, max_lexical_tokens=max_tokens, max_comments=max_tokens)
        except GraphQLSyntaxError as error:
            for unit in ("tokens", "comments"):
                # The descriptions of other errors begin differently, even if they quote the document.
                if error.description.startswith(f"Document contains more than {max_tokens} {unit}."):
                    message = f"The document has more than {max_tokens:,} {unit}; {max_tokens:,} are allowed."
                    raise _create_rejection("DOCUMENT_TOO_LARGE", message) from None
            raise Rejected([_add_code(error, "GRAPHQL_PARSE_FAILED")]) from None

    def _raise_first(self, errors: Iterable[GraphQLError]) -> None:
        """Raise Rejected with the first errors, if there are any."""
        first_errors = list(islice(errors, self._errors))
        if first_errors:
            raise Rejected(first_errors)

    def _prepare_operations(
        self, document: DocumentNode, plans: DocumentPlans, size: int
    ) -> Mapping[str | None, PreparedOperation]:
        """Return the operations by name.

        If there is only one, it is also found under None.
        """
        fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
        operations: dict[str | None, PreparedOperation] = {}
        for each in document.definitions:
            if isinstance(each, OperationDefinitionNode):
                cost_estimator = CostEstimator(
                    self._schema, self._sizes, fragments, each, self._limits.cost, self._max_page
                )
                shaping = _find_shaping_variables(each, fragments.values())
                operations[each.name.value if each.name else None] = PreparedOperation(
                    document, each, cost_estimator, plans, size, shaping
                )
        if len(operations) == 1:
            operations[None] = next(iter(operations.values()))
        return operations


def _find_shaping_variables(
    operation: OperationDefinitionNode, fragments: Iterable[FragmentDefinitionNode]
) -> frozenset[str]:
    """Return the variables used outside the arguments of a subscription's root fields."""
    if operation.operation is not OperationType.SUBSCRIPTION:
        return frozenset()
    nodes: list[Node] = [*(operation.directives or ()), *fragments]
    for each in operation.selection_set.selections:
        if isinstance(each, FieldNode):
            nodes += [*(each.directives or ()), *filter(None, [each.selection_set])]
        else:
            nodes.append(each)
    collector = _VariableCollector()
    for node in nodes:
        visit(node, collector)
    return frozenset(collector.names)


class _VariableCollector(Visitor):
    """Collects the names of the variables that it visits."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


def _create_rejection(code: str, message: str) -> Rejected:
    return Rejected([GraphQLError(message, extensions={"code": code})])


def _add_code(error: GraphQLError, code: str) -> GraphQLError:
    """Set the code of an error, and shorten its message.

    Messages of graphql-core may quote long values.
    """
    error.extensions = {"code": code}
    if len(error.message) > MAX_MESSAGE_CHARACTERS:
        error.message = f"{error.message[:MAX_MESSAGE_CHARACTERS]}…"
    return error


def _count_tokens(document: DocumentNode) -> int:
    """Return the number of tokens, which form a linked list."""
    tokens, token = 0, document.loc and document.loc.start_token
    while token:
        tokens, token = tokens + 1, token.next
    return tokens
