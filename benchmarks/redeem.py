"""A redemption over HTTP against raw Motor: the API in a process of its own, fifty gates at once,
and the same transaction written by raw Motor in this process, in alternating rounds."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvloop

from api.app import DOCUMENTS
from api.platform.mongo import Mongo
from benchmarks.limits import PLENTY
from benchmarks.raw import Raw
from benchmarks.server import api_process, call, pair, till
from playpark.ids import new_ulid

GATES, ROUNDS, COUNT, QUIET = 50, 7, 500, 200
DATABASE = "bench_redeem"
Redeem = Callable[[int], Awaitable[None]]


def run(uri: str) -> list[tuple[str, str]]:
    """The ratio of both rates, and how long one redemption takes where nobody else asks.

    Both sides have the faster event loop that the API runs on.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(uri))


async def _run(uri: str) -> list[tuple[str, str]]:
    plenty = {name.upper(): rate for name, rate in PLENTY.items()}
    source, target = Mongo(uri, DATABASE), Mongo(uri, f"{DATABASE}_raw")
    await target.create_indexes(DOCUMENTS)
    try:
        async with api_process(uri, DATABASE, plenty) as http:
            return await _measure(http, source, target)
    finally:
        source.close()
        target.close()


async def _measure(http: httpx.AsyncClient, source: Mongo, target: Mongo) -> list[tuple[str, str]]:
    tokens = await _sold(http, (ROUNDS + 1) * COUNT + 2 * QUIET)
    gates = [await Gate.of(http, tokens) for _ in range(GATES)]
    await gates[0].redeem()
    raw = await Raw.of(source, target, [new_ulid() for _ in range(GATES)])
    await raw.stock((ROUNDS + 1) * COUNT + 1)
    await raw.redeem(0)  # makes the collections that have no index
    ours, theirs = [], []
    for number in range(ROUNDS + 1):
        rates = [
            await _rate(lambda lane: gates[lane].redeem()),
            await _rate(raw.redeem),
        ]
        if number:  # the first round warms up
            ours.append(rates[0])
            theirs.append(rates[1])
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    quiet = [await _milliseconds(gates[number % GATES]) for number in range(QUIET)]
    for gate in gates:
        gate.close()
    ratio = f"{statistics.median(ratios):.2f} of it ({min(ratios):.2f}–{max(ratios):.2f})"
    both = f"{statistics.median(ours):.0f}/s; raw Motor {statistics.median(theirs):.0f}/s, {ratio}"
    p95 = statistics.quantiles(quiet, n=20)[-1]
    alone = f"median {statistics.median(quiet):.1f} ms, p95 {p95:.1f} ms"
    return [
        (f"Redemptions over HTTP, {GATES} gates at once", both),
        ("One redemption over HTTP, nobody else asking", alone),
    ]


async def _sold(http: httpx.AsyncClient, count: int) -> Iterator[str]:
    """The tokens of so many day passes."""
    seller, tokens = await till(http), []
    packages = (await call(http, seller, "GET", "/v1/catalog/packages"))["items"]
    adult = next(package for package in packages if package["kind"] == "single")
    qty = 100
    body = {
        "lines": [{"package_id": adult["package_id"], "qty": qty}],
        "payments": [{"method": "cash", "amount": adult["price"] * qty}],
    }
    while len(tokens) < count:
        sale = await call(http, seller, "POST", "/v1/sales", body, new_ulid())
        tokens.extend(str(ticket["qr_token"]) for ticket in sale["tickets"])
    return iter(tokens)


@dataclass(frozen=True)
class Gate:
    """A gate with a connection of its own. It writes HTTP by hand: a client library would take
    more of the machine than the server does."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str
    tokens: Iterator[str]

    @classmethod
    async def of(cls, http: httpx.AsyncClient, tokens: Iterator[str]) -> "Gate":
        host = urlsplit(str(http.base_url))
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        head = (
            f"POST /v1/tickets/redeem HTTP/1.1\r\nHost: {host.netloc}\r\n"
            f"Authorization: Bearer {await pair(http, 'GATE')}\r\n"
            "Content-Type: application/json\r\n"
        )
        return cls(reader, writer, head, tokens)

    async def redeem(self) -> None:
        """Show the next ticket. Raises AssertionError where it does not pass."""
        body = f'{{"qr_token":"{next(self.tokens)}"}}'
        head = f"{self.head}Idempotency-Key: {new_ulid()}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write((head + body).encode())
        answer = await self.reader.readuntil(b"\r\n\r\n")
        lines = answer.decode().lower().split("\r\n")
        length = next(line for line in lines if line.startswith("content-length:"))
        found: Any = json.loads(await self.reader.readexactly(int(length.split(":")[1])))
        assert found["data"]["result"] == "pass", found

    def close(self) -> None:
        self.writer.close()


async def _rate(redeem: Redeem) -> float:
    """Redemptions a second, each lane one after the other."""
    began = time.perf_counter()

    async def lane(number: int) -> None:
        for _ in range(COUNT // GATES):
            await redeem(number)

    await asyncio.gather(*(lane(number) for number in range(GATES)))
    return COUNT / (time.perf_counter() - began)


async def _milliseconds(gate: Gate) -> float:
    began = time.perf_counter()
    await gate.redeem()
    return (time.perf_counter() - began) * 1000
