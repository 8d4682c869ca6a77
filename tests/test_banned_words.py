"""Words that documentation, comments and descriptions must not contain, because readers would have to guess.

`banned_words.txt` lists them as regular expressions. `PENDING` names the files that still contain some. It can only
become shorter: a file that is not in it must contain none, and a file in it must contain at least one.

`python -m tests.test_banned_words` prints each file with the number of its banned words, and where they are.
"""

import ast
import functools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from graphql import Node, Visitor, parse, visit

from tests.support.paths import ROOT

PENDING: frozenset[str] = frozenset()
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "decisions/*.md")
PACKAGES = ("command_center", "models", "resolvers", "schema")


class Text(NamedTuple):
    """A docstring, a comment, a description or a paragraph, with the line that it begins at."""

    line: int
    content: str


class Finding(NamedTuple):
    """A banned word in a file, with the line that its text begins at."""

    line: int
    words: str


def patterns(lines: str) -> list[re.Pattern[str]]:
    """The expressions of a list. A space in one stands for any white space, because sentences are wrapped."""
    expressions = (line for line in lines.splitlines() if line and not line.startswith("#"))
    return [re.compile(each.replace(" ", r"\s+"), re.IGNORECASE) for each in expressions]


BANNED = patterns((ROOT / "tests" / "banned_words.txt").read_text())


def paragraphs(text: str) -> Iterator[Text]:
    for found in re.finditer(r"(?:.+\n?)+", text):
        yield Text(text.count("\n", 0, found.start()) + 1, found[0])


def descriptions(sdl: str) -> Iterator[Text]:
    found: list[Text] = []

    class Collector(Visitor):
        def enter(self, node: Node, *_: object) -> None:
            description = getattr(node, "description", None)
            if description is not None and description.loc is not None:
                found.append(Text(description.loc.start_token.line, description.value))

    visit(parse(sdl), Collector())
    yield from found


def docstrings(source: str) -> Iterator[Text]:
    """The docstrings of modules, classes and functions, and those below attributes and constants."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Text(node.lineno, node.value.value)


def comments(source: str) -> Iterator[Text]:
    """The comments; those of consecutive lines are one text."""
    lines: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if lines and line != last + 1:
            yield Text(last - len(lines) + 1, "\n".join(lines))
            lines = []
        lines.append(token.string.lstrip("# "))
        last = line
    if lines:
        yield Text(last - len(lines) + 1, "\n".join(lines))


def texts() -> Iterator[tuple[str, Iterator[Text]]]:
    """Each checked file by its path from the root, with its texts."""
    for pattern in DOCUMENTS:
        for path in sorted(ROOT.glob(pattern)):
            yield _name(path), paragraphs(path.read_text())
    yield "schema/schema.graphql", descriptions((ROOT / "schema/schema.graphql").read_text())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text()
            yield _name(path), iter([*docstrings(source), *comments(source)])


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def findings(found: Iterator[Text]) -> list[Finding]:
    """The banned words in some texts, in the order of their lines."""
    return sorted(
        Finding(text.line, " ".join(match[0].split()))
        for text in found
        for pattern in BANNED
        for match in pattern.finditer(text.content)
    )


@functools.cache
def all_findings() -> dict[str, list[Finding]]:
    """The files that contain banned words, with these."""
    return {name: found for name, each in texts() if (found := findings(each))}


def report(found: dict[str, list[Finding]]) -> str:
    """A line for each file: how many banned words it contains, and where."""
    return "\n".join(
        f"{name}: {len(each)} ({', '.join(f'line {line}: {words}' for line, words in each)})"
        for name, each in found.items()
    )


def test_only_pending_files_contain_a_banned_word() -> None:
    wrong = {name: found for name, found in all_findings().items() if name not in PENDING}
    assert not wrong, f"banned words:\n{report(wrong)}"


def test_each_pending_file_still_contains_a_banned_word() -> None:
    clean = sorted(PENDING - all_findings().keys())
    assert not clean, f"remove from PENDING, because nothing is wrong with them any more: {clean}"


def test_words_are_found_in_each_kind_of_text() -> None:
    source = (
        '"""Whoever."""\nA = 1\n"""It comes to\nnothing."""\n# lest\n\n# in one\n# go\n\n\ndef f():\n    """Deed."""\n'
    )
    assert findings(iter([*docstrings(source), *comments(source)])) == [
        Finding(1, "Whoever"),
        Finding(3, "comes to nothing"),
        Finding(5, "lest"),
        Finding(7, "in one go"),
        Finding(12, "Deed"),
    ]
    assert findings(descriptions('"Whoever"\ntype Query {\n  """\n  thereby\n  """\n  a: Int\n}\n')) == [
        Finding(1, "Whoever"),
        Finding(3, "thereby"),
    ]
    assert findings(paragraphs("# Fine\n\nA\nlist of one's\nown.\n\nNot indeed, nor the latest.\n")) == [
        Finding(3, "one's own")
    ]


if __name__ == "__main__":
    everything = all_findings()
    print(report(everything))
    print(f"{sum(map(len, everything.values()))} in {len(everything)} files")
