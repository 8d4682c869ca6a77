"""Converts safe HTML to plain text, with the target of each link. Pure.

It expects the output of the sanitizer, which is well-formed, and takes time linear in its length.
"""

import html
import re
from collections.abc import Callable

from command_center.actions.markup import vocabulary
from command_center.actions.markup.tokens import Token, TokenKind, attribute_text, attributes, tokenize
from command_center.actions.markup.urls import shown
from command_center.actions.markup.vocabulary import words

_PARAGRAPHS = words("p h1 h2 h3 h4 h5 h6 tr blockquote pre table ul ol dl figure")
"""These blocks have an empty line before and after them. Other blocks only begin and end a line."""
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_MAX_LEVELS = 10
_QUOTE, _INDENT = "> ", "  "


def as_text(safe: str, resolve: Callable[[str], str]) -> str:
    """Return safe HTML as plain text.

    `resolve` returns the target of a link by its `href`.
    """
    reader = _TextReader(resolve)
    for token in tokenize(safe):
        reader.read(safe, token)
    return reader.text()


class _TextReader:
    """Builds the plain text from the tokens of safe HTML."""

    def __init__(self, resolve: Callable[[str], str]) -> None:
        self._resolve = resolve
        self._lines: list[str] = []
        self._line: list[str] = []
        # The target of the open link, and its text so far.
        self._link: tuple[str, list[str]] | None = None
        # For each open list, the number of its next item; None in a list without numbers.
        self._lists: list[int | None] = []
        # Whether the line contains only a list item's bullet or number. A block in the item then continues the line.
        self._at_item_start = False
        self._quotes = 0
        self._preformatted = 0

    def text(self) -> str:
        """Return the text, without consecutive empty lines."""
        self._break()
        lines = (line.replace("\xa0", " ").rstrip() for line in self._lines)
        collapsed: list[str] = []
        for line in lines:
            if line.strip("> ") or not collapsed or collapsed[-1].strip("> "):
                collapsed.append(line)
        return "\n".join(collapsed).strip("\n") + "\n"

    def read(self, source: str, token: Token) -> None:
        """Add one token to the text."""
        written = source[token.start : token.end]
        if token.kind is TokenKind.TEXT:
            self._add_text(html.unescape(written))
        elif token.kind is TokenKind.START:
            self._start(token.name, attributes(token.attributes))
        elif token.kind is TokenKind.END:
            self._end(token.name)

    def _add_text(self, text: str) -> None:
        if self._preformatted:
            first, *more = text.replace(" ", "\xa0").split("\n")
            self._append(first)
            for line in more:
                self._break()
                self._append(line)
            return
        self._append(_BLANKS.sub(" ", text))

    def _append(self, text: str) -> None:
        if text.startswith(" ") and not self._preformatted and (not self._line or self._line[-1].endswith(" ")):
            text = text[1:]
        if text:
            self._at_item_start = False
            self._line.append(text)
            if self._link is not None:
                self._link[1].append(text)

    def _break(self) -> None:
        """End the line, even if it is empty."""
        self._at_item_start = False
        prefix = _QUOTE * min(self._quotes, _MAX_LEVELS)
        self._lines.append(prefix + "".join(self._line))
        self._line.clear()

    def _start_line(self, paragraph: bool) -> None:
        if "".join(self._line).strip(" "):
            self._break()
        self._line.clear()
        if paragraph and self._lines:
            self._break()

    def _start(self, name: str, values: dict[str, str | None]) -> None:
        if name == "br":
            self._break()
        elif name == "a":
            self._link = (self._resolve(attribute_text(values.get("href") or "")), [])
        elif name == "img":
            self._append(attribute_text(values.get("alt") or "").strip())
        elif name in ("td", "th"):
            self._append(" ")
        elif name == "li":
            self._start_item()
        elif name == "hr":
            self._start_line(False)
            self._append("-" * 20)
            self._break()
        elif name in vocabulary.BLOCKS and not self._at_item_start:
            self._start_line(name in _PARAGRAPHS and not (name in ("ul", "ol") and self._lists))
        self._quotes += name == "blockquote"
        self._preformatted += name == "pre"
        if name in ("ul", "ol"):
            start = values.get("start") or "1"
            self._lists.append(None if name == "ul" else int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1)

    def _start_item(self) -> None:
        self._start_line(False)
        number = self._lists[-1] if self._lists else None
        indent = _INDENT * min(max(len(self._lists) - 1, 0), _MAX_LEVELS)
        if number is None:
            self._append(indent.replace(" ", "\xa0") + "- ")
        else:
            self._append(f"{indent}{number}. ".replace(_INDENT, "\xa0\xa0"))
            self._lists[-1] = number + 1
        self._at_item_start = True

    def _end(self, name: str) -> None:
        if name == "a" and self._link is not None:
            (target, text_parts), self._link = self._link, None
            text = "".join(text_parts).strip()
            if target and not target.startswith("#") and not _is_same(text, target):
                self._append(f" ({shown(target)})" if text else f"({shown(target)})")
            return
        if name in ("ul", "ol") and self._lists:
            self._lists.pop()
        if name in vocabulary.BLOCKS and name not in ("td", "th"):
            self._start_line(False)
        self._quotes -= name == "blockquote"
        self._preformatted -= name == "pre"
        if name in _PARAGRAPHS and not (name in ("ul", "ol") and self._lists):
            self._start_line(True)


def _is_same(text: str, target: str) -> bool:
    """Return whether the text of a link is its target."""

    def bare(url: str) -> str:
        return re.sub(r"^(https?://|mailto:|tel:|sms:)", "", url.strip(), flags=re.IGNORECASE).rstrip("/").casefold()

    return bare(text) == bare(target)
