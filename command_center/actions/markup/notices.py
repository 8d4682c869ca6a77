"""Describes to the author what was removed from a body, in one sentence per kind.

Pure.
"""

from collections.abc import Callable
from enum import Enum

_MAX_SHOWN_NAMES = 5
_MAX_NAME_CHARACTERS = 60
_MAX_NAMES = 1_000


class Removal(Enum):
    """Names the kinds of removed or unsupported content.

    The value of each kind is the sentence for the author, without the names of what was removed.
    """

    SCRIPTS = "Scripts were removed"
    HANDLERS = "Event handlers were removed"
    FORMS = "Form elements were removed"
    FRAMES = "Embedded content was removed"
    GRAPHICS = "Drawings were removed; use a picture"
    HEAD = "Parts of a web page's head were removed"
    ELEMENTS = "Elements that mail does not have were removed, and the text in them stays"
    ATTRIBUTES = "Attributes that mail does not have were removed"
    STYLES = "Styles that are not allowed were removed"
    URLS = "Links and pictures with an address that is not allowed lost it"
    RELATIVE = "Addresses without a host lead nowhere from an email and were left as they are"
    OUTLOOK = "Content for Outlook alone (conditional comments) was removed"
    UNTRACKED = "Clicks on these links cannot be counted"
    TOO_MANY_LINKS = "Clicks are counted for the first 2,000 links only"


class Removals:
    """Collects the names of what was removed, by kind and without duplicates.

    `translate` restores a name as its author wrote it, for example with dynamic fields instead of slots.
    """

    def __init__(self, translate: Callable[[str], str] = str) -> None:
        self._translate = translate
        self._names: dict[Removal, dict[str, None]] = {}

    def add(self, kind: Removal, name: str = "") -> None:
        """Record a removal. Names beyond _MAX_NAMES per kind are dropped."""
        names = self._names.setdefault(kind, {})
        # The limit bounds the memory; beyond it, the number of further names is not exact.
        if name and len(names) < _MAX_NAMES:
            name = self._translate(name)
            names[name if len(name) <= _MAX_NAME_CHARACTERS else name[:_MAX_NAME_CHARACTERS] + "…"] = None

    def sentences(self) -> list[str]:
        """Return one sentence per kind, in the order of the first removals."""
        return [_sentence(kind, list(names)) for kind, names in self._names.items()]


def _sentence(kind: Removal, names: list[str]) -> str:
    more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
    return f"{kind.value}{': ' if names else ''}{', '.join(names[:_MAX_SHOWN_NAMES])}{more}."
