"""A line between a device and the API that fails on purpose (R35, R37, R50).

It reads HTTP/1.1 messages, so that exactly a request or exactly its answer is lost, also on a
connection that is kept. What is not HTTP does not pass.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LONGEST_HEAD = 256 * 1024
PIECE = 64 * 1024
REMEMBERED = 1_000
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: a socket that is closed tells the other end by RST."""
_NO_BODY = {204, 304}


class Act(StrEnum):
    """What becomes of a message. `drop`: it is taken and thrown away, and the connection says
    nothing more; `close`: thrown away, and the connection ends in order; `reset`: torn."""

    PASS = "pass"  # noqa: S105 - no secret
    DROP = "drop"
    CLOSE = "close"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Way:
    """One direction. `delay`: seconds before each message goes on; `after`: how many bytes of it
    pass before a reset."""

    act: Act = Act.PASS
    delay: float = 0.0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to a line. `percent` of the exchanges meet it, the others pass.

    `connects` False: nobody listens, what is open is torn. `server_gone`: the server's end of each
    connection is torn, and nobody tells the client. `twice`: each request arrives twice at once.
    """

    name: str
    requests: Way = Way()
    answers: Way = Way()
    connects: bool = True
    server_gone: bool = False
    twice: bool = False
    percent: int = 100


PASSING = Fault("pass")
REFUSED = Fault("refuse", connects=False)
DROP_REQUESTS = Fault("drop-requests", requests=Way(Act.DROP))
CLOSE_REQUESTS = Fault("close-requests", requests=Way(Act.CLOSE))
DROP_ANSWERS = Fault("drop-answers", answers=Way(Act.DROP))
CLOSE_ANSWERS = Fault("close-answers", answers=Way(Act.CLOSE))
RESET_REQUESTS = Fault("reset-requests", requests=Way(Act.RESET, after=40))
RESET_ANSWERS = Fault("reset-answers", answers=Way(Act.RESET, after=40))
SLOW = Fault("slow", answers=Way(delay=3.0))
LOSSY = Fault("lossy", answers=Way(Act.CLOSE), percent=30)
DUPLICATES = Fault("duplicates", twice=True)
BLACKHOLE = Fault("blackhole", requests=Way(Act.DROP), answers=Way(Act.DROP))
HALF_OPEN = Fault("half-open", requests=Way(Act.DROP), answers=Way(Act.DROP), server_gone=True)
FAULTS = {
    each.name: each
    for each in (
        *(PASSING, REFUSED, DROP_REQUESTS, CLOSE_REQUESTS, DROP_ANSWERS, CLOSE_ANSWERS),
        *(RESET_REQUESTS, RESET_ANSWERS, SLOW, LOSSY, DUPLICATES, BLACKHOLE, HALF_OPEN),
    )
}
"""By the name that a person types."""


@dataclass(slots=True)
class Exchange:
    """A request that came, the fault it met, whether the server got it and the client its answer.
    `status` is the server's, None where none was read."""

    line: str
    fault: str
    arrived: bool = False
    status: int | None = None
    answered: bool = False


class _SilentError(Exception):
    """Nothing more is said on this connection."""


class _ClosedError(Exception):
    """The connection ends in order."""


class _TornError(Exception):
    """The connection is torn."""


