"""What the terminal shows: a layout that stays in place on a terminal, plain lines elsewhere."""

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

from command_center.demo.watching import Move

KEPT = 200
LEAST_FEED = 3
PLAIN_SECONDS = 5.0
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
    """What is shown, filled in by others as it becomes known."""

    status: str = "Making people and drafts"
    folders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Counts by group and folder."""
    lists: dict[str, str] = field(default_factory=dict)
    """Names by id."""
    members: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """People by email id."""
    joined: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)


class Terminal:
    """The one place that writes to the terminal while the demo runs."""

    def __init__(self, board: TerminalState) -> None:
        self.board = board
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._feed: deque[Text] = deque(maxlen=KEPT)
        self._above = 0
        self._began = time.monotonic()
        self._shown, self._plain_at = "", 0.0

    @contextmanager
    def running(self, heading: Iterable[str]) -> Iterator["Terminal"]:
        """Prints the heading, which stays above, and keeps the rest in place below it."""
        self.print(heading)
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield self
            return
        # Long lines are left to the terminal to wrap, so that a link can be copied whole.
        self._above = sum(1 + (len(line) - 1) // self._console.width for line in heading)
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as self._live:
            try:
                yield self
            finally:
                self.refresh()
                self._live = None

    def print(self, lines: Iterable[str]) -> None:
        """Lines that stay. Not while the layout is on the screen."""
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def say(self, text: str, style: str = "") -> None:
        """One line in the feed."""
        line = f"{time.monotonic() - self._began:6.1f} s  {text}"
        if self._live is None:
            self.print([line])
        else:
            self._feed.append(Text(line, style=style, no_wrap=True, overflow="ellipsis"))

    def move(self, move: Move) -> None:
        """An email joined or left a list."""
        (self.board.joined if move.joined else self.board.left)[move.search_id] += 1
        name = self.board.names.get(move.email_id, "someone")
        latency = "" if move.action is None else "0 ms" if move.latency is None else f"{move.latency * 1000:.0f} ms"
        cause = _CAUSES.get(move.cause, move.cause.lower().replace("_", " "))
        sign, style = ("+", "green") if move.joined else ("-", "yellow")
        where = self.board.lists.get(move.search_id, "another list")
        self.say(f"{sign} {where:<28.28} {name:<16.16} {cause:<11.11} {latency:>5}", style)

    def refresh(self) -> None:
        """Draws the layout anew; elsewhere prints how things stand, now and then."""
        if self._live is not None:
            self._live.update(self._layout(), refresh=True)
            return
        shown = f"{self.board.status} | {_folders(self.board)} | {_lists(self.board)}"
        if self.board.lists and shown != self._shown and time.monotonic() - self._plain_at >= PLAIN_SECONDS:
            self._shown, self._plain_at = shown, time.monotonic()
            self.say(shown)

    def _layout(self) -> Group:
        folders = Table.grid(padding=(0, 2))
        for group, counts in self.board.folders.items():
            cells = [Text.assemble((f"{name} ", "dim"), (str(count), "bold")) for name, count in counts.items()]
            folders.add_row(Text(group), *cells)
        lists = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
        lists.add_column("list", no_wrap=True, min_width=28)
        for name in ("members", "joined", "left"):
            lists.add_column(name, justify="right")
        for key, name in self.board.lists.items():
            members, joined, left = self.board.members.get(key, 0), self.board.joined[key], self.board.left[key]
            lists.add_row(name, Text(str(members), style="bold"), str(joined), str(left))
        parts: list[RenderableType] = [
            Text(self.board.status, style="bold", no_wrap=True),
            Rule("folders"),
            folders,
            Rule("lists"),
            lists,
        ]
        taken = 1 + 1 + folders.row_count + 1 + 1 + lists.row_count + 1
        room = max(LEAST_FEED, self._console.height - self._above - taken - 1)
        feed = list(self._feed)[-room:]
        blank = [Text("")] * (room - len(feed))
        return Group(*parts, Rule("pushed frames: ms after the answer to what caused them"), *feed, *blank)


def _folders(board: TerminalState) -> str:
    return ", ".join(f"{name} {count}" for counts in board.folders.values() for name, count in counts.items() if count)


def _lists(board: TerminalState) -> str:
    return ", ".join(f"{name}: {board.members.get(key, 0)}" for key, name in board.lists.items())
