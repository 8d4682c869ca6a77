"""Collects all tables in one module, from which Tortoise loads its models."""

from models.campaigns import BulkSend, Campaign, Template
from models.changes import Change, ChangeLog, ClockState, Invalidation, Lease, MatcherState, RestoreState
from models.emails import Email, FolderCount, SendRequest
from models.engagements import DeliveryReport, Engagement
from models.idempotent_requests import IdempotentRequest
from models.people import Group, GroupPerson, Person
from models.searches import Membership, SavedSearch
from models.tasks import Task
from models.teams import Team
from models.users import User

__all__ = [
    "BulkSend",
    "Campaign",
    "Change",
    "ChangeLog",
    "ClockState",
    "DeliveryReport",
    "Email",
    "Engagement",
    "FolderCount",
    "Group",
    "GroupPerson",
    "IdempotentRequest",
    "Invalidation",
    "Lease",
    "MatcherState",
    "Membership",
    "Person",
    "RestoreState",
    "SavedSearch",
    "SendRequest",
    "Task",
    "Team",
    "Template",
    "User",
]
