"""The executor: graphql-core's, which by a plan reads plain fields off their rows and looks up nothing twice.

Each method here does what the stock one of its kind does, in the same order and with the same awaits, so that values,
errors, their paths and order are the same. Whatever is not understood is handed to the stock methods, which remain.
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
from command_center.graphql_engine.plans import ExecutionTemplate, Field, Plan, Plans, Selection, Wanted
from command_center.graphql_engine.type_plans import ATOMS, Info, Kind, TypePlan, blind, other
from command_center.graphql_engine.yield_budget import YieldBudget


class PlannedExecutor(ExecutorThrowingOnIncremental):
    """`plans` are those of the document that is executed."""

    def __init__(self, *arguments: Any, plans: Plans, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.turns = YieldBudget()
        self._plan: Plan = plans.plan(self.operation, self.variable_values.coerced)
        self._arguments: dict[Field, dict[str, Any]] = {}
        """They are the same for every object that a field is asked of, and every event of a stream."""

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        """Made for each resolver that is told of them. One that was kept would lead back here: then every execution and
        its context waits for the collector of cycles, which stops everything to take them apart by the thousand."""
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _: GraphQLResolveInfoHelpers) -> None:
        """The stock class keeps one."""

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
        """An execution of one operation, or what is wrong with what was asked.

        What `build` finds out from the document it finds out once, and variables that are plainly right are made
        without it. `values` are the variables' if they were coerced before.
        """
        known = plans.begun.get(operation_name)
        if known is not None and values is None:
            values = known.values(variables)
        if known is not None and values is not None:
            return cls(
                schema,
                *known[:2],
                *(None, context, known.operation, values),
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
        if known is None and isinstance(built, cls):
            made = plans.shapes.coercions.of(built.operation.variable_definitions or ())
            plans.begun[operation_name] = ExecutionTemplate(
                built.fragment_definitions, built.fragments, built.operation, made
            )
        return built  # type: ignore[no-any-return]

    def build_per_event_executor(self, payload: Any) -> "PlannedExecutor":
        executor = object.__new__(type(self))
        # What `copy` comes to, but for the question how an object of the class is taken apart.
        executor.__dict__.update(self.__dict__)
        executor.root_value = payload
        executor.collected_errors = CollectedErrors()
        return executor

    def execute_operation(self, serially: bool | None = None) -> Any:
        """By the plan of an operation that was carried out before."""
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
        if new_defer_usages or self.middleware_manager or self.abort_signal:
            return super().execute_collected_root_fields(
                root_type, root_value, grouped_field_set, serially, new_defer_usages
            )
        selection = self._plan.root
        if selection is None:
            selection = self._plan.root = self._plan.selection(root_type, grouped_field_set)
        return self._serially(selection, root_value) if serially else self._fields(selection, root_value, None)

    # An object: its fields, one after the other or together.

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
        self.turns.spent += len(selection.fields)
        try:
            for key, read, table, field in selection.fields:
                if read is None:
                    result = self.field(field, source, Path(path, key, typename))
                else:
                    try:
                        value = read(source)
                        make = table.get(type(value), other)
                        if make is None:
                            results[key] = value
                            continue
                        if make is not other and type(made := make(value)) in ATOMS:
                            results[key] = made
                            continue
                    except Exception as error:
                        self.failed(error, field.shape, field, Path(path, key, typename))
                        result = None
                    else:
                        result = self._found(field, Path(path, key, typename), value)
                results[key] = result
                if self.is_awaitable(result):
                    pending.append(key)
        except Exception:
            if pending:
                self.settle_in_background([results[key] for key in pending])
            raise
        return self.awaited_fields(results, pending) if pending else results

    async def awaited_fields(self, results: dict[str, Any], pending: list[str]) -> dict[str, Any]:
        if len(pending) == 1:
            results[pending[0]] = await results[pending[0]]
        else:
            results.update(zip(pending, await gather_with_cancel(*(results[key] for key in pending)), strict=True))
        return results

    # A field: resolved, then completed.

    def field(self, field: Field, source: Any, path: Path) -> Any:
        try:
            return self._settled(field, path, self._resolved(field, source, path))
        except Exception as error:
            self.failed(error, field.shape, field, path)
            return None

    def _info(self, field: Field, path: Path) -> Info:
        return self.build_resolve_info(field.definition, field.nodes, field.parent, path)

    def _resolved(self, field: Field, source: Any, path: Path) -> Any:
        if field.pointer is not None and field.call is not None:
            return field.pointer.follow(self.context_value, source)
        if field.read is not None:
            return field.read(source)
        info = self._info(field, path)
        if field.call is not None:
            return field.call(source, info)
        arguments = self._arguments.get(field)
        if arguments is None:
            arguments = self._arguments[field] = self._given(field)
        if field.asked is not None:
            return field.asked(source, info, arguments)
        return (field.definition.resolve or self.field_resolver)(source, info, **arguments)

    def _given(self, field: Field) -> dict[str, Any]:
        first, definition = field.details[0], field.definition
        if not definition.args and not first.node.arguments:
            return {}
        return get_argument_values(
            definition, first.node, self.variable_values, first.fragment_variable_values, self.hide_suggestions
        )

    def _found(self, field: Field, path: Path, value: Any) -> Any:
        """Of a value that was read, but is not one that a table vouches for."""
        try:
            return self._settled(field, path, value)
        except Exception as error:
            self.failed(error, field.shape, field, path)
            return None

    def _settled(self, field: Field, path: Path, value: Any) -> Any:
        if self.is_awaitable(value):
            return self.awaited(value, field.shape, field, path, path)
        completed = self.complete(field.shape, field, path, path, value)
        return self.later(completed, field.shape, field, path) if self.is_awaitable(completed) else completed

    async def awaited(self, awaitable: Awaitable[Any], shape: TypePlan, field: Field, at: Path, path: Path) -> Any:
        """What somebody's awaitable comes to, completed."""
        try:
            value = await awaitable
            if shape is field.shape and (wanted := self._wanted(field)):
                await prefetch.prefetch(wanted, self.context_value, value)
            completed = self.complete(shape, field, at, path, value)
            return await completed if self.is_awaitable(completed) else completed
        except Exception as error:
            self.failed(error, shape, field, path)
            return None

    async def later(self, completed: Awaitable[Any], shape: TypePlan, field: Field, path: Path) -> Any:
        """What is being completed, once it is."""
        try:
            return await completed
        except Exception as error:
            self.failed(error, shape, field, path)
            return None

    def failed(self, error: Exception, shape: TypePlan, field: Field, path: Path) -> None:
        """Notes the error. Raises it where there may be no null."""
        self.handle_field_error(error, shape.full, field.details, path)

    # A value, by its type. `at` is the path of its field, `path` its own: they differ in a list.

    def complete(self, shape: TypePlan, field: Field, at: Path, path: Path, value: Any) -> Any:
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

    def _abstract(self, shape: TypePlan, field: Field, at: Path, path: Path, value: Any) -> Any:
        info = self._info(field, at)
        found: Any = (shape.type.resolve_type or self.type_resolver)(value, info, shape.type)

        def chosen(name: Any) -> Any:
            type_ = self.ensure_valid_runtime_type(name, shape.type, field.details, info, value)
            return self._object(type_, field, at, path, value)

        async def awaited() -> Any:
            completed = chosen(await found)
            return await completed if self.is_awaitable(completed) else completed

        return awaited() if self.is_awaitable(found) else chosen(found)

    def _object(self, type_: GraphQLObjectType, field: Field, at: Path, path: Path, value: Any) -> Any:
        if type_.is_type_of:
            seen: Any = None if blind(type_.is_type_of) else self._info(field, at)
            fits: Any = type_.is_type_of(value, seen)
            if self.is_awaitable(fits):
                return self._object_if(fits, type_, field, path, value)
            if not fits:
                raise invalid_return_type_error(type_, value, field.details)
        return self._below(type_, field, path, value)

    async def _object_if(
        self, fits: Awaitable[bool], type_: GraphQLObjectType, field: Field, path: Path, value: Any
    ) -> Any:
        if not await fits:
            raise invalid_return_type_error(type_, value, field.details)
        completed = self._below(type_, field, path, value)
        return await completed if self.is_awaitable(completed) else completed

    def _below(self, type_: GraphQLObjectType, field: Field, path: Path, value: Any) -> Any:
        selection = self.selected(type_, field)
        if selection is None:
            return self.collect_and_execute_subfields(type_, field.details, path, value, None)
        return self._fields(selection, value, path)

    def selected(self, type_: GraphQLObjectType, field: Field) -> Selection | None:
        if type_ not in field.below:
            collected = self.collect_subfields(type_, field.details)
            known = not collected.new_defer_usages
            field.below[type_] = self._plan.selection(type_, collected.grouped_field_set) if known else None
        return field.below[type_]

    def _wanted(self, field: Field) -> Wanted:
        if field.wanted is None:
            try:
                field.wanted = prefetch.wanted(field, self.selected)
            except Exception:
                # A directive's argument is wrong, which is an error of whatever stands there.
                field.wanted = ()
        return field.wanted

    # A list.

    def _list(self, shape: TypePlan, field: Field, at: Path, path: Path, value: Any) -> Any:
        if shape.item is None or field.streams or type(value) not in (list, tuple):
            return self.complete_list_value(shape.type, field.details, self._info(field, at), path, value, None)
        return ListCompleter(self, shape.item, field, at, path, value).complete()

    def together(self, shape: TypePlan, field: Field, values: Sequence[Any]) -> Columns | None:
        """Items that are objects, as far as they can be completed all at once."""
        found, count = columns(self, shape.type, field, values)
        self.turns.spent += count
        return found
