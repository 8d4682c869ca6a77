"""Bodies of mail: what the seller wrote, made safe, with tracked links, and as plain text. Pure.

A body without any tag is plain text. What is allowed is what mail programs show anyway: no scripts, forms or frames.
"""

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

import nh3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEXT = _words(
    "a abbr b bdi bdo big blockquote br center cite code del dfn div em font h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol"
    " p pre q s samp small span strike strong sub sup time tt u ul var wbr dl dt dd address article section header"
    " footer main aside nav figure figcaption"
)
_TABLES = _words("table caption colgroup col thead tbody tfoot tr th td")
TAGS = _TEXT | _TABLES | {"img"}
# These go with all they hold; any other tag goes and leaves its text.
_DROPPED = _words("script style title iframe object applet noscript noembed noframes template textarea select svg math")
_KNOWN = TAGS | _DROPPED | _words("html head body meta link base form input button embed frame frameset")
_BOX = _words("align valign width height bgcolor")
ATTRIBUTES = {
    "*": {"style", "class", "dir", "lang", "title", "role"},
    "a": {"href", "name", "target"},
    "img": {"src", "alt", "width", "height", "border", "align"},
    "table": {*_BOX, "border", "cellpadding", "cellspacing"},
    **{tag: {*_BOX, "colspan", "rowspan", "nowrap"} for tag in ("td", "th")},
    **{tag: set(_BOX) for tag in ("tr", "thead", "tbody", "tfoot", "col", "colgroup")},
    **{tag: {"align"} for tag in ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr")},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
}
_STYLES = _words(
    "background background-color border border-top border-right border-bottom border-left border-collapse"
    " border-spacing border-color border-style border-width border-radius box-sizing clear color direction display"
    " float font font-family font-size font-style font-variant font-weight height letter-spacing line-height"
    " list-style list-style-type margin margin-top margin-right margin-bottom margin-left max-width min-width"
    " max-height min-height opacity overflow padding padding-top padding-right padding-bottom padding-left"
    " table-layout text-align text-decoration text-indent text-transform vertical-align white-space width"
    " word-break word-wrap word-spacing overflow-wrap"
)
SCHEMES = {"http", "https", "mailto", "tel", "cid"}
_TAG = re.compile(r"<(?:!--|!doctype\b|/?([a-z][a-z0-9]*)(?:[\s/][^<>]*)?>)", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_AFTER = (".", ",", ";", ":", "!", "?", "'", "]")
_BLOCKS = _words(
    "p div blockquote h1 h2 h3 h4 h5 h6 ul ol dl table tr pre hr address article section header footer main aside nav"
    " figure center"
)


def is_plain(body: str) -> bool:
    """Whether a body is plain text: it has no tag that HTML knows. `<jo@example.com>` and `a < b` are text."""
    return not any(match[1] is None or match[1].lower() in _KNOWN for match in _TAG.finditer(body))


def safe(body: str) -> str:
    """A body as HTML one may send to anybody."""
    return _clean(from_plain(body) if is_plain(body) else body)


def with_links(cleaned: str, rewrite: Callable[[str], str]) -> str:
    """The same HTML with every link's target put through `rewrite`."""
    return _clean(cleaned, rewrite)


def as_text(cleaned: str) -> str:
    """What a program without HTML shows: the words, and each link's target after its text."""
    reader = _Reader()
    reader.feed(cleaned)
    reader.close()
    return reader.text()


def _clean(body: str, rewrite: Callable[[str], str] | None = None) -> str:
    def attribute(tag: str, name: str, value: str) -> str:
        return rewrite(value) if rewrite is not None and (tag, name) == ("a", "href") else value

    return nh3.clean(
        body,
        tags=set(TAGS),
        clean_content_tags=set(_DROPPED),
        attributes=ATTRIBUTES,
        attribute_filter=attribute,
        filter_style_properties=set(_STYLES),
        url_schemes=SCHEMES,
        link_rel=None,
    )


def from_plain(body: str) -> str:
    """Plain text as HTML: lines stay lines, and what looks like a web address becomes a link."""
    parts: list[str] = []
    end = 0
    for match in _ADDRESS.finditer(body):
        url = _without_punctuation(match[0])
        parts += (html.escape(body[end : match.start()]), f'<a href="{html.escape(url)}">{html.escape(url)}</a>')
        end = match.start() + len(url)
    parts.append(html.escape(body[end:]))
    return "<div>" + re.sub(r"\r\n|\r|\n", "<br>\n", "".join(parts)) + "</div>"


def _without_punctuation(url: str) -> str:
    """An address within a sentence, without the full stop or the bracket after it."""
    while url[-1:] in _AFTER or (url.endswith(")") and url.count(")") > url.count("(")):
        url = url[:-1]
    return url


class _Reader(HTMLParser):
    """Collects the words of clean HTML, line by line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._kept = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "br":
            self._out.append("\n")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._out)))
        elif tag == "img":
            self._out.append(given.get("alt") or "")
        elif tag in ("td", "th"):
            self._out.append(" ")
        elif tag in ("li", "dt", "dd"):
            self._out.append("\n- " if tag == "li" else "\n")
        elif tag in _BLOCKS:
            self._out.append("\n\n" if tag == "p" or tag[0] == "h" else "\n")
        self._kept += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._links:
            target, start = self._links.pop()
            shown = "".join(self._out[start:]).strip()
            if target.partition(":")[0].lower() in ("http", "https", "mailto", "tel") and not _same(shown, target):
                self._out.append(f" ({target.strip()})")
        elif tag in _BLOCKS:
            self._out.append("\n\n" if tag == "p" or tag[0] == "h" else "\n")
        self._kept -= tag == "pre"

    def handle_data(self, data: str) -> None:
        self._out.append(data.replace(" ", "\xa0") if self._kept else re.sub(r"[ \t\r\n\f]+", " ", data))

    def text(self) -> str:
        """Lines without white space at their ends, and no more than one empty line in a row."""
        lines = [line.strip(" \t").replace("\xa0", " ").rstrip() for line in "".join(self._out).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


def _same(shown: str, target: str) -> bool:
    """Whether a link's text says where it leads already."""

    def bare(text: str) -> str:
        return re.sub(r"^(https?://|mailto:|tel:)", "", text.strip(), flags=re.IGNORECASE).rstrip("/").casefold()

    return bare(shown) == bare(target)
