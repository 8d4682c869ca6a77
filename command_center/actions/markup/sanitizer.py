"""Sanitizes the HTML of an author in one pass, and reports what was removed. Pure.

The result is well-formed and within the limits for nesting and tags, so that parsing it takes linear time.
Afterwards nh3 checks it against the same vocabulary, so two independent parsers must accept it.
"""

import html
from dataclasses import dataclass, field

from command_center.actions.markup import styles, urls, vocabulary
from command_center.actions.markup.detection import is_mention
from command_center.actions.markup.notices import Removal, Removals
from command_center.actions.markup.slots import Slots
from command_center.actions.markup.tokens import Token, TokenKind, attribute_text, attributes, last_end_tags, tokenize

MAX_NESTING = 100
LINK_PREFIX = "https://"
"""This precedes the slot of a target or source, so that nh3 accepts it as a URL. It is removed with the slot."""
MAX_TAGS = 20_000
# Formatting that continues after a closed paragraph is repeated, up to this number of characters.
_MAX_REOPENED = 100_000
_KINDS = {
    **dict.fromkeys(("script",), Removal.SCRIPTS),
    **dict.fromkeys(
        ("form", "input", "button", "textarea", "select", "option", "label", "fieldset", "legend"), Removal.FORMS
    ),
    **dict.fromkeys(
        ("iframe", "object", "applet", "embed", "frame", "frameset", "noembed", "noframes"), Removal.FRAMES
    ),
    **dict.fromkeys(("svg", "math"), Removal.GRAPHICS),
    **dict.fromkeys(("title", "link", "base", "meta"), Removal.HEAD),
}
_DIRECTIONS = frozenset(("ltr", "rtl", "auto"))


@dataclass(slots=True)
class Sanitized:
    """Holds safe HTML in which slots replace the texts and the targets of links.

    A slot is a placeholder for a text that was removed.
    """

    markup: str
    sheet: str
    tags: int
    nesting: int


@dataclass(slots=True)
class _Open:
    """Describes an open element.

    `written` is its start tag with slots, and `length` the number of characters of the original tag.
    """

    name: str
    written: str
    length: int


