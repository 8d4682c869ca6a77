"""Real documents, and how they are bent: tokens and bytes deleted, doubled, swapped, and what Unicode has put in."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from random import Random

from graphql import GraphQLSyntaxError, parse

from tests.support.documentation import Page
from tests.support.paths import ROOT, TESTS

_TOKEN = re.compile(r'"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|\.\.\.|\w+|\s+|[^\w\s]')
ODD = (
    *(
        "\x00",
        "\ufeff",
        "\u202e",
        "\u200b",
        "\U0001f4a3",
        "\ud800",
        "\udc00\ud800",
        "\u2028",
        "\x85",
        "\x1b",
        "\u0663",
        "ä",
    ),
    *(
        '"',
        '"""',
        '"\\u{110000}"',
        '"\\uD800"',
        '"\\uD83D\\uDE00"',
        "\\",
        "#",
        "...",
        "{",
        "}",
        "(",
        ")",
        "$",
        "@",
        "!",
    ),
    *("1e999999999", "-0", "0x1", "00", "1." + "0" * 400, "9" * 5000, "&", "|", "x" * 10_000, "$" * 50, "{" * 300),
    *(
        "fragment on on on{on}",
        "query($a:[[[[Int!]!]!]!]!)",
        "extend type Query{x:Int}",
        "schema{query:Query}",
        "__type",
    ),
)


@cache
def real_documents() -> tuple[str, ...]:
    """The documents of our pages, of the console's tabs, and of the tests."""
    found = dict.fromkeys(each for each in _written() if _is_document(each))
    assert len(found) > 100
    return tuple(found)


def _written() -> Iterator[str]:
    for path in (ROOT / "docs").glob("*.md"):
        yield from Page.read(str(path.relative_to(ROOT))).blocks("graphql")
    yield from re.findall(r"`([^`]+)`", (ROOT / "command_center/api/graphiql/operations.js").read_text())
    for path in sorted(path for name in ("api", "unit", "support") for path in (TESTS / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
                yield node.value


def _is_document(text: str) -> bool:
    try:
        return bool(re.match(r"\s*(#.*\n\s*)*(query|mutation|subscription|fragment|\{)", text) and parse(text))
    except GraphQLSyntaxError:
        return False


def mutate_text(text: str, random: Random, others: Sequence[str]) -> str:
    """A text with one or several things done to it."""
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        tokens = _TOKEN.findall(text) if random.random() < 0.7 else list(text)
        if not tokens:
            return text
        one, other = random.randrange(len(tokens)), random.randrange(len(tokens))
        match random.randrange(7):
            case 0:
                del tokens[one]
            case 1:
                tokens[one] *= 2
            case 2:
                tokens[one], tokens[other] = tokens[other], tokens[one]
            case 3:
                tokens[one] = random.choice(ODD)
            case 4:
                tokens.insert(one, random.choice(ODD))
            case 5:
                tokens[one] = random.choice(_TOKEN.findall(random.choice(others)) or [""])
            case 6:
                tokens = tokens[: max(one, other)] + tokens[min(one, other) :]
        text = "".join(tokens)[:200_000]
    return text
