"""Interprets single cells. Pure.

Spreadsheet programs, Outlook and mailing programs write them in their own ways.
"""

import re
from urllib.parse import unquote

from command_center.email_addresses import strip_invisible
from command_center.search.text import fold


class UnreadableCell(ValueError):
    """A cell has no certain meaning.

    The message explains the reason to the operator in a sentence.
    """


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINE_BREAK = re.compile(r"[ \t]*(?:\r\n|[\n\r\v\f\x85\u2028\u2029])+[ \t]*")
_FIXED_SPACE = re.compile("[\u00a0\u2007\u202f]")
# A formula with a text as its value. Programs write numbers in this way to preserve leading zeros.
_TEXT_FORMULA = re.compile(r'=\s*"((?:[^"]|"")*)"')
_LINK_FORMULA = re.compile(r'=\s*HYPERLINK\(\s*"((?:[^"]|"")*)"\s*(?:[,;]\s*"((?:[^"]|"")*)"\s*)?\)', re.IGNORECASE)
# Programs write an apostrophe before a text that a spreadsheet would take for a formula.
_GUARDED_FORMULA = re.compile(r"'[=+\-@]")
_QUOTED = re.compile(r"'((?!.*(?:' | ')).+)'")
_ERRORS = _words(
    "#n/a #name? #ref! #value! #div/0! #null! #num! #nv #name #bezug! #wert! #zahl! #spill! #calc! #error!"
)
_SCHEME = re.compile(r"(smtp|mailto|e-?mail)\s*:\s*", re.IGNORECASE)
_INTERNAL = re.compile(r"(ex\s*:\s*)?/o=|x500\s*:|imceaex-", re.IGNORECASE)
_PROXY = re.compile(r"[a-z0-9]{2,12}:", re.IGNORECASE)
_MARKDOWN = re.compile(r"\[([^\]]+)\]\(mailto:[^)]*\)", re.IGNORECASE)
_IN_ANGLES = re.compile(r"[^<>]*<([^<>]+)>")
_IN_PARENTHESES = re.compile(r"[^()@]*\(([^()]*@[^()]*)\)")
_BEFORE_COMMENT = re.compile(r"([^()\s]+@[^()\s]+)\s*\([^()]*\)")
_SCIENTIFIC = re.compile(r"([+-]?)(\d)(?:[.,](\d+))?e\+?(\d{1,2})", re.IGNORECASE)
_WHOLE = re.compile(r"(\+?\d+)\.0+")
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([t ].*)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})(,? .*)?"
    r"|\d{1,2}[- .]+[^\W\d]{3,10}[- .,]+\d{4}(,? .*)?"
    r"|[^\W\d]{3,10}\.? \d{1,2},? \d{4}(,? .*)?"
    r"|1\d{9}|1\d{12}"
)
_YES = _words(
    "true yes y t x 1 on wahr ja j oui vrai o si sí sì s verdadero sim verdadeiro vero tak prawda da checked ✓ ✔ ☑"
    " unsubscribed unsubscribe optout optedout donotallow donotemail donotcontact abgemeldet désabonné désinscrit"
)
_NO = _words(
    "false no n f 0 off falsch nein non faux nee onwaar não nao falso nie fałsz unchecked ☐ - – none null \\n n/a"
    " subscribed optin optedin allow"
)
_REFUSALS = _words("false no n 0 0.0 nein falsch non faux nee nie não")


def read_text(cell: str) -> str:
    """Return the displayed text of a cell on one line.

    It is empty for an error value of a spreadsheet.
    """
    value = strip_invisible(_FIXED_SPACE.sub(" ", _LINE_BREAK.sub(" ", strip_invisible(cell))))
    if _GUARDED_FORMULA.match(value):
        value = value[1:]
    if formula := _TEXT_FORMULA.fullmatch(value):
        value = strip_invisible(formula[1].replace('""', '"'))
    elif formula := _LINK_FORMULA.fullmatch(value):
        value = strip_invisible((formula[2] or formula[1]).replace('""', '"'))
    if quoted := _QUOTED.fullmatch(value):
        value = strip_invisible(quoted[1])
    return "" if value.casefold() in _ERRORS else value


