"""`/metrics` in Prometheus' text format.

The components count for themselves; only the HTTP traffic is counted here. The numbers are those of this process,
except for pending invalidations, waiting emails and the pause of sending, which come from the database.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from graphql import OperationType
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from command_center.api.operations import Operations
from command_center.changes import restores
from command_center.database.connections import database
from command_center.database.errors import Unavailable
from command_center.mail.statistics import count_waiting
from command_center.server.runtime import Runtime
from models.enums import FailureCode

PREFIX = "command_center_"
_ROUTES = ("/graphql", "/healthz", "/readyz", "/metrics")


class TrafficCounts:
    """Counts responses by route and status, and open WebSockets."""

    def __init__(self) -> None:
        self.responses: Counter[tuple[str, int]] = Counter()
        self.sockets = 0


class TrafficMiddleware:
    """Counts the application's traffic. It is the outermost middleware, so that it counts rejected requests as well."""

    def __init__(self, app: ASGIApp, traffic: TrafficCounts) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self._traffic.sockets += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._traffic.sockets -= 1
        elif scope["type"] == "http":
            route = _route_label(scope["path"])

            async def count_response(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._traffic.responses[route, message["status"]] += 1
                await send(message)

            await self._app(scope, receive, count_response)
        else:
            await self._app(scope, receive, send)


def _route_label(path: str) -> str:
    # A client may request any path. An unknown one must not create a time series.
    return "/t" if path.startswith("/t/") else path if path in _ROUTES else "other"


class Metrics:
    """Renders the page of metrics.

    It gets the runtime from `app` for each request, because that starts after the application.
    """

    def __init__(self, traffic: TrafficCounts, operations: Operations, app: Any) -> None:
        self._traffic = traffic
        self._operations = operations
        self._app = app
        self._marks = math.nan
        self._sending_paused = math.nan
        self._waiting = (math.nan, math.nan)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def page(self, _: Request) -> Response:
        """Read the numbers of the database, and return the page."""
        engine: Runtime = self._app.state.engine
        try:
            row = await database().fetch_one("SELECT count(*) AS count FROM marks")
            self._marks = int(row["count"]) if row else 0
            self._waiting = await count_waiting(database(), await engine.ctx.writer.clock.now(database()))
            state = await restores.load_state(database())
            self._sending_paused = float(state is not None and state.paused)
        except Unavailable:
            self._marks = self._sending_paused = math.nan
            self._waiting = (math.nan, math.nan)
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def describe(self) -> list[Metric]:
        """Return no metrics: the registry calls this before the runtime starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Generate all metrics with their current values."""
        engine: Runtime = self._app.state.engine
        yield from self._lists(engine)
        yield from self._events(engine)
        yield from self._emails(engine)
        yield from self._streams(engine)
        responses = CounterMetricFamily(f"{PREFIX}answers", "HTTP answers.", labels=("route", "status"))
        for (route, status), count in sorted(self._traffic.responses.items()):
            responses.add_metric((route, str(status)), count)
        yield responses
        operations = CounterMetricFamily(
            f"{PREFIX}operations", "GraphQL operations that were carried out, or begun.", labels=("kind",)
        )
        for kind in OperationType:
            operations.add_metric((kind.value,), self._operations.accepted[kind])
        yield operations
        yield _gauge("sockets", "Open WebSockets.", self._traffic.sockets)

    def _lists(self, engine: Runtime) -> Iterator[Metric]:
        matcher = engine.matcher
        yield _gauge("standing_searches", "Saved searches that are matched here.", len(matcher.index))
        yield _gauge("standing_conjunctions", "Different conjunctions they are made of.", matcher.index.conjunctions)
        yield _gauge("standing_conditions", "Different conditions these are made of.", matcher.index.conditions)
        yield _gauge(
            "standing_conjunctions_always_looked_at",
            "Conjunctions that neither a key nor a threshold narrows.",
            matcher.index.unindexed,
        )
        paused = engine.ctx.writer.clock.pause_reason() is not None
        yield _gauge("clock_paused", "1 while the clock is not believed and nothing timed happens.", paused)
        yield _gauge("sending_paused", "1 while nothing is sent because of a restore.", self._sending_paused)
        yield _gauge("marks", "Changes that the matcher has yet to look at.", self._marks)
        yield _counter("emails_matched", "Looks at an email.", matcher.evaluation_count)
        changes = CounterMetricFamily(f"{PREFIX}memberships_changed", "Emails that came and went.", labels=("change",))
        changes.add_metric(("joined",), matcher.join_count)
        changes.add_metric(("left",), matcher.leave_count)
        yield changes

    def _events(self, engine: Runtime) -> Iterator[Metric]:
        events = CounterMetricFamily(
            f"{PREFIX}events", "Engagement events, by what became of them.", labels=("outcome",)
        )
        for outcome, count in sorted(engine.recorder.tally.items()):
            events.add_metric((outcome,), count)
        yield events
        yield _gauge("events_kept", "Views and clicks that wait for the database.", len(engine.recorder.retry_buffer))

    def _emails(self, engine: Runtime) -> Iterator[Metric]:
        tally, (number, oldest) = engine.outbox.statistics, self._waiting
        yield _counter("emails_sent", "Emails that the mail server took over.", tally.sent)
        yield _counter("emails_put_off", "Attempts to send that are to be repeated.", tally.put_off)
        failed = CounterMetricFamily(
            f"{PREFIX}emails_failed", "Emails that failed or bounced while they were sent.", labels=("code",)
        )
        for code in FailureCode:
            failed.add_metric((code.name,), tally.failed[code])
        yield failed
        yield _gauge("emails_waiting", "Emails that are due and have not left.", number)
        yield _gauge("oldest_waiting_email_seconds", "How long the oldest of them has been due.", oldest)

    def _streams(self, engine: Runtime) -> Iterator[Metric]:
        hub, folder_counts = engine.ctx.writer.hub, engine.ctx.writer.folder_counts
        yield _gauge("followers", "Open streams of changes.", hub.subscriber_count)
        yield _gauge("watchers", "Open streams of folder counts.", folder_counts.subscription_count)
        yield _counter("follower_overflows", "Times a reader was slow and the log was read instead.", hub.overflows)
        documentation = "Entries of the change log that were skipped, because only a later version knows their kind."
        yield _counter("unknown_changes", documentation, hub.unknown_entries)
        yield _counter(
            "frames_executed", "Frames made, however many read each.", self._operations.broadcast_groups.rendered_count
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, documentation, value=value)


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, documentation, value=value)