class FaultProxy:
    """Listens on 127.0.0.1 and carries to `target`, an http:// address. Use it as
    `async with FaultProxy(url) as proxy`, and give clients `proxy.url`.

    A new fault meets what comes from then on, on open connections too. `chance` tells which
    exchanges meet a fault of less than 100 percent.
    """

    def __init__(
        self, target: str, *, port: int = 0, chance: Callable[[], float] = random.random
    ) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.port = port
        self.fault = PASSING
        self.seen: deque[Exchange] = deque(maxlen=REMEMBERED)
        self._chance = chance
        self._next: deque[Fault] = deque()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=LONGEST_HEAD
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what is done to it -----------------------------------------------------------------

    def set(self, fault: Fault) -> None:
        """Do this to every exchange from now on."""
        self.fault = fault
        if not fault.connects:
            self.cut()
        if fault.server_gone:
            for connection in self._connections:
                connection.lose_server()

    def once(self, *faults: Fault) -> None:
        """Do these to the next exchanges, one each, whatever is set."""
        self._next.extend(faults)

    def heal(self) -> None:
        """Let all pass. Connections that say nothing are torn, for what was swallowed is gone."""
        self._next.clear()
        self.fault = PASSING
        for connection in list(self._connections):
            if connection.silent:
                connection.tear()

    def cut(self) -> None:
        """Tear what is open."""
        for connection in list(self._connections):
            connection.tear()

    # --- what it asks -----------------------------------------------------------------------

    def for_request(self) -> tuple[Fault, bool]:
        """The fault that this exchange meets, and whether it is one for this exchange alone."""
        if self._next:
            return self._next.popleft(), True
        meets = self.fault.percent >= 100 or self._chance() * 100 < self.fault.percent
        return (self.fault, False) if meets else (PASSING, True)

    async def reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection to the server."""
        return await asyncio.open_connection(*self._target, limit=LONGEST_HEAD)

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Let it end with the proxy at the latest."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        if (task := asyncio.current_task()) is not None:
            self.keep(task)
        if not self.fault.connects and not self._next:
            connection.tear()
            return
        self._connections.add(connection)
        try:
            # Cancelled with the proxy: a handler of asyncio's server must not say so.
            with contextlib.suppress(asyncio.CancelledError):
                await connection.run()
        finally:
            self._connections.discard(connection)
            connection.end()


@dataclass(eq=False)
class _Connection:
    """A client's connection and, once something passes, the server's end of it."""

    proxy: FaultProxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    silent: bool = False
    """Something of it was swallowed: nobody will answer."""
    _back: asyncio.StreamReader | None = None
    _there: asyncio.StreamWriter | None = None
    _torn: bool = field(default=False)

    async def run(self) -> None:
        """One exchange after the other, until an end closes or a fault ends it."""
        try:
            while head := await _head(self.reader):
                await self._exchange(head)
        except _SilentError:
            self.silent = True
            with contextlib.suppress(OSError):
                while await self.reader.read(PIECE):
                    pass
        except _ClosedError:
            pass
        except (_TornError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.tear()

    async def _exchange(self, head: bytes) -> None:
        fault, alone = self.proxy.for_request()
        line = head.split(b"\r\n", 1)[0].decode("latin-1")
        exchange = Exchange(line, fault.name)
        self.proxy.seen.append(exchange)
        message = _message(self.reader, head, _request_body(head))
        if fault.requests.act is Act.PASS and not fault.server_gone:
            if fault.twice:
                whole = b"".join([piece async for piece in message])
                self.proxy.keep(asyncio.create_task(self._send_beside(whole)))
                message = _pieces(whole)
            _, there = await self._connected()
            await _carry(message, there, fault.requests)
        elif fault.requests.act is Act.RESET:
            _, there = await self._connected()
            await _carry(message, there, fault.requests)
        else:
            await _carry(message, None, fault.requests)
            raise _SilentError
        exchange.arrived = True
        await self._answer(exchange, None if alone is False else fault)

    async def _answer(self, exchange: Exchange, alone: Fault | None) -> None:
        """Carry the answer; the fault of the moment when it comes, unless one is for it `alone`."""
        back, _ = await self._connected()
        head = await _head(back)
        while head and _status(head) // 100 == 1:
            self.writer.write(head)
            head = await _head(back)
        if not head:
            raise _TornError
        exchange.status = _status(head)
        fault = alone or self.proxy.fault
        body = _answer_body(head, exchange.line)
        message = _message(back, head, body)
        await _carry(message, self.writer, fault.answers)
        exchange.answered = True
        if body == _TO_THE_END:
            raise _ClosedError

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._back is None or self._there is None or self._back.at_eof():
            self._lose()
            self._back, self._there = await self.proxy.reach()
        return self._back, self._there

    async def _send_beside(self, request: bytes) -> None:
        """The same request once more, on a connection of its own; nobody hears the answer."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            back, there = await self.proxy.reach()
            try:
                there.write(request)
                head = await _head(back)
                line = request.split(b"\r\n", 1)[0].decode("latin-1")
                async for _ in _message(back, head, _answer_body(head, line)):
                    pass
            finally:
                there.close()

    def lose_server(self) -> None:
        """The server's end is torn; the client is told nothing."""
        self.silent = True
        self._lose()

    def tear(self) -> None:
        """Both ends are torn, the client's by RST."""
        if self._torn:
            return
        self._torn = True
        self._lose()
        _abort(self.writer)

    def end(self) -> None:
        """Both ends are closed, where they are not torn already."""
        self._lose()
        if not self._torn:
            self.writer.close()

    def _lose(self) -> None:
        if self._there is not None:
            _abort(self._there)
        self._back = self._there = None


# --- messages -----------------------------------------------------------------------------

_TO_THE_END, _CHUNKED = -1, -2
"""Lengths of a body that its head does not tell."""


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Start line and headers with the empty line behind them; nothing where the end is closed."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as ended:
        if ended.partial:
            raise
        return b""


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    named = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip().lower() for name, _, value in named}


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def _request_body(head: bytes) -> int:
    headers = _headers(head)
    if "chunked" in headers.get("transfer-encoding", ""):
        return _CHUNKED
    return int(headers.get("content-length", "0"))


def _answer_body(head: bytes, line: str) -> int:
    headers = _headers(head)
    if line.startswith("HEAD ") or _status(head) in _NO_BODY:
        return 0
    if "chunked" in headers.get("transfer-encoding", ""):
        return _CHUNKED
    return int(headers.get("content-length", _TO_THE_END))


async def _message(reader: asyncio.StreamReader, head: bytes, length: int) -> AsyncIterator[bytes]:
    """A message piece by piece as it comes, the head first."""
    yield head
    if length == _CHUNKED:
        async for piece in _chunks(reader):
            yield piece
    elif length == _TO_THE_END:
        while piece := await reader.read(PIECE):
            yield piece
    else:
        while length:
            piece = await reader.readexactly(min(length, PIECE))
            length -= len(piece)
            yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";", 1)[0], 16)
        yield line
        if not size:
            break
        yield await reader.readexactly(size + 2)
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        yield line
    yield line


async def _pieces(whole: bytes) -> AsyncIterator[bytes]:
    yield whole


async def _carry(
    message: AsyncIterator[bytes], sink: asyncio.StreamWriter | None, way: Way
) -> None:
    """Take a message whole and do with it what is to be done; returns where it has passed."""
    if way.delay:
        await asyncio.sleep(way.delay)
    left = way.after
    async for piece in message:
        if sink is None or way.act in {Act.DROP, Act.CLOSE}:
            continue
        part = piece[:left] if way.act is Act.RESET else piece
        left -= len(part)
        sink.write(part)
        await sink.drain()
        if way.act is Act.RESET and left <= 0:
            raise _TornError
    if way.act is Act.RESET:
        raise _TornError
    if way.act is Act.DROP:
        raise _SilentError
    if way.act is Act.CLOSE:
        raise _ClosedError


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close at once, and let the other end know by RST."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
