"""Converts plain text to HTML with lines, spaces, text direction and links. Pure.

A web address ends where a reader would end it. It ends at white space, at a quotation mark, and at a bracket that was
not opened within it. It also ends at punctuation of another script, and before the punctuation of the surrounding
sentence.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import chain, groupby

from command_center.actions.markup.slots import Slots

_START = re.compile(r"https?://(?=[^\W_]|\[|[^\x00-\x7f])", re.IGNORECASE)
_PAIRS = {")": "(", "]": "[", "}": "{"}
# Unicode classifies these as punctuation, but they occur within words.
_WORD_CHARACTERS = "·՚־׳״་‧‐‑–・ー\u200c\u200d"
_NOT_AT_END = frozenset(".,;:!?'`*|([{" + _WORD_CHARACTERS)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")


def _terminators() -> str:
    """Return the characters outside ASCII that end a web address in a text.

    They are punctuation, quotation marks, brackets and spaces.
    """
    ends = ("Pi", "Pf", "Ps", "Pe", "Po", "Pd", "Zs", "Zl", "Zp", "Cc", "Cf")
    # The gaps between these ranges contain ideographs and Hangul, which are letters.
    codes = chain(range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xD7B0, 0xD800), range(0xE000, 0x12000))
    characters = (chr(code) for code in codes if unicodedata.category(chr(code)) in ends)
    return "".join(letter for letter in characters if letter not in _WORD_CHARACTERS)


_URL_TEXT = re.compile(rf"[^\s\x00-\x20\x7f<>\"()\[\]{{}}～〜＜＞{re.escape(_terminators())}]++")
_BREAKS = re.compile(r"\r\n|\r|\n")
_SPACES = re.compile(r"(?<=[ \t\r\n])[ \t]++|\t")


def to_html(text: str, links: Slots) -> str:
    """Return plain text as safe HTML in which slots replace the targets of links.

    A slot is a placeholder; `links` holds the target for each.
    """
    if _RIGHT_TO_LEFT.search(text) is None:
        return f"<div>{_lines(text, links)}</div>"
    parts = []
    for direction, lines in groupby(_with_directions(_BREAKS.split(text)), key=lambda each: each[0]):
        content = "\n".join(line for _, line in lines)
        parts.append(f'<div dir="{direction}">{_lines(content, links) or "<br>"}</div>')
    return "\n".join(parts)


def _with_directions(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each line of text after its direction: `ltr`, `rtl` or `auto`.

    The first character with a direction determines it. A line without one has the direction of the previous line, or
    `auto` at the start.
    """
    direction = "auto"
    for line in lines:
        bidirectional = next((each for each in map(unicodedata.bidirectional, line) if each in ("L", "R", "AL")), None)
        if bidirectional is not None:
            direction = "ltr" if bidirectional == "L" else "rtl"
        yield direction, line


def _lines(text: str, links: Slots) -> str:
    parts: list[str] = []
    position = len(text) - len(text.lstrip(" \t"))
    parts.append(_escaped(" " + text[:position])[1:])
    for begin, end in find_urls(text):
        parts.append(_escaped(text[position:begin]))
        url = text[begin:end]
        parts.append(f'<a href="{links.add(url)}">{html.escape(url)}</a>')
        position = end
    parts.append(_escaped(text[position:]))
    return _BREAKS.sub("<br>\n", "".join(parts))


def _escaped(text: str) -> str:
    """Escape text as HTML that displays its indentation and all of its spaces."""
    return _SPACES.sub(_non_breaking, html.escape(text))


def _non_breaking(match: re.Match[str]) -> str:
    return "".join("&nbsp;" * 4 if letter == "\t" else "&nbsp;" for letter in match[0])


def find_urls(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each web address in a text."""
    position = 0
    while match := _START.search(text, position):
        end = _url_end(text, match.end())
        if end > match.end():
            yield match.start(), end
        position = end


def _url_end(text: str, begin: int) -> int:
    """Return the end of the address whose host begins at a position."""
    balance = dict.fromkeys(_PAIRS.values(), 0)
    end = begin
    while True:
        if match := _URL_TEXT.match(text, end):
            end = match.end()
        letter = text[end : end + 1]
        if letter in balance:
            balance[letter] += 1
        elif letter in _PAIRS and balance[_PAIRS[letter]]:
            balance[_PAIRS[letter]] -= 1
        else:
            break
        end += 1
    while end > begin and text[end - 1] in _NOT_AT_END:
        end -= 1
    return end
