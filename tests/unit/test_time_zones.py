"""Time zones: the newer of the system's rules and the pinned package's apply."""

import zoneinfo
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from command_center.time_zones import data_version, get_zone, load_zone

PINNED = resources.files("tzdata.zoneinfo")
NOON = datetime(2027, 1, 15, 12)  # noqa: DTZ001
# In the folders made here, Berlin has the rules of Tokyo.
TOKYO, BERLIN = timedelta(hours=9), timedelta(hours=1)


def system(folder: Path, **files: str) -> list[str]:
    """A folder with a system's rules for Europe/Berlin and Europe/Only, and other files of these contents."""
    rules = PINNED.joinpath("Asia", "Tokyo").read_bytes()
    (folder / "Europe").mkdir()
    for name in ("Berlin", "Only"):
        (folder / "Europe" / name).write_bytes(rules)
    for name, content in files.items():
        (folder / name.replace("tzdata", "tzdata.zi").replace("VERSION", "+VERSION")).write_text(content)
    return [str(folder / "absent"), str(folder)]


@pytest.mark.parametrize(
    "files, offset",
    [
        ({"tzdata": "# version 2999a\n# rest"}, TOKYO),
        ({"VERSION": "2999a\n"}, TOKYO),
        ({"tzdata": "# version 2999a-rearguard\n"}, TOKYO),
        ({"tzdata": "# version 2999aa\n"}, TOKYO),
        ({"tzdata": "# version 2025b\n"}, BERLIN),
        ({"VERSION": "2025b"}, BERLIN),
        ({"tzdata": "# no version", "VERSION": "2999a"}, TOKYO),
        ({"tzdata": "# version unknown\n"}, BERLIN),
        ({"tzdata": ""}, BERLIN),
        ({}, BERLIN),
    ],
)
def test_the_newer_rules_apply(tmp_path: Path, files: dict[str, str], offset: timedelta) -> None:
    found = load_zone("Europe/Berlin", system(tmp_path, **files))
    assert found is not None
    assert found.utcoffset(NOON) == offset
    assert str(found) == "Europe/Berlin"


def test_equal_versions_are_the_packages(tmp_path: Path) -> None:
    with PINNED.joinpath("tzdata.zi").open() as file:
        paths = system(tmp_path, tzdata=file.readline())
    assert data_version(tmp_path) == data_version(PINNED) > (2026, 0, "")
    found = load_zone("Europe/Berlin", paths)
    assert found is not None
    assert found.utcoffset(NOON) == BERLIN


def test_rules_that_only_one_has_apply(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, version in ((old, "2025b"), (new, "2999a")):
        folder.mkdir()
        paths = system(folder, VERSION=version)
        for name, offset in (("Europe/Only", TOKYO), ("Asia/Kolkata", timedelta(hours=5.5))):
            found = load_zone(name, paths)
            assert found is not None
            assert found.utcoffset(NOON) == offset


def test_unreadable_rules_are_replaced_by_the_others(tmp_path: Path) -> None:
    paths = system(tmp_path, VERSION="2999a")
    (tmp_path / "Europe" / "Berlin").write_bytes(b"no rules")
    found = load_zone("Europe/Berlin", paths)
    assert found is not None
    assert found.utcoffset(NOON) == BERLIN


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../Europe/Berlin", "/etc/passwd", "Europe", "a" * 5000, "Europe/\x00"]
)
def test_a_name_without_rules_is_utc(name: str, tmp_path: Path) -> None:
    assert load_zone(name, system(tmp_path, VERSION="2999a")) is None
    assert get_zone(name).utcoffset(None) == timedelta(0)


def test_versions_are_in_their_order(tmp_path: Path) -> None:
    versions: list[Any] = []
    for number, text in enumerate(("none", "2009z", "2009aa", "2010a", "2026f", "2026g")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "+VERSION").write_text(text)
        versions.append(data_version(folder))
    assert versions == sorted(set(versions))


def test_every_name_that_a_user_may_have_is_found() -> None:
    missing = [name for name in zoneinfo.available_timezones() if load_zone(name, zoneinfo.TZPATH) is None]
    assert missing == []
