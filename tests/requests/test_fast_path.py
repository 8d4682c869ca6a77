"""Each field of the product is resolved on the engine's fast path: by a plan, and not by the generic resolver."""

from collections.abc import Iterator

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from strawberry.extensions import FieldExtension

from command_center.graphql_engine.type_plans import TypePlans
from command_center.server.schema_hints import HINTS
from schema.build import create_schema

SCHEMA = create_schema()._schema


def slow_fields(schema: GraphQLSchema) -> Iterator[str]:
    """The fields without a fast way. Those of the subscription root are event streams with a path of their own."""
    plans = TypePlans(schema, HINTS.reference_key)
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_ is not schema.subscription_type and type_.name[:2] != "__":
            for name in type_.fields:
                plan = plans.plan_field(type_, name)
                if plan is None or not (plan.read or plan.call or plan.call_with_arguments):
                    yield f"{type_.name}.{name}"


def test_no_field_of_the_product_leaves_the_fast_path() -> None:
    assert list(slow_fields(SCHEMA)) == []


def test_a_field_that_leaves_the_fast_path_is_noticed() -> None:
    class Extension(FieldExtension):
        pass

    @strawberry.type
    class Query:
        @strawberry.field
        def fast(self) -> int:
            return 1

        @strawberry.field(extensions=[Extension()])  # type: ignore[untyped-decorator]
        def slow(self) -> int:
            return 1

    assert list(slow_fields(strawberry.Schema(Query)._schema)) == ["Query.slow"]
