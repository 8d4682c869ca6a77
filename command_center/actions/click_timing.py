"""What the timing of one email's clicks tells: no person follows a link as its mail arrives, or several at once. Pure.

All of it follows from the clicks and the delivery alone, whatever order they became known in, and more clicks never
make fewer of them a machine's. Whoever has not said where a click came from is not accused by the others.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from command_center.actions.bot_signatures import neighbourhood

DELIVERY = 2_000_000
"""Microseconds after the delivery in which nobody has read the mail yet."""
HAND_OVER = 10_000_000
"""Microseconds before the delivery is written down in which the recipient's filter may have the mail already."""
AT_ONCE = ((2, 500_000), (3, 2_000_000))
"""So many different links within so many microseconds from one place are followed by a program. A hand takes longer
than half a second to the next link, and who follows three within two seconds reads none of them. The same link twice
is a double click."""
NEAR = max(span for _, span in AT_ONCE)
"""Clicks farther apart than this tell nothing of each other."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click; `place` is the neighbourhood it came from. `doubted`: it counts as a person's for want of evidence."""

    key: int
    occurred_at: int
    url: str
    place: str | None
    doubted: bool

    @staticmethod
    def of(key: int, occurred_at: int, url: str | None, ip_address: str | None, doubted: bool) -> "Click":
        return Click(key, occurred_at, url or "", neighbourhood(ip_address or ""), doubted)


def by_machine(clicks: Sequence[Click], sent_at: int | None) -> dict[int, str]:
    """Those of one email's doubted clicks that their timing gives away, by key, each with the reason."""
    at_once = _at_once(clicks)
    found: dict[int, str] = {}
    for click in clicks:
        if not click.doubted:
            continue
        if sent_at is not None and -HAND_OVER <= click.occurred_at - sent_at <= DELIVERY:
            found[click.key] = _so_soon(click.occurred_at - sent_at)
        elif click.key in at_once:
            found[click.key] = "one of several links followed at once"
    return found


def _so_soon(after: int) -> str:
    return f"followed {after // 1000} ms after the delivery" if after >= 0 else "followed while the mail was delivered"


def _at_once(clicks: Iterable[Click]) -> set[int]:
    places: dict[str, list[Click]] = defaultdict(list)
    for click in clicks:
        if click.place is not None:
            places[click.place].append(click)
    found: set[int] = set()
    for row in places.values():
        row.sort(key=lambda click: (click.occurred_at, click.key))
        for number, span in AT_ONCE:
            found.update(_crowded(row, number, span))
    return found


def _crowded(row: Sequence[Click], number: int, span: int) -> Iterable[int]:
    """The clicks, in order of time, that lie in any span with so many different links."""
    links: Counter[str] = Counter()
    first = told = 0
    for place, click in enumerate(row):
        links[click.url] += 1
        while click.occurred_at - row[first].occurred_at > span:
            links[row[first].url] -= 1
            if not links[row[first].url]:
                del links[row[first].url]
            first += 1
        if len(links) >= number:
            yield from (each.key for each in row[max(first, told) : place + 1])
            told = place + 1
