"""Lists the elements and attributes that mail may have.

It also determines how all other elements are removed.
"""


def words(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


BLOCKS = words(
    "p div blockquote h1 h2 h3 h4 h5 h6 ul ol dl table tr pre hr address article section header footer main aside nav"
    " figure figcaption center li dt dd caption thead tbody tfoot td th"
)
FORMATTING = words("a b big code em font i s small strike strong tt u")
"""These elements are reopened if the end tag of another element closes them too early."""
VOID = words("br hr img wbr col")
ELEMENTS = (
    BLOCKS | FORMATTING | VOID | words("abbr bdi bdo cite del dfn ins kbd mark q samp span sub sup time var colgroup")
)
"""These elements are allowed."""
REMOVED = words("script style title iframe object applet noscript noembed noframes template textarea select svg math")
"""These elements are removed together with their content."""
_UNWRAPPED = words(
    "html head body meta link base form input button embed frame frameset option label fieldset legend map area"
)
LINE_BREAKING = words("form fieldset legend option optgroup details summary dialog menu dir hgroup search noscript")
"""These elements are removed, but their content stays and begins a new line."""
KNOWN = ELEMENTS | REMOVED | _UNWRAPPED
"""Elements that are neither in ELEMENTS nor in REMOVED are removed, but their content stays."""

_BOX = words("align valign width height bgcolor")
EVERYWHERE = words("style class id dir lang title role")
ATTRIBUTES: dict[str, frozenset[str]] = {
    "a": words("href name target"),
    "img": words("src alt width height border align"),
    "table": _BOX | words("border cellpadding cellspacing"),
    **{tag: _BOX | words("colspan rowspan nowrap") for tag in ("td", "th")},
    **dict.fromkeys(("tr", "thead", "tbody", "tfoot", "col", "colgroup"), _BOX),
    **{tag: words("align") for tag in ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr")},
    "font": words("color face size"),
    "ol": words("start type"),
}
KNOWN_ATTRIBUTES = EVERYWHERE.union(*ATTRIBUTES.values())

_TABLE_PARTS = ("table", "caption", "td", "th")
IMPLIED_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **{
        tag: (words("p"), frozenset(_TABLE_PARTS))
        for tag in BLOCKS - words("tr thead tbody tfoot td th caption li dt dd")
    },
    "li": (words("li"), words("ul ol") | frozenset(_TABLE_PARTS)),
    **{tag: (words("dt dd"), words("dl") | frozenset(_TABLE_PARTS)) for tag in ("dt", "dd")},
    **{tag: (words("td th"), words("tr table")) for tag in ("td", "th")},
    "tr": (words("tr"), words("thead tbody tfoot table")),
    **{tag: (words("thead tbody tfoot caption colgroup"), words("table")) for tag in ("thead", "tbody", "tfoot")},
    "a": (words("a"), frozenset(_TABLE_PARTS)),
}
"""For each start tag, these are the open elements that it ends, and the elements that protect those outside them."""
TABLE_STRUCTURE = words("table caption colgroup thead tbody tfoot tr td th")
SCOPES = frozenset(_TABLE_PARTS)
