"""The schemas that documents are held against."""

from functools import cache

from graphql import GraphQLSchema, build_schema

from schema.build import format_sdl


@cache
def product_schema() -> GraphQLSchema:
    """The product's, without resolvers: nothing is carried out here."""
    return build_schema(format_sdl())


@cache
def conflicting_schema() -> GraphQLSchema:
    """One in which the same names mean different things on types that meet in interfaces and a union."""
    return build_schema(
        """
        interface Node { id: ID! self: Node kin(n: Int): [Node] }
        interface Named implements Node { id: ID! self: Named kin(n: Int): [Named] name(n: Int): String }
        type A implements Node & Named {
          id: ID! self: A kin(n: Int): [A] name(n: Int): String x: Int y: [String] a: A b: B list: [A!]! either: Either
        }
        type B implements Node & Named {
          id: ID! self: B kin(n: Int): [B!] name(n: Int, m: Int): String! x: String y: String a: B b: [B] list: [B]
          either: Either
        }
        type C implements Node { id: ID! self: C kin(n: Int): [C] name: String x: Int y: Int a: A b: B list: [Either] }
        union Either = A | B
        type Query { node(n: Int): Node named: Named a: A b: B c: C either: Either list(n: Int): [Either] }
        """
    )
