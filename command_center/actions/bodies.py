"""Checks the bodies of emails and templates when they are saved.

Notices tell the author which parts of a body will be left out of the sent email.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from command_center.actions.inputs import MAX_BODY_CHARACTERS, check_text
from command_center.actions.markup.inspection import BodyReport, inspect
from command_center.actions.text_process import INLINE_CHARACTERS, WAITED_FOR_NICENESS, TextProcess, TextProcessLost
from command_center.errors import ErrorCollector, InputPath
from models.enums import UserErrorCode

LONG_BODY_CHARACTERS = 50_000
"""A body with more characters is long: it is inspected in a separate process, and long bulk sends are spaced out."""
_MAX_REPORTS = 256
_EMPTY_REPORT = BodyReport()


@dataclass(frozen=True, slots=True)
class BodyNotice:
    """A remark to the author about a text that was saved nevertheless."""

    path: InputPath
    message: str


class BodyInspector:
    """Inspects bodies in two child processes.

    One of them is for long bodies, so that they do not delay shorter ones.
    """

    def __init__(self) -> None:
        self._short, self._long = TextProcess(WAITED_FOR_NICENESS), TextProcess(WAITED_FOR_NICENESS)
        self._reports: OrderedDict[bytes, BodyReport] = OrderedDict()

    async def reports(self, bodies: Iterable[str]) -> dict[str, BodyReport]:
        """Inspect bodies, and return the report of each by the body's text.

        A body that is too long to be saved is not inspected and has no report.
        """
        return {body: await self._report(body) for body in dict.fromkeys(bodies) if len(body) <= MAX_BODY_CHARACTERS}

    async def notices(self, bodies: Iterable[tuple[InputPath, str]]) -> list[BodyNotice]:
        """Return the notices about saved bodies, each with the path of its argument."""
        bodies = list(bodies)
        reports = await self.reports(body for _, body in bodies)
        return [
            BodyNotice(path, message)
            for path, body in bodies
            for message in reports.get(body, _EMPTY_REPORT).notices
        ]  # fmt: skip

    async def close(self) -> None:
        """End the child processes."""
        await self._short.close()
        await self._long.close()

    async def _report(self, body: str) -> BodyReport:
        """Return the report of one body, from the cache if it was inspected recently."""
        if len(body) <= INLINE_CHARACTERS:
            return inspect(body)
        key = sha256(body.encode("utf-8", "surrogatepass")).digest()
        report = self._reports.get(key)
        if report is None:
            process = self._long if len(body) > LONG_BODY_CHARACTERS else self._short
            try:
                report = await process.run(len(body), inspect, body)
            except TextProcessLost:
                return BodyReport(errors=("This body could not be checked in time; try it again or make it simpler.",))
            self._reports[key] = report
            if len(self._reports) > _MAX_REPORTS:
                self._reports.popitem(last=False)
        return report


def check_body(errors: ErrorCollector, value: str, path: InputPath, reports: Mapping[str, BodyReport]) -> str:
    """Check a body, and return it as it is stored.

    `reports` holds the inspection reports by body. Adds the errors of this body's report, and those of its length.
    """
    text = check_text(errors, value, path, "A body")
    for message in reports.get(text, _EMPTY_REPORT).errors:
        errors.add(UserErrorCode.INVALID, path, message)
    return text
