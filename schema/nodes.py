"""Defines the Node interface of objects with an id."""

import strawberry
from strawberry import Parent

from resolvers import nodes


@strawberry.interface(name="Node", description="An object that can be fetched by its id.")
class NodeInterface:
    @strawberry.field(description="Opaque, and unique among all objects.")
    @staticmethod
    def id(node: Parent[nodes.Node]) -> strawberry.ID:
        return strawberry.ID(nodes.encode_id(node))
