"""Filters CSS. Pure.

It accepts known properties with harmless values, and style sheets with media queries.

Allowed functions are arithmetic, colours and gradients. As `<img>` may, `url()` may load a background picture over http
or https. Imports, fonts, animations, expressions, behaviours and positions are removed and reported. Every step takes
time linear in the length of the text.
"""

import re
from collections.abc import Callable, Iterator

from command_center.actions.markup.vocabulary import words

PROPERTIES = words(
    "background background-attachment background-clip background-color background-image background-origin"
    " background-position background-repeat background-size border border-bottom border-collapse border-color"
    " border-left border-radius border-right border-spacing border-style border-top border-width box-shadow"
    " box-sizing caption-side clear color color-scheme column-gap direction display empty-cells float font"
    " font-family font-size font-style font-variant font-weight gap height hyphens letter-spacing line-height"
    " list-style list-style-position list-style-type margin margin-bottom margin-left margin-right margin-top"
    " max-height max-width min-height min-width object-fit opacity outline outline-color outline-style"
    " outline-width overflow overflow-wrap padding padding-bottom padding-left padding-right padding-top quotes"
    " row-gap supported-color-schemes table-layout text-align text-decoration text-indent text-overflow"
    " text-shadow text-size-adjust text-transform unicode-bidi vertical-align visibility white-space width"
    " word-break word-spacing word-wrap -ms-interpolation-mode -ms-text-size-adjust -webkit-font-smoothing"
    " -webkit-text-size-adjust -moz-osx-font-smoothing"
)
_PREFIXES = ("mso-", "border-", "text-decoration-", "font-variant-", "flex", "align-", "justify-")
_PICTURES = frozenset(("background", "background-image"))
_FUNCTIONS = words(
    "calc clamp color-mix hsl hsla hwb lab lch linear-gradient max min oklab oklch radial-gradient repeat"
    " repeating-linear-gradient rgb rgba"
)
_AT_RULES = frozenset(("media", "supports"))
_FUNCTION = re.compile(r"(?<![\w-])([\w-]*+)\(")
_PICTURE = re.compile(
    r"""url\(\s*+(?:"https?://[^"\\<>()]*+"|'https?://[^'\\<>()]*+'|https?://[^\s"'\\<>()]*+)\s*+\)"""
)
_SELECTOR_ESCAPE = re.compile(r"\\[^\w\s<>{};]")
_PIECE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]++|\\.)*+"?+|'(?:[^'\\\n]++|\\.)*+'?+|\\.|[^"'\\/{}();]++|.""",
    re.DOTALL,
)
_SPACE = re.compile(r"\s++")
Report = Callable[[str], None]


def declarations(source: str, report: Report) -> str:
    """Return the allowed declarations of a `style` attribute or a rule.

    `report` gets the names of the others.
    """
    accepted: list[str] = []
    for text in _split(source):
        name, colon, value = text.partition(":")
        name, value = name.strip().lower(), _SPACE.sub(" ", value).strip()
        if not name and not value:
            continue
        if colon and value and _is_known(name) and _is_harmless(name, value):
            accepted.append(f"{name}:{value}")
        else:
            report(name if re.fullmatch(r"[\w-]{1,60}", name) else "a declaration")
    return ";".join(accepted)


def sheet(source: str, report: Report) -> str:
    """Return the allowed rules of a style sheet.

    `report` gets the names of what is removed.
    """
    return _Sheet(source, report).rules()


def _is_known(name: str) -> bool:
    return name in PROPERTIES or (name.startswith(_PREFIXES) and re.fullmatch(r"[a-z-]+", name) is not None)


def _is_harmless(name: str, value: str) -> bool:
    if name in _PICTURES:
        value = _PICTURE.sub("", value)
    if any(letter in value for letter in "<>\\{}@") or "javascript:" in value.lower():
        return False
    return all(match[1].lower() in _FUNCTIONS or not match[1] for match in _FUNCTION.finditer(value))