def read_address(cell: str) -> str:
    """Return the address in a cell.

    Raises: UnreadableCell if the address works only inside Exchange.
    """
    value = _main_address(read_text(cell))
    # One form may contain another, such as `Pat <mailto:pat@example.org>`.
    for _ in range(4):
        before = value
        value = value.lstrip("'").rstrip("';, \t")
        if _INTERNAL.match(value):
            raise UnreadableCell(
                f"{_shorten(value)} is an address inside Exchange; mail from outside does not reach it."
            )
        if scheme := _SCHEME.match(value):
            value = value[scheme.end() :]
            if scheme[1].lower() == "mailto":
                value = unquote(value.partition("?")[0])
        for form in (_MARKDOWN, _IN_ANGLES, _IN_PARENTHESES, _BEFORE_COMMENT):
            if match := form.fullmatch(value):
                value = strip_invisible(match[1])
                break
        if value == before:
            break
    return value


def read_phone(cell: str) -> str:
    """Return the phone number in a cell.

    Raises: UnreadableCell if a spreadsheet has rounded it.
    """
    value = read_text(cell).removeprefix("'")
    if value[:4].lower() == "tel:":
        value = value[4:].strip()
    if number := _SCIENTIFIC.fullmatch(value):
        sign, digit, fraction, exponent = number.groups(default="")
        if len(fraction) != int(exponent):
            message = (
                f"The phone number {value} was rounded by a spreadsheet: format its column as text before exporting."
            )
            raise UnreadableCell(message)
        return sign + digit + fraction
    whole = _WHOLE.fullmatch(value)
    return whole[1] if whole else value


def read_opt_out(cell: str, column: str) -> bool:
    """Return whether a cell in an opt-out column forbids to email the person.

    A date means yes: it is when the person opted out. `column` is the name of the column, for the error
    message. Raises: UnreadableCell if the value means neither yes nor no.
    """
    value = fold(read_text(cell))
    if not value or value.startswith("0000-00-00"):
        return False
    compact = "".join(value.split())
    compact = compact.replace("-", "").replace("_", "") if len(compact) > 1 else compact
    compact = re.sub(r"(?<=^[01])[.,]0+$", "", compact)
    if compact in _YES or _DATE.fullmatch(value):
        return True
    if compact in _NO:
        return False
    raise UnreadableCell(
        f"{_shorten(cell.strip())} in the column {column} means neither that the person has opted out nor the opposite:"
        " write yes, no or a date."
    )


def means_unsubscribed(cell: str) -> bool:
    """Return whether a subscription state means that the person has opted out."""
    value = "".join(char for char in fold(read_text(cell)) if char.isalnum())
    # Mailchimp calls an address "cleaned" after a permanent bounce.
    return value.startswith(
        ("unsub", "optedout", "optout", "donot", "abgemeldet", "cleaned", "complain", "suppressed", "désabonné")
    )


def means_not_subscribed(cell: str) -> bool:
    """Return whether a cell in an opt-in column forbids to email the person."""
    return fold(read_text(cell)).strip() in _REFUSALS or means_unsubscribed(cell)


def _main_address(value: str) -> str:
    """Return the main address in a list that a directory exported.

    Such a list is `SMTP:a@x.example;smtp:b@x.example`.

    An upper-case SMTP marks the main address.
    """
    parts = [part.strip() for part in value.split(";") if part.strip()]
    if len(parts) < 2 or not all(map(_PROXY.match, parts)):
        return value
    mail = [part for part in parts if part[:5].lower() == "smtp:"]
    return next((part for part in mail if part.startswith("SMTP:")), mail[0] if mail else value)


def _shorten(value: str) -> str:
    return value if len(value) <= 60 else value[:60] + "…"
