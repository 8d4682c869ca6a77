"""A body made ready to be sent: safe HTML, its style sheet, its plain text and its links. Pure."""

import html
from collections.abc import Callable
from dataclasses import dataclass

import nh3

from command_center.actions.markup import autolinks, text_part, urls, vocabulary
from command_center.actions.markup.detection import is_html
from command_center.actions.markup.sanitizer import LINK_PREFIX, Sanitizer
from command_center.actions.markup.slots import Slots

MAX_TRACKED_LINKS = 2_000
"""Clicks on the links of a body after the first so many are not counted."""
_CLEANER = nh3.Cleaner(
    tags=set(vocabulary.ELEMENTS),
    clean_content_tags=set(),
    attributes={"*": set(vocabulary.EVERYWHERE), **{tag: set(names) for tag, names in vocabulary.ATTRIBUTES.items()}},
    url_schemes=set(urls.LINK_SCHEMES | urls.PICTURE_SCHEMES),
    link_rel=None,
)


@dataclass(frozen=True, slots=True)
class PreparedBody:
    """Safe HTML in pieces, every second of which is a link's target; `sheet` belongs into the page's head."""

    pieces: tuple[str, ...]
    text: str
    sheet: str = ""

    def html(self, rewrite: Callable[[str], str]) -> str:
        """The HTML with the targets of its first links rewritten."""
        return "".join(
            piece if place % 2 == 0 else html.escape(rewrite(piece) if place < 2 * MAX_TRACKED_LINKS else piece)
            for place, piece in enumerate(self.pieces)
        )


def prepare(body: str) -> PreparedBody:
    """What leaves for a body, which is HTML or plain text."""
    return prepare_html(body) if is_html(body) else prepare_plain(body)


def prepare_plain(body: str) -> PreparedBody:
    """What leaves for plain text."""
    links = Slots()
    return PreparedBody(tuple(links.split(autolinks.to_html(body, links))), _as_typed(body))


def prepare_html(body: str) -> PreparedBody:
    """What leaves for HTML."""
    sanitizer = Sanitizer(body)
    found, links = sanitizer.sanitize(), sanitizer.links
    safe = sanitizer.texts.fill(_CLEANER.clean(found.markup).replace(f'="{LINK_PREFIX}slot', '="slot'))
    return PreparedBody(tuple(links.split(safe)), text_part.as_text(safe, links.fill), found.sheet)


def _as_typed(body: str) -> str:
    """Plain text as it was typed, with line ends of one kind."""
    return body.replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n"
