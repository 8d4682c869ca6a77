"""Inspects a body for its author. Pure.

It reports errors, and what will be removed before the body is sent.
"""

from dataclasses import dataclass
from functools import lru_cache

from command_center.actions import template_fields
from command_center.actions.markup import autolinks, filling
from command_center.actions.markup.notices import Removal, Removals
from command_center.actions.markup.prepared import MAX_TRACKED_LINKS
from command_center.actions.markup.sanitizer import MAX_NESTING, MAX_TAGS, Sanitizer
from command_center.actions.markup.slots import Slots


@dataclass(frozen=True, slots=True)
class BodyReport:
    """Holds sentences for the author. A body with `errors` cannot be saved."""

    errors: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def inspect(body: str) -> BodyReport:
    """Return the errors and notices about a body for its author.

    The fields of the body are not filled in yet.
    """
    template = filling.cached_template(body)
    field_slots = Slots()
    masked = template_fields.replace_fields(body, field_slots.add)
    removals = Removals(field_slots.fill)
    if not template.is_html:
        if sum(1 for _ in autolinks.find_urls(masked)) > MAX_TRACKED_LINKS:
            removals.add(Removal.TOO_MANY_LINKS)
        return BodyReport(notices=tuple(removals.sentences()))
    sanitizer = Sanitizer(masked, removals)
    sanitized = sanitizer.sanitize()
    errors = template.errors()
    if sanitized.tags > MAX_TAGS:
        errors.append(f"A body may have at most {MAX_TAGS:,} tags, not {sanitized.tags:,}.")
    if sanitized.nesting > MAX_NESTING:
        errors.append(f"The elements of a body may be nested at most {MAX_NESTING} deep.")
    if len(sanitizer.links.texts) > MAX_TRACKED_LINKS:
        removals.add(Removal.TOO_MANY_LINKS)
    return BodyReport(tuple(errors), tuple(removals.sentences()))
