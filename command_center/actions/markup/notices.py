"""What was taken out of a body, told to its author: one sentence for each kind of thing."""

from collections.abc import Callable
from enum import Enum

_SHOWN = 5
_LONGEST = 60
_MAX_NAMES = 1_000


class Removal(Enum):
    """A kind of thing that does not leave as it was written. The value is the sentence, before the names."""

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
    """Collects what was removed, by kind, each name once. `translate` gives a name as its author wrote it."""

    def __init__(self, translate: Callable[[str], str] = str) -> None:
        self._translate = translate
        self._names: dict[Removal, dict[str, None]] = {}

    def add(self, kind: Removal, name: str = "") -> None:
        names = self._names.setdefault(kind, {})
        # Enough to say how many more there are, and no list without end.
        if name and len(names) < _MAX_NAMES:
            name = self._translate(name)
            names[name if len(name) <= _LONGEST else name[:_LONGEST] + "…"] = None

    def sentences(self) -> list[str]:
        return [_sentence(kind, list(names)) for kind, names in self._names.items()]


def _sentence(kind: Removal, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{kind.value}{': ' if names else ''}{', '.join(names[:_SHOWN])}{more}."