@dataclass(slots=True)
class Sanitizer:
    """Sanitizes the HTML of one body.

    The result contains slots, which are placeholders: `links` holds the targets of links, and `texts` all else that is
    not markup.
    """

    source: str
    removals: Removals = field(default_factory=Removals)
    texts: Slots = field(default_factory=Slots)
    links: Slots = field(default_factory=Slots)
    _out: list[str] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)
    # The end of another element has closed these formatting elements. They are reopened before the next text.
    _to_reopen: list[_Open] = field(default_factory=list)
    _sheets: list[str] = field(default_factory=list)
    _wrapper: dict[str, str] = field(default_factory=dict)
    _ends: dict[str, int] = field(default_factory=dict)
    # The end tags of these removed elements are removed too.
    _unknown: set[str] = field(default_factory=set)
    _reopened: int = 0
    _tags: int = 0
    _nesting: int = 0

    def sanitize(self) -> Sanitized:
        """Return the sanitized body. Call it once."""
        self._ends = last_end_tags(self.source)
        skipped, depth = "", 0
        for token in tokenize(self.source):
            if token.kind in (TokenKind.START, TokenKind.END, TokenKind.RAW):
                self._tags += 1 + (token.kind is TokenKind.RAW)
            if skipped:
                if token.name == skipped and not token.attributes.endswith("/"):
                    depth += (token.kind is TokenKind.START) - (token.kind is TokenKind.END)
                skipped = skipped if depth else ""
            elif self._tags > MAX_TAGS and token.kind is not TokenKind.TEXT:
                continue
            elif token.kind is TokenKind.START and self._is_skipped(token):
                self._remove(token)
                skipped, depth = token.name, 1
            else:
                self._read(token)
        self._close_to(0, keep=False)
        return self._result()

    def _result(self) -> Sanitized:
        markup = "".join(self._out)
        if self._wrapper:
            markup = f"<div{self._pairs(self._wrapper)}>{markup}</div>"
        sheet = "\n".join(each for each in self._sheets if each)
        return Sanitized(markup, sheet, self._tags, self._nesting)

    def _is_skipped(self, token: Token) -> bool:
        """Return whether an element is removed together with its content."""
        closed = self._ends.get(token.name, -1) > token.start and not token.attributes.endswith("/")
        return token.name in vocabulary.REMOVED and closed

    def _read(self, token: Token) -> None:
        match token.kind:
            case TokenKind.TEXT:
                self._text(token)
            case TokenKind.COMMENT:
                if self.source.startswith("<!--[if", token.start) and "!mso" not in self._written(token)[:40]:
                    self.removals.add(Removal.OUTLOOK)
            case TokenKind.RAW:
                self._raw(token)
            case TokenKind.START:
                self._start(token)
            case TokenKind.END:
                self._end(token)

    def _written(self, token: Token) -> str:
        return self.source[token.start : token.end]

    def _text(self, token: Token) -> None:
        text = self._written(token)
        if self._to_reopen and not text.isspace():
            self._reopen()
        # nh3 ignores white space between table cells. In a slot it would be text, which is not allowed there.
        self._out.append(text if text.isspace() and text.isascii() else self.texts.add(text.replace("<", "&lt;")))

    def _raw(self, token: Token) -> None:
        if token.name != "style":
            self._remove(token)
            return
        self._attributes(token, frozenset(("type", "media")))
        content = self.source[token.inner[0] : token.inner[1]]
        self._sheets.append(styles.sheet(content, lambda name: self.removals.add(Removal.STYLES, name)))

    def _remove(self, token: Token) -> None:
        kind = _KINDS.get(token.name, Removal.ELEMENTS)
        self.removals.add(kind, f"<{token.name}>" if kind is not Removal.SCRIPTS else "")

    def _start(self, token: Token) -> None:
        name = token.name
        if is_mention(token, self.source, self._ends):
            self._text(token)
        elif name in ("html", "body"):
            self._document(token)
        elif name in vocabulary.ELEMENTS:
            self._element(token)
        elif name == "meta" and {"http-equiv", "itemprop"}.isdisjoint(attributes(token.attributes)):
            # The character set, the viewport and the like concern only the page, so there is nothing to report.
            return
        elif name != "head":
            self._remove(token)
            self._break_line(name)
            self._unknown.add(name)
            self._attributes(token, frozenset(attributes(token.attributes)))

    def _element(self, token: Token) -> None:
        name = token.name
        allowed = vocabulary.EVERYWHERE | vocabulary.ATTRIBUTES.get(name, frozenset())
        written = f"<{name}{self._pairs(self._attributes(token, allowed))}>"
        targets, barriers = vocabulary.IMPLIED_ENDS.get(name, (frozenset(), vocabulary.SCOPES))
        if targets:
            self._end_implied(targets, barriers)
        if name in vocabulary.TABLE_STRUCTURE:
            self._to_reopen.clear()
        elif self._to_reopen and name not in vocabulary.BLOCKS:
            self._reopen()
        if name in vocabulary.VOID:
            self._out.append(written)
            return
        self._nesting = max(self._nesting, len(self._open) + 1)
        if len(self._open) < MAX_NESTING:
            self._open.append(_Open(name, written, token.end - token.start))
            self._out.append(written)

    def _end(self, token: Token) -> None:
        name = token.name
        if name == "br":
            # Browsers treat `</br>` as a line break.
            self._out.append("<br>")
            return
        if name in self._unknown:
            self._break_line(name)
            return
        if name not in vocabulary.KNOWN:
            self._text(token)
            return
        barriers = frozenset(("table",)) if name in vocabulary.TABLE_STRUCTURE else vocabulary.SCOPES
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index].name == name:
                self._close_to(index, keep=name not in vocabulary.TABLE_STRUCTURE)
                return
            if self._open[index].name in barriers:
                return
        self._to_reopen = [each for each in self._to_reopen if each.name != name]
        if name == "p":
            # Browsers treat a lone end tag as an empty paragraph, so the following text begins a new line.
            self._out.append("<p></p>")

    def _break_line(self, name: str) -> None:
        """Begin a new line if the removed element does so in browsers."""
        if name in vocabulary.LINE_BREAKING:
            self._end_implied(*vocabulary.IMPLIED_ENDS["div"])
            self._out.append("<div></div>")

    def _end_implied(self, targets: frozenset[str], barriers: frozenset[str]) -> None:
        """Close the innermost open element in `targets`.

        Nothing is closed if an element in `barriers` is inside it.
        """
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index].name in targets:
                self._close_to(index, keep="td" not in targets)
                return
            if self._open[index].name in barriers:
                return

    def _close_to(self, index: int, keep: bool) -> None:
        """Close the open elements from an index on.

        If `keep`, the formatting elements within the outermost of them are reopened before the next text.
        """
        inner = self._open[index + 1 :]
        for each in reversed(self._open[index:]):
            self._out.append(f"</{each.name}>")
        del self._open[index:]
        if keep:
            self._to_reopen += [each for each in inner if each.name in vocabulary.FORMATTING]
        else:
            self._to_reopen.clear()

    def _reopen(self) -> None:
        elements, self._to_reopen = self._to_reopen, []
        for each in elements:
            self._reopened += each.length
            if len(self._open) < MAX_NESTING and self._reopened <= _MAX_REOPENED:
                self._open.append(each)
                self._out.append(each.written)

    def _document(self, token: Token) -> None:
        """Move attributes of `<html>` and `<body>` to an element around the content.

        They are the direction, the language and the style.
        """
        allowed = frozenset(("dir", "lang", "style", "class", "bgcolor"))
        values = self._attributes(token, allowed | {"xmlns", "xmlns:v", "xmlns:o", "xmlns:w", "link", "vlink", "alink"})
        color = values.get("bgcolor")
        if color and all(letter.isalnum() or letter == "#" for letter in color):
            values["style"] = ";".join(filter(None, (f"background-color:{color}", values.get("style"))))
        self._wrapper |= {name: value for name, value in values.items() if name in allowed - {"bgcolor"}}

    def _attributes(self, token: Token, allowed: frozenset[str]) -> dict[str, str]:
        """Return the allowed attributes of a token, decoded, and report the others."""
        accepted_attributes: dict[str, str] = {}
        for name, value in attributes(token.attributes).items():
            if name.startswith("on"):
                self.removals.add(Removal.HANDLERS, name)
            elif name not in allowed:
                self.removals.add(Removal.ATTRIBUTES, name)
            elif (accepted := self._value(token.name, name, attribute_text(value or ""))) is not None:
                accepted_attributes[name] = accepted
        return accepted_attributes

    def _value(self, tag: str, name: str, value: str) -> str | None:
        if name == "style":
            return styles.declarations(value, lambda each: self.removals.add(Removal.STYLES, each)) or None
        if name == "href":
            return self._link(value)
        if name == "src":
            return self._picture(value)
        if name == "dir":
            return value.lower() if value.lower() in _DIRECTIONS else None
        return value

    def _link(self, value: str) -> str | None:
        target = urls.parse_target(value)
        if target.scheme and target.scheme not in urls.LINK_SCHEMES:
            self.removals.add(Removal.URLS, target.url)
            return None
        if not target.scheme and target.url and not target.url.startswith("#"):
            self.removals.add(Removal.RELATIVE, target.url)
        elif target.scheme in ("http", "https") and not urls.is_trackable(target.url):
            self.removals.add(Removal.UNTRACKED, target.url)
        return target.url

    def _picture(self, value: str) -> str | None:
        target = urls.parse_target(value)
        if target.scheme and target.scheme not in urls.PICTURE_SCHEMES:
            self.removals.add(Removal.URLS, target.url)
            return None
        if not target.scheme:
            self.removals.add(Removal.RELATIVE, target.url)
        return target.url

    def _pairs(self, values: dict[str, str]) -> str:
        """Return attributes as source text, with a slot in place of each value.

        The slot of a link target or a picture source follows a fixed scheme, because nh3 checks the scheme.
        """
        written = []
        for name, value in values.items():
            if name in ("href", "src"):
                slots = self.links if name == "href" else self.texts
                written.append(f'{name}="{LINK_PREFIX}{slots.add(value if name == "href" else html.escape(value))}"')
            else:
                written.append(f'{name}="{self.texts.add(html.escape(value))}"')
        return "".join(f" {each}" for each in written)
