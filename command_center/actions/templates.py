"""The actions on templates. A template belongs to the whole team."""

from dataclasses import dataclass

from command_center.actions import template_fields
from command_center.actions.bodies import check_body
from command_center.actions.context import ActionContext
from command_center.actions.inputs import MAX_SUBJECT_CHARACTERS, check_line
from command_center.errors import ErrorCollector
from models.campaigns import Template
from models.enums import UserErrorCode
from models.viewers import Viewer


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """The input for a new template."""

    name: str
    subject: str
    body: str


async def create(ctx: ActionContext, viewer: Viewer, new: NewTemplate) -> Template:
    """Create a template.

    Raises: UserErrors if the input is invalid, including its dynamic fields.
    """
    errors = ErrorCollector()
    name = check_line(errors, new.name, ("input", "name"), "A name")
    subject = check_line(errors, new.subject, ("input", "subject"), "A subject", MAX_SUBJECT_CHARACTERS)
    body = check_body(errors, new.body, ("input", "body"), await ctx.inspector.reports([new.body]))
    for what, text in (("subject", subject), ("body", body)):
        for message in template_fields.field_errors(text):
            errors.add(UserErrorCode.INVALID, ("input", what), message)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        row = await uow.connection.fetch_one(
            "INSERT INTO templates (team_id, name, subject, body, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
            *(viewer.team_id, name, subject, body, uow.now),
        )
    return await Template.get(id=row["id"] if row else 0)
