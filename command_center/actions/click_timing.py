"""Detects clicks by machines from the timing of one email's clicks. Pure.

No person follows a link while its email is being delivered, or several links almost at once. The result depends only on
the clicks and the delivery, not on the order in which they are recorded. More clicks never turn a machine's click into
a person's. A click without an IP address belongs to no burst.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from command_center.actions.bot_signatures import address_block

AFTER_DELIVERY_MICROS = 2_000_000
"""The time after the delivery in which no person can have read the email yet."""
BEFORE_DELIVERY_MICROS = 10_000_000
"""The time before the recorded delivery in which the recipient's mail filter may already have the email."""
BURSTS = ((2, 500_000), (3, 2_000_000))
"""Numbers of different links, each with the microseconds within which only a program follows them from one network.

A person needs more than half a second to reach the next link, and cannot read three pages within two seconds. The same
link twice is a double click."""
MAX_BURST_MICROS = max(span for _, span in BURSTS)
"""Clicks that are farther apart do not influence each other's verdicts."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click on a link in an email; `occurred_at` is in microseconds.

    `network` is the block of IP addresses that it came from; None if the address is unknown. A click is `revisable` if
    its verdict is HUMAN only because the evidence so far does not show a machine.
    """

    key: int
    occurred_at: int
    url: str
    network: str | None
    revisable: bool

    @staticmethod
    def from_columns(key: int, occurred_at: int, url: str | None, ip_address: str | None, revisable: bool) -> "Click":
        """Build a click from the columns of `engagements`."""
        return Click(key, occurred_at, url or "", address_block(ip_address or ""), revisable)


def machine_clicks(clicks: Sequence[Click], sent_at: int | None) -> dict[int, str]:
    """Find the clicks of one email whose timing shows that a machine made them.

    The result maps the key of each such click to the reason. It contains only clicks that are `revisable`. `sent_at` is
    the time of the delivery in microseconds, or None if it is unknown.
    """
    in_bursts = _in_bursts(clicks)
    reasons: dict[int, str] = {}
    for click in clicks:
        if not click.revisable:
            continue
        if sent_at is not None and -BEFORE_DELIVERY_MICROS <= click.occurred_at - sent_at <= AFTER_DELIVERY_MICROS:
            reasons[click.key] = _delivery_reason(click.occurred_at - sent_at)
        elif click.key in in_bursts:
            reasons[click.key] = "one of several links followed at once"
    return reasons


def _delivery_reason(delay: int) -> str:
    return f"followed {delay // 1000} ms after the delivery" if delay >= 0 else "followed while the mail was delivered"


def _in_bursts(clicks: Iterable[Click]) -> set[int]:
    """Return the keys of all clicks that are part of a burst from one network."""
    by_network: dict[str, list[Click]] = defaultdict(list)
    for click in clicks:
        if click.network is not None:
            by_network[click.network].append(click)
    keys: set[int] = set()
    for row in by_network.values():
        row.sort(key=lambda click: (click.occurred_at, click.key))
        for min_links, span in BURSTS:
            keys.update(_clicks_in_bursts(row, min_links, span))
    return keys


def _clicks_in_bursts(clicks: Sequence[Click], min_links: int, span: int) -> Iterable[int]:
    """Yield the keys of clicks that are part of a burst.

    A burst consists of clicks on at least `min_links` different links within `span` microseconds. `clicks` must be
    sorted by time.
    """
    links: Counter[str] = Counter()
    start = reported = 0
    for index, click in enumerate(clicks):
        links[click.url] += 1
        while click.occurred_at - clicks[start].occurred_at > span:
            links[clicks[start].url] -= 1
            if not links[clicks[start].url]:
                del links[clicks[start].url]
            start += 1
        if len(links) >= min_links:
            yield from (each.key for each in clicks[max(start, reported) : index + 1])
            reported = index + 1
