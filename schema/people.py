"""Defines the types for users, people and groups, and their pages."""

import strawberry
from strawberry import Parent

from models.people import Group, Person
from models.users import User
from resolvers import people
from resolvers.pagination import Page
from schema.connections import define_connection
from schema.enums import Role
from schema.field_helpers import UNSET, After, Before, First, Info, Last, publishes, to_arguments
from schema.nodes import NodeInterface


@publishes(User, "A seller or an admin of the team.")
class UserType(NodeInterface):
    name: str = strawberry.field(description="The name that colleagues and recipients see.")
    address: str = strawberry.field(description="The address from which their mail is sent.")
    role: Role = strawberry.field(description="The role, which decides what the user may do.")
    time_zone: str = strawberry.field(description="The IANA name of the time zone that decides when their days begin.")


@publishes(Person, "A recipient of emails. The address is unique in the team, ignoring case.")
class PersonType(NodeInterface):
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

    @strawberry.field(description="The user who added the person.", graphql_type=UserType)
    @staticmethod
    async def owner(person: Parent[Person], info: Info) -> User | None:
        return await people.load_user(info.context, person.owner_id)

    @strawberry.field(
        description="The groups that contain the person, as far as the viewer may see them.",
        graphql_type="list[GroupType]",
    )
    @staticmethod
    async def groups(person: Parent[Person], info: Info) -> list[Group]:
        return await people.load_groups_of_person(info.context, person)


PersonConnection = define_connection(PersonType, "person", "people", possessive="their")


@publishes(Group, "A static set of people.")
class GroupType(NodeInterface):
    name: str = strawberry.field(description="The name that its owner gave it.")
    shared: bool = strawberry.field(description="Whether the whole team sees it.")

    @strawberry.field(description="The user who created it.", graphql_type=UserType)
    @staticmethod
    async def owner(group: Parent[Group], info: Info) -> User | None:
        return await people.load_user(info.context, group.owner_id)

    @strawberry.field(description="The number of people in it.")
    @staticmethod
    async def person_count(group: Parent[Group], info: Info) -> int:
        return await people.count_people(info.context, group)

    @strawberry.field(description="The people in it, most recently created first.", graphql_type=PersonConnection)
    @staticmethod
    async def people(
        group: Parent[Group],
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Person]:
        return await people.load_people_of_group(info.context, group, to_arguments(first, after, last, before))


GroupConnection = define_connection(GroupType, "group", "groups")
UserConnection = define_connection(UserType, "user", "users", possessive="their")
