"""Extends graphql-core's executor with plans.

It reads simple fields directly from rows, and repeats no lookups. Each method does the same as its counterpart in
graphql-core, in the same order and with the same awaits. Values, errors and their paths and order are therefore the
same. Cases that are not supported here go to the inherited methods.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfoHelpers,
    GraphQLSchema,
    OperationType,
    Undefined,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution import get_argument_values
from graphql.execution.executor import CollectedErrors, invalid_return_type_error
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.execution.values import VariableValues
from graphql.pyutils import Path, gather_with_cancel

from command_center.graphql_engine import prefetch
from command_center.graphql_engine.columns import Columns, columns
from command_center.graphql_engine.list_completion import ListCompleter
from command_center.graphql_engine.plans import ExecutionTemplate, Plan, PlannedField, Plans, Prefetches, Selection
from command_center.graphql_engine.type_plans import ATOMIC_TYPES, Info, Kind, TypePlan, ignores_info, unknown_type
from command_center.graphql_engine.yield_budget import YieldBudget


class PlannedExecutor(ExecutorThrowingOnIncremental):
    """Executes one operation. `plans` are those of its document."""

    def __init__(self, *arguments: Any, plans: Plans, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.yield_budget = YieldBudget()
        self._plan: Plan = plans.plan(self.operation, self.variable_values.coerced)
        self._argument_values: dict[PlannedField, dict[str, Any]] = {}
        """Coerced arguments. They are the same for all objects with the field, and for all events of a stream."""

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        """Return new helpers for each resolver that receives them.

        If one were stored, it would refer back to this executor. Every execution and its context would then wait for
        the garbage collector, whose pauses grow with the number of such cycles.
        """
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _: GraphQLResolveInfoHelpers) -> None:
        """Ignore the helpers that the inherited class wants to store."""

    @classmethod
    def begin(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        context: Any,
        variables: Mapping[str, Any],
        operation_name: str | None,
        is_awaitable: Any,
        plans: Plans,
        values: VariableValues | None = None,
    ) -> "PlannedExecutor | list[GraphQLError]":
        """Return an executor for one operation, or the errors of the request.

        What `build` derives from the document is derived once, and variables that are certainly valid are coerced
        without it. `values` are the variables if they are coerced already.
        """
        template = plans.templates.get(operation_name)
        if template is not None and values is None:
            values = template.coercion(variables)
        if template is not None and values is not None:
            return cls(
                schema,
                *template[:2],
                *(None, context, template.operation, values),
                *(default_field_resolver, default_type_resolver, default_field_resolver),
                is_awaitable=is_awaitable,
                hide_suggestions=True,
                plans=plans,
            )
        built: Any = cls.build(
            schema,
            document,
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=operation_name,
            is_awaitable=is_awaitable,
            hide_suggestions=True,
            plans=plans,
        )
        if template is None and isinstance(built, cls):
            coercion = plans.type_plans.coercions.for_variables(built.operation.variable_definitions or ())
            plans.templates[operation_name] = ExecutionTemplate(
                built.fragment_definitions, built.fragments, built.operation, coercion
            )
        return built  # type: ignore[no-any-return]

    def build_per_event_executor(self, payload: Any) -> "PlannedExecutor":
        """Return an executor for one event of a stream, with this event as the root value."""
        executor = object.__new__(type(self))
        # The same as `copy`, but without its lookup of how an object of this class is copied.
        executor.__dict__.update(self.__dict__)
        executor.root_value = payload
        executor.collected_errors = CollectedErrors()
        return executor

    def execute_operation(self, serially: bool | None = None) -> Any:
        """Execute the operation, with its plan if it was executed before."""
        root = self._plan.root
        if root is None or self.middleware_manager or self.abort_signal:
            return super().execute_operation(serially)
        if serially is None:
            serially = self.operation.operation is OperationType.MUTATION
        try:
            data = self._serially(root, self.root_value) if serially else self._fields(root, self.root_value, None)
        except GraphQLError as error:
            self.collected_errors.add(error, None)
            return self.finish(self.build_response(None))
        return self._answered(data) if self.is_awaitable(data) else self.finish(self.build_response(data))

    async def _answered(self, data: Awaitable[Any]) -> Any:
        try:
            return self.build_response(await data)
        except GraphQLError as error:
            self.collected_errors.add(error, None)
            return self.build_response(None)
        except Exception:
            await self.cancel_incremental_work()
            self.run_async_work_finished_hook()
            raise

    def execute_collected_root_fields(
        self, root_type: Any, root_value: Any, grouped_field_set: Any, serially: bool, new_defer_usages: Any
    ) -> Any:
        """Execute the root fields, and store them in the plan for the next execution."""
        if new_defer_usages or self.middleware_manager or self.abort_signal:
            return super().execute_collected_root_fields(
                root_type, root_value, grouped_field_set, serially, new_defer_usages
            )
        selection = self._plan.root
        if selection is None:
            selection = self._plan.root = self._plan.selection(root_type, grouped_field_set)
        return self._serially(selection, root_value) if serially else self._fields(selection, root_value, None)

    # Objects: their fields, one after the other or concurrently.

    def _serially(self, selection: Selection, source: Any) -> Any:
        results: dict[str, Any] = {}
        parts = iter(selection.fields)

        async def go_on(awaitable: Awaitable[Any], key: str) -> dict[str, Any]:
            results[key] = await awaitable
            for key, _, _, field in parts:
                result = self.field(field, source, Path(None, key, selection.type.name))
                results[key] = await result if self.is_awaitable(result) else result
            return results

        for key, _, _, field in parts:
            result = self.field(field, source, Path(None, key, selection.type.name))
            if self.is_awaitable(result):
                return go_on(result, key)
            results[key] = result
        return results

    def _fields(self, selection: Selection, source: Any, path: Path | None) -> Any:
        results: dict[str, Any] = {}
        pending: list[str] = []
        typename = selection.type.name
        self.yield_budget.completed_values += len(selection.fields)
        try:
            for key, read, table, field in selection.fields:
                if read is None:
                    result = self.field(field, source, Path(path, key, typename))
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
                    pending.append(key)
        except Exception:
            if pending:
                self.settle_in_background([results[key] for key in pending])
            raise
        return self.awaited_fields(results, pending) if pending else results

    async def awaited_fields(self, results: dict[str, Any], pending: list[str]) -> dict[str, Any]:
        """Await the pending results, and return all results."""
        if len(pending) == 1:
            results[pending[0]] = await results[pending[0]]
        else:
            results.update(zip(pending, await gather_with_cancel(*(results[key] for key in pending)), strict=True))
        return results

    # Fields: resolved, then completed.

    def field(self, field: PlannedField, source: Any, path: Path) -> Any:
        """Resolve and complete one field of an object. The result may be awaitable."""
        try:
            return self._complete_field(field, path, self._resolve(field, source, path))
        except Exception as error:
            self.record_error(error, field.type_plan, field, path)
            return None

    def _info(self, field: PlannedField, path: Path) -> Info:
        return self.build_resolve_info(field.definition, field.nodes, field.parent, path)

    def _resolve(self, field: PlannedField, source: Any, path: Path) -> Any:
        if field.reference is not None and field.call is not None:
            return field.reference.load(self.context_value, source)
        if field.read is not None:
            return field.read(source)
        info = self._info(field, path)
        if field.call is not None:
            return field.call(source, info)
        arguments = self._argument_values.get(field)
        if arguments is None:
            arguments = self._argument_values[field] = self._coerce_arguments(field)
        if field.call_with_arguments is not None:
            return field.call_with_arguments(source, info, arguments)
        return (field.definition.resolve or self.field_resolver)(source, info, **arguments)

    def _coerce_arguments(self, field: PlannedField) -> dict[str, Any]:
        first, definition = field.details[0], field.definition
        if not definition.args and not first.node.arguments:
            return {}
        return get_argument_values(
            definition, first.node, self.variable_values, first.fragment_variable_values, self.hide_suggestions
        )

    def _complete_read(self, field: PlannedField, path: Path, value: Any) -> Any:
        """Complete a value that was read but whose type is not in the table."""
        try:
            return self._complete_field(field, path, value)
        except Exception as error:
            self.record_error(error, field.type_plan, field, path)
            return None

    def _complete_field(self, field: PlannedField, path: Path, value: Any) -> Any:
        if self.is_awaitable(value):
            return self.complete_awaitable(value, field.type_plan, field, path, path)
        completed = self.complete(field.type_plan, field, path, path, value)
        return (
            self.await_completion(completed, field.type_plan, field, path)
            if self.is_awaitable(completed)
            else completed
        )

    async def complete_awaitable(
        self, awaitable: Awaitable[Any], shape: TypePlan, field: PlannedField, at: Path, path: Path
    ) -> Any:
        """Await a resolver's value and complete it."""
        try:
            value = await awaitable
            if shape is field.type_plan and (prefetches := self._prefetches(field)):
                await prefetch.prefetch(prefetches, self.context_value, value)
            completed = self.complete(shape, field, at, path, value)
            return await completed if self.is_awaitable(completed) else completed
        except Exception as error:
            self.record_error(error, shape, field, path)
            return None

    async def await_completion(
        self, completed: Awaitable[Any], shape: TypePlan, field: PlannedField, path: Path
    ) -> Any:
        """Await a value that is being completed."""
        try:
            return await completed
        except Exception as error:
            self.record_error(error, shape, field, path)
            return None

    def record_error(self, error: Exception, shape: TypePlan, field: PlannedField, path: Path) -> None:
        """Record the error. Raises it if the field must not be null."""
        self.handle_field_error(error, shape.full, field.details, path)

    # Values, by their type. `at` is the path of the field, `path` that of the value: they differ in a list.

    def complete(self, shape: TypePlan, field: PlannedField, at: Path, path: Path, value: Any) -> Any:
        """Complete a value of the type.

        The result may be awaitable. Raises: any error of the value.
        """
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            if shape.non_null:
                raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")
            return None
        kind = shape.kind
        if kind is Kind.OBJECT:
            return self._object(shape.type, field, at, path, value)
        if kind is Kind.LEAF:
            return self.complete_leaf_value(shape.type, value)
        if kind is Kind.LIST:
            return self._list(shape, field, at, path, value)
        return self._abstract(shape, field, at, path, value)

    def _abstract(self, shape: TypePlan, field: PlannedField, at: Path, path: Path, value: Any) -> Any:
        info = self._info(field, at)
        runtime_type: Any = (shape.type.resolve_type or self.type_resolver)(value, info, shape.type)

        def complete_as(name: Any) -> Any:
            type_ = self.ensure_valid_runtime_type(name, shape.type, field.details, info, value)
            return self._object(type_, field, at, path, value)

        async def awaited() -> Any:
            completed = complete_as(await runtime_type)
            return await completed if self.is_awaitable(completed) else completed

        return awaited() if self.is_awaitable(runtime_type) else complete_as(runtime_type)

    def _object(self, type_: GraphQLObjectType, field: PlannedField, at: Path, path: Path, value: Any) -> Any:
        if type_.is_type_of:
            info: Any = None if ignores_info(type_.is_type_of) else self._info(field, at)
            matches: Any = type_.is_type_of(value, info)
            if self.is_awaitable(matches):
                return self._object_if(matches, type_, field, path, value)
            if not matches:
                raise invalid_return_type_error(type_, value, field.details)
        return self._below(type_, field, path, value)

    async def _object_if(
        self, matches: Awaitable[bool], type_: GraphQLObjectType, field: PlannedField, path: Path, value: Any
    ) -> Any:
        if not await matches:
            raise invalid_return_type_error(type_, value, field.details)
        completed = self._below(type_, field, path, value)
        return await completed if self.is_awaitable(completed) else completed

    def _below(self, type_: GraphQLObjectType, field: PlannedField, path: Path, value: Any) -> Any:
        selection = self.selected(type_, field)
        if selection is None:
            return self.collect_and_execute_subfields(type_, field.details, path, value, None)
        return self._fields(selection, value, path)

    def selected(self, type_: GraphQLObjectType, field: PlannedField) -> Selection | None:
        """Return the fields selected from an object of that type.

        The result is None if graphql-core has to execute them.
        """
        if type_ not in field.below:
            collected = self.collect_subfields(type_, field.details)
            can_plan = not collected.new_defer_usages
            field.below[type_] = self._plan.selection(type_, collected.grouped_field_set) if can_plan else None
        return field.below[type_]

    def _prefetches(self, field: PlannedField) -> Prefetches:
        if field.prefetches is None:
            try:
                field.prefetches = prefetch.find_prefetches(field, self.selected)
            except Exception:
                # A directive has an invalid argument. The error belongs to the selection below, which reports it.
                field.prefetches = ()
        return field.prefetches

    # Lists.

    def _list(self, shape: TypePlan, field: PlannedField, at: Path, path: Path, value: Any) -> Any:
        if shape.item is None or field.streams or type(value) not in (list, tuple):
            return self.complete_list_value(shape.type, field.details, self._info(field, at), path, value, None)
        return ListCompleter(self, shape.item, field, at, path, value).complete()

    def complete_together(self, shape: TypePlan, field: PlannedField, values: Sequence[Any]) -> Columns | None:
        """Complete items that are objects, as far as possible for all of them together."""
        result, count = columns(self, shape.type, field, values)
        self.yield_budget.completed_values += count
        return result
