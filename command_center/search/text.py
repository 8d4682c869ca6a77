"""How text compares: one folding for stored columns and for filters, so that every database agrees."""

from unicodedata import normalize


def fold(text: str) -> str:
    """The form in which two texts that differ only in case or composition are equal. Folding twice changes nothing.

    Composing after a casefold can bring forth a character that folds again, hence the repetition.
    """
    folded = _once(text)
    while (again := _once(folded)) != folded:
        folded = again
    return folded


def _once(text: str) -> str:
    return normalize("NFC", normalize("NFC", text).casefold())
