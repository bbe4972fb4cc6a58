"""Pure ASGI middleware: request id, headers of every answer, access log, body limit. No
BaseHTTPMiddleware (slow)."""

import hashlib
import re
import time
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.platform.envelope import Client, client, error_response, request_id
from playpark.errors import ErrorCode
from playpark.ids import new_ulid

_SAFE_ID = re.compile(rb"[0-9A-Za-z._-]{1,64}")
MAX_BODY = 1024 * 1024
MAX_SYNC_BODY = 4 * MAX_BODY
MAX_LOGIN_BODY = 64 * 1024
"""Routes that strangers may call."""
HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
"""Of every answer, unless it has one of its own. HSTS is for whoever ends TLS."""
CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": [
        *("Authorization", "Content-Type", "Idempotency-Key", "X-Approval", "X-Request-ID"),
        "If-None-Match",
    ],
    "expose_headers": ["ETag", "Idempotent-Replayed", "Retry-After", "X-Request-ID"],
}
"""What pages of CORS_ORIGINS may do. No cookies: they send their token themselves."""
log = structlog.get_logger("playpark.http")
errors = structlog.get_logger("playpark.errors")


class RequestContext:
    """Gives each request its id (the client's, if harmless) and one log line. A fault of ours is
    logged too, and told without detail."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        sent = headers.get(b"x-request-id", b"")
        current = sent.decode() if _SAFE_ID.fullmatch(sent) else new_ulid()
        request_id.set(current)
        client.set(_client(scope, headers))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=current)
        began = time.perf_counter()
        status, started = 500, False

        async def with_id(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = _complete(message["headers"], current)
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        except Exception as fault:
            errors.error("unexpected", exc_info=fault, error_code=ErrorCode.INTERNAL)
            state = scope.setdefault("state", {})
            state["log"] = {**state.get("log", {}), "error_code": str(ErrorCode.INTERNAL)}
            if started:
                raise
            await _broken()(scope, receive, with_id)
        finally:
            route = scope.get("route")
            log.info(
                "request",
                method=scope["method"],
                route=getattr(route, "path", "unmatched"),
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
                **scope.get("state", {}).get("log", {}),
            )


def _broken() -> ASGIApp:
    message = "Something went wrong here and was logged: try again, then call support."
    return error_response(ErrorCode.INTERNAL, message)


def _complete(headers: list[tuple[bytes, bytes]], current: str) -> list[tuple[bytes, bytes]]:
    own = {name for name, _ in headers}
    missing = [each for each in HEADERS.items() if each[0] not in own]
    return [*headers, (b"x-request-id", current.encode()), *missing]


def _client(scope: Scope, headers: dict[bytes, bytes]) -> Client:
    address = scope.get("client")
    told = b"|".join(headers.get(name, b"") for name in (b"user-agent", b"accept-language"))
    fingerprint = hashlib.sha256(told).hexdigest()[:16]
    return Client(ip=_plain_ip(address[0]) if address else "", fingerprint=fingerprint)


@lru_cache(maxsize=1024)
def _plain_ip(text: str) -> str:
    """One spelling an address, nothing for what is none: behind a proxy it is the client's text."""
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


class BodyLimit:
    """413 beyond 1 MiB (4 at /sync, 1/16 at /auth), declared or streamed (R56)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(scope["path"])
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or len(declared) > 12 or int(declared) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # FastAPI passes this exception through while it reads a body; any other is 400.
                raise HTTPException(ErrorCode.BODY_TOO_LARGE.status)
            return message

        await self._app(scope, counted, send)


def _limit(path: str) -> int:
    if path.endswith(("/sync/batch", "/sync/bundles")):
        return MAX_SYNC_BODY
    login = "/auth/" in path or path.endswith("/login")
    return MAX_LOGIN_BODY if login else MAX_BODY


def _too_large(limit: int) -> ASGIApp:
    message = f"The body is larger than {limit // 1024} KiB: send it in parts."
    return error_response(ErrorCode.BODY_TOO_LARGE, message)
