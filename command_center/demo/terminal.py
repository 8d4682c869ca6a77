"""Displays the progress of the demo.

A terminal gets a layout that stays in place, anything else plain lines.
"""

import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from command_center.demo.watching import ListChange

MAX_FEED_LINES = 200
MIN_FEED_LINES = 3
SUMMARY_INTERVAL_SECONDS = 5.0
_CAUSES = {
    "VIEW": "viewed",
    "CLICK": "clicked",
    "REPLY": "replied",
    "CLOCK": "time passed",
    "EMAIL_CHANGED": "changed",
    "?": "gone again",
}


@dataclass(slots=True)
class TerminalState:
    """The displayed values, which the scenario updates."""

    status: str = "Making people and drafts"
    folders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The numbers of emails by folder group and folder."""
    lists: dict[str, str] = field(default_factory=dict)
    """The names of the lists by id."""
    members: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The names of the recipients by email id."""
    joined: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)


class Terminal:
    """The only writer to the terminal while the demo runs."""

    def __init__(self, state: TerminalState) -> None:
        self.state = state
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._feed: deque[Text] = deque(maxlen=MAX_FEED_LINES)
        self._heading_rows = 0
        self._started_at = time.monotonic()
        self._last_summary, self._summary_at = "", 0.0

    @contextmanager
    def running(self, heading: Iterable[str]) -> Iterator["Terminal"]:
        """Print the heading, and keep the layout in place below it."""
        self.print(heading)
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield self
            return
        # The terminal wraps long lines of the heading itself, so that a link can be copied completely.
        self._heading_rows = sum(1 + (len(line) - 1) // self._console.width for line in heading)
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as self._live:
            try:
                yield self
            finally:
                self.refresh()
                self._live = None

    def print(self, lines: Iterable[str]) -> None:
        """Print lines permanently. Must not be called while the layout is displayed."""
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def log(self, text: str, style: str = "") -> None:
        """Add a line to the displayed feed of the latest events."""
        line = f"{time.monotonic() - self._started_at:6.1f} s  {text}"
        if self._live is None:
            self.print([line])
        else:
            self._feed.append(Text(line, style=style, no_wrap=True, overflow="ellipsis"))

    def show_change(self, change: ListChange) -> None:
        """Count a join or a leave, and add a line about it to the displayed feed."""
        (self.state.joined if change.joined else self.state.left)[change.search_id] += 1
        name = self.state.names.get(change.email_id, "someone")
        latency = (
            "" if change.action is None else "0 ms" if change.latency is None else f"{change.latency * 1000:.0f} ms"
        )
        cause = _CAUSES.get(change.cause, change.cause.lower().replace("_", " "))
        sign, style = ("+", "green") if change.joined else ("-", "yellow")
        list_name = self.state.lists.get(change.search_id, "another list")
        self.log(f"{sign} {list_name:<28.28} {name:<16.16} {cause:<11.11} {latency:>5}", style)

    def refresh(self) -> None:
        """Draw the layout.

        Without a terminal, print a summary from time to time if it changed.
        """
        if self._live is not None:
            self._live.update(self._layout(), refresh=True)
            return
        summary = f"{self.state.status} | {_folders(self.state)} | {_lists(self.state)}"
        if (
            self.state.lists
            and summary != self._last_summary
            and time.monotonic() - self._summary_at >= SUMMARY_INTERVAL_SECONDS
        ):
            self._last_summary, self._summary_at = summary, time.monotonic()
            self.log(summary)

    def _layout(self) -> Group:
        folders = Table.grid(padding=(0, 2))
        for group, counts in self.state.folders.items():
            cells = [Text.assemble((f"{name} ", "dim"), (str(count), "bold")) for name, count in counts.items()]
            folders.add_row(Text(group), *cells)
        lists = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
        lists.add_column("list", no_wrap=True, min_width=28)
        for name in ("members", "joined", "left"):
            lists.add_column(name, justify="right")
        for key, name in self.state.lists.items():
            members, joined, left = self.state.members.get(key, 0), self.state.joined[key], self.state.left[key]
            lists.add_row(name, Text(str(members), style="bold"), str(joined), str(left))
        parts: list[RenderableType] = [
            Text(self.state.status, style="bold", no_wrap=True),
            Rule("folders"),
            folders,
            Rule("lists"),
            lists,
        ]
        used_rows = 1 + 1 + folders.row_count + 1 + 1 + lists.row_count + 1
        feed_rows = max(MIN_FEED_LINES, self._console.height - self._heading_rows - used_rows - 1)
        feed = list(self._feed)[-feed_rows:]
        blank = [Text("")] * (feed_rows - len(feed))
        return Group(*parts, Rule("pushed frames: ms after the answer to what caused them"), *feed, *blank)


def _folders(state: TerminalState) -> str:
    return ", ".join(f"{name} {count}" for counts in state.folders.values() for name, count in counts.items() if count)


def _lists(state: TerminalState) -> str:
    return ", ".join(f"{name}: {state.members.get(key, 0)}" for key, name in state.lists.items())
