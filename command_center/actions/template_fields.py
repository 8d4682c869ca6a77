"""Dynamic fields in a subject or a body: `{{first_name}}`, or `{{ first_name | default: "there" }}`. Pure.

Whatever stands from `{{` to the next `}}` is meant as a field. White space and quotes may be as rich editors leave
them; tags between the braces may not. Who wants braces in HTML that are no field writes `&#123;&#123;`.
"""

import html
import re
from collections.abc import Callable, Mapping

from command_center.actions.person_names import split_name

NAMES = ("first_name", "last_name", "title", "company", "my_name")
_ABSENT = {"company": "your company"}
_SHOWN = 60
_BRACES = re.compile(r"\{\{(.*?)(\}\}|\Z)", re.DOTALL)
_GAP = r"(?:[\s\u200b\ufeff]|&nbsp;|&#160;|&#xa0;)*"
_DOUBLE = '(?:["“”„‟«»]|&(?:quot|ldquo|rdquo|bdquo|laquo|raquo|#34|#x22);)'
_SINGLE = "(?:['‘’‚‛‹›]|&(?:apos|lsquo|rsquo|sbquo|lsaquo|rsaquo|#0?39|#x27);)"
_QUOTED = "|".join(f"{quote}((?:(?!{quote}).)*){quote}" for quote in (_DOUBLE, _SINGLE))
_FIELD = re.compile(rf"{_GAP}([\w.-]+)(?:{_GAP}\|{_GAP}default{_GAP}:{_GAP}(?:{_QUOTED}))?{_GAP}", re.DOTALL)
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_ALL = f"{', '.join(NAMES[:-1])} and {NAMES[-1]}"


class Unresolved(ValueError):
    """A text cannot be filled in; the message says why, in words for its sender."""


def any_in(text: str) -> bool:
    """Whether there is anything to fill in."""
    return "{{" in text


def values(
    name: str, title: str | None, company: str | None, my_name: str, first_name: str | None = None
) -> dict[str, str]:
    """Returns the values of the fields for one person and one sender; what is unknown is empty.

    `first_name` is the one that was entered or imported. Without it, the name itself has to say it for certain.
    """
    first, last = split_name(name)
    if first_name:
        # Only who entered it knows that Anna Maria is one first name.
        first, rest = first_name, name.removeprefix(f"{first_name} ")
        last = last if rest == name else rest.partition(",")[0]
    known = (first, last, title or "", company or "", my_name)
    return {field: _BREAKS.sub(" ", value).strip() for field, value in zip(NAMES, known, strict=True)}


def problems(text: str) -> list[str]:
    """A sentence for each field in a text that cannot be one, in the order of the text, each once."""
    found = (_wrong(match) for match in _BRACES.finditer(text))
    return list(dict.fromkeys(each for each in found if each is not None))


def resolve(text: str, known: Mapping[str, str], escaped: bool) -> str:
    """The text with its fields filled in, `escaped` for HTML; `known` is as `values` gives it. Raises Unresolved.

    A default stands in for what is absent, and is the author's own text, HTML in HTML. Values are not looked at again.
    """
    wrong = problems(text)
    if wrong:
        raise Unresolved(" ".join(wrong))

    def fill(match: re.Match[str]) -> str:
        name, double, single = _parts(match)
        default = single if double is None else double
        if known[name]:
            return html.escape(known[name]) if escaped else known[name]
        return _ABSENT.get(name, "") if default is None else _line(default)

    return _BRACES.sub(fill, text)


def mask(text: str, replace: Callable[[str], str]) -> str:
    """The text with whatever is meant as a field replaced, right or wrong."""
    return _BRACES.sub(lambda match: replace(match[0]), text)


def shown(field: str) -> str:
    """A field as it is shown in a sentence."""
    text = _line(field)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _wrong(match: re.Match[str]) -> str | None:
    written = shown(match[0])
    if not match[2]:
        return f"{written} has no closing braces."
    field = _FIELD.fullmatch(match[1])
    if field is None:
        return f'{written} is not how a field is written: {{{{company}}}}, or {{{{company | default: "your team"}}}}.'
    if field[1] not in NAMES:
        return f"{written} is no field: there are {_ALL}."
    return None


def _parts(match: re.Match[str]) -> tuple[str, str | None, str | None]:
    field = _FIELD.fullmatch(match[1])
    assert field is not None
    return field[1], field[2], field[3]


def _line(text: str) -> str:
    """The text on one line."""
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text)
