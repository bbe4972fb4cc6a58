"""Health, readiness, time, metrics (API.md: health)."""

import hmac
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.platform.envelope import ok
from api.platform.limits import Limits
from api.platform.services import App, Platform
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
    """Counts and times of requests by route, method and status; answers that were stale;
    what the limits did."""

    def __init__(self, limits: Limits) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(limits.refused)
        self.registry.register(limits.uncounted)
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

        self._stale = Counter(
            "playpark_stale_reads",
            "Answers from the last good copy, because reading failed.",
            ("what",),
            registry=self.registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def stale(self, what: str) -> None:
        """Count an answer that was not read but remembered (R46)."""
        self._stale.labels(what).inc()


async def metrics_of(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


Measured = Annotated[Metrics, Depends(metrics_of)]


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
    async def exposition(platform: App, request: Request) -> Response:
        """404 for who may not know that there are any."""
        if not _may_measure(platform, request):
            raise HTTPException(404)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _may_measure(platform: Platform, request: Request) -> bool:
    """In production by METRICS_TOKEN alone: a proxy on the same machine would make everybody
    local."""
    token = platform.settings.metrics_token
    if token is None:
        return not platform.settings.production
    told = request.headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(told.encode(), token.get_secret_value().encode())


def time_route(routes: APIRouter) -> APIRouter:
    """`GET /v1/time`."""

    @routes.get("/time")
    async def now(platform: App) -> Envelope[ServerTime]:
        """The server's time."""
        return ok(ServerTime(now=platform.clock.now()))

    return routes
