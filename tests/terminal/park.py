"""A small park that answers like the API, and can fail on purpose; its catalogues."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from playpark.canonical import loads_strict
from playpark.client import ApiClient
from playpark.contracts.approvals import ReasonCodeView
from playpark.contracts.catalog import Component, PackageView, TaxView
from playpark.contracts.pricing import Cart, PaymentIn, PricedCart
from playpark.contracts.rules import DiscountView, PaymentTypeView, RuleParams, RuleView, Targets
from playpark.contracts.settings import MoneySettings, StoreSettings
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType, DeviceView, StoreView
from playpark.device import Identity
from playpark.money import allocate
from playpark.pricing import Context, price

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
RICH = CATALOG.model_copy(
    update={
        "rules": [
            RuleView(
                rule_id="happy",
                scope="store",
                name="Happy hour",
                name_th="ชั่วโมงสุข",
                kind="time_of_day",
                params=RuleParams(percent=1_000),
                targets=Targets(package_ids=["child"]),
            ),
            RuleView(
                rule_id="member",
                scope="store",
                name="Member price",
                name_th="ราคาสมาชิก",
                kind="line_percent",
                params=RuleParams(percent=500),
                targets=Targets(customer_groups=["member"]),
            ),
            RuleView(
                rule_id="family10",
                scope="store",
                name="FAMILY10",
                name_th="ครอบครัวลดสิบ",
                kind="promo_code",
                params=RuleParams(code="FAMILY10", percent=1_000),
            ),
            RuleView(
                rule_id="rich-only",
                scope="store",
                name="BIG",
                name_th="ใหญ่",
                kind="promo_code",
                params=RuleParams(code="BIG", percent=1_000, min_subtotal=10**7),
            ),
        ],
        "discounts": [
            DiscountView(
                discount_id="staff",
                name="Staff family",
                name_th="ครอบครัวพนักงาน",
                level="line",
                percent=2_000,
            ),
            DiscountView(
                discount_id="sorry",
                name="Apology",
                name_th="ขออภัย",
                level="cart",
                amount=2_000,
                needs_approval=True,
            ),
        ],
        "payment_types": [
            PaymentTypeView(
                payment_type_id="cash", name="Cash", name_th="เงินสด", method="cash", sort=1
            ),
            PaymentTypeView(
                payment_type_id="card",
                name="Card",
                name_th="บัตร",
                method="card",
                surcharge_percent=200,
                surcharge_tax=700,
                needs_reference=True,
                sort=2,
            ),
            PaymentTypeView(
                payment_type_id="qr", name="PromptPay", name_th="พร้อมเพย์", method="qr", sort=3
            ),
            PaymentTypeView(
                payment_type_id="points",
                name="Points",
                name_th="คะแนน",
                method="other",
                points=True,
                sort=4,
            ),
        ],
        "reason_codes": [
            ReasonCodeView(
                code="customer_request", kind="any", label="Guest asked", label_th="ลูกค้าขอ"
            ),
            ReasonCodeView(
                code="other",
                kind="refund",
                label="Something else",
                label_th="อื่น ๆ",
                text_required=True,
            ),
        ],
        "settings": StoreSettings(money=MoneySettings(cash_step=100)),
    }
)
PLOY = {
    "customer_id": "c1",
    "name": "Ploy [b]",
    "phone": "0812345678",
    "email": None,
    "group": "member",
    "note": None,
    "points": 120,
    "active": True,
    "created_at": NOW.isoformat(),
}
TOTALS = {
    "sales": {"count": 1, "amount": 34800, "by_method": {"cash": 34800}},
    "refunds": {"count": 0, "amount": 0, "by_method": {}},
    "voids": {"count": 0, "amount": 0},
    "reprints": 0,
    "tickets_issued": 2,
    "discounts": 0,
    "tax": 2277,
    "surcharges": 0,
    "cash_rounding": 0,
}
DRAWER = {
    "cash_open": 0,
    "cash_sales": 0,
    "pay_ins": 0,
    "pay_outs": 0,
    "drops": 0,
    "cash_refunds": 0,
    "cash_expected": 0,
}
PERMISSIONS = ["sell", "redeem", "shift_open", "shift_close", "cash_movement"]


class Park:
    """Answers like the API. `down` drops requests; `lose` applies the next batch and loses the
    answer, after which the park is `gone`, if so told; `refuse` is the message with which sales
    are rejected, `fault` the error of whole batches."""

    def __init__(self) -> None:
        self.down = False
        self.lose = False
        self.gone = False
        self.refuse: str | None = None
        self.fault: dict[str, str] | None = None
        self.permissions = list(PERMISSIONS)
        self.answers: dict[str, dict[str, Any]] = {}
        self.ops: list[dict[str, Any]] = []
        self.cash = 0
        self.tolerance = 10**9
        self.catalog = CATALOG
        self.approvals: list[dict[str, Any]] = []
        self.customers: list[dict[str, Any]] = [PLOY]
        self.parked: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        """Under which Idempotency-Key a cart was parked."""
        self.expired = False
        """The employee's session has run out, until it is renewed."""
        self.gone_carts = False
        """Parked carts have run out, or were sold elsewhere, when they are given up."""
        self.settled = False
        """Somebody has settled the difference of the last shift in the back office."""
        self.beats: list[dict[str, Any]] = []
        """What heartbeats told."""
        self.refusals: dict[str, str] = {}
        """Sentences with which operations of a kind are refused."""

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("unplugged", request=request)
        path = request.url.path.removeprefix("/v1")
        if self.fault and path == "/sync/batch":
            return _answer(403, None, self.fault)
        data = self._route(path, request)
        if self.lose and path in {"/sync/batch", "/open_tickets"}:
            self.lose, self.down = False, self.gone
            raise httpx.ReadError("cut", request=request)
        error = data.pop("error", None)
        body = {
            "server_time": NOW.isoformat(),
            "request_id": "r",
            "data": data or None,
            "error": error,
        }
        return httpx.Response(200 if error is None else 401, content=json.dumps(body, default=str))

    def _route(self, path: str, request: httpx.Request) -> dict[str, Any]:
        name, _, rest = path.strip("/").partition("/")
        if self.expired and request.headers["Authorization"] == "Bearer employee":
            return {"error": {"code": "E_TOKEN_EXPIRED", "message": "Log in again."}}
        if name in {"customers", "open_tickets", "sales", "tickets", "shifts"}:
            found: dict[str, Any] = getattr(self, "_" + name)(rest, request)
            return found
        answer: dict[str, Any] = getattr(self, "_" + path.strip("/").replace("/", "_"))(request)
        return answer

    def _provider_heartbeats(self, request: httpx.Request) -> dict[str, Any]:
        self.beats.append(json.loads(request.content))
        known = {"server_time": NOW.isoformat(), "features": [], "caps": {}, "clock_skewed": False}
        return known | {"catalog_version": self.catalog.catalog_version}

    def _auth_refresh(self, _: httpx.Request) -> dict[str, Any]:
        employee = {"employee_id": "e1", "name": "Nok", "roles": ["cashier"]}
        return {
            "access_token": "renewed",
            "refresh_token": "r2",
            "expires_in": 900,
            "employee": employee | {"permissions": self.permissions},
        }

    def _approvals_verify_pin(self, request: httpx.Request) -> dict[str, Any]:
        body = json.loads(request.content)
        if body["pin"] != "9999":
            return {"error": {"code": "E_UNAUTHENTICATED", "message": "Wrong email or PIN."}}
        self.approvals.append(body)
        who = {"employee_id": "e9", "name": "Somchai"}
        token = f"approval-{len(self.approvals)}"
        return {"approval_token": token, "expires_in": 120, "approved_by": who}

    def _customers(self, rest: str, request: httpx.Request) -> dict[str, Any]:
        if request.method == "POST":
            made = PLOY | json.loads(request.content) | {"customer_id": "c2", "points": 0}
            self.customers.append(made)
            return made
        if rest:
            return next(each for each in self.customers if each["customer_id"] == rest)
        wanted = request.url.params["q"].casefold()
        names = [f"{each['name']} {each['phone']}".casefold() for each in self.customers]
        hits = [c for c, name in zip(self.customers, names, strict=True) if wanted in name]
        return {"items": hits}

    def _open_tickets(self, rest: str, request: httpx.Request) -> dict[str, Any]:
        if request.method == "POST":
            body = json.loads(request.content)
            priced = price(Cart.model_validate(body["cart"]), self.catalog, at=NOW)
            key = request.headers["Idempotency-Key"]
            number = self.keys.setdefault(key, f"parked-{len(self.parked) + 1}")
            self.parked[number] = {
                "open_ticket_id": number,
                "name": body["name"],
                "pieces": sum(line["qty"] for line in body["cart"]["lines"]),
                "grand_total": priced.grand_total,
                "parked_by": "Nok",
                "device_id": "dev1",
                "parked_at": NOW.isoformat(),
                "expires_at": (NOW + timedelta(days=1)).isoformat(),
                "status": "open",
                "version": 1,
                "cart": body["cart"],
                "priced": priced.model_dump(mode="json"),
                "difference": 0,
                "problem": None,
            }
            return self.parked[number]
        if request.method == "DELETE" and self.gone_carts:
            return {"error": {"code": "E_CONFLICT", "message": "It is not open any more."}}
        if request.method == "DELETE":
            return self.parked.pop(rest) | {"status": "deleted"}
        return self.parked[rest] if rest else {"items": list(self.parked.values())}

    def _sales(self, rest: str, request: httpx.Request) -> dict[str, Any]:
        sold = [each for each in self.answers.values() if "sale" in each and "tickets" in each]
        if rest:
            return next(each for each in sold if each["sale"]["sale_id"] == rest)
        wanted = request.url.params["receipt_no"]
        hits = [each["sale"] for each in sold if each["sale"]["receipt_no"] == wanted]
        return {"items": [each | {"cashier_name": "Nok", "flags": []} for each in hits]}

    def _tickets(self, _rest: str, request: httpx.Request) -> dict[str, Any]:
        query = request.url.params
        found = [
            ticket | {"sale_id": each["sale"]["sale_id"], "qr_token": None}
            for each in self.answers.values()
            if "sale" in each and "tickets" in each
            for ticket in each["tickets"]
        ]
        hits = [
            each
            for each in found
            if query.get("sale_id") == each["sale_id"]
            or query.get("short_code") == each["short_code"]
            or each["ticket_id"] in query.get("qr", "")
        ]
        return {"items": hits}

    def _shifts(self, rest: str, request: httpx.Request) -> dict[str, Any]:
        shift_id, _, what = rest.partition("/")
        if what != "x":
            return self._shift_detail(shift_id)
        if not request.headers.get("X-Approval") and "reports_view" not in self.permissions:
            return {"error": {"code": "E_PERMISSION", "message": "Ask a supervisor."}}
        shift = {
            "shift_id": shift_id,
            "device_id": "dev1",
            "opened_by": "e1",
            "opened_by_name": "Nok",
            "open_at": NOW.isoformat(),
            "cash_open": 200000,
            "status": "open",
        }
        drawer = DRAWER | {"cash_open": 200000, "cash_expected": self.cash}
        return {"shift": shift, "at": NOW.isoformat(), "totals": TOTALS, "drawer": drawer}

    def _shift_detail(self, shift_id: str) -> dict[str, Any]:
        flags = [] if self.settled else ["variance_unapproved"]
        return {
            "shift_id": shift_id,
            "device_id": "dev1",
            "opened_by": "e1",
            "opened_by_name": "Nok",
            "open_at": NOW.isoformat(),
            "cash_open": 200000,
            "status": "closed",
            "totals": None,
            "drawer": None,
            "movements": [],
            "cash_counted": None,
            "cash_diff": None,
            "reason_code": None,
            "flags": flags,
            "z": [],
        }

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
        return self.catalog.model_dump(mode="json")

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
        if refusal := self.refusals.get(op["kind"]):
            return {**found, "status": "rejected", "code": "E_CONFLICT", "message": refusal}
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
        body = op["body"]
        counted = sum(int(face) * n for face, n in body.get("counted", {}).items())
        counted += body.get("cash_counted", 0)
        drawer = DRAWER | {"cash_sales": 34800, "cash_expected": self.cash}
        z = {
            **TOTALS,
            "z_no": 1,
            "number": "1",
            "shift_id": op["shift_id"],
            "receipt_no": op["body"]["receipt_no"],
            "drawer": drawer,
            "cash_counted": counted,
            "made_at": NOW,
            "grand_sales": 34800,
            "grand_refunds": 0,
            "grand_total": 34800,
            "prev_hash": "0" * 64,
            "hash": "0" * 64,
        }
        over = abs(counted - self.cash) > self.tolerance
        answer = {
            "shift_id": op["shift_id"],
            "cash_expected": self.cash,
            "cash_counted": counted,
            "cash_diff": counted - self.cash,
            "z": z,
            "flags": ["variance_unapproved"] if over else [],
        }
        return json.loads(json.dumps(answer, default=str))

    def _answer_sale(self, op: dict[str, Any]) -> dict[str, Any]:
        body = op["body"]
        cart = Cart.model_validate({k: v for k, v in body.items() if k in Cart.model_fields})
        payments = [PaymentIn.model_validate(each) for each in body["payments"]]
        known = {each["customer_id"]: each["group"] for each in self.customers}
        context = Context(customer_group=known.get(body.get("customer_id", "")))
        at = datetime.fromisoformat(body["occurred_at"])
        priced = price(cart, self.catalog, at=at, context=context, payments=payments)
        assert priced.grand_total == body["rung"]["grand_total"]
        assert [each.amount for each in payments] == priced.due
        self.cash += sum(each.amount for each in payments if each.method == "cash")
        change = sum(each.tendered - each.amount for each in payments if each.tendered is not None)
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
                "payable": payable,
            }
            for ticket_id, code, payable in zip(ids, codes, self._shares(priced), strict=True)
        ]
        if body.get("training"):
            tickets = [each | {"qr_token": f"PPT.{each['ticket_id']}"} for each in tickets]
        sale = priced.model_dump(mode="json") | {
            "sale_id": "sale-" + op["op_id"],
            "receipt_no": body["receipt_no"],
            "business_date": body["business_date"],
            "occurred_at": body["occurred_at"],
            "device_id": "dev1",
            "shift_id": op["shift_id"],
            "cashier_id": op["employee_id"],
            "cashier_name": "Nok",
            "payments": [
                {"payment_id": f"p{number}", **paid} for number, paid in enumerate(body["payments"])
            ],
            "change": change,
            "payment_method": body["payments"][0]["method"] if body["payments"] else "other",
            "promo_codes": body.get("promo_codes", []),
            "customer_id": body.get("customer_id"),
            "points_earned": 3 if body.get("customer_id") else 0,
            "training": body.get("training", False),
        }
        return json.loads(json.dumps({"sale": sale, "tickets": tickets}, default=str))

    def _shares(self, priced: PricedCart) -> list[int]:
        """What each ticket of a sale is worth: a bundle's unit in equal parts."""
        packages = {each.package_id: each for each in self.catalog.packages}
        shares: list[int] = []
        for line in priced.lines:
            parts = sum(each.qty for each in packages[line.package_id].components) or 1
            for unit in line.slices:
                shares += allocate(unit.payable, [1] * parts)
        return shares

    def _sold(self, sale_id: str) -> dict[str, Any]:
        return next(
            each
            for each in self.answers.values()
            if "tickets" in each and each["sale"]["sale_id"] == sale_id
        )

    def _answer_refund(self, op: dict[str, Any]) -> dict[str, Any]:
        body, sold = op["body"], self._sold(op["body"]["sale_id"])
        wanted = body.get("ticket_ids") or [each["ticket_id"] for each in sold["tickets"]]
        back = [each for each in sold["tickets"] if each["ticket_id"] in wanted]
        amount = body.get("amount") or sum(each["payable"] for each in back)
        shares = allocate(amount, [each["payable"] for each in back])
        for ticket, share in zip(back, shares, strict=True):
            ticket["refunded"] = share
            ticket["status"] = "refunded" if share == ticket["payable"] else "active"
        sold["sale"]["refunded"] = sold["sale"].get("refunded", 0) + amount
        sold["sale"]["status"] = "partly_refunded"
        method = body.get("method") or sold["sale"]["payments"][0]["method"]
        parts = [{"method": method, "amount": amount}]
        tickets = [
            {"ticket_id": each["ticket_id"], "amount": share, "vat": 0}
            for each, share in zip(back, shares, strict=True)
        ]
        return {
            **_of_op(op, "refund_id"),
            "sale_id": body["sale_id"],
            "sale_receipt_no": sold["sale"]["receipt_no"],
            "receipt_no": body["receipt_no"],
            "amount": amount,
            "method": method,
            "parts": parts,
            "tickets": tickets,
            "surcharge": 0,
            "cash_rounding": 0,
            "status": "completed",
            "business_date": "2026-11-21",
            "shift_id": op["shift_id"],
            "employee_id": "e1",
        }

    def _answer_void(self, op: dict[str, Any]) -> dict[str, Any]:
        sold = self._sold(op["body"]["sale_id"])
        sold["sale"]["status"] = "voided"
        return {**_of_op(op, "void_id"), "sale": dict(sold["sale"])}

    def _answer_reprint(self, op: dict[str, Any]) -> dict[str, Any]:
        body = op["body"]
        ids = body.get("ticket_ids")
        sold = next(
            each
            for each in self.answers.values()
            if "tickets" in each
            and (
                each["sale"]["sale_id"] == body.get("sale_id")
                or any(ticket["ticket_id"] in (ids or []) for ticket in each["tickets"])
            )
        )
        tickets = [each for each in sold["tickets"] if not ids or each["ticket_id"] in ids]
        return {
            **_of_op(op, "reprint_id"),
            "sale_id": sold["sale"]["sale_id"],
            "sale": None if ids else sold["sale"],
            "tickets": tickets,
            "copies": len(tickets),
        }

    def _answer_exchange(self, op: dict[str, Any]) -> dict[str, Any]:
        lost_id = op["body"]["ticket_id"]
        for sold in (each for each in self.answers.values() if "tickets" in each):
            for index, lost in enumerate(sold["tickets"]):
                if lost["ticket_id"] == lost_id:
                    new_id = op["op_id"]
                    token = f"PP1.01.{new_id}.{'B' * 26}"
                    new = {**lost, "ticket_id": new_id, "short_code": "NEWT1CKT"}
                    sold["tickets"][index] = new
                    return {
                        **_of_op(op, "exchange_id"),
                        "sale_id": sold["sale"]["sale_id"],
                        "replaces": lost_id,
                        "ticket": {**new, "qr_token": token},
                    }
        return {}

    def _answer_cash_movement(self, op: dict[str, Any]) -> dict[str, Any]:
        body = op["body"]
        self.cash += body["amount"] if body["type"] == "pay_in" else -body["amount"]
        return {**_of_op(op, "movement_id"), "drawer_id": op["shift_id"], **body}

    def _answer_shift_adjustment(self, op: dict[str, Any]) -> dict[str, Any]:
        return {
            **TOTALS,
            "z_no": 1,
            "supplement": 1,
            "number": "1/1",
            "kind": "adjustment",
            "shift_id": op["body"]["shift_id"],
            "drawer": DRAWER,
            "cash_counted": op["body"].get("cash_counted"),
            "because": op["body"]["reason_code"],
            "made_at": NOW.isoformat(),
            "grand_sales": 0,
            "grand_refunds": 0,
            "grand_total": 0,
            "prev_hash": "0" * 64,
            "hash": "1" * 64,
        }

    def _answer_timecard(self, op: dict[str, Any]) -> dict[str, Any]:
        return {"timecard_id": op["op_id"], "event": op["body"]["event"]}

    def _answer_abandon(self, op: dict[str, Any]) -> dict[str, Any]:
        return {"receipt_no": op["body"]["receipt_no"]}


def _of_op(op: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        name: op["op_id"],
        "reason_code": op["body"].get("reason_code"),
        "reason_text": op["body"].get("reason_text"),
        "occurred_at": op["body"]["occurred_at"],
        "device_id": "dev1",
        "employee_name": "Nok",
        "approved_by": "Somchai",
    }


def _answer(status: int, data: Any, error: Any) -> httpx.Response:
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": error}
    return httpx.Response(status, content=json.dumps(body, default=str))
