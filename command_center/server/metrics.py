"""`/metrics` in Prometheus' text format.

The components count for themselves; only the HTTP traffic is counted here. The numbers are those of this process,
except for pending invalidations, waiting emails and the pause of sending, which come from the database.
"""

import math
from collections import Counter
from collections.abc import Iterator

from graphql import OperationType
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
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
    """Counts the application's traffic.

    It is the outermost middleware, so that it counts rejected requests as well.
    """

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

    def __init__(self, traffic: TrafficCounts, operations: Operations, app: Starlette) -> None:
        self._traffic = traffic
        self._operations = operations
        self._app = app
        self._invalidations = math.nan
        self._sending_paused = math.nan
        self._waiting = (math.nan, math.nan)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def page(self, _: Request) -> Response:
        """Read the numbers of the database, and return the page."""
        runtime: Runtime = self._app.state.runtime
        try:
            row = await database().fetch_one("SELECT count(*) AS count FROM invalidations")
            self._invalidations = int(row["count"]) if row else 0
            self._waiting = await count_waiting(database(), await runtime.ctx.writer.clock.now(database()))
            state = await restores.load_state(database())
            self._sending_paused = float(state is not None and state.paused)
        except Unavailable:
            self._invalidations = self._sending_paused = math.nan
            self._waiting = (math.nan, math.nan)
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def describe(self) -> list[Metric]:
        """Return no metrics: the registry calls this before the runtime starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Generate all metrics with their current values."""
        runtime: Runtime = self._app.state.runtime
        yield from self._lists(runtime)
        yield from self._events(runtime)
        yield from self._emails(runtime)
        yield from self._streams(runtime)
        responses = CounterMetricFamily(f"{PREFIX}http_responses", "HTTP responses.", labels=("route", "status"))
        for (route, status), count in sorted(self._traffic.responses.items()):
            responses.add_metric((route, str(status)), count)
        yield responses
        operations = CounterMetricFamily(
            f"{PREFIX}operations", "GraphQL operations that were executed or started.", labels=("kind",)
        )
        for kind in OperationType:
            operations.add_metric((kind.value,), self._operations.accepted[kind])
        yield operations
        yield _gauge("websockets", "Open WebSockets.", self._traffic.sockets)

    def _lists(self, runtime: Runtime) -> Iterator[Metric]:
        matcher = runtime.matcher
        yield _gauge("indexed_searches", "Saved searches in the index of this process.", len(matcher.index))
        yield _gauge("indexed_conjunctions", "Distinct conjunctions of these searches.", matcher.index.conjunctions)
        yield _gauge("indexed_conditions", "Distinct conditions of these searches.", matcher.index.conditions)
        yield _gauge(
            "unindexed_conjunctions",
            "Conjunctions without an index key or threshold, checked for every email in their scope.",
            matcher.index.unindexed,
        )
        paused = runtime.ctx.writer.clock.pause_reason() is not None
        yield _gauge(
            "clock_paused", "1 while the clock is not trusted and nothing that depends on time happens.", paused
        )
        yield _gauge("sending_paused", "1 while sending is paused after a restore.", self._sending_paused)
        yield _gauge(
            "pending_invalidations", "Invalidations that the matcher has not processed yet.", self._invalidations
        )
        yield _counter("emails_evaluated", "Evaluations of an email against the index.", matcher.evaluation_count)
        changes = CounterMetricFamily(
            f"{PREFIX}membership_changes", "Memberships that began or ended.", labels=("change",)
        )
        changes.add_metric(("joined",), matcher.join_count)
        changes.add_metric(("left",), matcher.leave_count)
        yield changes

    def _events(self, runtime: Runtime) -> Iterator[Metric]:
        events = CounterMetricFamily(f"{PREFIX}events", "Engagement events by outcome.", labels=("outcome",))
        for outcome, count in sorted(runtime.recorder.tally.items()):
            events.add_metric((outcome,), count)
        yield events
        yield _gauge(
            "events_buffered", "Views and clicks that wait for the database.", len(runtime.recorder.retry_buffer)
        )

    def _emails(self, runtime: Runtime) -> Iterator[Metric]:
        tally, (number, oldest) = runtime.outbox.statistics, self._waiting
        yield _counter("emails_sent", "Emails that the mail server accepted.", tally.sent)
        yield _counter("emails_deferred", "Attempts to send that will be repeated.", tally.deferred)
        failed = CounterMetricFamily(
            f"{PREFIX}emails_failed", "Emails that failed or bounced during sending, by failure code.", labels=("code",)
        )
        for code in FailureCode:
            failed.add_metric((code.name,), tally.failed[code])
        yield failed
        yield _gauge("emails_waiting", "Due emails that have not been sent yet.", number)
        yield _gauge("oldest_waiting_email_seconds", "Seconds for which the oldest of them has been due.", oldest)

    def _streams(self, runtime: Runtime) -> Iterator[Metric]:
        hub, folder_counts = runtime.ctx.writer.hub, runtime.ctx.writer.folder_counts
        yield _gauge("change_subscribers", "Open streams of changes.", hub.subscriber_count)
        yield _gauge("folder_count_subscribers", "Open streams of folder counts.", folder_counts.subscription_count)
        yield _counter(
            "subscriber_overflows",
            "Times that a slow subscriber's queue was dropped and the log was read instead.",
            hub.overflows,
        )
        documentation = "Log entries that were skipped, because only a later version knows their kind."
        yield _counter("unknown_log_entries", documentation, hub.unknown_entries)
        yield _counter(
            "change_messages_rendered",
            "Change messages rendered, each counted once for all its subscribers.",
            self._operations.broadcast_groups.rendered_count,
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, documentation, value=value)


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, documentation, value=value)
