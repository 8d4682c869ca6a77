"""Defines the table of teams.

A team is a tenant: no user sees data of another team.
"""

from tortoise import fields
from tortoise.models import Model

from command_center.database.fields import MomentField


class Team(Model):
    """One tenant."""

    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=200, unique=True)
    created_at = MomentField()

    class Meta:
        table = "teams"
