"""What schemathesis is told of this API: values for its scalars, and what counts as a failure.

Its own `not_a_server_error` takes each code but a few for the server's fault, NOT_FOUND among them, and its
`positive_data_acceptance` expects that whatever fits the types is accepted; but a random id is rightly refused. So our
check stands for both: no status from 500, and in every answer data or errors that are coded as the client's.
"""

from typing import Any

import schemathesis
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    IntValueNode,
    NameNode,
    NullValueNode,
    StringValueNode,
    Visitor,
    visit,
)
from hypothesis import strategies as st
from schemathesis.graphql import nodes

_TEXTS = {
    "DateTime": ("2026-01-01T00:00:00Z", "2030-02-03T04:05:06.789+14:00", "9999-12-31T23:59:59Z", "yesterday", ""),
    "Date": ("2026-01-31", "9999-12-31", "2026-02-30", ""),
    "Duration": ("P3D", "PT12H", "PT0S", "P99999D", "P1Y", ""),
    "ChangeCursor": ("MGFhYmJjLjE", "eA", "", "x" * 300),
}
for _name, _values in _TEXTS.items():
    schemathesis.graphql.scalar(_name, (st.sampled_from(_values) | st.text(max_size=20)).map(nodes.String))


class _Pages(Visitor):
    """Makes most pages ones that can be given: nearly no number is from 0 to 200, and no text is a cursor."""

    def enter_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        given = {each.name.value: each.value for each in node.arguments or ()}
        first = given.get("first")
        number = int(first.value) if isinstance(first, IntValueNode) else 0
        # What is no Int, of a wrong type or given twice stays: it has to be refused.
        wide = any(isinstance(each, IntValueNode) and abs(int(each.value)) >= 2**31 for each in given.values())
        if number % 4 == 0 or wide or len(given) < len(node.arguments or ()):
            return None
        fitting = {"last": IntValueNode, "after": StringValueNode, "before": StringValueNode}
        given |= {name: NullValueNode() for name, kind in fitting.items() if isinstance(given.get(name), kind)}
        given["first"] = IntValueNode(value=str(number % 50))
        return FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=tuple(ArgumentNode(name=NameNode(value=name), value=each) for name, each in given.items()),
            directives=node.directives,
            selection_set=node.selection_set,
        )


@schemathesis.hook
def map_body(_: Any, body: DocumentNode) -> DocumentNode:
    changed: DocumentNode = visit(body, _Pages())
    return changed


@schemathesis.check
def only_the_client_is_to_blame(ctx: Any, response: Any, case: Any) -> None:
    """Fails for what would be a defect of the server."""
    assert response.status_code < 500, f"status {response.status_code}"
    answer = response.json()
    assert isinstance(answer, dict), "an answer is an object"
    errors = answer.get("errors", [])
    assert errors or isinstance(answer.get("data"), dict), "an answer has data or errors"
    for error in errors:
        code = error.get("extensions", {}).get("code")
        assert isinstance(code, str), f"no code: {error}"
        assert code not in ("INTERNAL", "UNAVAILABLE", "TIMEOUT"), error
        assert "Did you mean" not in error["message"], error
