"""Hides texts from a parser behind unguessable placeholders, called slots. Pure."""

import re
import secrets
from collections.abc import Callable


class Slots:
    """Holds the hidden texts of one document.

    A slot is a random word of ASCII letters and digits, so no document contains it by accident or on purpose.
    """

    def __init__(self) -> None:
        self._prefix = f"slot{secrets.token_hex(12)}n"
        self._pattern = re.compile(rf"{self._prefix}([0-9]+)z")
        self.texts: list[str] = []

    def add(self, text: str) -> str:
        """Hide a text and return its slot."""
        self.texts.append(text)
        return f"{self._prefix}{len(self.texts) - 1}z"

    def fill(self, document: str, change: Callable[[str], str] = str) -> str:
        """Return the document with every slot replaced by its text.

        `change` is applied to each text.
        """
        return self._pattern.sub(lambda match: change(self.texts[int(match[1])]), document)

    def split(self, document: str) -> list[str]:
        """Split the document at its slots.

        The pieces with odd indexes are the texts of the slots.
        """
        pieces = self._pattern.split(document)
        pieces[1::2] = [self.texts[int(number)] for number in pieces[1::2]]
        return pieces

    def numbers(self, document: str) -> list[int]:
        """Return the numbers of the slots in a document, in document order.

        Slots are numbered from 0 in the order in which they were added.
        """
        return [int(number) for number in self._pattern.findall(document)]
