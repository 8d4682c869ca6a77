"""Checks the bodies of emails and templates when they are saved, and tells their authors what will be left out."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from command_center.actions.inputs import BODY, ErrorCollector, Path
from command_center.actions.markup.inspection import BodyReport, inspect
from command_center.actions.text_process import INLINE_CHARACTERS, WAITED_FOR_NICENESS, TextProcess, TextProcessLost
from models.enums import UserErrorCode

LONG_CHARACTERS = 50_000
_MAX_REPORTS = 256
_NOTHING = BodyReport()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the author of a text should know, though it was saved."""

    path: Path
    message: str


class BodyInspector:
    """Inspects bodies in processes of their own, long ones apart, so that they do not delay shorter ones."""

    def __init__(self) -> None:
        self._short, self._long = TextProcess(WAITED_FOR_NICENESS), TextProcess(WAITED_FOR_NICENESS)
        self._reports: OrderedDict[bytes, BodyReport] = OrderedDict()

    async def reports(self, bodies: Iterable[str]) -> dict[str, BodyReport]:
        """The reports of bodies; those that are too long to be saved have none."""
        return {body: await self._report(body) for body in dict.fromkeys(bodies) if len(body) <= BODY}

    async def notices(self, bodies: Iterable[tuple[Path, str]]) -> list[Notice]:
        """The notices on saved bodies, each with the path of its argument."""
        bodies = list(bodies)
        reports = await self.reports(body for _, body in bodies)
        return [
            Notice(path, message)
            for path, body in bodies
            for message in reports.get(body, _NOTHING).notices
        ]  # fmt: skip

    async def close(self) -> None:
        await self._short.close()
        await self._long.close()

    async def _report(self, body: str) -> BodyReport:
        if len(body) <= INLINE_CHARACTERS:
            return inspect(body)
        key = sha256(body.encode("utf-8", "surrogatepass")).digest()
        found = self._reports.get(key)
        if found is None:
            process = self._long if len(body) > LONG_CHARACTERS else self._short
            try:
                found = await process.run(len(body), inspect, body)
            except TextProcessLost:
                return BodyReport(
                    problems=("This body could not be checked in time; try it again or make it simpler.",)
                )
            self._reports[key] = found
            if len(self._reports) > _MAX_REPORTS:
                self._reports.popitem(last=False)
        return found


def add_body(findings: ErrorCollector, value: str, path: Path, reports: Mapping[str, BodyReport]) -> str:
    """A body as it is stored; what is wrong with it is added to the findings."""
    text = findings.text(value, path, "A body")
    for problem in reports.get(text, _NOTHING).problems:
        findings.add(UserErrorCode.INVALID, path, problem)
    return text
