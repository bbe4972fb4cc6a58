"""The wire between a gate and a real server: it carries, refuses, or takes everything and is
silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit


class Fault(Enum):
    NONE = "none"
    REFUSE = "refuse"
    STALL = "stall"


@dataclass
class Wire:
    """A TCP proxy. A fault cuts or stops the connections that are open, too."""

    target: tuple[str, int]
    fault: Fault = Fault.NONE
    port: int = 0
    _carrying: set[asyncio.StreamWriter] = field(default_factory=set)
    _clear: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, fault: Fault) -> None:
        self.fault = fault
        if fault is Fault.STALL:
            self._clear.clear()
        else:
            self._clear.set()
        if fault is not Fault.STALL:
            # What was stalled is lost: a network that comes back carries no old packets.
            for writer in self._carrying:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault is Fault.REFUSE:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self.target)
        self._carrying |= {writer, back}
        try:
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        finally:
            self._carrying -= {writer, back}
            for each in (writer, back):
                each.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._clear.wait()
                sink.write(data)
                await sink.drain()
            sink.transport.abort()


@contextlib.asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    parts = urlsplit(url)
    found = Wire((str(parts.hostname), int(parts.port or 80)))
    found.set(Fault.NONE)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found
        found.set(Fault.REFUSE)
