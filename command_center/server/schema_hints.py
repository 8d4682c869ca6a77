"""Hints about this schema for the GraphQL engine.

The engine needs them to estimate the cost of an operation.
"""

from collections.abc import Mapping

from tortoise.models import Model

from command_center.graphql_engine.hints import Measure, SchemaHints
from models.enums import FolderName
from models.folders import GROUPS
from resolvers.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from resolvers.references import REFERENCE_METADATA_KEY

LISTS: Mapping[str, tuple[Measure, int]] = {
    # One for each kind of markup that was removed.
    "BulkSendPayload.notices": (Measure.FIXED, 10),
    "EmailPayload.notices": (Measure.FIXED, 10),
    "TemplatePayload.notices": (Measure.FIXED, 10),
    "EmailsPayload.emails": (Measure.BATCH, DEFAULT_PAGE_SIZE),
    "EngagementsPayload.engagements": (Measure.BATCH, DEFAULT_PAGE_SIZE),
    "FilterExplanation.leaves": (Measure.FIXED, 64),
    "FolderCounts.folders": (Measure.FIXED, len(FolderName)),
    "FolderCounts.groups": (Measure.FIXED, len(GROUPS)),
    "FolderGroup.folders": (Measure.FIXED, max(map(len, GROUPS.values()))),
    # Their number has no limit, but a person is usually in a few.
    "Person.groups": (Measure.FIXED, 10),
    "Query.folders": (Measure.FIXED, len(GROUPS)),
    "Query.nodes": (Measure.IDS, DEFAULT_PAGE_SIZE),
    # `taskCreateForMembers` may return one for each member of a list; that counts as a page.
    "TasksPayload.tasks": (Measure.BATCH, DEFAULT_PAGE_SIZE),
}
"""How the size of lists other than connections is estimated, and the number if that is absent or fixed."""

HINTS = SchemaHints(DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, LISTS, REFERENCE_METADATA_KEY, (Model,))
