"""What the server adds to its own writes: operations in this process against the very same
documents and updates written by raw Motor in one transaction; and rates over HTTP."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from api.app import DOCUMENTS, create_app, prepare
from api.platform.authority import read_scope
from api.platform.jwt import TokenType
from api.platform.mongo import Mongo
from api.platform.operations import Operation, perform
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.settings import Settings
from api.sales.service import Selling
from api.tickets.redeeming import Redeeming
from benchmarks.limits import PLENTY
from benchmarks.raw import Raw
from playpark.contracts.sales import SaleIn
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import RedeemIn
from playpark.ids import new_ulid

SALES, REDEEMS, PARALLEL, ROUNDS = 160, 160, 16, 7
CASHIER = {"email": "cashier@demo.playpark", "pin": "1111"}
Work = Callable[[int], Awaitable[None]]


async def run(uri: str) -> list[tuple[str, str]]:
    """Rates of sales and redemptions, and their ratio to raw Motor, in one run."""
    return [*await _operations(uri), *await _over_http(uri)]


# --- operations in this process ---------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """A till of its own with its shift: sales of one till follow each other."""

    scope: Scope
    package_id: str
    price: int


async def _operations(uri: str) -> list[tuple[str, str]]:
    ours, theirs = Mongo(uri, "bench_ops"), Mongo(uri, "bench_ops_raw")
    platform = await prepare(Settings(), ours, demo=True)
    await theirs.create_indexes(DOCUMENTS)
    try:
        transport = httpx.ASGITransport(app=create_app(platform))
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as http:
            lanes = [await _lane(platform, http) for _ in range(PARALLEL)]
        return await _compare(platform, lanes, theirs)
    finally:
        theirs.close()
        platform.close()


async def _lane(platform: Platform, http: httpx.AsyncClient) -> Lane:
    token = await till(http)
    claims = platform.jwt.read(token, TokenType.DEVICE, TokenType.ACCESS)
    packages = (await call(http, token, "GET", "/v1/catalog/packages"))["items"]
    adult = next(package for package in packages if package["kind"] == "single")
    scope = await read_scope(platform.uow.reading(), claims)
    return Lane(scope, adult["package_id"], adult["price"])


async def _compare(platform: Platform, lanes: list[Lane], theirs: Mongo) -> list[tuple[str, str]]:
    tokens: list[str] = []

    async def sell(number: int) -> None:
        tokens.extend(await _sell(platform, lanes[number % PARALLEL]))

    async def redeem(number: int) -> None:
        await _redeem(platform, lanes[number % PARALLEL], tokens.pop())

    for number in range(PARALLEL):
        await sell(number)
    await redeem(0)
    raw = await Raw.of(platform.mongo, theirs, [lane.scope.device.device_id for lane in lanes])
    found = []
    for name, work, same, count in (
        ("Sale with 4 tickets", sell, raw.sell, SALES),
        ("Redemption", redeem, raw.redeem, REDEEMS),
    ):
        for how, lanes_at_once in (("one after the other", 1), (f"{PARALLEL} at once", PARALLEL)):
            rates = await _rounds(work, same, count, lanes_at_once)
            found.append((f"{name}, operation, {how}", rates.told()))
    return found


@dataclass(frozen=True)
class Rates:
    """Rates of alternating rounds: other work on the machine hits both alike."""

    ours: list[float]
    raw: list[float]

    def told(self) -> str:
        ratios = [raw / ours for ours, raw in zip(self.ours, self.raw, strict=True)]
        ours, raw = statistics.median(self.ours), statistics.median(self.raw)
        least, most = min(ratios), max(ratios)
        return (
            f"{ours:.0f}/s; raw Motor {raw:.0f}/s, "
            f"{statistics.median(ratios):.2f}× ({least:.2f}–{most:.2f})"
        )


async def _rounds(work: Work, same: Work, count: int, at_once: int) -> Rates:
    await _rate(work, PARALLEL, at_once)
    await _rate(same, PARALLEL, at_once)
    ours, raw = [], []
    for _ in range(ROUNDS):
        ours.append(await _rate(work, count, at_once))
        raw.append(await _rate(same, count, at_once))
    return Rates(ours, raw)


async def _sell(platform: Platform, lane: Lane) -> list[str]:
    raw: dict[str, Any] = {
        "lines": [{"package_id": lane.package_id, "qty": 4}],
        "payments": [{"method": "cash", "amount": lane.price * 4}],
    }
    op = Operation(
        op_id=new_ulid(),
        kind=OpKind.SALE,
        raw=raw,
        body=SaleIn.model_validate(raw),
        occurred_at=datetime.now(UTC),
    )
    outcome = await perform(platform, lane.scope, op, Selling(platform).kind)
    return [ticket.qr_token or "" for ticket in outcome.answer.tickets]


async def _redeem(platform: Platform, lane: Lane, token: str) -> None:
    raw = {"qr_token": token}
    op = Operation(
        op_id=new_ulid(),
        kind=OpKind.REDEMPTION,
        raw=raw,
        body=RedeemIn.model_validate(raw),
        occurred_at=datetime.now(UTC),
    )
    outcome = await perform(platform, lane.scope, op, Redeeming(platform).kind)
    assert outcome.answer.result == "pass"


async def _rate(work: Work, count: int, at_once: int) -> float:
    """Calls a second, with so many at once, each on its own device."""
    began = time.perf_counter()

    async def lane(first: int) -> None:
        for number in range(first, count, at_once):
            await work(number)

    await asyncio.gather(*(lane(first) for first in range(at_once)))
    return count / (time.perf_counter() - began)


# --- over HTTP --------------------------------------------------------------------------


async def _over_http(uri: str) -> list[tuple[str, str]]:
    plenty = {name.upper(): rate for name, rate in PLENTY.items()}
    async with api_process(uri, "bench", plenty) as http:
        return await _measure(http)


@asynccontextmanager
async def api_process(
    uri: str, database: str, settings: Mapping[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    """A `playpark api` process with these variables, and a client of it."""
    environment = {
        **os.environ,
        **settings,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database,
        "LOG_LEVEL": "WARNING",
    }
    server = subprocess.Popen(  # noqa: ASYNC220 - before anything runs
        [sys.executable, "-m", "playpark.cli", "api", "--demo", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split("on ")[1].split()[0]
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield http
    finally:
        server.terminate()
        server.wait(20)


async def _measure(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    tills = [await till(http) for _ in range(PARALLEL)]
    packages = (await call(http, tills[0], "GET", "/v1/catalog/packages"))["items"]
    adult = next(package for package in packages if package["kind"] == "single")
    tokens: list[str] = []

    async def sell(number: int) -> None:
        body = {
            "lines": [{"package_id": adult["package_id"], "qty": 4}],
            "payments": [{"method": "cash", "amount": adult["price"] * 4}],
        }
        seller = tills[number % PARALLEL]
        answer = await call(http, seller, "POST", "/v1/sales", body, new_ulid())
        tokens.extend(ticket["qr_token"] for ticket in answer["tickets"])

    async def redeem(number: int) -> None:
        gate = tills[number % PARALLEL]
        body = {"qr_token": tokens[number]}
        await call(http, gate, "POST", "/v1/tickets/redeem", body, new_ulid())

    sales = await _rate(sell, 2 * SALES, PARALLEL)
    redeems = await _rate(redeem, 2 * REDEEMS, PARALLEL)
    quiet = []
    for number in range(2 * REDEEMS, 2 * REDEEMS + 100):
        began = time.perf_counter()
        await redeem(number)
        quiet.append((time.perf_counter() - began) * 1000)
    p95 = statistics.quantiles(quiet, n=20)[-1]
    return [
        (f"Sales with 4 tickets over HTTP, {PARALLEL} tills", f"{sales:.0f}/s"),
        (f"Redemptions over HTTP, {PARALLEL} devices", f"{redeems:.0f}/s"),
        ("One redemption on a quiet server, p95", f"{p95:.1f} ms"),
    ]


async def pair(http: httpx.AsyncClient, kind: str) -> str:
    """The access token of a new device."""
    body = {"site_key": "DEMO-MAIN-GATE", "type": kind, "name": "bench"}
    device = await call(http, "", "POST", "/v1/auth/device/register", body)
    login = {"device_id": device["device_id"], "device_token": device["device_token"]}
    session = await call(http, "", "POST", "/v1/auth/device/login", login)
    return str(session["access_token"])


async def till(http: httpx.AsyncClient) -> str:
    """The access token of a cashier with an open shift at a till of their own."""
    token = await pair(http, "POS")
    person = await call(http, token, "POST", "/v1/employees/login", CASHIER)
    token = str(person["access_token"])
    await call(http, token, "POST", "/v1/shifts/open", {"cash_open": 0}, new_ulid())
    return token


async def call(
    http: httpx.AsyncClient, token: str, method: str, path: str, body: Any = None, key: str = ""
) -> Any:
    """The data of an answer. Raises HTTPStatusError for a refusal."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    headers = {
        name: value for name, value in headers.items() if value.strip() != "Bearer" and value
    }
    response = await http.request(method, path, json=body, headers=headers)
    response.raise_for_status()
    return response.json()["data"]
