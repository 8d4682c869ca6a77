"""Texts that are kept out of a parser: in their places stand words that nobody can guess. Pure."""

import re
import secrets
from collections.abc import Callable


class Slots:
    """The texts of one document. A slot is a word of ASCII letters and digits that occurs in no document by itself."""

    def __init__(self) -> None:
        self._mark = f"slot{secrets.token_hex(12)}n"
        self._pattern = re.compile(rf"{self._mark}([0-9]+)z")
        self.texts: list[str] = []

    def add(self, text: str) -> str:
        """A slot for a text."""
        self.texts.append(text)
        return f"{self._mark}{len(self.texts) - 1}z"

    def fill(self, document: str, change: Callable[[str], str] = str) -> str:
        """The document with the texts in their slots, each changed before."""
        return self._pattern.sub(lambda match: change(self.texts[int(match[1])]), document)

    def split(self, document: str) -> list[str]:
        """The document in pieces, of which every second is the text of a slot."""
        pieces = self._pattern.split(document)
        pieces[1::2] = [self.texts[int(number)] for number in pieces[1::2]]
        return pieces

    def numbers(self, document: str) -> list[int]:
        """The numbers of the slots in a document, in their order."""
        return [int(number) for number in self._pattern.findall(document)]
