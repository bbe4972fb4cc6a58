"""A replica set of three nodes whose primary dies, or hangs, while devices send their backlog.

Nothing is lost and nothing doubled (R15, R35, R45, R49): the operations' records, the sales, the
receipt numbers and the audit trail are those of what the tills had on their disks.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from api.platform.embedded import EmbeddedSet
from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.shifts import MovementType
from playpark.device import DeviceStore, OpState, SyncEngine
from playpark.device.safe import SECRET_VARIABLE
from playpark.ids import new_ulid
from playpark.printing.transport import PrinterTarget
from terminal.printer import PaperPrinter
from terminal.till import Till
from tests.conftest import running_api
from tests.outside import Outsider

FULL = bool(os.environ.get("PLAYPARK_FULL"))
DATABASE = "three"
SALES = 150 if FULL else 40
"""Of each of two tills; every fifth is followed by a cash movement."""
FLOAT = 100_000
RECOVERY_S = 180
pytestmark = pytest.mark.timeout(900)


class RecordingTill:
    """A till in the middle of a shift that is cut off: what it sells waits on its disk."""

    def __init__(self, folder: Path, url: str, number: int) -> None:
        self.store = DeviceStore.open(folder / f"till{number}.db", SystemClock())
        printer = PaperPrinter(PrinterTarget.parse("none"), self.store)
        self.till = Till(self.store, ApiClient(url), SystemClock(), printer)
        self.engine = SyncEngine(
            self.store, self.till.counter.client, SystemClock(), idle=0.05, jitter=lambda: 0.1
        )
        self.answered = 0
        self.engine.listen(lambda *_: self._count())

    def _count(self) -> None:
        self.answered += 1

    async def begin(self) -> None:
        await self.till.pair("DEMO-MAIN-GATE", "Till of three nodes")
        await self.till.log_in("cashier@demo.playpark", "1111")
        await self.till.renew_certificate()
        await self.till.open_shift(FLOAT)
        while self.engine.queued:
            await self.engine.drain()

    async def sell(self, count: int) -> None:
        """So many sales, recorded and not sent."""
        packages = {each.name: each.package_id for each in self.till.packages}
        for number in range(count):
            self.till.add(packages["Adult day pass"], 1 + number % 3)
            self.till.add(packages["Carousel ride"])
            await self.till.pay_exact_cash()
            if number % 5 == 0:
                await self._pay_in(1_000 + number)

    async def _pay_in(self, amount: int) -> None:
        # The engine of the till is not asked: its server does not exist as far as it knows.
        body = {
            "type": MovementType.PAY_IN.value,
            "amount": amount,
            "drawer_id": self.till.shift.op_id if self.till.shift else None,
        }
        await self.till.counter.append("cash_movement", lambda _: body)

    async def close(self) -> None:
        await self.till.close()
        self.store.close()


@asynccontextmanager
async def two_tills(folder: Path, url: str) -> AsyncIterator[list[RecordingTill]]:
    tills = [RecordingTill(folder, url, number) for number in range(2)]
    for each in tills:
        await each.begin()
        await each.sell(SALES)
    yield tills
    for each in tills:
        await each.close()


class Asking:
    """Somebody who sells through the direct door meanwhile: each sale again until it is taken."""

    def __init__(self, till: Outsider, body: dict[str, Any]) -> None:
        self._till = till
        self._body = body
        self.statuses: Counter[int] = Counter()
        self.sold: list[str] = []

    async def run(self) -> None:
        while True:
            key = new_ulid()
            while (answer := await self._ask(key)) is None:  # noqa: ASYNC110 - as clients do
                await asyncio.sleep(0.05)
            self.sold.append(answer)
            await asyncio.sleep(0.05)

    async def _ask(self, key: str) -> str | None:
        try:
            response = await self._till.call("POST", "/v1/sales", self._body, key=key)
        except httpx.TimeoutException:
            return None
        self.statuses[response.status_code] += 1
        if response.status_code != 200:
            assert response.headers["Retry-After"]
            return None
        return str(response.json()["data"]["sale"]["sale_id"])


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[EmbeddedSet]:
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    folder = memory / f"playpark-three-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with EmbeddedSet(folder if memory.is_dir() else tmp_path) as started:
            yield started
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


async def until_answered(tills: list[RecordingTill], count: int) -> None:
    async with asyncio.timeout(RECOVERY_S):
        while sum(each.answered for each in tills) < count:  # noqa: ASYNC110 - others are at work
            await asyncio.sleep(0.005)


async def drained(tills: list[RecordingTill]) -> None:
    async with asyncio.timeout(RECOVERY_S):
        while any(each.engine.queued for each in tills):  # noqa: ASYNC110 - others are at work
            await asyncio.sleep(0.02)


async def test_R35_a_primary_killed_in_the_middle_of_a_drain_costs_nothing(
    nodes: EmbeddedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "the secret of tills whose server has three databases")
    with running_api(nodes.uri, DATABASE) as url:
        async with two_tills(tmp_path, url) as tills, httpx.AsyncClient(base_url=url) as http:
            asking = Asking(*await _outsider(http))
            total = sum(each.engine.queued for each in tills)
            working = [asyncio.create_task(each.engine.run_forever()) for each in tills]
            working.append(asyncio.create_task(asking.run()))
            await until_answered(tills, total // 4)

            primary = await asyncio.to_thread(nodes.primary)
            os.kill(primary.pid, signal.SIGKILL)
            if FULL:
                await until_answered(tills, total // 2)
                primary.stop()
                await asyncio.to_thread(primary.start)
                await hang(nodes, tills, 3 * total // 4)
            await drained(tills)
            await _once_more(asking)
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            for each in tills:
                assert each.store.rejected() == []
            assert set(asking.statuses) <= {200, 503}
            everything_is_there(nodes.uri, tills, asking)
        audit_is_whole(nodes.uri)


async def hang(nodes: EmbeddedSet, tills: list[RecordingTill], enough: int) -> None:
    """Halt the primary, whoever it is now, until the others have taken so many operations."""
    primary = await asyncio.to_thread(nodes.primary)
    os.kill(primary.pid, signal.SIGSTOP)
    try:
        await until_answered(tills, enough)
    finally:
        os.kill(primary.pid, signal.SIGCONT)


async def _once_more(asking: Asking) -> None:
    """The direct door has recovered too."""
    known = len(asking.sold)
    async with asyncio.timeout(RECOVERY_S):
        while len(asking.sold) <= known:  # noqa: ASYNC110 - others are at work
            await asyncio.sleep(0.02)


async def _outsider(http: httpx.AsyncClient) -> tuple[Outsider, dict[str, Any]]:
    seller = await (await Outsider(http).pair("POS")).staff()
    await seller.open_shift()
    packages = await seller.packages()
    body = {
        "lines": [{"package_id": packages["Adult day pass"]["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 19_900}],
    }
    http.timeout = httpx.Timeout(20)
    return seller, body


# --- what has to hold -------------------------------------------------------------------


def everything_is_there(uri: str, tills: list[RecordingTill], asking: Asking) -> None:
    """The server's documents are the tills' operations, each once."""
    with MongoClient[Any](uri) as client:
        db = client[DATABASE]
        for till in tills:
            _same(db, till.store)
        acknowledged = set(asking.sold)
        assert len(acknowledged) == len(asking.sold)
        found = {each["_id"] for each in db["sales"].find({"_id": {"$in": asking.sold}})}
        assert found == acknowledged


def _same(db: Any, store: DeviceStore) -> None:
    assert store.identity is not None
    mine = {"device_id": store.identity.device_id}
    rows = store._database.rows("SELECT op_id, kind, state, receipt_no FROM ops ORDER BY seq")
    assert {row["state"] for row in rows} == {OpState.APPLIED.value}
    records = [each["op_id"] for each in db["operations"].find(mine)]
    assert sorted(records) == sorted(row["op_id"] for row in rows)
    sales = {op.receipt_no: op for op in store.recent(["sale"], 1_000_000)}
    at_server = {each["receipt_no"]: each for each in db["sales"].find(mine)}
    assert sorted(at_server) == sorted(number for number in sales if number)
    code = store.identity.device_code
    assert sorted(at_server) == [f"{code}-S{number:06d}" for number in range(1, len(sales) + 1)]
    for number, sale in at_server.items():
        op = sales[number]
        assert sale["grand_total"] == op.body["rung"]["grand_total"]
        tickets = [each for line in op.body["ticket_ids"] for each in line]
        found = [each["_id"] for each in db["tickets"].find({"sale_id": sale["_id"]})]
        assert len(found) == len(tickets)
        paid = [each["amount"] for each in db["payments"].find({"sale_id": sale["_id"]})]
        assert sum(paid) == sale["grand_total"]
    ledger = db["receipt_ledger"].find(mine)
    assert sorted(each["receipt_no"] for each in ledger) == sorted(at_server)
    paid_in = sum(op.body["amount"] for op in store.recent(["cash_movement"], 1_000_000))
    [shift] = db["shifts"].find(mine)
    assert shift["cash_sales"] == sum(each["grand_total"] for each in at_server.values())
    assert shift["sales_count"] == len(sales)
    assert shift["pay_ins"] == paid_in


def audit_is_whole(uri: str) -> None:
    """`playpark audit verify` on what is left."""
    checked = subprocess.run(
        [sys.executable, "-m", "playpark.cli", "audit", "verify", "--json"],
        env={**os.environ, "MONGODB_URI": uri, "MONGODB_DATABASE": DATABASE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert all(each["whole"] for each in json.loads(checked.stdout))
