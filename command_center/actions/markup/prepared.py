"""Prepares a body for sending. Pure.

The result has safe HTML, its style sheet, its plain text and its links.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass

import nh3

from command_center.actions.markup import autolinks, text_part, urls, vocabulary
from command_center.actions.markup.detection import is_html
from command_center.actions.markup.sanitizer import LINK_PREFIX, Sanitizer
from command_center.actions.markup.slots import Slots

MAX_TRACKED_LINKS = 2_000
"""Only this many links of a body are tracked, the first ones."""
_CLEANER = nh3.Cleaner(
    tags=set(vocabulary.ELEMENTS),
    clean_content_tags=set(),
    attributes={"*": set(vocabulary.EVERYWHERE), **{tag: set(names) for tag, names in vocabulary.ATTRIBUTES.items()}},
    url_schemes=set(urls.LINK_SCHEMES | urls.PICTURE_SCHEMES),
    link_rel=None,
)


@dataclass(frozen=True, slots=True)
class PreparedBody:
    """Holds a body that is ready to be sent.

    The pieces with odd indexes are the targets of links, the others safe HTML. `sheet` belongs in the page's head.
    """

    pieces: tuple[str, ...]
    text: str
    sheet: str = ""

    def html(self, rewrite: Callable[[str], str]) -> str:
        """Return the HTML. The targets of its first MAX_TRACKED_LINKS links are rewritten."""
        return "".join(
            piece if index % 2 == 0 else html.escape(rewrite(piece) if index < 2 * MAX_TRACKED_LINKS else piece)
            for index, piece in enumerate(self.pieces)
        )


def prepare(body: str) -> PreparedBody:
    """Prepare a body that is HTML or plain text."""
    return prepare_html(body) if is_html(body) else prepare_plain(body)


def prepare_plain(body: str) -> PreparedBody:
    """Prepare a plain text body."""
    links = Slots()
    return PreparedBody(tuple(links.split(autolinks.to_html(body, links))), _normalize_lines(body))


def prepare_html(body: str) -> PreparedBody:
    """Prepare an HTML body."""
    sanitizer = Sanitizer(body)
    sanitized, links = sanitizer.sanitize(), sanitizer.links
    safe = sanitizer.texts.fill(_CLEANER.clean(sanitized.markup).replace(f'="{LINK_PREFIX}slot', '="slot'))
    return PreparedBody(tuple(links.split(safe)), text_part.as_text(safe, links.fill), sanitized.sheet)


def _normalize_lines(body: str) -> str:
    """Return plain text with LF line ends.

    Empty lines at its start and end are removed.
    """
    return body.replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n"
