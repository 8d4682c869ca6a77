"""The page about the architecture names the modules that exist, and the imports that the rules allow."""

import re

from tests.support.dependency_rules import PACKAGES
from tests.support.documentation import Page
from tests.support.paths import ROOT

PAGE = Page.read("docs/architecture.md").text


def test_its_table_of_packages_is_the_table_of_the_rules() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|$", PAGE, re.MULTILINE)
    assert {name: set(re.findall(r"`([\w.*]+)`", allowed)) for name, allowed in rows} == PACKAGES


def test_the_modules_that_it_names_exist() -> None:
    packages = "|".join(sorted(PACKAGES, key=len, reverse=True))
    named = set(re.findall(rf"(?<![\w/])(?:{packages})(?:/\w+)+", PAGE))
    assert {"actions/engagements", "lists/matcher", "resolvers/pagination", "search/sql"} <= named
    assert sorted(each for each in named if not any(_is_module(root, each) for root in ("command_center/", ""))) == []


def _is_module(root: str, name: str) -> bool:
    path = ROOT / f"{root}{name}"
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
