"""Folds texts for comparison.

Stored columns and filters share one form, so that every database agrees.
"""

from unicodedata import normalize


def fold(text: str) -> str:
    """Return the form of a text that is used for comparison.

    Texts that differ only in case or Unicode composition have the same form.

    Folding twice changes nothing: composing after casefold can produce a character that folds again, so it is
    repeated.
    """
    folded = _once(text)
    while (refolded := _once(folded)) != folded:
        folded = refolded
    return folded


def _once(text: str) -> str:
    return normalize("NFC", normalize("NFC", text).casefold())