def _pieces(source: str) -> Iterator[str]:
    """Yield the lexical pieces of CSS, without comments."""
    return (match[0] for match in _PIECE.finditer(source) if not match[0].startswith("/*"))


def _split(source: str) -> list[str]:
    """Split CSS at its semicolons, except at those within brackets and quotes."""
    parts: list[list[str]] = [[]]
    depth = 0
    for piece in _pieces(source):
        if piece == ";" and not depth:
            parts.append([])
            continue
        depth = max(0, depth + (piece == "(") - (piece == ")"))
        parts[-1].append(piece)
    return ["".join(each) for each in parts]


class _Sheet:
    """Reads a style sheet once, from start to end."""

    def __init__(self, source: str, report: Report) -> None:
        self._pieces = list(_pieces(source.replace("<!--", " ").replace("-->", " ")))
        self._position = 0
        self._report = report

    def rules(self, nested: bool = False) -> str:
        """Return the rules up to the end, or up to the closing brace if they are nested."""
        accepted: list[str] = []
        while self._position < len(self._pieces):
            prelude, end = self._prelude()
            if end == "}":
                if nested:
                    break
                continue
            if prelude.startswith("@"):
                accepted.append(self._at_rule(prelude, end, nested))
            elif end == "{":
                accepted.append(self._rule(prelude))
            elif prelude:
                self._report("a rule")
        return "\n".join(each for each in accepted if each)

    def _prelude(self) -> tuple[str, str]:
        """Return the text up to the next brace, and that brace.

        An at-rule also ends at a semicolon. At the end of the sheet the second value is empty.
        """
        while self._position < len(self._pieces) and self._pieces[self._position].isspace():
            self._position += 1
        begin = self._position
        ends = "{};" if self._pieces[begin : begin + 1] and self._pieces[begin].lstrip().startswith("@") else "{}"
        while self._position < len(self._pieces):
            piece = self._pieces[self._position]
            self._position += 1
            if piece in ends:
                return self._text(begin, self._position - 1), piece
        return self._text(begin, self._position), ""

    def _text(self, begin: int, end: int) -> str:
        # A longer prelude is not a valid selector, and its first characters suffice to report it.
        return _SPACE.sub(" ", "".join(self._pieces[begin : min(end, begin + 2000)])).strip()

    def _at_rule(self, prelude: str, end: str, nested: bool) -> str:
        match = re.match(r"@([\w-]{1,40})", prelude)
        name = match[1].lower() if match else ""
        query = prelude[len(name) + 1 :].strip()
        if end == "{" and name in _AT_RULES and not nested and _is_query(query):
            inner = self.rules(nested=True)
            return f"@{name} {query}{{\n{inner}\n}}" if inner else ""
        self._report(f"@{name}" if name else "a rule")
        if end == "{":
            self._skip()
        return ""

    def _rule(self, selector: str) -> str:
        if not _is_selector(selector):
            self._report("a rule")
            self._skip()
            return ""
        begin = self._position
        # Mail programs do not support nested rules, so the block ends at the first brace.
        while self._position < len(self._pieces) and self._pieces[self._position] not in ("{", "}"):
            self._position += 1
        accepted = declarations("".join(self._pieces[begin : self._position]), self._report)
        if self._pieces[self._position : self._position + 1] == ["{"]:
            self._report("a nested rule")
            self._position += 1
            self._skip()
            self._skip()
            return ""
        self._position += 1
        return f"{selector}{{{accepted}}}" if accepted else ""

    def _skip(self) -> None:
        """Skip to the end of the open block."""
        depth = 1
        while self._position < len(self._pieces) and depth:
            depth += (self._pieces[self._position] == "{") - (self._pieces[self._position] == "}")
            self._position += 1


def _is_query(text: str) -> bool:
    return re.fullmatch(r"[\w\s(),:./<>=+*%#-]*+", text.replace("<", "\0")) is not None


def _is_selector(text: str) -> bool:
    plain = _SELECTOR_ESCAPE.sub("", text)
    return bool(text) and len(text) < 2000 and not any(letter in plain for letter in "<\\{};@")
