"""Fills in the dynamic fields of an email's subject and body. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from command_center.actions import template_fields
from command_center.actions.email_rows import DueEmail
from command_center.actions.inputs import MAX_BODY_CHARACTERS, MAX_SUBJECT_CHARACTERS
from command_center.actions.markup import filling
from command_center.actions.markup.shared_texts import as_stored
from command_center.actions.template_fields import UnresolvedField
from command_center.actions.text_process import INLINE_CHARACTERS


class TemplatesMissing(Exception):
    """Raised if long bodies with fields must first be parsed outside the event loop.

    `bodies` holds these bodies; their templates are not cached.
    """

    def __init__(self, bodies: list[str]) -> None:
        self.bodies = bodies
        super().__init__(f"{len(bodies)} bodies")


@dataclass(frozen=True, slots=True)
class FilledText:
    """Holds the filled-in text of an email.

    It has a body of its own, or stored `values` for the fields of the body that it shares with a bulk send.
    """

    subject: str
    body: str | None = None
    values: str | None = None


def require_templates(rows: Iterable[DueEmail]) -> None:
    """Raise TemplatesMissing if the template of a long body is not cached.

    Only bodies with fields to fill in need a template.
    """
    long_bodies = dict.fromkeys(
        row["body"]
        for row in rows
        if row["message_id"] is None
        and len(row["body"]) > INLINE_CHARACTERS
        and template_fields.has_fields(row["body"])
    )
    # The look-up also moves a cached template to the end of the eviction order, so that it stays until it is used.
    missing = [body for body in long_bodies if not filling.is_template_cached(body)]
    if missing:
        raise TemplatesMissing(missing)


def fill_text(row: DueEmail) -> FilledText | None:
    """Return the filled-in text of an email, or None if it needs no filling in.

    An email with a message id was attempted before and already has its final text, so that each attempt sends the same.
    Raises: UnresolvedField if a field cannot be filled in, or the result is too long.
    """
    subject, body = row["subject"], row["body"]
    if row["message_id"] is not None or not (template_fields.has_fields(subject) or template_fields.has_fields(body)):
        return None
    template = filling.cached_template(body)
    errors = dict.fromkeys([*template_fields.field_errors(subject), *template.field_errors()])
    if errors:
        raise UnresolvedField(" ".join(errors))
    field_values = template_fields.person_values(
        row["to_name"], row["title"], row["company"], row["from_name"], row["first_name"]
    )
    subject = template_fields.resolve(subject, field_values, escaped=False).strip()
    if not subject:
        raise UnresolvedField("Nothing is left of the subject once its fields are filled in.")
    text = FilledText(subject)
    if row["shared_body"]:
        values = list(zip(template.fields, template.values(field_values), strict=True))
        length = len(body) + sum(len(value) - len(field.written) for field, value in values)
        text = replace(text, values=as_stored((field.start, field.end, value) for field, value in values))
    else:
        text = replace(text, body=template.fill(body, field_values))
        length = len(text.body or "")
    for part, number, limit in (
        ("subject", len(subject), MAX_SUBJECT_CHARACTERS),
        ("body", length, MAX_BODY_CHARACTERS),
    ):
        if number > limit:
            raise UnresolvedField(f"The {part} has {number} characters once its fields are filled in; at most {limit}.")
    return text
