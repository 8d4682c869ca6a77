"""Plain text as HTML: its lines, its spaces, its direction, and links where web addresses stand. Pure.

An address ends where a reader sees it end: at white space, at a quotation mark, at a bracket that was not opened
within it, at punctuation of another script, and before the punctuation of the sentence around it.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import chain, groupby

from command_center.actions.markup.slots import Slots

_START = re.compile(r"https?://(?=[^\W_]|\[|[^\x00-\x7f])", re.IGNORECASE)
_PAIRS = {")": "(", "]": "[", "}": "{"}
# Letters of words for their readers, though Unicode counts them as punctuation.
_WITHIN_WORDS = "·՚־׳״་‧‐‑–・ー\u200c\u200d"
_AFTER = frozenset(".,;:!?'`*|([{" + _WITHIN_WORDS)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")


def _terminators() -> str:
    """The characters outside ASCII at which an address ends: punctuation, quotation marks, brackets, spaces."""
    ends = ("Pi", "Pf", "Ps", "Pe", "Po", "Pd", "Zs", "Zl", "Zp", "Cc", "Cf")
    # Between these lie ideographs and Hangul, which are letters.
    codes = chain(range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xD7B0, 0xD800), range(0xE000, 0x12000))
    found = (chr(code) for code in codes if unicodedata.category(chr(code)) in ends)
    return "".join(letter for letter in found if letter not in _WITHIN_WORDS)


_URL_TEXT = re.compile(rf"[^\s\x00-\x20\x7f<>\"()\[\]{{}}～〜＜＞{re.escape(_terminators())}]++")
_BREAKS = re.compile(r"\r\n|\r|\n")
_SPACES = re.compile(r"(?<=[ \t\r\n])[ \t]++|\t")


def to_html(text: str, links: Slots) -> str:
    """Plain text as safe HTML; the targets of its links stand in slots."""
    if _RIGHT_TO_LEFT.search(text) is None:
        return f"<div>{_lines(text, links)}</div>"
    parts = []
    for direction, lines in groupby(_directed(_BREAKS.split(text)), key=lambda each: each[0]):
        content = "\n".join(line for _, line in lines)
        parts.append(f'<div dir="{direction}">{_lines(content, links) or "<br>"}</div>')
    return "\n".join(parts)


def _directed(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each line with the direction of its first letter that has one; a line without any goes on as the line before."""
    direction = "auto"
    for line in lines:
        strong = next((each for each in map(unicodedata.bidirectional, line) if each in ("L", "R", "AL")), None)
        if strong is not None:
            direction = "ltr" if strong == "L" else "rtl"
        yield direction, line


def _lines(text: str, links: Slots) -> str:
    parts: list[str] = []
    place = len(text) - len(text.lstrip(" \t"))
    parts.append(_escaped(" " + text[:place])[1:])
    for begin, end in addresses(text):
        parts.append(_escaped(text[place:begin]))
        url = text[begin:end]
        parts.append(f'<a href="{links.add(url)}">{html.escape(url)}</a>')
        place = end
    parts.append(_escaped(text[place:]))
    return _BREAKS.sub("<br>\n", "".join(parts))


def _escaped(text: str) -> str:
    """Text as HTML that shows its indentation and all of its spaces."""
    return _SPACES.sub(_wide, html.escape(text))


def _wide(match: re.Match[str]) -> str:
    return "".join("&nbsp;" * 4 if letter == "\t" else "&nbsp;" for letter in match[0])


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where the web addresses of a text begin and end."""
    place = 0
    while match := _START.search(text, place):
        end = _end(text, match.end())
        if end > match.end():
            yield match.start(), end
        place = end


def _end(text: str, begin: int) -> int:
    """Where an address ends whose host begins at a place."""
    balance = dict.fromkeys(_PAIRS.values(), 0)
    end = begin
    while True:
        if run := _URL_TEXT.match(text, end):
            end = run.end()
        letter = text[end : end + 1]
        if letter in balance:
            balance[letter] += 1
        elif letter in _PAIRS and balance[_PAIRS[letter]]:
            balance[_PAIRS[letter]] -= 1
        else:
            break
        end += 1
    while end > begin and text[end - 1] in _AFTER:
        end -= 1
    return end
