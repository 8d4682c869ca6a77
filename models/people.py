"""Defines the tables of people, who receive emails, and of groups.

A group is a static set of people.

A person or a group is private to its owner or shared with the team.
"""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.viewers import Viewer


class Person(Model):
    """A recipient of emails.

    `address_folded` is the comparison key of the address (see `email_addresses`). It is unique in a team: old rows
    whose keys were equal got a number added. `address_search` is the folded address, which searches and filters use.

    A folded text may be longer than the original, because one letter can fold to three.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    owner: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=True)
    owner_id: int
    name = fields.CharField(max_length=200)
    name_folded = fields.CharField(max_length=800)
    first_name = fields.CharField(max_length=200, null=True)
    """The first name as imported or entered. If it is None, dynamic fields derive one from `name` (`split_name`)."""
    address = fields.CharField(max_length=320)
    address_folded = fields.CharField(max_length=1280)
    address_search = fields.CharField(max_length=1280, db_default="")
    title = fields.CharField(max_length=200, null=True)
    company = fields.CharField(max_length=200, null=True)
    company_folded = fields.CharField(max_length=800, null=True)
    phone = fields.CharField(max_length=64, null=True)
    shared = fields.BooleanField(default=True)
    unsubscribed_at = MomentField(null=True)
    created_at = MomentField()

    class Meta:
        table = "people"
        unique_together = (("team_id", "address_folded"),)
        indexes = (("team_id", "created_at", "id"),)

    @property
    def unsubscribed(self) -> bool:
        return self.unsubscribed_at is not None

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for people that the viewer may see.

        A user sees what they own and what is shared with the team.
        """
        return Q(team_id=viewer.team_id) & (Q(shared=True) | Q(owner_id=viewer.user_id))


class Group(Model):
    """A static set of people. Its rows of `GroupPerson` are the people in it."""

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    owner: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=True)
    owner_id: int
    name = fields.CharField(max_length=200)
    shared = fields.BooleanField(default=False)
    created_at = MomentField()

    class Meta:
        table = "person_groups"
        indexes = (("team_id", "created_at", "id"),)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for groups that the viewer may see.

        A user sees what they own and what is shared with the team.
        """
        return Q(team_id=viewer.team_id) & (Q(shared=True) | Q(owner_id=viewer.user_id))


class GroupPerson(Model):
    """The membership of one person in one group."""

    id = fields.BigIntField(primary_key=True)
    group: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Group", db_index=False)
    group_id: int
    person: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField(
        "models.Person", related_name="memberships", db_index=False
    )
    person_id: int

    class Meta:
        table = "group_people"
        unique_together = (("group_id", "person_id"),)
        indexes = (("person_id", "group_id"),)
