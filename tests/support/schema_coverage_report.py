"""A pytest plugin: what of the public schema no test has exercised, said at the end of a run.

It is on when the whole suite is asked for, and then whatever is missing fails the run. With SDL_COVERAGE naming a
folder it is on for any run, adds what was met to the folder, and only tells: so one can see what a few files exercise.
Where several processes share a run, each adds what it met, and the one that started them tells.
"""

import os
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support import server as serving
from tests.support.paths import TESTS
from tests.support.schema_coverage import SchemaCoverage, all_coordinates, published_schema

VARIABLE = "SDL_COVERAGE"
_SHARED = "SDL_COVERAGE_SHARED"
"""How the processes of one run learn where to add what they met."""
ELSEWHERE = ("browser", "clients", "packaging")


class Report:
    """Measures one run."""

    def __init__(self, folder: Path, strict: bool) -> None:
        self.folder, self.strict = folder, strict
        self.exercised = SchemaCoverage(published_schema())

    def missing(self) -> list[str]:
        """What is left, in the order of the names."""
        self.exercised.load(self.folder.glob("*.json"))
        return sorted(all_coordinates(self.exercised.schema) - self.exercised.met)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.exercised.dump(self.folder / f"{uuid.uuid4().hex}.json")
        if self.strict and exitstatus == pytest.ExitCode.OK and self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("the schema, as the tests exercised it")
        for line in report_lines(all_coordinates(self.exercised.schema), self.missing()):
            terminalreporter.line(line)


def report_lines(whole: Iterable[str], missing: list[str]) -> list[str]:
    """How much of each kind of coordinate was met, and what was not."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for coordinate in whole:
        kinds[kind(coordinate)].append(coordinate)
    lost = set(missing)
    said = []
    for name in ("types", "fields", "arguments", "input fields", "enum values"):
        met = len(set(kinds[name]) - lost)
        said.append(f"{name:13} {met:4} of {len(kinds[name]):4}  {100 * met / len(kinds[name]):6.2f} %")
    return [*said, *(f"never exercised: {each}" for each in missing)]


def kind(coordinate: str) -> str:
    """What kind of thing a coordinate names."""
    owner, _, rest = coordinate.partition(".")
    if not rest:
        return "types"
    if rest.endswith(")"):
        return "arguments"
    named = published_schema().type_map[owner]
    return {"GraphQLEnumType": "enum values", "GraphQLInputObjectType": "input fields"}.get(
        type(named).__name__, "fields"
    )


def whole(config: pytest.Config) -> bool:
    """Whether all of the tests were asked for, but those that need a browser or Node."""
    narrowed = ("keyword", "markexpr", "deselect", "ignore_glob", "lf", "failedfirst", "stepwise", "collectonly")
    here = config.invocation_params.dir
    places = {Path(here, argument).resolve() for argument in config.args}
    ignored = {Path(here, path).resolve() for path in config.getoption("ignore") or ()}
    without = any(config.getoption(name, None) for name in narrowed) or ignored - {TESTS / name for name in ELSEWHERE}
    return places == {TESTS} and not without


def register_report(config: pytest.Config) -> None:
    """Turns the measurement on where it is wanted."""
    helping = hasattr(config, "workerinput")
    wanted = os.environ.get(_SHARED if helping else VARIABLE)
    if wanted is None and (helping or not whole(config)):
        return
    folder = Path(wanted or tempfile.mkdtemp(prefix="cc-sdl-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[_SHARED] = str(folder)
    report = Report(folder, strict=wanted is None)
    config.pluginmanager.register(report, "sdl-report")
    serving.observers.append(report.exercised.answer)
