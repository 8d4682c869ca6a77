"""Mutants: the product with one thing broken, as a copy in a folder of its own, for the laws to find out."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.paths import ROOT

PACKAGES = ("command_center", "models", "resolvers", "schema", "tests")
FILES = ("pyproject.toml",)
NOT_COPIED = shutil.ignore_patterns("__pycache__", "node_modules", "vendor", "__generated__", ".hypothesis")
PATIENCE = 240


@dataclass(frozen=True)
class Mutant:
    """`old` stands exactly once in the file, and `new` is put in its place. `law` is what must fail for it."""

    name: str
    path: str
    old: str
    new: str
    law: str
    counts: Mapping[str, str] = field(default_factory=dict)


_MEANING = "tests/laws/test_one_meaning.py"
_INDEX = "tests/laws/test_index_is_only_faster.py"
_REPLAY = "tests/laws/test_replay.py::test_folded_messages_equal_a_fresh_query[sqlite]"
_EDGES = f"{_MEANING}::test_windows_agree_at_their_edges[sqlite]"
_ORDER = "tests/live/test_log_order.py::test_a_reader_of_the_log_misses_nothing"
_TEXTS = f"{_MEANING}::test_text_compares_alike_whatever_it_holds[sqlite]"
_CANDIDATES = f"{_INDEX}::test_every_field_finds_its_emails"
_ALTERNATIVES = f"{_INDEX}::test_each_of_two_alternatives_finds_its_emails"
_CROWD = f"{_INDEX}::test_each_of_a_crowd_finds_its_emails"
_BOUND = f"{_INDEX}::test_however_many_alternatives_each_finds_its_emails"
_MORE = {"LAW_CASES": "800"}
_FEW = {"LAW_CASES": "100"}
_RUNS = {"LAW_RUNS": "6", "LAW_STEPS": "25"}

MUTANTS = (
    Mutant(
        name="the window of events lacks its edge",
        path="command_center/search/event_counts.py",
        old="bisect_left(times, since)",
        new="bisect_right(times, since)",
        law=_EDGES,
        counts=_MORE,
    ),
    Mutant(
        name="the window of dates lacks its edge",
        path="command_center/search/predicate.py",
        old="return date >= now - bounds.within.microseconds",
        new="return date > now - bounds.within.microseconds",
        law=_EDGES,
        counts=_MORE,
    ),
    Mutant(
        name="the normal form of an alternative is its first branch",
        path="command_center/search/index/dnf.py",
        old="return _bounded(_NEVER.union(*forms))",
        new="return _bounded(_NEVER.union(*forms[:1]))",
        law=_ALTERNATIVES,
        counts=_FEW,
    ),
    Mutant(
        name="the index files what has too many alternatives under the first alone",
        path="command_center/search/index/keys.py",
        old="            return _union(index_keys(branch) for branch in filters)",
        new="            return _union(index_keys(branch) for branch in filters[:1])",
        law=_BOUND,
        counts=_MORE,
    ),
    Mutant(
        name="a threshold is reached one event too late",
        path="command_center/search/index/posting_lists.py",
        old="yield from line.entries[: bisect_right(line.bounds, count)]",
        new="yield from line.entries[: bisect_left(line.bounds, count)]",
        law=_CROWD,
        counts=_FEW,
    ),
    Mutant(
        name="a limit is passed one event too early",
        path="command_center/search/index/posting_lists.py",
        old="yield from line.entries[bisect_left(line.bounds, count) :]",
        new="yield from line.entries[bisect_right(line.bounds, count) :]",
        law=_CROWD,
        counts=_FEW,
    ),
    Mutant(
        name="a negated threshold keeps its edge",
        path="command_center/search/index/dnf.py",
        old="at_least=0, at_most=condition.least - 1",
        new="at_least=0, at_most=condition.least",
        law=_CROWD,
        counts=_MORE,
    ),
    Mutant(
        name="searches of different ranges share a conjunction",
        path="command_center/search/index/search_index.py",
        old="in_scope = self._entries_by_scope.setdefault(scope, {})",
        new="in_scope = self._entries_by_scope.setdefault(Scope(0, None), {})",
        law=_CROWD,
        counts=_FEW,
    ),
    Mutant(
        name="a text that has the key is believed the rest",
        path="command_center/search/index/keys.py",
        old="return test == TextTest(equals=test.equals)",
        new="return True",
        law=_CANDIDATES,
        counts=_MORE,
    ),
    Mutant(
        name="a refusal is filed under the key of what it refuses",
        path="command_center/search/index/keys.py",
        old="            # What must not hold names no email that has it.\n            return None",
        new="            return index_keys(part.filter)",
        law=_CROWD,
        counts=_MORE,
    ),
    Mutant(
        name="the index takes a bound of none for a need",
        path="command_center/search/index/keys.py",
        old="case EngagementCondition() if leaf.least > 0:",
        new="case EngagementCondition():",
        law=_CANDIDATES,
        counts=_FEW,
    ),
    Mutant(
        name="the log gives out its positions backwards",
        path="command_center/changes/log.py",
        old="(*entry[:-3], index - last, at, check)",
        new="(*entry[:-3], 1 - index, at, check)",
        law=_ORDER,
    ),
    Mutant(
        name="the log is read in no order",
        path="command_center/changes/log.py",
        old=""" AND owner_id = ? AND {db.in_any('kind', 'smallint')} ORDER BY position LIMIT ?",""",
        new=""" AND owner_id = ? AND {db.in_any('kind', 'smallint')} ORDER BY kind, position DESC LIMIT ?",""",
        law=_REPLAY,
        counts=_RUNS,
    ),
    Mutant(
        name="the predicate takes texts as they are written",
        path="command_center/search/predicate.py",
        old="tests.append(fold(test.equals).__eq__)",
        new="tests.append(test.equals.__eq__)",
        law=_TEXTS,
        counts=_FEW,
    ),
    Mutant(
        name="the predicate folds by lower case",
        path="command_center/search/predicate.py",
        old="from command_center.search.text import fold\n",
        new="fold = str.lower\n",
        law=_TEXTS,
        counts=_FEW,
    ),
)

# The replay runs of the mutants are among those of the test itself: here it is enough that a copy can be run.
LAWS = {mutant.law: mutant.counts for mutant in MUTANTS} | {_REPLAY: {"LAW_RUNS": "2"}}


def copy_product(folder: Path) -> Path:
    """A copy of the product and its tests."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=NOT_COPIED)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def copy_with_mutant(folder: Path, mutant: Mutant) -> Path:
    """A copy with the mutant's change."""
    made = copy_product(folder)
    path = made / mutant.path
    text = path.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.path} has changed: the mutant {mutant.name!r} must follow it"
    path.write_text(text.replace(mutant.old, mutant.new))
    return made


def run_law(folder: Path, law: str, counts: Mapping[str, str]) -> tuple[bool, str]:
    """Whether a law holds for the product in a folder, and what pytest said. Anything but one test run is an error."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", law]
    if law.startswith("tests/laws"):
        command += ["--hypothesis-profile", "mutants"]
    # The folder is named, since the environment may have the product itself installed.
    environment = os.environ | counts | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1), said
    assert ("1 passed" in said) is (done.returncode == 0), said
    return done.returncode == 0, said
