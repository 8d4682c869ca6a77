"""Executes operations by the plans of their documents.

It reads simple fields directly from rows, and repeats no lookups. Everything happens in the same order and with the
same awaits as in graphql-core's executor. Values, errors and their paths and order are therefore the same. An operation
that uses a feature which is not supported here is executed by graphql-core as a whole.
"""

from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence
from typing import Protocol, TypeAlias, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    OperationType,
    Undefined,
    default_field_resolver,
    default_type_resolver,
    located_error,
)
from graphql.execution import VariableValues, get_argument_values, get_variable_values
from graphql.pyutils import Path, gather_with_cancel, inspect, is_async_iterable

from command_center.graphql_engine import prefetch
from command_center.graphql_engine.background_work import BackgroundWork, IsAwaitable
from command_center.graphql_engine.columns import ObjectColumns, complete_columns
from command_center.graphql_engine.field_collection import FieldCollector
from command_center.graphql_engine.field_errors import FieldErrors, complete_leaf, create_type_error, find_object_type
from command_center.graphql_engine.list_completion import ListCompleter, read_iterable
from command_center.graphql_engine.plans import (
    DocumentPlans,
    ExecutionTemplate,
    PlannedField,
    Prefetches,
    SelectionPlan,
)
from command_center.graphql_engine.stock_executor import StockExecutor, create_template
from command_center.graphql_engine.type_plans import ATOMIC_TYPES, NO_INFO, Info, TypePlan, ignores_info, unknown_type
from command_center.graphql_engine.yield_budget import YieldBudget

MAX_COERCION_ERRORS = 50
"""Errors of variables after which the others are not checked."""

PendingResult: TypeAlias = ExecutionResult | Awaitable[ExecutionResult]


class OperationExecutor(Protocol):
    """Executes one operation with one set of variables."""

    def execute_operation(self) -> PendingResult:
        """Execute a query or mutation."""

    def execute_event(self, event: object, context: object) -> PendingResult:
        """Execute a subscription for one event, in a context of its own."""

    async def open_event_stream(self) -> AsyncIterable[object] | Sequence[GraphQLError]:
        """Return the events of a subscription, or the errors that prevent it.

        Afterwards the executor has no context of its own.
        """


