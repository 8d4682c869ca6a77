"""Defines the types for users, people and groups, and their pages."""

from typing import Any

import strawberry

from resolvers import people
from schema.enums import Role
from schema.field_helpers import UNSET, After, Before, First, Info, Last, as_field_type, paging
from schema.nodes import Node, PageInfo


@strawberry.type(description="A seller or an admin of the team.")
class User(Node):
    name: str = strawberry.field(description="The name that colleagues and recipients see.")
    address: str = strawberry.field(description="The address from which their mail is sent.")
    role: Role = strawberry.field(description="The role, which decides what the user may do.")
    time_zone: str = strawberry.field(description="The IANA name of the time zone that decides when their days begin.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return people.is_user(row)


@strawberry.type(description="A recipient of emails. The address is unique in the team, ignoring case.")
class Person(Node):
    name: str = strawberry.field(description="First and last name.")
    first_name: str | None = strawberry.field(
        description="The first name as imported or entered. If it is null, dynamic fields take it from `name`, or"
        " use the whole name if that is ambiguous."
    )
    address: str = strawberry.field(description="The email address.")
    title: str | None = strawberry.field(description="Their position at work.")
    company: str | None = strawberry.field(description="The organization they work for.")
    phone: str | None = strawberry.field(description="A telephone number, as it was entered.")
    shared: bool = strawberry.field(description="Whether the whole team sees the person.")
    unsubscribed: bool = strawberry.field(
        description="Whether they have unsubscribed, in which case nothing is sent to them."
    )

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return people.is_person(row)

    @strawberry.field(description="The user who added the person.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.owner_id))

    @strawberry.field(description="The groups that contain the person, as far as the viewer may see them.")
    async def groups(self: Any, info: Info) -> list["Group"]:
        return as_field_type(await people.groups_of(info.context, self))


@strawberry.type(description="One person of a page, with their cursor.")
class PersonEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Person = strawberry.field(description="The person at this position.")


@strawberry.type(description="A page of people.")
class PersonConnection:
    edges: list[PersonEdge] = strawberry.field(description="The people with their cursors.")
    nodes: list[Person] = strawberry.field(description="The people of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")


@strawberry.type(description="A static set of people.")
class Group(Node):
    name: str = strawberry.field(description="The name that its owner gave it.")
    shared: bool = strawberry.field(description="Whether the whole team sees it.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return people.is_group(row)

    @strawberry.field(description="The user who created it.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.owner_id))

    @strawberry.field(description="The number of people in it.")
    async def person_count(self: Any, info: Info) -> int:
        return await people.person_count(info.context, self)

    @strawberry.field(description="The people in it, most recently created first.")
    async def people(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PersonConnection:
        return as_field_type(await people.people_of(info.context, self, paging(first, after, last, before)))


@strawberry.type(description="One group of a page, with its cursor.")
class GroupEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Group = strawberry.field(description="The group at this position.")


@strawberry.type(description="A page of groups.")
class GroupConnection:
    edges: list[GroupEdge] = strawberry.field(description="The groups with their cursors.")
    nodes: list[Group] = strawberry.field(description="The groups of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")


@strawberry.type(description="One user of a page, with their cursor.")
class UserEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: User = strawberry.field(description="The user at this position.")


@strawberry.type(description="A page of users.")
class UserConnection:
    edges: list[UserEdge] = strawberry.field(description="The users with their cursors.")
    nodes: list[User] = strawberry.field(description="The users of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
