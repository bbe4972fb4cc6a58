"""A park that always answers the same, and a back office that asks it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from admin_tui.app import AdminApp
from admin_tui.office import Office
from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.tenancy import StoreView
from playpark.device import DeviceStore, Identity
from playpark.tui import PairingDetails

NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)
URL = "http://park"
KNOWN = PairingDetails(URL, "DEMO-MAIN-GATE", "back office")
STORE = {
    "store_id": "st1",
    "tenant_id": "t1",
    "tenant_name": "Bangkok Play Park",
    "name": "Main Gate",
    "tz": "Asia/Bangkok",
}
ALL = ["reports_view", "device_manage"]


def device(number: int, kind: str, name: str, status: str = "active") -> dict[str, Any]:
    return {
        "device_id": f"dev{number}",
        "device_code": f"M{number:02d}",
        "device_number": number,
        "type": kind,
        "name": name,
        "status": status,
        "caps": {"can_sell": kind == "POS", "can_redeem": kind == "GATE"},
        "last_login_at": f"2026-11-21T0{number}:15:00Z",
    }


DEVICES = [
    device(3, "ADMIN", "back office"),
    device(2, "GATE", "Water gate 1"),
    device(1, "POS", "till 01"),
    device(4, "POS", "till 02", "pending"),
]


def sale(number: int, total: int, **more: Any) -> dict[str, Any]:
    return {
        "sale_id": f"sale{number}",
        "receipt_no": f"M01-S{number:06d}",
        "business_date": "2026-11-21",
        "occurred_at": f"2026-11-21T08:{number % 60:02d}:00Z",
        "device_id": "dev1",
        "shift_id": "shift1",
        "cashier_name": "Nok",
        "grand_total": total,
        "payment_method": "cash",
        "flags": [],
    } | more


SALES = [
    sale(41, 39_800),
    sale(40, 59_000, payment_method="card"),
    sale(39, 12_000, cashier_name="Ploy [/x]", flags=["clock_clamped"]),
    sale(38, 1_234_500, payment_method="split"),
    sale(7, 99_900, business_date="2026-11-20", occurred_at="2026-11-20T08:07:00Z"),
]
SLICE = {
    "gross": 19_900,
    "line_discount": 0,
    "cart_discount": 0,
    "payable": 19_900,
    "vat": 1_302,
    "vat_rate": 700,
}
SALE = {
    "sale": SALES[0]
    | {
        "cashier_id": "nok",
        "subtotal": 39_800,
        "discount_total": 0,
        "tax_total": 2_604,
        "surcharge_total": 0,
        "cash_rounding": 0,
        "change": 200,
        "catalog_version": 1,
        "lines": [
            SLICE
            | {
                "gross": 39_800,
                "payable": 39_800,
                "vat": 2_604,
                "package_id": "adult",
                "name": "Adult day pass",
                "name_th": "ตั๋วผู้ใหญ่",
                "qty": 2,
                "unit_price": 19_900,
                "slices": [SLICE, SLICE],
            }
        ],
        "payments": [{"payment_id": "p1", "method": "cash", "amount": 39_800, "tendered": 40_000}],
    },
    "tickets": [
        {
            "ticket_id": f"t{number}",
            "short_code": f"7KQ2M9X{number}",
            "qr_token": None,
            "kind": "single",
            "package_id": "adult",
            "package_name": "Adult day pass",
            "package_name_th": "ตั๋วผู้ใหญ่",
            "quota_or_minutes": 1,
            "valid_from": "2026-11-21T08:41:00Z",
            "valid_to": "2026-11-21T21:00:00Z",
            "payable": 19_900,
        }
        for number in (1, 2)
    ],
}
SHIFTS = [
    {
        "shift_id": f"shift{number}",
        "device_id": "dev1",
        "opened_by": "nok",
        "opened_by_name": "Nok",
        "open_at": f"2026-11-{20 + number}T02:00:00Z",
        "cash_open": 100_000,
        "status": status,
        "close_at": close_at,
        "sales_count": 4,
        "sales_amount": 1_345_300,
        "cash_expected": expected,
        "cash_counted": counted,
        "z_no": z_no,
    }
    for number, status, close_at, expected, counted, z_no in (
        (1, "open", None, None, None, None),
        (0, "closed", "2026-11-20T11:00:00Z", 199_900, 198_900, 1),
    )
]


def redemption(number: int, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "redemption_id": f"red{number}",
        "occurred_at": f"2026-11-21T07:{number:02d}:00Z",
        "device_id": "dev2",
        "zone_id": "water",
        "direction": "entry",
        "result": "fail" if reason else "pass",
        "reason": reason,
        "ticket_id": f"t{number}",
        "package_name": "Adult day pass",
        "remaining": 0,
    } | more


REDEMPTIONS = [
    redemption(31, "duplicate_use"),
    redemption(30),
    redemption(29),
    redemption(28, "unknown_ticket", ticket_id=None, package_name=None),
    redemption(27, "duplicate_use"),
]
LETTERS = [
    {
        "dead_letter_id": "letter2",
        "kind": "rejected",
        "status": "open",
        "device_id": "dev1",
        "device_code": "M01",
        "op_id": "op2",
        "op_kind": "sale",
        "epoch": 1,
        "seq": 12,
        "receipt_no": "M01-S000012",
        "amount": 39_800,
        "employee_id": "nok",
        "occurred_at": "2026-11-21T07:10:00Z",
        "arrived_at": "2026-11-21T07:12:00Z",
        "code": "E_VALIDATION",
        "message": "The operation names a package that this store does not have.",
    },
    {
        "dead_letter_id": "letter1",
        "kind": "review",
        "status": "applied",
        "device_id": "dev2",
        "device_code": "M02",
        "op_id": "op1",
        "op_kind": "redemption",
        "epoch": 1,
        "seq": 3,
        "receipt_no": None,
        "amount": None,
        "employee_id": None,
        "occurred_at": "2026-11-21T06:10:00Z",
        "arrived_at": "2026-11-21T06:12:00Z",
        "code": "E_DEVICE_REVOKED",
        "message": None,
        "resolved_by": "somchai",
        "resolved_at": "2026-11-21T06:20:00Z",
        "resolution": "lost_till",
    },
]
CATALOG = {
    "catalog_version": 1,
    "hash": "h",
    "store_id": "st1",
    "packages": [],
    "zones": [{"zone_id": "water", "name": "Water Park", "name_th": "สวนน้ำ"}],
    "taxes": [],
}


class CannedPark:
    """Answers the routes that a back office asks; change `lists` or `down` for another day.

    `asked` keeps method and path of every request.
    """

    def __init__(self) -> None:
        self.down = False
        self.permissions = list(ALL)
        self.expired = False
        self.suspended = False
        self.refreshes = 0
        self.asked: list[str] = []
        self.lists: dict[str, list[dict[str, Any]]] = {
            "/sales": SALES,
            "/shifts": SHIFTS,
            "/redemptions": REDEMPTIONS,
            "/devices": DEVICES,
            "/sync/dead_letters": LETTERS,
        }

    def client(self, url: str) -> ApiClient:
        return ApiClient(url, transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1")
        self.asked.append(f"{request.method} {path}")
        if self.down:
            raise httpx.ConnectError("unplugged", request=request)
        if path in self.lists:
            return self._list(path, request)
        answers: dict[str, Any] = {
            "/time": {"now": NOW.isoformat()},
            "/auth/device/login": {
                "access_token": "device",
                "expires_in": 1,
                "device": DEVICES[0],
                "store": STORE,
            },
            "/employees/login": self._session(),
            "/auth/refresh": self._session(),
            "/auth/logout": {"logged_out": True},
            "/catalog/snapshot": CATALOG,
            "/sales/sale41": SALE,
        }
        if path not in answers:
            return _refusal(404, "E_NOT_FOUND", "There is no such sale.")
        if path == "/auth/refresh":
            self.refreshes += 1
            self.expired = False
        return _envelope(answers[path])

    def _list(self, path: str, request: httpx.Request) -> httpx.Response:
        if self.expired:
            return _refusal(401, "E_TOKEN_EXPIRED", "The login has run out: log in again.")
        if self.suspended:
            return _refusal(403, "E_EMPLOYEE_SUSPENDED", "This employee is suspended.")
        needed = "device_manage" if path == "/devices" else "reports_view"
        if needed not in self.permissions:
            return _refusal(403, "E_PERMISSION", "Your roles do not allow that.")
        start = int(request.url.params.get("cursor", "0"))
        end = start + int(request.url.params["limit"])
        rows = self.lists[path]
        more = str(end) if end < len(rows) else None
        return _envelope({"items": rows[start:end], "next_cursor": more})

    def _session(self) -> dict[str, Any]:
        return {
            "access_token": f"employee-{self.refreshes}",
            "refresh_token": f"refresh-{self.refreshes}",
            "expires_in": 3600,
            "employee": {
                "employee_id": "somchai",
                "name": "Somchai",
                "roles": ["supervisor"],
                "permissions": self.permissions,
            },
        }


def _envelope(data: Any) -> httpx.Response:
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": None}
    return httpx.Response(200, json=body)


def _refusal(status: int, code: str, message: str) -> httpx.Response:
    error = {"code": code, "message": message}
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": None, "error": error}
    return httpx.Response(status, json=body)


def open_store(folder: Path) -> DeviceStore:
    """A back office that was paired before."""
    store = DeviceStore.open(folder / "device.db", FixedClock(NOW))
    store.save_identity(
        Identity(
            api_url=URL,
            device_id="dev3",
            device_token="secret",
            device_code="M03",
            store=StoreView.model_validate(STORE),
        )
    )
    return store


def canned_app(park: CannedPark, store: DeviceStore) -> AdminApp:
    return AdminApp(Office(store, FixedClock(NOW), connect=park.client), KNOWN)
