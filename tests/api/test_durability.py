"""kill -9 of the API and of mongod in the middle of sales and scans loses nothing acknowledged."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from api.platform.embedded import EmbeddedMongo
from playpark.ids import new_ulid
from tests.conftest import running_api
from tests.outside import Outsider


async def _sell_until_lost(till: Outsider, acknowledged: list[str], enough: asyncio.Event) -> None:
    body = await _body(till)
    while True:
        key = new_ulid()
        try:
            response = await till.call("POST", "/v1/sales", body, key=key)
        except httpx.HTTPError:
            return
        if response.status_code == 200:
            acknowledged.append(response.json()["data"]["sale"]["sale_id"])
            if len(acknowledged) >= 40:
                enough.set()
        else:
            assert response.status_code == 503, response.text
            return


async def _body(till: Outsider) -> dict[str, object]:
    packages = await till.packages()
    return {
        "lines": [{"package_id": packages["Adult day pass"]["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 19_900}],
    }


async def _run_and_kill(url: str, pid: int) -> tuple[list[str], str]:
    """Sell on four connections, kill `pid` in the middle; (acknowledged sale ids, device id)."""
    acknowledged: list[str] = []
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        till = await Outsider(http).pair("POS")
        await till.staff()
        await till.open_shift()
        enough = asyncio.Event()
        selling = (_sell_until_lost(till, acknowledged, enough) for _ in range(4))
        sellers = [asyncio.create_task(seller) for seller in selling]
        await enough.wait()
        os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*sellers)
    return acknowledged, till.device["device_id"]


def _check_books(uri: str, name: str, acknowledged: list[str], device_id: str) -> None:
    with MongoClient(uri) as mongo:
        db = mongo[name]
        sales = {sale["_id"]: sale for sale in db["sales"].find({"device_id": device_id})}
        assert set(acknowledged) <= set(sales)
        shift = db["shifts"].find_one({"device_id": device_id})
        assert shift is not None
        assert shift["sales_count"] == len(sales)
        assert shift["cash_sales"] == sum(sale["grand_total"] for sale in sales.values())
        # Payments, tickets and operation records stand or fall with their sale.
        for collection in ("payments", "tickets"):
            owners = [row["sale_id"] for row in db[collection].find({"sale_id": {"$in": [*sales]}})]
            assert sorted(owners) == sorted(sales)
        assert db["operations"].count_documents({"device_id": device_id, "kind": "sale"}) == len(
            sales
        )


async def test_kill_9_of_the_api_loses_no_acknowledged_sale(mongo_uri: str, database: str) -> None:
    name = f"{database}_killed"
    process = running_api(mongo_uri, name)
    with process as url:
        acknowledged, device_id = await _run_and_kill(url, process.pid)
    _check_books(mongo_uri, name, acknowledged, device_id)


async def test_kill_9_of_mongod_loses_no_acknowledged_sale(tmp_path: Path) -> None:
    server = EmbeddedMongo(tmp_path / "mongo")
    uri = server.start()
    assert server.pid is not None
    # What it still wants to write at its end waits for no database that is not there.
    process = running_api(f"{uri}&serverSelectionTimeoutMS=1000&timeoutMS=2000", "killed")
    with process as url:
        acknowledged, device_id = await _run_and_kill(url, server.pid)
        server.stop()
    with EmbeddedMongo(tmp_path / "mongo") as again:
        _check_books(again.uri, "killed", acknowledged, device_id)


async def _scan_until_answered(gate: Outsider, token: str) -> dict[str, Any]:
    """The same operation again until it is answered, as gates do it."""
    key = new_ulid()
    while True:
        try:
            response = await gate.call("POST", "/v1/redemptions", {"qr_token": token}, key=key)
        except httpx.HTTPError:
            continue
        if response.status_code == 200:
            answer: dict[str, Any] = response.json()["data"]
            return answer
        assert response.status_code == 503, response.text


async def test_R20_kill_9_of_mongod_three_times_loses_and_doubles_no_redemption(
    tmp_path: Path,
) -> None:
    """Every ticket is shown at two gates at once, while its database dies under them."""
    folder, answers = tmp_path / "mongo", list[dict[str, Any]]()
    server = EmbeddedMongo(folder)
    uri = server.start()
    with running_api(uri, "killed") as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            till = await (await Outsider(http).pair("POS")).staff()
            await till.open_shift()
            tickets = (await till.sell(("Carousel ride", 90)))["tickets"]
            gates = [await Outsider(http).pair("GATE") for _ in range(4)]
            more = asyncio.Event()

            async def work(pair: int, gate: Outsider) -> None:
                for ticket in tickets[pair::2]:
                    answers.append(await _scan_until_answered(gate, ticket["qr_token"]))
                    more.set()

            working = [asyncio.create_task(work(n // 2, gate)) for n, gate in enumerate(gates)]
            for enough in (30, 75, 120):
                while len(answers) < enough:
                    more.clear()
                    await more.wait()
                os.kill(server.pid, signal.SIGKILL)
                server.stop()
                server = EmbeddedMongo(folder)
                assert server.start() == uri  # on the port where the API looks for it
            await asyncio.gather(*working)
    with MongoClient(uri) as mongo:
        db = mongo["killed"]
        rows = {row["_id"]: row for row in db["redemptions"].find()}
        assert len(answers) == 180
        for answer in answers:
            row = rows[answer["redemption_id"]]
            assert (row["result"], row["reason"]) == (answer["result"], answer["reason"])
        assert len(rows) == 180  # and nothing that nobody was told
        passed = [row["ticket_id"] for row in rows.values() if row["result"] == "pass"]
        assert sorted(passed) == sorted(ticket["ticket_id"] for ticket in tickets)
        assert {row["used"] for row in db["tickets"].find()} == {1}
        assert db["operations"].count_documents({"kind": "redemption"}) == 180
        assert sum(row["entries"] for row in db["occupancy"].find()) == 90
    server.stop()


async def test_a_database_that_hangs_is_answered_within_the_deadline(tmp_path: Path) -> None:
    with EmbeddedMongo(tmp_path / "mongo") as server:
        process = running_api(server.uri, "hung")
        with process as url:
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                till = await Outsider(http).pair("POS")
                await till.staff()
                await till.open_shift()
                body = await _body(till)
                key = new_ulid()
                os.kill(server.pid, signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    answers = await asyncio.gather(
                        *(till.call("POST", "/v1/sales", body, key=key) for _ in range(6))
                    )
                    took = time.monotonic() - began
                finally:
                    os.kill(server.pid, signal.SIGCONT)
                assert {answer.status_code for answer in answers} == {503}
                assert all(answer.headers["Retry-After"] for answer in answers)
                assert took < 30  # not one after the other
                sold = await till.data("POST", "/v1/sales", body, key=key)
                assert sold["sale"]["grand_total"] == 19_900
