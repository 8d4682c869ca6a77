"""The two types of each field agree: the annotation that mypy checks, and the type in the schema."""

from collections.abc import AsyncGenerator, Awaitable, Iterator
from types import NoneType, UnionType
from typing import Union, get_args, get_origin

import pytest
import strawberry
from strawberry import Parent
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types import get_object_definition
from strawberry.types.base import StrawberryList, StrawberryObjectDefinition, StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.union import StrawberryUnion
from tortoise.models import Model

from models.people import Group, Person
from models.users import User
from resolvers.change_messages import EntryBatch
from resolvers.nodes import Node
from resolvers.pagination import Page, PageInfo
from resolvers.people import load_user
from resolvers.references import REFERENCE_METADATA_KEY, Reference
from schema.build import create_schema
from schema.field_helpers import PUBLISHED_CLASSES, Info, publishes, reference_field
from schema.nodes import NodeInterface
from schema.people import GroupConnection, GroupType, UserType

SCHEMA = create_schema()._schema


def object_types() -> Iterator[StrawberryObjectDefinition]:
    """Yield the definition of each object type in the schema."""
    for type_ in SCHEMA.type_map.values():
        definition = type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if isinstance(definition, StrawberryObjectDefinition) and not definition.is_input:
            yield definition


def members(annotation: object) -> set[object]:
    """Return the members of a union, or the type alone. Null is left out, and what is only awaited is unwrapped."""
    if get_origin(annotation) in (UnionType, Union):
        return {member for each in get_args(annotation) for member in members(each)}
    if get_origin(annotation) in (Awaitable, AsyncGenerator):
        return members(get_args(annotation)[0])
    return set() if annotation is NoneType else {annotation}


def published(type_: object) -> set[object]:
    """Return the Python classes that a type of the schema publishes; none for scalars, enumerations and payloads."""
    if isinstance(type_, LazyType):
        return published(type_.resolve_type())
    if isinstance(type_, StrawberryOptional):
        return published(type_.of_type)
    if isinstance(type_, StrawberryUnion):
        # The API turns the entries of a batch into messages.
        return {EntryBatch}
    if isinstance(type_, StrawberryList):
        return {("list", each) for each in published(type_.of_type)}
    if type_ is NodeInterface:
        return members(Node)
    class_ = PUBLISHED_CLASSES.get(type_) if isinstance(type_, type) else None
    if class_ is not Page:
        return set() if class_ is None else {class_}
    nodes = next(field for field in get_object_definition(type_, strict=True).fields if field.name == "nodes")
    return {("page", each) for each in published(nodes.type)}


def annotated(annotation: object) -> set[object]:
    """Return the classes of an annotation in the form of `published`."""
    found: set[object] = set()
    for each in members(annotation):
        if get_origin(each) is list:
            found |= {("list", item) for item in annotated(get_args(each)[0])}
        elif get_origin(each) is Page:
            found.add(("page", ("list", get_args(each)[0])))
        else:
            found.add(each)
    return found


def disagreements(definition: StrawberryObjectDefinition) -> Iterator[str]:
    """Yield a text for each field whose annotations and types do not fit."""
    owner, class_ = definition.origin, PUBLISHED_CLASSES.get(definition.origin)
    for field in definition.fields:
        where = f"{definition.name}.{field.python_name}"
        if class_ is not None and not _takes(field, class_):
            yield f"{where} is not for a {class_.__name__}"
        expected, found = published(field.type), annotated(_annotation(owner, field))
        if expected and found not in (expected, {object}, {("list", object)}):
            yield f"{where} is {found}, not {expected}"


def _takes(field: StrawberryField, class_: type) -> bool:
    """Return whether the field can be resolved for an instance of the class."""
    reference = field.metadata.get(REFERENCE_METADATA_KEY)
    if reference is not None:
        return _has(class_, reference.attribute)
    if field.base_resolver is None:
        return _has(class_, field.python_name)
    parent = field.base_resolver.parent_parameter
    return parent is not None and class_ in members(get_args(parent.annotation)[0])


def _has(class_: type, attribute: str) -> bool:
    if class_ in (Page, PageInfo):
        # Their attributes are assigned in `__init__`, and every test of a page reads them.
        return True
    columns = class_._meta.fields_map if issubclass(class_, Model) else {}
    annotations = {name for base in class_.__mro__ for name in getattr(base, "__annotations__", {})}
    return attribute in annotations or attribute in columns or hasattr(class_, attribute)


def _annotation(owner: type, field: StrawberryField) -> object:
    reference = field.metadata.get(REFERENCE_METADATA_KEY)
    if reference is not None:
        return reference.model
    if field.base_resolver is not None:
        return field.base_resolver.signature.return_annotation
    return next(base.__annotations__[field.name] for base in owner.__mro__ if field.name in base.__annotations__)


@pytest.mark.parametrize("definition", list(object_types()), ids=lambda definition: definition.name)
def test_what_mypy_checks_is_what_the_schema_publishes(definition: StrawberryObjectDefinition) -> None:
    assert list(disagreements(definition)) == []


def test_a_disagreement_is_noticed() -> None:
    @publishes(Group, "A group with wrong types.", "WrongGroup")
    class WrongGroup:
        color: str
        team = reference_field(Reference(Person, "person_id"), UserType, "Another table.")

        @strawberry.field(graphql_type=GroupType)  # type: ignore[untyped-decorator]
        @staticmethod
        async def owner(group: Parent[Group], info: Info) -> User | None:
            return await load_user(info.context, group.owner_id)

        @strawberry.field
        @staticmethod
        def name(person: Parent[Person]) -> str:
            return "name"

        @strawberry.field(graphql_type=GroupConnection)  # type: ignore[untyped-decorator]
        @staticmethod
        async def people(group: Parent[Group], info: Info) -> Page[Person]:
            raise NotImplementedError

    found = list(disagreements(get_object_definition(WrongGroup, strict=True)))
    del PUBLISHED_CLASSES[WrongGroup]
    assert [text.split(" ")[0].removeprefix("WrongGroup.") for text in found] == [
        "color", "team", "team", "owner", "name", "people"
    ]  # fmt: skip
