"""Loads time zones by name, and computes the calendar day of a moment in a zone.

The rules come from the newer of the system's data and the pinned `tzdata` package. Governments change rules at short
notice, and either source may be years behind. `ZoneInfo(name)` would always prefer the system's data.
"""

import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

MAX_NAME_CHARACTERS = 100
_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_VERSION = re.compile(r"(?:# version )?(\d{4})([a-z]+)")
_VERSION_FILES = ("tzdata.zi", "+VERSION")
_PACKAGE = "tzdata.zoneinfo"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def get_zone(name: str) -> tzinfo:
    """Return the time zone with this name, or UTC if there are no rules for it."""
    return load_zone(name, zoneinfo.TZPATH) or UTC


def load_zone(name: str, system: Sequence[str]) -> tzinfo | None:
    """Return the time zone with the newest rules, or None if there are none.

    `system` lists the folders with the operating system's rules, which are searched in this order.
    """
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        return None
    package: Traversable = resources.files(_PACKAGE)
    sources = [package]
    folder = next((each for each in map(Path, system) if (each / name).is_file()), None)
    if folder is not None:
        sources.insert(0 if data_version(folder) > data_version(package) else 1, folder)
    for source in sources:
        try:
            with source.joinpath(*name.split("/")).open("rb") as file:
                return zoneinfo.ZoneInfo.from_file(file, key=name)
        except (OSError, ValueError):
            # This source does not have the zone, or its file is not readable.
            continue
    return None


def data_version(folder: Traversable) -> tuple[int, int, str]:
    """Return the version of the rules in a folder, in a form that can be compared.

    The parts of the result are compared in order. An unknown version counts as the oldest, so that the pinned package
    is used.
    """
    for name in _VERSION_FILES:
        try:
            with folder.joinpath(name).open("rb") as file:
                match = _VERSION.match(file.readline(100).decode("ascii", "replace"))
        except OSError:
            continue
        if match is not None:
            return int(match[1]), len(match[2]), match[2]
    return 0, 0, ""


def local_day(moment: int, name: str) -> date:
    """Return the calendar day of a moment in a zone. The moment is in microseconds."""
    return (_EPOCH + timedelta(microseconds=moment)).astimezone(get_zone(name)).date()