class PlannedExecutor:
    """Executes one operation by the plans of its document."""

    def __init__(
        self,
        template: ExecutionTemplate,
        plans: DocumentPlans,
        context: object,
        values: VariableValues,
        is_awaitable: IsAwaitable,
        root_value: object = None,
    ) -> None:
        self.schema = plans.type_plans.schema
        self.row_types = plans.type_plans.row_types
        self.operation = template.operation
        self.fragments = template.fragments
        self.context_value = context
        self.root_value = root_value
        self.variable_values = values
        self.is_awaitable = is_awaitable
        self.yield_budget = YieldBudget()
        self._root_type = template.root_type
        self._plans = plans
        self._plan = plans.plan_operation(template.operation, values.coerced)
        self._collector = FieldCollector(self.schema, template.fragments, values)
        self._background = BackgroundWork(is_awaitable)
        self._helpers = self._background.create_helpers()
        self._errors = FieldErrors()
        self._argument_values: dict[PlannedField, dict[str, object]] = {}
        """Coerced arguments. They are the same for all objects with the field, and for all events of a stream."""

    @classmethod
    def begin(
        cls,
        document: DocumentNode,
        operation_name: str | None,
        plans: DocumentPlans,
        context: object,
        variables: Mapping[str, object],
        is_awaitable: IsAwaitable,
        values: VariableValues | None = None,
        root_value: object = None,
    ) -> OperationExecutor | Sequence[GraphQLError]:
        """Return an executor for one operation of a valid document.

        If the request is invalid, return its errors instead.

        What depends on the document alone is derived once, and variables that are certainly valid are coerced without
        graphql-core. `values` are the variables if they are coerced already.
        """
        schema = plans.type_plans.schema
        template = plans.templates.get(operation_name)
        if template is None:
            template = create_template(schema, document, operation_name)
            if template is None:
                return StockExecutor.begin(
                    schema, document, operation_name, context, variables, is_awaitable, root_value
                )
            plans.templates[operation_name] = template
        if values is None and template.coercion is not None:
            values = template.coercion.coerce(variables)
        if values is None:
            definitions = template.operation.variable_definitions or ()
            coerced = get_variable_values(schema, definitions, dict(variables), MAX_COERCION_ERRORS, True)
            if isinstance(coerced, list):
                return coerced
            values = coerced
            if template.coercion is None:
                template.coercion = plans.type_plans.coercions.create_variable_coercion(values)
        return cls(template, plans, context, values, is_awaitable, root_value)

    def execute_operation(self) -> PendingResult:
        """Execute a query or mutation, or a subscription with an event as its root value."""
        try:
            root = self._select_root_fields()
            if self.operation.operation is OperationType.MUTATION:
                data = self._execute_serially(root, self.root_value)
            else:
                data = self._execute_fields(root, self.root_value, None)
        except GraphQLError as error:
            return self._respond_null(error)
        return self._await_data(data) if self.is_awaitable(data) else self._respond(data)

    def execute_event(self, event: object, context: object) -> PendingResult:
        """Execute a subscription for one event, in a context of its own."""
        executor = object.__new__(type(self))
        # The same as `copy`, but without its lookup of how an object of this class is copied.
        executor.__dict__.update(self.__dict__)
        executor.root_value = event
        executor.context_value = context
        executor._errors = FieldErrors()
        return executor.execute_operation()

    async def open_event_stream(self) -> AsyncIterable[object] | Sequence[GraphQLError]:
        """Return the events of a subscription, or the errors that prevent it.

        Afterwards the executor has no context of its own.
        """
        try:
            return await self._open_event_stream()
        except GraphQLError as error:
            return [error]
        finally:
            self.context_value = None

    async def _open_event_stream(self) -> AsyncIterable[object]:
        root = self._select_root_fields()
        if not root.fields:
            raise GraphQLError("The subscription selects no field.", self.operation)
        field = root.fields[0][3]
        path = Path(None, field.key, self._root_type.name)
        try:
            subscribe = field.definition.subscribe or default_field_resolver
            stream: object = subscribe(self.root_value, self._create_info(field, path), **self._find_arguments(field))
            if self.is_awaitable(stream):
                stream = await stream
            if isinstance(stream, Exception):
                raise stream
            if not is_async_iterable(stream):
                raise GraphQLError(f"Subscription field must return AsyncIterable. Received: {inspect(stream)}.")
        except Exception as error:
            raise located_error(error, field.nodes, path.as_list()) from error
        return stream

    async def _await_data(self, data: Awaitable[object]) -> ExecutionResult:
        try:
            return self._respond(await data)
        except GraphQLError as error:
            return self._respond_null(error)

    def _respond(self, data: object) -> ExecutionResult:
        return ExecutionResult(cast(dict[str, object], data), self._errors.errors or None)

    def _respond_null(self, error: GraphQLError) -> ExecutionResult:
        self._errors.add(error, None)
        return ExecutionResult(None, self._errors.errors)

    def _select_root_fields(self) -> SelectionPlan:
        root = self._plan.root
        if root is None:
            collected = self._collector.collect(self._root_type, [self.operation.selection_set])
            root = self._plan.root = self._plans.plan_selection(self._root_type, collected)
        return root

    # Objects: their fields, one after the other or concurrently.

    def _execute_serially(self, selection: SelectionPlan, source: object) -> object:
        results: dict[str, object] = {}
        remaining = iter(selection.fields)

        async def continue_after(awaitable: Awaitable[object], key: str) -> dict[str, object]:
            results[key] = await awaitable
            for key, _, _, field in remaining:
                result = self.execute_field(field, source, Path(None, key, selection.type.name))
                results[key] = await result if self.is_awaitable(result) else result
            return results

        for key, _, _, field in remaining:
            result = self.execute_field(field, source, Path(None, key, selection.type.name))
            if self.is_awaitable(result):
                return continue_after(result, key)
            results[key] = result
        return results

    def _execute_fields(self, selection: SelectionPlan, source: object, path: Path | None) -> object:
        results: dict[str, object] = {}
        pending: dict[str, Awaitable[object]] = {}
        typename = selection.type.name
        self.yield_budget.completed_values += len(selection.fields)
        try:
            for key, read, table, field in selection.fields:
                if read is None:
                    result = self.execute_field(field, source, Path(path, key, typename))
                else:
                    try:
                        value = read(source)
                        convert = table.get(type(value), unknown_type)
                        if convert is None:
                            results[key] = value
                            continue
                        if convert is not unknown_type and type(completed := convert(value)) in ATOMIC_TYPES:
                            results[key] = completed
                            continue
                    except Exception as error:
                        self.record_error(error, field.type_plan, field, Path(path, key, typename))
                        result = None
                    else:
                        result = self._complete_read(field, Path(path, key, typename), value)
                results[key] = result
                if self.is_awaitable(result):
                    pending[key] = result
        except Exception:
            if pending:
                self.settle_in_background([*pending.values()])
            raise
        return self.await_fields(results, pending) if pending else results

    async def await_fields(
        self, results: dict[str, object], pending: Mapping[str, Awaitable[object]]
    ) -> dict[str, object]:
        """Await the pending results, and return all results."""
        if len(pending) == 1:
            for key, awaitable in pending.items():
                results[key] = await awaitable
        else:
            results.update(zip(pending, await gather_with_cancel(*pending.values()), strict=True))
        return results

    # Fields: resolved, then completed.

    def execute_field(self, field: PlannedField, source: object, path: Path) -> object:
        """Resolve and complete one field of an object. The result may be awaitable."""
        try:
            return self._complete_field(field, path, self._resolve(field, source, path))
        except Exception as error:
            self.record_error(error, field.type_plan, field, path)
            return None

    def _create_info(self, field: PlannedField, path: Path) -> Info:
        return Info(
            field.name,
            field.nodes,
            field.definition.type,
            field.parent,
            path,
            self.schema,
            self.fragments,
            self.root_value,
            self.operation,
            self.variable_values,
            self.context_value,
            self.is_awaitable,
            None,
            self._helpers,
        )

    def _resolve(self, field: PlannedField, source: object, path: Path) -> object:
        if field.reference is not None and field.call is not None:
            return field.reference.load(self.context_value, source)
        if field.read is not None:
            return field.read(source)
        info = self._create_info(field, path)
        if field.call is not None:
            return field.call(source, info)
        arguments = self._find_arguments(field)
        if field.call_with_arguments is not None:
            return field.call_with_arguments(source, info, arguments)
        resolved: object = (field.definition.resolve or default_field_resolver)(source, info, **arguments)
        return resolved

    def _find_arguments(self, field: PlannedField) -> dict[str, object]:
        arguments = self._argument_values.get(field)
        if arguments is None:
            definition, node = field.definition, field.nodes[0]
            arguments = get_argument_values(definition, node, self.variable_values, hide_suggestions=True)
            self._argument_values[field] = arguments
        return arguments

    def _complete_read(self, field: PlannedField, path: Path, value: object) -> object:
        """Complete a field's value that was read from its row, but whose type is unusual.

        It may be null, an error or awaitable. The result may be awaitable.
        """
        try:
            return self._complete_field(field, path, value)
        except Exception as error:
            self.record_error(error, field.type_plan, field, path)
            return None

    def _complete_field(self, field: PlannedField, path: Path, value: object) -> object:
        if self.is_awaitable(value):
            return self.complete_awaitable(value, field.type_plan, field, path, path)
        completed = self.complete_value(field.type_plan, field, path, path, value)
        return (
            self.await_completion(completed, field.type_plan, field, path)
            if self.is_awaitable(completed)
            else completed
        )

    async def complete_awaitable(
        self, awaitable: Awaitable[object], plan: TypePlan, field: PlannedField, at: Path, path: Path
    ) -> object:
        """Await a resolver's value and complete it."""
        try:
            value = await awaitable
            if plan is field.type_plan and (prefetches := self._find_prefetches(field)):
                await prefetch.load_references(prefetches, self.context_value, value)
            completed = self.complete_value(plan, field, at, path, value)
            return await completed if self.is_awaitable(completed) else completed
        except Exception as error:
            self.record_error(error, plan, field, path)
            return None

    async def await_completion(
        self, completed: Awaitable[object], plan: TypePlan, field: PlannedField, path: Path
    ) -> object:
        """Await a value that is being completed."""
        try:
            return await completed
        except Exception as error:
            self.record_error(error, plan, field, path)
            return None

    def record_error(self, error: Exception, plan: TypePlan, field: PlannedField, path: Path) -> None:
        """Record the error of a field, which becomes null.

        Raises: the error, if the field must not be null.
        """
        located = located_error(error, field.nodes, path.as_list())
        if plan.non_null:
            raise located
        self._errors.add(located, path)

    def settle_in_background(self, awaitables: Sequence[Awaitable[object]]) -> None:
        """Let awaitables end whose results nobody needs any more."""
        self._background.settle(awaitables)

    # Values, by their type. `at` is the path of the field, `path` that of the value: they differ in a list.

    def complete_value(self, plan: TypePlan, field: PlannedField, at: Path, path: Path, value: object) -> object:
        """Convert a resolver's value of the planned type to its response value.

        The result may be awaitable. Raises: any error of the value.
        """
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            if plan.non_null:
                raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")
            return None
        if plan.object_type is not None:
            return self._complete_object(plan.object_type, field, at, path, value)
        if plan.leaf_type is not None:
            return complete_leaf(plan.leaf_type, value)
        if plan.item is not None:
            return self._complete_list(plan.item, field, at, path, value)
        assert plan.abstract_type is not None
        return self._complete_abstract(plan.abstract_type, field, at, path, value)

    def _complete_abstract(
        self, type_: GraphQLAbstractType, field: PlannedField, at: Path, path: Path, value: object
    ) -> object:
        info = self._create_info(field, at)
        name: object = (type_.resolve_type or default_type_resolver)(value, info, type_)

        def complete_as(name: object) -> object:
            position = f"{field.parent}.{field.name}"
            return self._complete_object(
                find_object_type(self.schema, type_, name, position, value), field, at, path, value
            )

        async def complete_later(awaitable: Awaitable[object]) -> object:
            completed = complete_as(await awaitable)
            return await completed if self.is_awaitable(completed) else completed

        return complete_later(name) if self.is_awaitable(name) else complete_as(name)

    def _complete_object(
        self, type_: GraphQLObjectType, field: PlannedField, at: Path, path: Path, value: object
    ) -> object:
        is_type_of = type_.is_type_of
        if is_type_of:
            matches: object = is_type_of(value, NO_INFO if ignores_info(is_type_of) else self._create_info(field, at))
            if self.is_awaitable(matches):
                return self._complete_object_if(matches, type_, field, path, value)
            if not matches:
                raise create_type_error(type_, value, field.nodes)
        return self._execute_fields(self.select_fields(type_, field), value, path)

    async def _complete_object_if(
        self, matches: Awaitable[object], type_: GraphQLObjectType, field: PlannedField, path: Path, value: object
    ) -> object:
        if not await matches:
            raise create_type_error(type_, value, field.nodes)
        completed = self._execute_fields(self.select_fields(type_, field), value, path)
        return await completed if self.is_awaitable(completed) else completed

    def select_fields(self, type_: GraphQLObjectType, field: PlannedField) -> SelectionPlan:
        """Return the fields selected from an object of that type.

        Raises: GraphQLError if a directive has an invalid argument.
        """
        selection = field.below.get(type_)
        if selection is None:
            collected = self._collector.collect(type_, [node.selection_set for node in field.nodes])
            selection = field.below[type_] = self._plans.plan_selection(type_, collected)
        return selection

    def _find_prefetches(self, field: PlannedField) -> Prefetches:
        if field.prefetches is None:
            try:
                field.prefetches = prefetch.find_prefetches(field, self.select_fields)
            except Exception:
                # A directive has an invalid argument. The error belongs to the selection below, which reports it.
                field.prefetches = ()
        return field.prefetches

    # Lists.

    def _complete_list(self, item: TypePlan, field: PlannedField, at: Path, path: Path, value: object) -> object:
        if type(value) is list or type(value) is tuple:
            return ListCompleter(self, item, field, at, path, value).complete()
        if is_async_iterable(value):
            return ListCompleter(self, item, field, at, path, []).complete_stream(value)
        items, failure = read_iterable(value, f"{field.parent}.{field.name}")
        return ListCompleter(self, item, field, at, path, items, failure).complete()

    def complete_together(
        self, type_: GraphQLObjectType, field: PlannedField, values: Sequence[object]
    ) -> ObjectColumns | None:
        """Complete items that are objects, as far as possible for all of them together."""
        result, count = complete_columns(self, type_, field, values)
        self.yield_budget.completed_values += count
        return result
