"""Requests made to be expensive: each is small enough to be sent, and asks for as much work as it can."""

from collections.abc import Iterator, Mapping
from typing import Any

Body = bytes | Mapping[str, Any]
_MEGABYTE = 998_000


def expensive_requests(ids: list[str]) -> Iterator[tuple[str, Body, str | None]]:
    """Name, body, and the code that it is refused with; None where it is affordable and answered."""
    many = (ids * 201)[:20_000]
    yield "1,900 equal fields", _query("{viewer{" + "name " * 1900 + "}}"), None
    yield "200 conflicting fields", _query("{campaigns{nodes{" + _paged(200) + "}}}"), "GRAPHQL_VALIDATION_FAILED"
    yield "conflicts in fragments", _query(_conflicts()), "GRAPHQL_VALIDATION_FAILED"
    yield "fragments doubling 25 times", _query(_doubling("...F{0} ...F{0} ... on User{{...F{0}}}")), None
    yield "fields doubling 11 times", _query(_nested(11)), "TOO_DEEP"
    yield "introspection doubling", _query(_types(8)), "GRAPHQL_VALIDATION_FAILED"
    yield "1 MB of tokens", _query("{" + "a " * (_MEGABYTE // 2 - 50) + "}"), "DOCUMENT_TOO_LARGE"
    yield "1 MB of braces", _query("{a" * (_MEGABYTE // 2 - 50)), "DOCUMENT_TOO_LARGE"
    yield "1,900 braces", _query("{a" * 990), "GRAPHQL_PARSE_FAILED"
    yield "1 MB of comments", _query("#\n" * (_MEGABYTE // 3 - 50) + "{viewer{name}}"), "DOCUMENT_TOO_LARGE"
    yield "100 kB of one comment", _query("#" + "x" * 99_000 + "\n{viewer{name}}"), None
    yield "500,000 values", _values(_MEGABYTE // 2 - 100), "TOO_MANY_VALUES"
    yield "20,000 empty objects", _values(19_990, b"{}"), "TOO_MANY_VALUES"
    yield "deep JSON", b"[" * _MEGABYTE, "BAD_REQUEST"
    yield "deep variables", b'{"query":"{viewer{name}}","variables":' + b'{"a":' * 1000 + b"1" + b"}" * 1001, "TOO_DEEP"
    yield "20,000 aliases", _aliases(20_000), "DOCUMENT_TOO_LARGE"
    yield "300 aliases", _aliases(300), "TOO_MANY_ALIASES"
    yield "a list of 2,000", _query(f"{{nodes(ids:[{' '.join(['1'] * 2000)}]){{id}}}}"), "DOCUMENT_TOO_LARGE"
    yield "a list of 1,900", _query(f"{{nodes(ids:[{' '.join(['1'] * 1900)}]){{id}}}}"), "BAD_USER_INPUT"
    nodes = "query($ids:[ID!]!){nodes(ids:$ids){__typename id}}"
    yield "200 ids", {"query": nodes, "variables": {"ids": many[:200]}}, None
    yield "17,000 ids", {"query": nodes, "variables": {"ids": many[:17_000]}}, "BAD_USER_INPUT"
    yield "19,990 ids", {"query": nodes, "variables": {"ids": many[:19_990]}}, "COST_EXCEEDED"
    yield "a filter of 20,000 ids", _filter({"person": many[:19_980]}), "BAD_USER_INPUT"
    yield "a filter of 20,000 objects", _filter({"any": [{"all": [{}] * 100}] * 190}), "TOO_MANY_VALUES"
    yield "a filter of 1,960 objects", _filter({"any": [{"all": [{}] * 48}] * 40}), "BAD_USER_INPUT"
    yield "1 MB of a text", _search("ﬃ%_" * 110_000), None
    yield "100,000 words", _search(" ".join(map(str, range(100_000)))), "BAD_USER_INPUT"
    yield "a filter for 1 MB of a text", _filter({"subject": {"contains": "ﬃ%_" * 110_000}}), "BAD_USER_INPUT"
    yield "a key a value", b'{"query":"{viewer{name}}",' + _keys() + b"}", None


def _query(text: str) -> Body:
    return {"query": text}


def _aliases(number: int) -> Body:
    return _query("{viewer{" + " ".join(f"a{each}:name" for each in range(number)) + "}}")


def _search(text: str) -> Body:
    return {"query": "query($s:String){people(search:$s){nodes{id}}}", "variables": {"s": text}}


def _filter(value: Mapping[str, Any]) -> Body:
    return {"query": "query($f:EmailFilter){emails(filter:$f){nodes{id}}}", "variables": {"f": value}}


def _values(number: int, value: bytes = b"1") -> bytes:
    return b'{"query":"{viewer{name}}","variables":{"a":[' + b",".join([value] * number) + b"]}}"


def _keys() -> bytes:
    return b",".join(b'"k%d":1' % number for number in range(80_000))


def _paged(number: int) -> str:
    return " ".join(f"emails(first:{each}){{__typename}}" for each in range(number))


def _conflicts() -> str:
    """Each fragment conflicts with each."""
    spread = " ".join(f"...F{each}" for each in range(90))
    fragments = (f"fragment F{each} on Campaign{{emails(first:{each}){{__typename}}}}" for each in range(90))
    return f"{{campaigns{{nodes{{{spread}}}}}}} {' '.join(fragments)}"


def _doubling(inside: str) -> str:
    fragments = " ".join(f"fragment F{each} on User{{{inside.format(each + 1)}}}" for each in range(25))
    return f"{{viewer{{...F0}}}} {fragments} fragment F25 on User{{name}}"


def _nested(depth: int) -> str:
    inner = "id"
    for _ in range(depth):
        inner = f"a:sender{{...on User{{id}}}} b:campaign{{emails{{nodes{{{inner}}}}}}}" if len(inner) < 4000 else inner
    return f"{{emails{{nodes{{{inner}}}}}}}"


def _types(depth: int) -> str:
    fragments = " ".join(
        f"fragment T{each} on __Type{{name fields{{type{{...T{each + 1}}} args{{type{{...T{each + 1}" + "}" * 4
        for each in range(depth // 2)
    )
    return f"{{__schema{{types{{...T0}}}}}} {fragments} fragment T{depth // 2} on __Type{{name kind}}"
