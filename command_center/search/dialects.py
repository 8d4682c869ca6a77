"""Builds the SQL that differs between SQLite and PostgreSQL.

A piece of SQL is a `Clause`, which contains its parameters.

Every parameter in a clause is a bare `?`. The connection numbers them once the statement is complete.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import TypeAlias

Parameter: TypeAlias = int | str | date | list[int]
"""The value of a placeholder. Only PostgreSQL takes lists."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of SQL, and the values of its `?` placeholders in order."""

    text: str
    parameters: tuple[Parameter, ...] = ()


TRUE = Clause("TRUE")
FALSE = Clause("FALSE")


@dataclass(frozen=True, slots=True)
class Dialect:
    """The SQL of one database, as far as it differs from the other one's.

    `number` and `text` are placeholders, with a cast if the server would have to guess the type. `among` compares a
    column with the keys of one parameter: an array if `arrays`, otherwise JSON. `position` and `ending` name string
    functions.
    """

    name: str
    number: str
    text: str
    among: str
    position: str
    ending: str
    arrays: bool

    def equal(self, column: str, key: int) -> Clause:
        """Return the clause that a column equals a key."""
        return Clause(f"{column} = {self.number}", (key,))

    def one_of(self, column: str, keys: Iterable[int]) -> Clause:
        """Return the clause that a column equals one of the keys.

        It has one parameter for any number of keys: 64 lists of 1,000 would exceed the limit of either server.
        """
        ordered = sorted(keys)
        if not ordered:
            return FALSE
        if len(ordered) == 1:
            return self.equal(column, ordered[0])
        return Clause(f"{column} {self.among}", (ordered if self.arrays else json.dumps(ordered),))

    def contains(self, column: str, text: str) -> Clause:
        """Return the clause that a column contains a text."""
        return Clause(f"{self.position}({column}, {self.text}) > 0", (text,))

    def starts(self, column: str, text: str) -> Clause:
        """Return the clause that a column starts with a text."""
        # Do not use LIKE: it treats case, % and _ specially.
        return Clause(f"substr({column}, 1, {len(text)}) = {self.text}", (text,))

    def ends(self, column: str, text: str) -> Clause:
        """Return the clause that a column ends with a text."""
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


def all_of(clauses: Iterable[Clause]) -> Clause:
    """Return the conjunction of the clauses.

    Constants are simplified, so that empty branches add nothing to the statement.
    """
    operands = [clause for clause in clauses if clause != TRUE]
    return FALSE if FALSE in operands else _join(operands, " AND ", TRUE)


def any_of(clauses: Iterable[Clause]) -> Clause:
    """Return the disjunction of the clauses, with constants simplified."""
    operands = [clause for clause in clauses if clause != FALSE]
    return TRUE if TRUE in operands else _join(operands, " OR ", FALSE)


def negate(clause: Clause) -> Clause:
    """Return the negation of a clause."""
    if clause in (TRUE, FALSE):
        return FALSE if clause == TRUE else TRUE
    return Clause(f"NOT ({clause.text})", clause.parameters)


def _join(clauses: list[Clause], operator: str, empty: Clause) -> Clause:
    if len(clauses) < 2:
        return clauses[0] if clauses else empty
    parameters = tuple(chain.from_iterable(clause.parameters for clause in clauses))
    return Clause(f"({operator.join(clause.text for clause in clauses)})", parameters)
