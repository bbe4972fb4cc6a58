"""What a gate's list costs the server: 20,000 tickets of one store, over HTTP."""

import secrets
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from motor.motor_asyncio import AsyncIOMotorClient

from benchmarks.limits import PLENTY
from benchmarks.server import api_process, pair
from playpark.ids import new_ulid

TICKETS, CHANGES, CALLS = 20_000, 200, 60
DATABASE = "bench_bootstrap"
PATH = "/v1/gate/bootstrap"


async def run(uri: str) -> list[tuple[str, str]]:
    """Times of the first and of later answers, their bytes, and what has changed."""
    plenty = {name.upper(): rate for name, rate in PLENTY.items()}
    database = AsyncIOMotorClient(uri, tz_aware=True)[DATABASE]
    async with api_process(uri, DATABASE, plenty) as http:
        gate = Gate(http, await pair(http, "GATE"))
        tickets = await _print_tickets(database)
        cold, size = await gate.ask()
        version = gate.version
        warm, same = [], []
        for number in range(CALLS):
            # Somebody is always on the way in.
            await _use(database, tickets[number::CALLS][:3])
            warm.append((await gate.ask())[0])
            same.append((await gate.ask(etag=gate.etag))[0])
        await _use(database, tickets[:CHANGES])
        delta = [(await gate.ask(since=version))[0] for _ in range(CALLS)]
        changed = gate.size
    return [
        (f"The gates' list of {TICKETS:,} tickets, the first time", f"{cold:.0f} ms"),
        ("The gates' list, p95", f"{_p95(warm):.0f} ms, {size / 1e6:.2f} MB"),
        ("The gates' list, unchanged, p95", f"{_p95(same):.0f} ms"),
        ("The gates' list, what has changed, p95", f"{_p95(delta):.0f} ms, {changed / 1e3:.0f} kB"),
    ]


class Gate:
    """Asks and measures, without unpacking the list."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
        self.etag = ""
        self.version = 0
        self.size = 0

    async def ask(self, *, etag: str = "", since: int | None = None) -> tuple[float, int]:
        """(milliseconds, bytes) of one answer."""
        query: dict[str, Any] = {"window": 720} | ({} if since is None else {"since": since})
        headers: Mapping[str, str] = {**self._headers, **({"If-None-Match": etag} if etag else {})}
        began = time.perf_counter()
        async with self._http.stream("GET", PATH, params=query, headers=headers) as answer:
            packed = b"".join([piece async for piece in answer.aiter_raw()])
        took = (time.perf_counter() - began) * 1_000
        assert answer.status_code == (304 if etag else 200), packed
        self.etag = answer.headers["ETag"]
        self.size = len(packed)
        if not self.version:
            # The tickets themselves are of no interest here, and they are long.
            unpacked = httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=packed)
            self.version = unpacked.json()["data"]["version"]
            assert len(unpacked.json()["data"]["allow"]) == TICKETS
        return took, len(packed)


async def _print_tickets(database: Any) -> list[str]:
    """Tickets of the demo park's store, as sales write them; their ids."""
    store = await database.stores.find_one({"name": "Main Gate"})
    now = datetime.now(UTC)
    documents, zones = [], [new_ulid(), new_ulid()]
    for number in range(TICKETS):
        ticket_id = new_ulid()
        sold_at = now - timedelta(seconds=TICKETS - number)
        documents.append(
            {
                "_id": f"{store['tenant_id']}:{store['_id']}:{ticket_id}",
                "tenant_id": store["tenant_id"],
                "store_id": store["_id"],
                "created_at": sold_at,
                "updated_at": sold_at,
                "ticket_id": ticket_id,
                "sale_id": ticket_id,
                "position": 0,
                "kind": ("single", "single", "multi", "timepass")[number % 4],
                "quota_or_minutes": (1, 1, 10, 120)[number % 4],
                "used": 0,
                "short_code": ticket_id,
                "kid": "01",
                "token_hash": secrets.token_hex(32),
                "status": "active",
                "valid_from": now - timedelta(hours=8),
                "valid_to": now + timedelta(hours=8),
                "zones": [[], zones[:1], zones[1:], zones][number % 4],
                "allowed_devices": [],
                "last_pass_at": None,
                "ends_at": None,
            }
        )
    await database.tickets.insert_many(documents)
    return [each["_id"] for each in documents]


async def _use(database: Any, ids: list[str]) -> None:
    now = datetime.now(UTC)
    seen = {"$set": {"last_pass_at": now, "updated_at": now}}
    await database.tickets.update_many({"_id": {"$in": ids}}, seen)


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]
