"""What an email says to its person: its subject and body with the dynamic fields filled in. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from command_center.actions import template_fields
from command_center.actions.inputs import BODY, SUBJECT
from command_center.actions.markup import filling
from command_center.actions.markup.shared_texts import as_stored
from command_center.actions.template_fields import Unresolved
from command_center.actions.text_process import INLINE_CHARACTERS
from command_center.database.connections import Row


class TemplatesMissing(Exception):
    """Long bodies with fields have to be read before they can be filled in, which is not for the event loop."""

    def __init__(self, bodies: list[str]) -> None:
        self.bodies = bodies
        super().__init__(f"{len(bodies)} bodies")


@dataclass(frozen=True, slots=True)
class FilledText:
    """What an email says to its person: a body of its own, or its values in the body it shares."""

    subject: str
    body: str | None = None
    values: str | None = None


def require_templates(rows: Iterable[Row]) -> None:
    """Raises TemplatesMissing if long bodies are to be filled in that were not read before."""
    fresh = dict.fromkeys(
        row["body"]
        for row in rows
        if row["message_id"] is None and len(row["body"]) > INLINE_CHARACTERS and template_fields.any_in(row["body"])
    )
    # Each is looked up, so that those that are kept stay so until they are used.
    missing = [body for body in fresh if not filling.is_template_kept(body)]
    if missing:
        raise TemplatesMissing(missing)


def filled(row: Row) -> FilledText | None:
    """The text that leaves; None where it is as it stands. Raises Unresolved.

    An email with a message id was tried before: what it says was settled then, and another attempt says the same.
    """
    subject, body = row["subject"], row["body"]
    if row["message_id"] is not None or not (template_fields.any_in(subject) or template_fields.any_in(body)):
        return None
    template = filling.template(body)
    wrong = dict.fromkeys([*template_fields.problems(subject), *template.field_problems()])
    if wrong:
        raise Unresolved(" ".join(wrong))
    known = template_fields.values(row["to_name"], row["title"], row["company"], row["from_name"], row["first_name"])
    subject = template_fields.resolve(subject, known, escaped=False).strip()
    if not subject:
        raise Unresolved("Nothing is left of the subject once its fields are filled in.")
    text = FilledText(subject)
    if row["shared_body"]:
        values = list(zip(template.fields, template.values(known), strict=True))
        length = len(body) + sum(len(value) - len(field.written) for field, value in values)
        text = replace(text, values=as_stored((field.start, field.end, value) for field, value in values))
    else:
        text = replace(text, body=template.fill(body, known))
        length = len(text.body or "")
    for what, number, most in (("subject", len(subject), SUBJECT), ("body", length, BODY)):
        if number > most:
            raise Unresolved(f"The {what} has {number} characters once its fields are filled in; at most {most}.")
    return text
