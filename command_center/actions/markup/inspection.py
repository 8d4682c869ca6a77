"""What is told to the author of a body when it is saved: what is wrong with it, and what will be left out. Pure."""

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
    """Sentences for the author. With `problems` a body cannot be saved."""

    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def inspect(body: str) -> BodyReport:
    """Inspects a body as it was written, with its fields."""
    template = filling.template(body)
    fields_of = Slots()
    masked = template_fields.mask(body, fields_of.add)
    removals = Removals(fields_of.fill)
    if not template.is_html:
        if sum(1 for _ in autolinks.addresses(masked)) > MAX_TRACKED_LINKS:
            removals.add(Removal.TOO_MANY_LINKS)
        return BodyReport(notices=tuple(removals.sentences()))
    sanitizer = Sanitizer(masked, removals)
    found = sanitizer.sanitize()
    problems = template.problems()
    if found.tags > MAX_TAGS:
        problems.append(f"A body may have at most {MAX_TAGS:,} tags, not {found.tags:,}.")
    if found.nesting > MAX_NESTING:
        problems.append(f"The elements of a body may be nested at most {MAX_NESTING} deep.")
    if len(sanitizer.links.texts) > MAX_TRACKED_LINKS:
        removals.add(Removal.TOO_MANY_LINKS)
    return BodyReport(tuple(problems), tuple(removals.sentences()))
