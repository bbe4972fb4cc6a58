"""The API over HTTP against the same documents written by raw Motor in one transaction."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from motor.motor_asyncio import AsyncIOMotorClient

from playpark.ids import new_ulid

SALES, REDEEMS, PARALLEL = 300, 300, 16
CASHIER = {"email": "cashier@demo.playpark", "pin": "1111"}


async def run(uri: str) -> list[tuple[str, str]]:
    """Rates of sales and redemptions, and their ratio to raw Motor, in one run."""
    environment = os.environ | {
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": "bench",
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
            return await _measure(http, uri)
    finally:
        server.terminate()
        server.wait(20)


async def _measure(http: httpx.AsyncClient, uri: str) -> list[tuple[str, str]]:
    tills = [await _till(http) for _ in range(PARALLEL)]
    packages = (await _call(http, tills[0], "GET", "/v1/catalog/packages"))["items"]
    adult = next(package for package in packages if package["kind"] == "single")
    tokens: list[str] = []

    async def sell(number: int) -> None:
        body = {
            "lines": [{"package_id": adult["package_id"], "qty": 4}],
            "payments": [{"method": "cash", "amount": adult["price"] * 4}],
        }
        till = tills[number % PARALLEL]
        answer = await _call(http, till, "POST", "/v1/sales", body, new_ulid())
        tokens.extend(ticket["qr_token"] for ticket in answer["tickets"])

    async def redeem(number: int) -> None:
        till = tills[number % PARALLEL]
        body = {"qr_token": tokens[number]}
        await _call(http, till, "POST", "/v1/tickets/redeem", body, new_ulid())

    sales = await _rate(sell, SALES)
    redeems = await _rate(redeem, REDEEMS)
    quiet = []
    for number in range(REDEEMS, REDEEMS + 100):
        began = time.perf_counter()
        await redeem(number)
        quiet.append((time.perf_counter() - began) * 1000)
    raw_sales, raw_redeems = await _raw(uri)
    p95 = statistics.quantiles(quiet, n=20)[-1]
    return [
        (f"Sales with 4 tickets over HTTP, {PARALLEL} tills", f"{sales:.0f}/s"),
        ("  the same documents by raw Motor", f"{raw_sales:.0f}/s ({raw_sales / sales:.2f}×)"),
        (f"Redemptions over HTTP, {PARALLEL} devices", f"{redeems:.0f}/s"),
        (
            "  the same documents by raw Motor",
            f"{raw_redeems:.0f}/s ({raw_redeems / redeems:.2f}×)",
        ),
        ("One redemption on a quiet server, p95", f"{p95:.1f} ms"),
    ]


async def _till(http: httpx.AsyncClient) -> str:
    body = {"site_key": "DEMO-MAIN-GATE", "type": "POS", "name": "bench"}
    device = await _call(http, "", "POST", "/v1/auth/device/register", body)
    login = {"device_id": device["device_id"], "device_token": device["device_token"]}
    session = await _call(http, "", "POST", "/v1/auth/device/login", login)
    token = session["access_token"]
    person = await _call(http, token, "POST", "/v1/employees/login", CASHIER)
    token = str(person["access_token"])
    await _call(http, token, "POST", "/v1/shifts/open", {"cash_open": 0}, new_ulid())
    return token


async def _call(
    http: httpx.AsyncClient, token: str, method: str, path: str, body: Any = None, key: str = ""
) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    headers = {
        name: value for name, value in headers.items() if value.strip() != "Bearer" and value
    }
    response = await http.request(method, path, json=body, headers=headers)
    response.raise_for_status()
    return response.json()["data"]


async def _rate(work: Callable[[int], Awaitable[None]], count: int) -> float:
    """Calls a second, with PARALLEL at once, each on its own device."""
    began = time.perf_counter()

    async def lane(first: int) -> None:
        for number in range(first, count, PARALLEL):
            await work(number)

    await asyncio.gather(*(lane(first) for first in range(PARALLEL)))
    return count / (time.perf_counter() - began)


async def _raw(uri: str) -> tuple[float, float]:
    """The same inserts and updates without the product, each sale and redeem one transaction."""
    client: Any = AsyncIOMotorClient(uri, w="majority", journal=True)
    db = client["bench"]
    sale, payment = await db["sales"].find_one(), await db["payments"].find_one()
    tickets = await db["tickets"].find({"sale_id": sale["_id"]}).to_list(10)
    audit, op = await db["audits"].find_one(), await db["operations"].find_one()
    events = await db["events"].find().to_list(2)
    row = await db["redemptions"].find_one()
    shifts = [shift["_id"] for shift in await db["shifts"].find().to_list(PARALLEL)]
    raw = client["bench_raw"]

    def fresh(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"_id": new_ulid()}

    await raw["shifts"].insert_many([{"_id": shift, "n": 0} for shift in shifts])
    for name in ("ops", "sales", "payments", "tickets", "events", "audits", "redemptions"):
        await raw.create_collection(name)

    async def sell(number: int) -> None:
        async with await client.start_session() as session, session.start_transaction():
            await raw["ops"].insert_one(fresh(op), session=session)
            shift = {"_id": shifts[number % PARALLEL]}
            await raw["shifts"].update_one(shift, {"$inc": {"n": 1}}, session=session)
            await raw["sales"].insert_one(fresh(sale), session=session)
            await raw["payments"].insert_one(fresh(payment), session=session)
            await raw["tickets"].insert_many([fresh(each) for each in tickets], session=session)
            await raw["events"].insert_many([fresh(each) for each in events], session=session)
            await raw["audits"].insert_one(fresh(audit), session=session)

    ids: list[str] = []

    async def redeem(number: int) -> None:
        async with await client.start_session() as session, session.start_transaction():
            await raw["ops"].insert_one(fresh(op), session=session)
            ticket = {"_id": ids[number]}
            await raw["tickets"].find_one_and_update(ticket, {"$inc": {"used": 1}}, session=session)
            await raw["redemptions"].insert_one(fresh(row), session=session)
            await raw["events"].insert_one(fresh(events[0]), session=session)

    sales = await _rate(sell, SALES)
    ids += [each["_id"] for each in await raw["tickets"].find({}, {"_id": 1}).to_list(REDEEMS)]
    redeems = await _rate(redeem, REDEEMS)
    client.close()
    return sales, redeems
