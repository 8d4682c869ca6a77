"""Where SQLite and PostgreSQL say the same thing differently, and pieces of SQL that carry their parameters.

Inside a clause every parameter is a bare `?`; the connection numbers them once the whole text is known.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of SQL with the parameters of its marks, in order."""

    text: str
    parameters: tuple[Any, ...] = ()


TRUE = Clause("TRUE")
FALSE = Clause("FALSE")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one database writes it. Marks carry a cast where the server would have to guess a type."""

    name: str
    number: str
    text: str
    among: str
    position: str
    ending: str
    arrays: bool

    def equal(self, column: str, key: int) -> Clause:
        return Clause(f"{column} = {self.number}", (key,))

    def one_of(self, column: str, keys: Iterable[int]) -> Clause:
        """One parameter however many keys: 64 lists of 1,000 would be too many for either server."""
        ordered = sorted(keys)
        if not ordered:
            return FALSE
        if len(ordered) == 1:
            return self.equal(column, ordered[0])
        return Clause(f"{column} {self.among}", (ordered if self.arrays else json.dumps(ordered),))

    def contains(self, column: str, text: str) -> Clause:
        return Clause(f"{self.position}({column}, {self.text}) > 0", (text,))

    def starts(self, column: str, text: str) -> Clause:
        # Not LIKE: it has its own ideas of case, and of % and _.
        return Clause(f"substr({column}, 1, {len(text)}) = {self.text}", (text,))

    def ends(self, column: str, text: str) -> Clause:
        return Clause(f"{self.ending.format(column=column, length=len(text))} = {self.text}", (text,))


SQLITE = Dialect(
    name="sqlite",
    number="?",
    text="?",
    among="IN (SELECT value FROM json_each(?))",
    position="instr",
    ending="substr({column}, -{length})",
    arrays=False,
)
POSTGRES = Dialect(
    name="postgres",
    number="?::bigint",
    text="?::text",
    among="= ANY(?::bigint[])",
    position="strpos",
    ending="right({column}, {length})",
    arrays=True,
)


def every(clauses: Iterable[Clause]) -> Clause:
    """All of them. Constants are folded away, so that empty branches leave no trace however many there are."""
    kept = [clause for clause in clauses if clause != TRUE]
    return FALSE if FALSE in kept else _joined(kept, " AND ", TRUE)


def some(clauses: Iterable[Clause]) -> Clause:
    """Any of them."""
    kept = [clause for clause in clauses if clause != FALSE]
    return TRUE if TRUE in kept else _joined(kept, " OR ", FALSE)


def negated(clause: Clause) -> Clause:
    """Right only because no clause of ours is ever NULL."""
    if clause in (TRUE, FALSE):
        return FALSE if clause == TRUE else TRUE
    return Clause(f"NOT ({clause.text})", clause.parameters)


def _joined(clauses: list[Clause], operator: str, empty: Clause) -> Clause:
    if len(clauses) < 2:
        return clauses[0] if clauses else empty
    parameters = tuple(chain.from_iterable(clause.parameters for clause in clauses))
    return Clause(f"({operator.join(clause.text for clause in clauses)})", parameters)
