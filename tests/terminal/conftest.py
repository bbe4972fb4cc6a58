"""A till on a real file, a printer of paper in memory, and a small park that can fail on purpose.

The park stands in for the server only where an answer has to be lost or a screen has to look
the same every time; the way of a sale on the real server is in test_till_on_server.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from playpark.canonical import loads_strict
from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.catalog import Component, PackageView, TaxView
from playpark.contracts.pricing import Cart
from playpark.contracts.sales import SaleAnswer
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType, DeviceView, StoreView
from playpark.device import DeviceStore, Identity
from playpark.errors import PlayParkError
from playpark.pricing import price
from playpark.tui import PairingDetails
from terminal.app import PosApp
from terminal.till import Till

NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)
DEVICE = DeviceView(
    device_id="dev1",
    device_code="03",
    device_number=3,
    type=DeviceType.POS,
    name="till 03",
    status=DeviceStatus.ACTIVE,
    caps=DeviceCaps(can_sell=True),
)
STORE = StoreView(
    store_id="st1", tenant_id="t1", tenant_name="Play Park", name="Main Gate", tz="Asia/Bangkok"
)
IDENTITY = Identity(
    api_url="http://park",
    device_id="dev1",
    device_token="secret",
    device_code="03",
    device=DEVICE,
    store=STORE,
    short_code_key="ab" * 32,
)


def package(slug: str, name: str, thai: str, amount: int, sort: int, **more: Any) -> PackageView:
    facts = {"kind": "single", "quota_or_minutes": 1, "valid_days": 1, "tax_id": "vat7"} | more
    return PackageView(
        package_id=slug,
        name=name,
        name_th=thai,
        price=amount,
        zones=[],
        visible_on=["POS"],
        active=True,
        sort=sort,
        **facts,
    )


CATALOG = CatalogSnapshot(
    catalog_version=7,
    hash="0" * 64,
    store_id="st1",
    taxes=[TaxView(tax_id="vat7", name="VAT", rate=700, mode="inclusive")],
    zones=[],
    packages=[
        package("adult", "Adult day pass", "ตั๋วผู้ใหญ่", 19900, 1),
        package("child", "Child day pass", "ตั๋วเด็ก", 14900, 2),
        package(
            "family",
            "Family bundle",
            "ตั๋วครอบครัว",
            59000,
            3,
            kind="bundle",
            components=[Component(package_id="adult", qty=2), Component(package_id="child", qty=2)],
        ),
        package("two-hours", "2-hour pass", "บัตร 2 ชั่วโมง", 12000, 4, kind="timepass"),
        package("ten", "10 entries", "บัตร 10 ครั้ง", 90000, 5, kind="multi"),
        package("credit", "Play credit 500", "เครดิต 500", 50000, 6, kind="credit"),
        package("carousel", "Carousel ride", "ม้าหมุน", 4000, 7),
        package("socks", "Socks", "ถุงเท้า", 2200, 8),
        package("evil", "[/x]\x1b[31mEvil[bold]", "[red]ร้าย", 100, 9),
    ],
)
PERMISSIONS = ["sell", "redeem", "shift_open", "shift_close", "cash_movement"]


class Park:
    """Answers like the API. `down` drops requests; `lose` applies the next batch and loses the
    answer; `refuse` is the message with which sales are rejected, `fault` the error of
    whole batches."""

    def __init__(self) -> None:
        self.down = False
        self.lose = False
        self.refuse: str | None = None
        self.fault: dict[str, str] | None = None
        self.permissions = list(PERMISSIONS)
        self.answers: dict[str, dict[str, Any]] = {}
        self.ops: list[dict[str, Any]] = []
        self.cash = 0

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("unplugged", request=request)
        path = request.url.path.removeprefix("/v1")
        if self.fault and path == "/sync/batch":
            return _answer(403, None, self.fault)
        data = getattr(self, "_" + path.strip("/").replace("/", "_"))(request)
        if self.lose and path == "/sync/batch":
            self.lose = False
            raise httpx.ReadError("cut", request=request)
        error = data.pop("error", None)
        body = {
            "server_time": NOW.isoformat(),
            "request_id": "r",
            "data": data or None,
            "error": error,
        }
        return httpx.Response(200 if error is None else 401, content=json.dumps(body, default=str))

    def _time(self, _: httpx.Request) -> dict[str, Any]:
        return {"now": NOW.isoformat()}

    def _auth_device_login(self, _: httpx.Request) -> dict[str, Any]:
        return {
            "access_token": "device",
            "expires_in": 900,
            "device": DEVICE.model_dump(mode="json"),
            "store": STORE.model_dump(mode="json"),
            "short_code_key": "ab" * 32,
        }

    def _auth_logout(self, _: httpx.Request) -> dict[str, Any]:
        return {"logged_out": True}

    def _catalog_snapshot(self, _: httpx.Request) -> dict[str, Any]:
        return CATALOG.model_dump(mode="json")

    def _employees_login(self, request: httpx.Request) -> dict[str, Any]:
        if json.loads(request.content)["pin"] != "1111":
            return {"error": {"code": "E_UNAUTHENTICATED", "message": "Wrong email or PIN."}}
        employee = {
            "employee_id": "e1",
            "name": "Nok",
            "roles": ["cashier"],
            "permissions": self.permissions,
        }
        return {
            "access_token": "employee",
            "refresh_token": "r",
            "expires_in": 900,
            "employee": employee,
        }

    def _sync_batch(self, request: httpx.Request) -> dict[str, Any]:
        return {"results": [self._op(op) for op in loads_strict(request.content)["ops"]]}

    def _op(self, op: dict[str, Any]) -> dict[str, Any]:
        found = {"op_id": op["op_id"]}
        if self.refuse and op["kind"] == "sale":
            return {**found, "status": "rejected", "code": "E_CONFLICT", "message": self.refuse}
        if op["op_id"] in self.answers:
            return {**found, "status": "duplicate", "result": self.answers[op["op_id"]]}
        self.ops.append(op)
        answer: dict[str, Any] = getattr(self, "_answer_" + op["kind"])(op)
        self.answers[op["op_id"]] = answer
        return {**found, "status": "applied", "result": answer}

    def _answer_shift_open(self, op: dict[str, Any]) -> dict[str, Any]:
        self.cash = op["body"]["cash_open"]
        return {"shift_id": op["op_id"]}

    def _answer_shift_close(self, op: dict[str, Any]) -> dict[str, Any]:
        counted = sum(int(face) * n for face, n in op["body"].get("counted", {}).items())
        z = {
            "z_no": 1,
            "sales": {"count": 1, "amount": 34800, "by_method": {"cash": 34800}},
            "tickets_issued": 2,
            "cash_open": 0,
            "cash_sales": 34800,
            "grand_total": 34800,
            "prev_hash": "0" * 64,
            "hash": "0" * 64,
        }
        return {
            "shift_id": op["shift_id"],
            "cash_expected": self.cash,
            "cash_counted": counted,
            "cash_diff": counted - self.cash,
            "z": z,
        }

    def _answer_sale(self, op: dict[str, Any]) -> dict[str, Any]:
        body = op["body"]
        priced = price(Cart.model_validate({"lines": body["lines"]}), CATALOG, at=NOW)
        paid = body["payments"][0]
        self.cash += paid["amount"] if paid["method"] == "cash" else 0
        codes = [code for line in body["short_codes"] for code in line]
        ids = [each for line in body["ticket_ids"] for each in line]
        tickets = [
            {
                "ticket_id": ticket_id,
                "short_code": code,
                "qr_token": f"PP1.01.{ticket_id}." + "A" * 26,
                "kind": "single",
                "package_id": "adult",
                "package_name": "Adult",
                "package_name_th": "ผู้ใหญ่",
                "quota_or_minutes": 1,
                "valid_from": NOW,
                "valid_to": NOW + timedelta(days=1),
                "payable": 0,
            }
            for ticket_id, code in zip(ids, codes, strict=True)
        ]
        sale = priced.model_dump(mode="json") | {
            "sale_id": "sale-" + op["op_id"],
            "receipt_no": body["receipt_no"],
            "business_date": body["business_date"],
            "occurred_at": body["occurred_at"],
            "device_id": "dev1",
            "shift_id": op["shift_id"],
            "cashier_id": op["employee_id"],
            "cashier_name": "Nok",
            "payments": [{"payment_id": "p1", **paid}],
            "change": paid.get("tendered", paid["amount"]) - paid["amount"],
            "payment_method": paid["method"],
        }
        return json.loads(json.dumps({"sale": sale, "tickets": tickets}, default=str))


def _answer(status: int, data: Any, error: Any) -> httpx.Response:
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": error}
    return httpx.Response(status, content=json.dumps(body, default=str))


class Paper:
    """A printer: `fails` is raised instead of printing."""

    name = "printer ok"

    def __init__(self) -> None:
        self.printed: list[tuple[SaleAnswer, bool]] = []
        self.fails: PlayParkError | None = None

    def print_sale(self, answer: SaleAnswer, *, copy: bool = False) -> None:
        if self.fails is not None:
            raise self.fails
        self.printed.append((answer, copy))

    @property
    def receipts(self) -> list[str]:
        return [answer.sale.receipt_no for answer, _ in self.printed]


class Desk:
    """A till with everything around it. `reopen` is what happens after a crash."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "till.db"
        self.clock = FixedClock(NOW)
        self.park = Park()
        self.paper = Paper()
        self.store = DeviceStore.open(self.path, self.clock)
        self.store.save_identity(IDENTITY)
        self.store.save_catalog(CATALOG)

    def till(self, _url: str = "") -> Till:
        return Till(self.store, self.park.client(), self.clock, self.paper)

    def app(self) -> PosApp:
        return PosApp(self.till, self.clock, PairingDetails("http://park", "", "Till"))

    def reopen(self) -> None:
        self.store.close()
        self.store = DeviceStore.open(self.path, self.clock)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
async def till(desk: Desk) -> AsyncIterator[Till]:
    """A till in the middle of a shift, its printer running."""
    made = desk.till()
    await made.log_in("cashier@demo.playpark", "1111")
    await made.open_shift(200000)
    printing = asyncio.create_task(made.papers.run())
    yield made
    printing.cancel()
    await made.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks do."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.005)
