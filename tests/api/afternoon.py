"""A real afternoon at two tills, for whoever wants to see whether the books are whole: discounts,
split tender with a surcharge and cash rounding, a bundle, voids, refunds, movements, a reprint,
a closed shift with a late sale and a recount, and one shift that stays open."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from api.demo_park import demo_id
from playpark.clock import business_date
from playpark.ids import new_ulid
from tests.api.drawers import SEQS
from tests.outside import Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
STORE = demo_id("store", "main-gate")
TENANT = demo_id("tenant", "bangkok")
BANGKOK = ZoneInfo("Asia/Bangkok")


def today(now: datetime | None = None) -> date:
    """The park's trading day (R30)."""
    return business_date(now or datetime.now(UTC), BANGKOK)


async def send(
    who: Outsider, method: str, path: str, body: Any = None, approval: str | None = None
) -> Any:
    """The data of an answer that has to be a good one."""
    headers = {"Authorization": f"Bearer {who.token}"}
    if method == "POST":
        headers["Idempotency-Key"] = new_ulid()
    if approval:
        headers["X-Approval"] = approval
    response = await who.http.request(method, f"/v1{path}", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def approve(who: Outsider, action: str, entity: str) -> str:
    asked = {**SUPERVISOR, "action": action, "entity_id": entity}
    return str((await send(who, "POST", "/approvals/verify_pin", asked))["approval_token"])


async def sell(
    till: Outsider,
    lines: dict[str, int],
    *paid: tuple[str, int],
    tendered: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Sell {package: quantity}; `paid` are (payment type, satang) in their order, the last of
    which pays the rest. `tendered` is what is handed over where the last one is cash."""
    body = {"lines": await cart(till, lines), **more}
    told = [_payment(slug, amount) for slug, amount in paid or [("cash", 0)]]
    preview = {name: body[name] for name in ("lines", "promo_codes") if name in body}
    due = (await send(till, "POST", "/pricing/preview", {**preview, "payments": told}))["due"]
    for payment, amount in zip(told, due, strict=True):
        payment["amount"] = amount
    if tendered is not None:
        told[-1]["tendered"] = tendered
    sold: dict[str, Any] = await send(till, "POST", "/sales", {**body, "payments": told})
    return sold


async def cart(till: Outsider, lines: dict[str, int]) -> list[dict[str, Any]]:
    packages = await till.packages()
    return [{"package_id": packages[name]["package_id"], "qty": n} for name, n in lines.items()]


def _payment(slug: str, amount: int) -> dict[str, Any]:
    method = {"cash": "cash", "promptpay": "qr"}.get(slug, "card")
    kind = demo_id("payment_type", slug)
    return {"method": method, "payment_type_id": kind, "amount": amount}


def committed(kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "op_id": new_ulid(),
        "kind": kind,
        "seq": next(SEQS),
        "schema_version": 1,
        "occurred_at": datetime.now(UTC).isoformat(),
        "committed": True,
        "body": body,
        **more,
    }


async def sync(till: Outsider, op: dict[str, Any]) -> dict[str, Any]:
    """The answer of an operation that has to be applied."""
    (result,) = (await till.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]}))["results"]
    assert result["status"] == "applied", result
    answer: dict[str, Any] = result["result"]
    return answer


async def refund(till: Outsider, sale: dict[str, Any], **what: Any) -> dict[str, Any]:
    sale_id = sale["sale"]["sale_id"]
    body = {"sale_id": sale_id, "reason_code": "customer_request", **what}
    yes = await approve(till, "refund", sale_id)
    given: dict[str, Any] = await send(till, "POST", "/refunds", body, yes)
    return given


@dataclass
class Afternoon:
    """What happened, by names; sales as they were answered."""

    sales: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed_shift: str = ""
    open_shift: str = ""
    code: str = ""

    def sale_id(self, name: str) -> str:
        return str(self.sales[name]["sale"]["sale_id"])

    def receipt_no(self, name: str) -> str:
        return str(self.sales[name]["sale"]["receipt_no"])


async def live(http: httpx.AsyncClient) -> Afternoon:
    """Let it happen."""
    day = Afternoon()
    office = await Outsider(http).pair("ADMIN")
    await office.staff(**OWNER)
    sections = {"money": {"cash_step": 25}, "sales": {"refund_by_amount": True}}
    await send(office, "PUT", "/settings", {"sections": sections})
    first, second = await _till(http), await _till(http)
    day.code = first.device["device_code"]
    day.closed_shift = await first.open_shift(100_000)
    day.open_shift = await second.open_shift(50_000)
    await _first_till(day, first)
    await _second_till(day, second)
    return day


async def _till(http: httpx.AsyncClient) -> Outsider:
    return await (await Outsider(http).pair("POS")).staff()


async def _first_till(day: Afternoon, till: Outsider) -> None:
    """A till that numbers its receipts itself, and closes its shift."""
    sales, code = day.sales, day.code
    sales["plain"] = await sell(
        till, {"Carousel ride": 1}, tendered=10_000, receipt_no=f"{code}-S000001"
    )
    sales["split"] = await sell(
        till,
        {"Family bundle": 1, "Adult day pass": 2},
        ("card-abroad", 20_000),
        ("cash", 0),
        tendered=100_000,
        promo_codes=["FAMILY10"],
        receipt_no=f"{code}-S000002",
    )
    sales["voided"] = await sell(till, {"Child day pass": 2}, receipt_no=f"{code}-S000003")
    sale_id = day.sale_id("voided")
    yes = await approve(till, "void", sale_id)
    await send(till, "POST", f"/sales/{sale_id}/void", {"reason_code": "wrong_package"}, yes)
    sales["partly"] = await sell(till, {"Adult day pass": 3}, receipt_no=f"{code}-S000004")
    tickets = sales["partly"]["tickets"]
    day.refunds["ticket"] = await refund(
        till,
        sales["partly"],
        ticket_ids=[tickets[0]["ticket_id"]],
        receipt_no=f"{code}-R000001",
    )
    day.refunds["amount"] = await refund(
        till, sales["partly"], amount=1_337, receipt_no=f"{code}-R000002"
    )
    for kind, amount in (("pay_in", 5_000), ("drop", 20_000), ("drop", 7_000)):
        body = {"type": kind, "amount": amount, "reason_code": "change_money"}
        await send(till, "POST", f"/cash_drawers/{day.closed_shift}/movements", body)
    again = {"sale_id": day.sale_id("plain"), "reason_code": "paper_jam"}
    yes = await approve(till, "reprint", day.sale_id("plain"))
    await send(till, "POST", "/reprints", again, yes)
    count = {
        "counted": {"100": 1},
        "reason_code": "counting_error",
        "receipt_no": f"{code}-Z000001",
    }
    await sync(till, committed("shift_close", count, shift_id=day.closed_shift))
    late = {
        "lines": await cart(till, {"Child day pass": 1}),
        "payments": [_payment("cash", 14_900)],
        "receipt_no": f"{code}-S000005",
    }
    day.sales["late"] = await sync(till, committed("sale", late, shift_id=day.closed_shift))
    recount = {"type": "recount", "cash_counted": 123_400, "reason_code": "counting_error"}
    yes = await approve(till, "shift_adjustment", day.closed_shift)
    await send(till, "POST", f"/shifts/{day.closed_shift}/adjustments", recount, yes)


async def _second_till(day: Afternoon, till: Outsider) -> None:
    """A till whose numbers the server makes; its shift stays open."""
    sales = day.sales
    sales["by_qr"] = await sell(till, {"2-hour pass": 2}, ("promptpay", 0))
    day.refunds["whole"] = await refund(till, sales["by_qr"])
    sales["two_ways"] = await sell(
        till, {"Adult day pass": 1, "10 entries": 1}, ("promptpay", 30_000), ("card", 0)
    )
    body = {"type": "pay_out", "amount": 1_250, "reason_code": "bank_deposit"}
    await send(till, "POST", f"/cash_drawers/{day.open_shift}/movements", body)
