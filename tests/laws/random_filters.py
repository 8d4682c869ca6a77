"""Random filters in the form of the API's input. They use few words and durations, so that many of them match."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from command_center.search.datetimes import format_moment

SPANS = {
    "PT5S": timedelta(seconds=5),
    "PT30S": timedelta(seconds=30),
    "PT1M": timedelta(minutes=1),
    "PT1H": timedelta(hours=1),
    "P1D": timedelta(days=1),
    "P3D": timedelta(days=3),
}
WORDS = ("Hello", "HELLO", "straße", "STRASSE", "50%", "a_b", "é", "e\u0301", "İ")
URLS = ("https://x.test/Price", "https://x.test/price", "https://y.test/?é=1")
FOLDERS = ("DELIVERED", "ARCHIVED", "SCHEDULED", "DRAFT", "IN_PROGRESS", "FAILED", "BOUNCED", "SPAM")
KINDS = ("VIEW", "CLICK", "REPLY")
VERDICTS = ("HUMAN", "MACHINE", "SELF")


class FilterGenerator:
    """Makes filters; `ids` are those that a filter may name, by field."""

    def __init__(self, rng: random.Random, ids: Mapping[str, Sequence[str]], admin: bool, now: int) -> None:
        self._rng = rng
        self._ids = ids
        self._admin = admin
        self._now = now

    def filter(self) -> dict[str, Any]:
        """A whole filter. An admin's may range over the mail of others."""
        raw = self._nested(2)
        if self._admin and self._rng.random() < 0.6:
            raw["everySender"] = True
        return raw

    def engagement(self) -> dict[str, Any]:
        """A filter of engagement alone."""
        return {"engagement": [self._condition() for _ in range(self._rng.randint(1, 2))]}

    def _nested(self, depth: int) -> dict[str, Any]:
        raw = self._leaf()
        if self._rng.random() < 0.3:
            raw = raw | self._leaf()
        if depth and self._rng.random() < 0.5:
            inner = [self._nested(depth - 1) for _ in range(self._rng.randint(1, 2))]
            raw = self._rng.choice([{"not": inner[0]}, {"any": inner}, {"all": inner}, raw | {"not": inner[0]}])
        return raw

    def _leaf(self) -> dict[str, Any]:
        makers: list[tuple[float, Callable[[], dict[str, Any]]]] = [
            (6, self.engagement),
            (2, lambda: {"folder": self._some(FOLDERS)}),
            (1, lambda: {"folderGroup": self._some(("SENT", "PENDING", "UNDELIVERED"))}),
            (2, self._named),
            (1, lambda: {"success": self._rng.random() < 0.5}),
            (1, lambda: {self._rng.choice(("subject", "company")): self._text(WORDS)}),
            (3, self._dates),
        ]
        weights = [weight for weight, _ in makers]
        return self._rng.choices([make for _, make in makers], weights)[0]()

    def _some(self, values: Sequence[str], most: int = 2) -> list[str]:
        return self._rng.sample(list(values), min(len(values), self._rng.randint(1, most)))

    def _named(self) -> dict[str, Any]:
        field = self._rng.choice(sorted(self._ids))
        return {field: self._some(self._ids[field])}

    def _text(self, words: Sequence[str]) -> dict[str, str]:
        return {self._rng.choice(("equals", "contains", "startsWith", "endsWith")): self._rng.choice(words)}

    def _dates(self) -> dict[str, Any]:
        field = self._rng.choice(("createdAt", "sentAt", "scheduledAt", "failedAt"))
        bound = self._rng.choice(("within", "within", "olderThan", "olderThan", "from", "until"))
        value = format_moment(self._now) if bound in ("from", "until") else self._rng.choice(list(SPANS))
        return {field: {bound: value}}

    def _condition(self) -> dict[str, Any]:
        kind = self._rng.choice(KINDS)
        raw: dict[str, Any] = {"kind": kind}
        bounds = self._rng.choice(("", "", "none", "least", "most", "both"))
        if bounds == "none":
            raw["atMost"] = 0
        if bounds in ("least", "both"):
            raw["atLeast"] = self._rng.randint(1, 3)
        if bounds in ("most", "both"):
            raw["atMost"] = self._rng.randint(raw.get("atLeast", 1), 4)
        if self._rng.random() < 0.35:
            raw["within"] = self._rng.choice(list(SPANS))
        if self._rng.random() < 0.2:
            raw["afterSend"] = self._rng.choice(list(SPANS))
        if self._rng.random() < 0.2:
            raw["verdict"] = self._some(VERDICTS)
        if kind == "CLICK" and self._rng.random() < 0.3:
            raw["url"] = self._text((*URLS, "price", "É"))
        return raw
