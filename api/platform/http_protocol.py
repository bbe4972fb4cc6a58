"""uvicorn's HTTP parser with the bounds that it lacks: size of headers, time of headers, bodies
and answers, number of connections. Every refusal leaves in the envelope (API.md)."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any, cast

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.platform.envelope import error_response
from api.platform.middleware import RequestContext
from playpark.errors import ErrorCode

MAX_HEADER_BYTES = 64 * 1024
log = structlog.get_logger("playpark.http")


class Part(Enum):
    """What of a request the connection is waiting for."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    message = "The server has as many connections as it can hold: try again in a moment."
    response = error_response(ErrorCode.UNAVAILABLE, message, retry_after=5)
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


_FULL_HOUSE = RequestContext(_turn_away)


class _Line:
    """A transport that tells when it is closed, by whomever: closing waits for what is unread."""

    def __init__(self, transport: asyncio.Transport, closed: Callable[[], None]) -> None:
        self._transport, self._closed = transport, closed
        self.write, self.is_closing = transport.write, transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._transport.close()
        self._closed()


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. What sends headers without end or too slowly gets its answer and is closed.

    The server makes a subclass with its settings (`within`). All times are seconds.
    """

    header_seconds = 10.0
    body_seconds = 30.0
    stall_seconds = 10.0
    max_connections = 1000

    _part = Part.NOTHING
    _part_began = 0.0
    _last_bytes = 0.0
    _framing = 0
    """Bytes of the present request that are no body: headers, sizes of chunks, trailers."""
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    """Runs while the client does not take its answer."""
    _closing: asyncio.TimerHandle | None = None
    """Runs from the close until what is left of the answers has gone out."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _Line(transport, self._close_in_time)))
        if len(self.connections) > 2 * self.max_connections:
            transport.abort()
        elif len(self.connections) > self.max_connections:
            self.app = _FULL_HOUSE
        self._wait_for_a_request()  # uvicorn waits for ever for the first byte

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        self._stop_timer()
        self.resume_writing()
        if self._closing is not None:
            self._closing.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._part is Part.NOTHING:
            self._wait_for(Part.HEAD)
        self._last_bytes = self.loop.time()
        self._framing += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._framing > MAX_HEADER_BYTES:
            message = "The headers of this request are too large: send fewer of them."
            self._refuse(error_response(ErrorCode.BODY_TOO_LARGE, message, status=431))
        elif self._part is Part.NOTHING:
            self._stop_timer()
            if self.cycle.response_complete:  # before its request: what came now ended the wait
                self._wait_for_a_request()
        elif self._timer is None:
            self._timer = self.loop.call_at(self._deadline(), self._check_pace)

    def on_message_begin(self) -> None:
        self._wait_for(Part.HEAD)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._wait_for(Part.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = Part.NOTHING
        self._framing = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.body_seconds, self._drop)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _drop(self) -> None:
        log.info("answer not read")
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        message = f"{msg} Send HTTP/1.1 as the contract has it."
        self._refuse(error_response(ErrorCode.VALIDATION, message, status=400))

    def _close_in_time(self) -> None:
        if self._closing is None and self in self.connections:
            self._closing = self.loop.call_later(self.body_seconds, self._drop)

    def _wait_for_a_request(self) -> None:
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wait_for(self, part: Part) -> None:
        self._part = part
        self._part_began = self._last_bytes = self.loop.time()

    def _deadline(self) -> float:
        if self._part is Part.HEAD:
            return self._part_began + self.header_seconds
        return min(self._part_began + self.body_seconds, self._last_bytes + self.stall_seconds)

    def _check_pace(self) -> None:
        self._timer = None
        if self._part is Part.NOTHING or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused:  # it is the server that does not read: start over
            self._part_began = self._last_bytes = now
        if now < self._deadline():
            self._timer = self.loop.call_at(self._deadline(), self._check_pace)
            return
        log.info("request too slow", part=self._part.value)
        message = "The request came in too slowly: check the network and send it again."
        self._refuse(error_response(ErrorCode.UNAVAILABLE, message, status=408))

    def _refuse(self, response: Response) -> None:
        """Close, and say why where the answer cannot be taken for another one."""
        if self._may_answer():
            answer = [STATUS_LINE[response.status_code], b"connection: close\r\n"]
            for name, value in response.raw_headers:
                answer += [name, b": ", value, b"\r\n"]
            self.transport.write(b"".join([*answer, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _may_answer(self) -> bool:
        if self.cycle is None or self.cycle.response_complete:
            return self._part is not Part.BODY  # of a body that nobody waited for
        return self._part is Part.BODY and not self.pipeline and not self.cycle.response_started

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def within(
    *, header_seconds: float, body_seconds: float, stall_seconds: float, max_connections: int
) -> type[BoundedHttpProtocol]:
    """The protocol with these bounds, for uvicorn's `http`."""
    bounds = {
        "header_seconds": header_seconds,
        "body_seconds": body_seconds,
        "stall_seconds": stall_seconds,
        "max_connections": max_connections,
    }
    return type("Bounded", (BoundedHttpProtocol,), bounds)
