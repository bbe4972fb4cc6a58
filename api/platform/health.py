"""Health, readiness, time, metrics (API.md: health)."""

import time

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.platform.envelope import ok
from api.platform.services import App
from playpark import __version__
from playpark.contracts.base import Envelope, ServerTime, View

_started = time.monotonic()


class HealthView(View):
    status: str
    version: str
    uptime_s: int
    database: str
    database_ms: float


class StatusView(View):
    status: str


class Metrics:
    """Counts and times of requests by route, method and status."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "playpark_requests", "HTTP requests.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "playpark_request_seconds",
            "Time to answer.",
            ("method", "route"),
            registry=self.registry,
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 0.5, 1, 2, 5),
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class Measure:
    """Pure ASGI: feeds the metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # The route's template, never the path: ids must not become labels.
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.observe(scope["method"], route, status, time.perf_counter() - began)


def health_routes(metrics: Metrics) -> APIRouter:
    """The routes at the root, without `/v1` and without a token."""
    routes = APIRouter(tags=["health"])

    @routes.get("/health")
    async def health(platform: App) -> Envelope[HealthView]:
        """Detail for people: version, uptime, database. 503 where the database is gone."""
        began = time.perf_counter()
        await platform.mongo.ping()
        took = round((time.perf_counter() - began) * 1000, 2)
        uptime = int(time.monotonic() - _started)
        return ok(
            HealthView(
                status="ok",
                version=__version__,
                uptime_s=uptime,
                database="ok",
                database_ms=took,
            )
        )

    @routes.get("/healthz")
    async def alive() -> Envelope[StatusView]:
        """The process answers."""
        return ok(StatusView(status="ok"))

    @routes.get("/readyz")
    async def ready(platform: App) -> Envelope[StatusView]:
        """The process can do its work: 503 E_UNAVAILABLE while the database is away."""
        await platform.mongo.ping()
        return ok(StatusView(status="ready"))

    @routes.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def time_route(routes: APIRouter) -> APIRouter:
    """`GET /v1/time`."""

    @routes.get("/time")
    async def now(platform: App) -> Envelope[ServerTime]:
        """The server's time."""
        return ok(ServerTime(now=platform.clock.now()))

    return routes
