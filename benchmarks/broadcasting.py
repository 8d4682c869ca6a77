"""`python -m benchmarks.broadcasting stock|bare PORT`: what others do with a frame that many are to have.

`stock` is Strawberry's subscription as its documentation shows it, over graphql-transport-ws; `bare` is an ASGI
application that sends a text, made once, to one socket after the other. Both keep everything in memory. A POST of
`/broadcast?first=NUMBER&count=NUMBER` sends so many frames.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import orjson
import strawberry
import uvicorn
from strawberry.asgi import GraphQL


@strawberry.type
class Engagement:
    kind: str


@strawberry.type
class Cause:
    kind: str
    engagement: Engagement | None


@strawberry.type
class Email:
    subject: str


@strawberry.type
class Member:
    id: strawberry.ID
    email: Email
    cause: Cause


@strawberry.interface
class Change:
    cursor: str


@strawberry.type
class MemberJoined(Change):
    member_id: strawberry.ID
    email_id: strawberry.ID
    member: Member | None


@strawberry.type
class CaughtUp(Change):
    pass


SavedSearchChange = Annotated[MemberJoined | CaughtUp, strawberry.union("SavedSearchChange")]


def frame(number: int) -> MemberJoined:
    member = Member(
        id=strawberry.ID(f"U2F2ZWRTZWFyY2hNZW1iZXI6{number:06}"),
        email=Email(subject=f"Hello {number:06}"),
        cause=Cause(kind="ENGAGEMENT", engagement=Engagement(kind="VIEW")),
    )
    cursor = f"MDEyMzQ1Njc4OWFiY2RlZi{number:06}"
    return MemberJoined(cursor=cursor, member_id=member.id, email_id=strawberry.ID(f"RW1haWw6{number}"), member=member)


def text(number: int) -> str:
    """The message that carries the frame."""
    made = frame(number)
    assert made.member is not None
    change = {
        "__typename": "MemberJoined",
        "cursor": made.cursor,
        "memberId": made.member_id,
        "emailId": made.email_id,
        "member": {
            "id": made.member.id,
            "email": {"subject": made.member.email.subject},
            "cause": {"kind": "ENGAGEMENT", "engagement": {"kind": "VIEW"}},
        },
    }
    return orjson.dumps({"id": "1", "type": "next", "payload": {"data": {"savedSearchChanges": change}}}).decode()


class Stock:
    """Each subscriber has a queue of frames."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[MemberJoined]] = set()
        queues = self._queues

        @strawberry.type
        class Query:
            hello: str = "hello"

        @strawberry.type
        class Subscription:
            @strawberry.subscription
            async def saved_search_changes(self, saved_search_id: strawberry.ID) -> AsyncGenerator[SavedSearchChange]:
                queue: asyncio.Queue[MemberJoined] = asyncio.Queue()
                queues.add(queue)
                try:
                    yield CaughtUp(cursor="MDEyMzQ1Njc4OWFiY2RlZi000000")
                    while True:
                        yield await queue.get()
                finally:
                    queues.discard(queue)

        self.app = GraphQL[Any, Any](strawberry.Schema(Query, subscription=Subscription, types=[MemberJoined]))

    async def broadcast(self, number: int) -> None:
        made = frame(number)
        for queue in self._queues:
            queue.put_nowait(made)


class Bare:
    """Each subscriber is a function that sends."""

    def __init__(self) -> None:
        self._sends: set[Callable[[Any], Any]] = set()

    async def app(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        await send({"type": "websocket.send", "text": "ready"})
        self._sends.add(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self._sends.discard(send)

    async def broadcast(self, number: int) -> None:
        message = {"type": "websocket.send", "text": text(number)}
        for send in self._sends:
            await send(message)


def application(kind: str) -> Any:
    one: Stock | Bare = Stock() if kind == "stock" else Bare()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await one.app(scope, receive, send)
        elif scope["type"] == "http":
            asked = dict(parse_qsl(scope["query_string"].decode()))
            for number in range(int(asked["count"])):
                await one.broadcast(int(asked["first"]) + number)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", lifespan="off")
