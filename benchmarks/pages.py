"""A Relay page of 50 emails with 8 fields and the person: against the stock executor, and against an endpoint that
knows nothing of GraphQL, reads the same rows by the same two statements and writes the same JSON. By processor time,
and with the collector at the pace that the server sets it.
"""

import base64
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from graphql.execution import Executor
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.execution import optimized_is_awaitable

from benchmarks.measure import Ratio, Work, ratio
from command_center import ids
from command_center.actions import emails, people, users
from command_center.actions.emails import NewEmail
from command_center.actions.people import NewPerson
from command_center.api.operations import Operations, encode_json
from command_center.api.parameters import parse_json
from command_center.database.connections import database
from command_center.database.fields import from_micros
from command_center.graphql_engine.executor import PlannedExecutor
from command_center.graphql_engine.limits import DocumentLimits, ResponseLimits
from command_center.graphql_engine.plans import DocumentPlans
from command_center.server.cli import GC_THRESHOLD
from command_center.server.runtime import Runtime, run_runtime
from command_center.server.schema_hints import HINTS
from models.enums import EmailStatus, Role, SendKind
from models.folders import folder_of
from models.viewers import Viewer
from resolvers.context import Context
from resolvers.emails import TABLES
from schema.build import create_schema
from tests.support.server import settings

PAGE = 50
ASKED = 40
PAIRS = 15
QUERY = """query Page($first: Int!) { emails(first: $first) {
  edges { cursor node { id subject status folder sendKind success createdAt sentAt person { name address } } }
  pageInfo { startCursor endCursor hasNextPage hasPreviousPage }
} }"""


class Stock:
    """graphql-core's own, with what Strawberry takes for awaitable."""

    @classmethod
    def begin(
        cls, document: Any, name: str | None, plans: DocumentPlans, context: Any, variables: Any, *_: object
    ) -> Any:
        """As the product's executor is begun, but everything is found out anew."""
        return Executor.build(
            plans.type_plans.schema,
            document,
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
            hide_suggestions=True,
        )


async def run(database_url: str, pairs: int = PAIRS) -> list[Ratio]:
    async with run_runtime(settings(database_url), run_worker=False) as engine:
        viewer = await _filled(engine)
        planned, stock = (_graphql(engine, viewer, executor) for executor in (PlannedExecutor, Stock))
        bare = _bare(viewer)
        data = [(await _asked(app))["data"] for app in (planned, stock, bare)]
        assert data[0] == data[1] == data[2]
        assert len(data[0]["emails"]["edges"]) == PAGE
        name = f"a page of {PAGE} emails, processor's time: ours"
        with _collector_as_served():
            return [
                await _ratio(f"{name} / the stock executor", planned, stock, pairs),
                await _ratio(f"{name} / Starlette + orjson", planned, bare, pairs),
            ]


async def _ratio(name: str, ours: Starlette, theirs: Starlette, pairs: int) -> Ratio:
    return await ratio(name, _work(ours), _work(theirs), (ASKED, ASKED), time.process_time, pairs)


@contextmanager
def _collector_as_served() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


async def _filled(engine: Runtime) -> Viewer:
    user = await users.add(engine.ctx, "Pages", "Ann", "ann@pages.example", Role.MEMBER, "UTC")
    viewer = Viewer(user.id, user.team_id, Role.MEMBER)
    for number in range(PAGE + 1):
        person = await people.create(engine.ctx, viewer, NewPerson(f"Pat {number}", f"pat{number}@pages.example"))
        await emails.draft(engine.ctx, viewer, NewEmail(ids.encode("Person", person.id), f"Hello {number}"))
    return viewer


def _graphql(engine: Runtime, viewer: Viewer, executor: type[Any]) -> Starlette:
    operations = Operations(create_schema()._schema, DocumentLimits(), ResponseLimits(), HINTS, executor)

    async def endpoint(request: Request) -> Response:
        operation = operations.prepare(operations.parse_parameters(parse_json(await request.body())))
        answer = await operations.execute_within_limit(operation, Context(engine.services, viewer))
        return Response(encode_json(answer), media_type="application/json")

    return _app(endpoint)


def _bare(viewer: Viewer) -> Starlette:
    async def endpoint(request: Request) -> Response:
        first = orjson.loads(await request.body())["variables"]["first"]
        db = database()
        rows = await db.fetch(
            f"SELECT e.* FROM {TABLES} WHERE e.team_id = ? AND e.sender_id = ?"
            " ORDER BY e.created_at DESC, e.id DESC LIMIT ?",
            *(viewer.team_id, viewer.user_id, first + 1),
        )
        keys = db.array_param(row["person_id"] for row in rows[:first])
        found = await db.fetch(f"SELECT * FROM people WHERE {db.in_any('id')}", keys)
        persons = {row["id"]: {"name": row["name"], "address": row["address"]} for row in found}
        edges = [{"cursor": _cursor(row), "node": _node(row, persons)} for row in rows[:first]]
        info = {
            "startCursor": edges[0]["cursor"],
            "endCursor": edges[-1]["cursor"],
            "hasNextPage": len(rows) > first,
            "hasPreviousPage": False,
        }
        answer = {"data": {"emails": {"edges": edges, "pageInfo": info}}}
        return Response(orjson.dumps(answer), media_type="application/json")

    return _app(endpoint)


def _cursor(row: dict[str, Any]) -> str:
    text = orjson.dumps(["Email created", row["created_at"], row["id"]])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _node(row: dict[str, Any], persons: dict[int, dict[str, str]]) -> dict[str, Any]:
    status = EmailStatus(row["status"])
    return {
        "id": ids.encode("Email", row["id"]),
        "subject": row["subject"],
        "status": status.name,
        "folder": folder_of(status, bool(row["archived"])).name,
        "sendKind": SendKind(row["send_kind"]).name,
        "success": bool(row["success"]),
        "createdAt": _shown(row["created_at"]),
        "sentAt": _shown(row["sent_at"]),
        "person": persons[row["person_id"]],
    }


def _shown(moment: int | None) -> str | None:
    return None if moment is None else from_micros(moment).isoformat().replace("+00:00", "Z")


def _app(endpoint: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/graphql", endpoint, methods=["POST"])])


def _work(app: Starlette) -> Work:
    async def ask() -> None:
        for _ in range(ASKED):
            await _asked(app)

    return ask


async def _asked(app: Starlette) -> Any:
    """One request, without a network."""
    body = orjson.dumps({"query": QUERY, "variables": {"first": PAGE}})
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    answer = b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal answer
        answer += message.get("body", b"")

    await app(scope, receive, send)
    return orjson.loads(answer)
