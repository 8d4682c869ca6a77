"""Dynamic fields in a subject or a body. Pure.

Examples are `{{first_name}}` and `{{ first_name | default: "there" }}`.

All text from `{{` to the next `}}` is read as a field. White space and quotes may be written as rich-text editors write
them, but there may be no tags between the braces. Literal braces in HTML are written as `&#123;&#123;`.
"""

import html
import re
from collections.abc import Callable, Mapping

from command_center.actions.person_names import split_name

FIELD_NAMES = ("first_name", "last_name", "title", "company", "my_name")
_BUILT_IN_DEFAULTS = {"company": "your company"}
_MAX_SHOWN_CHARACTERS = 60
_BRACES = re.compile(r"\{\{(.*?)(\}\}|\Z)", re.DOTALL)
_GAP = r"(?:[\s\u200b\ufeff]|&nbsp;|&#160;|&#xa0;)*"
_DOUBLE = '(?:["“”„‟«»]|&(?:quot|ldquo|rdquo|bdquo|laquo|raquo|#34|#x22);)'
_SINGLE = "(?:['‘’‚‛‹›]|&(?:apos|lsquo|rsquo|sbquo|lsaquo|rsaquo|#0?39|#x27);)"
_QUOTED = "|".join(f"{quote}((?:(?!{quote}).)*){quote}" for quote in (_DOUBLE, _SINGLE))
_FIELD = re.compile(rf"{_GAP}([\w.-]+)(?:{_GAP}\|{_GAP}default{_GAP}:{_GAP}(?:{_QUOTED}))?{_GAP}", re.DOTALL)
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_NAMES_SENTENCE = f"{', '.join(FIELD_NAMES[:-1])} and {FIELD_NAMES[-1]}"


class UnresolvedField(ValueError):
    """Raised if a text contains an invalid field.

    The message explains it to the author.
    """


def has_fields(text: str) -> bool:
    """Return whether a text may contain dynamic fields."""
    return "{{" in text


def person_values(
    name: str, title: str | None, company: str | None, my_name: str, first_name: str | None = None
) -> dict[str, str]:
    """Return the values of the dynamic fields for one person and one sender.

    An unknown value is empty. `my_name` is the name of the sender. `first_name` is the one that was entered or
    imported. Without it, the first name is derived from `name`.
    """
    first, last = split_name(name)
    if first_name:
        # An entered first name is reliable: `Anna Maria` cannot be recognized as one first name.
        first, rest = first_name, name.removeprefix(f"{first_name} ")
        last = last if rest == name else rest.partition(",")[0]
    field_values = (first, last, title or "", company or "", my_name)
    return {field: _LINE_BREAKS.sub(" ", value).strip() for field, value in zip(FIELD_NAMES, field_values, strict=True)}


def field_errors(text: str) -> list[str]:
    """Return a sentence for each invalid field.

    They have the order of the text, and no duplicates.
    """
    sentences = (_error_in(match) for match in _BRACES.finditer(text))
    return list(dict.fromkeys(sentence for sentence in sentences if sentence is not None))


def resolve(text: str, field_values: Mapping[str, str], escaped: bool) -> str:
    """Return the text with its fields filled in.

    If `escaped`, the values are escaped for HTML. A default replaces an absent value; it is the author's own text, so
    it is not escaped. Braces in values are not read as fields. Raises: UnresolvedField if a field is invalid.
    """
    errors = field_errors(text)
    if errors:
        raise UnresolvedField(" ".join(errors))

    def fill(match: re.Match[str]) -> str:
        name, double, single = _name_and_defaults(match)
        default = single if double is None else double
        if field_values[name]:
            return html.escape(field_values[name]) if escaped else field_values[name]
        return _BUILT_IN_DEFAULTS.get(name, "") if default is None else _on_one_line(default)

    return _BRACES.sub(fill, text)


def replace_fields(text: str, replace: Callable[[str], str]) -> str:
    """Return the text with all fields replaced, valid or not."""
    return _BRACES.sub(lambda match: replace(match[0]), text)


def shorten(field: str) -> str:
    """Return a field as an error message shows it.

    It is on one line, and shortened if it is long.
    """
    text = _on_one_line(field)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"


def _error_in(match: re.Match[str]) -> str | None:
    """Return a sentence about an invalid field, or None if it is valid."""
    source = shorten(match[0])
    if not match[2]:
        return f"{source} has no closing braces."
    field = _FIELD.fullmatch(match[1])
    if field is None:
        return f'{source} is not how a field is written: {{{{company}}}}, or {{{{company | default: "your team"}}}}.'
    if field[1] not in FIELD_NAMES:
        return f"{source} is no field: there are {_NAMES_SENTENCE}."
    return None


def _name_and_defaults(match: re.Match[str]) -> tuple[str, str | None, str | None]:
    """Return the name of a valid field, and its default if it has one.

    The second part of the result is a default in double quotes, the third part one in single quotes.
    """
    field = _FIELD.fullmatch(match[1])
    assert field is not None
    return field[1], field[2], field[3]


def _on_one_line(text: str) -> str:
    """Return the text on one line."""
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text)
