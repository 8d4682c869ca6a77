"""Users, people and groups."""

from typing import Any

import strawberry

from resolvers import people
from schema.enums import Role
from schema.field_helpers import UNSET, After, Before, First, Info, Last, as_field_type, paging
from schema.nodes import Node, PageInfo


@strawberry.type(description="A seller, or an admin, of the team.")
class User(Node):
    name: str = strawberry.field(description="As colleagues and recipients read it.")
    address: str = strawberry.field(description="Mail is sent from it.")
    role: Role = strawberry.field(description="What the user may do.")
    time_zone: str = strawberry.field(description="Their days begin by it; an IANA name.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return people.is_user(row)


@strawberry.type(description="Someone emails go to. An address is unique in the team, regardless of case.")
class Person(Node):
    name: str = strawberry.field(description="First and last name.")
    first_name: str | None = strawberry.field(
        description="As imported or entered. If it is null, dynamic fields use what `name` says for certain."
    )
    address: str = strawberry.field(description="Where mail to them goes.")
    title: str | None = strawberry.field(description="What they are at work.")
    company: str | None = strawberry.field(description="Where they work.")
    phone: str | None = strawberry.field(description="A number, as it was entered.")
    shared: bool = strawberry.field(description="Whether the team sees them too.")
    unsubscribed: bool = strawberry.field(description="Nothing is sent to them any more.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return people.is_person(row)

    @strawberry.field(description="Who entered them.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.owner_id))

    @strawberry.field(description="The groups they are in, of those the viewer sees.")
    async def groups(self: Any, info: Info) -> list["Group"]:
        return as_field_type(await people.groups_of(info.context, self))


@strawberry.type(description="One person of a page.")
class PersonEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Person = strawberry.field(description="The person itself.")


@strawberry.type(description="A page of people.")
class PersonConnection:
    edges: list[PersonEdge] = strawberry.field(description="The people with their cursors.")
    nodes: list[Person] = strawberry.field(description="The people alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type(description="A static set of people.")
class Group(Node):
    name: str = strawberry.field(description="As its owner named it.")
    shared: bool = strawberry.field(description="Whether the team sees it too.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return people.is_group(row)

    @strawberry.field(description="Who made it.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.owner_id))

    @strawberry.field(description="How many people are in it.")
    async def person_count(self: Any, info: Info) -> int:
        return await people.person_count(info.context, self)

    @strawberry.field(description="Who is in it, newest person first.")
    async def people(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PersonConnection:
        return as_field_type(await people.people_of(info.context, self, paging(first, after, last, before)))


@strawberry.type(description="One group of a page.")
class GroupEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Group = strawberry.field(description="The group itself.")


@strawberry.type(description="A page of groups.")
class GroupConnection:
    edges: list[GroupEdge] = strawberry.field(description="The groups with their cursors.")
    nodes: list[Group] = strawberry.field(description="The groups alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type(description="One user of a page.")
class UserEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: User = strawberry.field(description="The user itself.")


@strawberry.type(description="A page of users.")
class UserConnection:
    edges: list[UserEdge] = strawberry.field(description="The users with their cursors.")
    nodes: list[User] = strawberry.field(description="The users alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
