"""An afternoon in the demo park that calls every documented route once: the API's examples."""

from typing import Any

from playpark.ids import new_ulid
from tests.api import (
    story_audit,
    story_certificates,
    story_gate,
    story_logins,
    story_occupancy,
    story_people,
    story_provider,
    story_secrets,
    story_sync,
    story_tenancy,
    story_tickets_life,
)
from tests.api.story_teller import OWNER, SUPERVISOR, Story
from tests.outside import CASHIER, Outsider


async def tell_all(client: Outsider) -> dict[str, dict[str, Any]]:
    story = Story(client)
    await _arrive(story)
    await _arrange_the_catalogue(story)
    await _know_the_guests(story)
    await _sell(story)
    await _park(story)
    await _give_back(story)
    await _close(story)
    await _count_the_drawer(story)
    await _look_into_the_books(story)
    parts = (
        story_tickets_life,
        story_certificates,
        story_occupancy,
        story_gate,
        story_tenancy,
        story_people,
        story_logins,
        story_secrets,
        story_audit,
        story_sync,
        story_provider,
    )
    for part in parts:
        await part.tell(story)
    await story.tell("POST", "/v1/auth/logout")
    return story.told


async def _arrive(story: Story) -> None:
    client = story.client
    for path in ("/health", "/healthz", "/readyz", "/v1/time"):
        await story.tell("GET", path)
    body = {"site_key": "DEMO-MAIN-GATE", "type": "POS", "name": "Till 1"}
    device = await story.tell("POST", "/v1/auth/device/register", body)
    login = {"device_id": device["device_id"], "device_token": device["device_token"]}
    session = await story.tell("POST", "/v1/auth/device/login", login)
    client.token = session["access_token"]
    story.cashier = (await story.tell("POST", "/v1/employees/login", CASHIER))["access_token"]
    story.owner = (await client.data("POST", "/v1/employees/login", OWNER))["access_token"]
    person = await client.data("POST", "/v1/employees/login", SUPERVISOR)
    renewed = await story.tell(
        "POST", "/v1/auth/refresh", {"refresh_token": person["refresh_token"]}
    )
    client.token = story.supervisor = renewed["access_token"]
    for path in ("/v1/employees/me", "/v1/devices/me"):
        await story.tell("GET", path)
    for event in ("clock_in", "break_start", "break_end"):
        await story.tell("POST", f"/v1/timecards/{event}", {}, key=True)


async def _arrange_the_catalogue(story: Story) -> None:
    story.client.token = story.owner
    await story.tell("GET", "/v1/settings")
    settings = {"scope": "store", "sections": {"sales": {"parked_hours": 48}}}
    await story.tell("PUT", "/v1/settings", settings)
    await story.tell("GET", "/v1/reason_codes")
    rain = {"code": "rain", "kind": "refund", "label": "Rain", "label_th": "ฝนตก"}
    await story.tell("POST", "/v1/reason_codes", rain)
    name = "/v1/reason_codes/{code}"
    await story.tell("PATCH", "/v1/reason_codes/rain", {"label": "Heavy rain"}, name=name)
    maze = {"name": "Maze", "name_th": "เขาวงกต", "credit_price": 2_500}
    zone = await _edit(story, "zones", "zone_id", maze, {"credit_price": 3_000})
    zero = {"name": "Zero-rated", "rate": 0, "mode": "zero"}
    await _edit(story, "taxes", "tax_id", zero, {"name": "Export"})
    entry = {
        "name": "Maze entry",
        "name_th": "เข้าเขาวงกต",
        "kind": "single",
        "price": 6_000,
        "zones": [zone],
        "window": {"from_time": "09:00", "to_time": "21:00"},
        "visible_on": ["POS"],
        "sort": 90,
    }
    package = await _edit(story, "packages", "package_id", entry, {"price": 6_500, "window": None})
    songkran = {
        "name": "Songkran",
        "starts_at": "2027-04-13T00:00:00+07:00",
        "ends_at": "2027-04-16T00:00:00+07:00",
        "prices": {package: 5_000},
    }
    await _edit(story, "price_lists", "price_list_id", songkran, {"priority": 50})
    locals_ = {
        "name": "Local guests",
        "name_th": "คนท้องถิ่น",
        "level": "line",
        "percent": 500,
        "package_ids": [package],
    }
    await _edit(story, "discounts", "discount_id", locals_, {"active": False})
    voucher = {
        "name": "Voucher",
        "name_th": "คูปอง",
        "method": "other",
        "needs_reference": True,
        "sort": 90,
    }
    await _edit(story, "payment_types", "payment_type_id", voucher, {"active": False})
    early = {
        "name": "Early maze",
        "name_th": "เขาวงกตเช้า",
        "kind": "line_percent",
        "params": {"percent": 1_000},
        "targets": {"package_ids": [package]},
        "window": {"from_time": "09:00", "to_time": "11:00"},
        "max_uses": 500,
    }
    await _edit(story, "rules", "rule_id", early, {"active": False}, room="/v1/pricing")
    paper = {"name": "Songkran", "header": ["สุขสันต์วันสงกรานต์"], "footer": ["Stay cool!"]}
    key = "receipt_template_id"
    await _edit(story, "receipt_templates", key, paper, {"active": False}, room="/v1")
    story.client.token = story.supervisor
    await story.tell("GET", "/v1/catalog/snapshot")


async def _edit(
    story: Story, what: str, key: str, new: Any, change: Any, *, room: str = "/v1/catalog"
) -> str:
    """Add one, list all, change it. Returns its id."""
    made = await story.tell("POST", f"{room}/{what}", new)
    await story.tell("GET", f"{room}/{what}")
    name = f"{room}/{what}/{{{key}}}"
    await story.tell("PATCH", f"{room}/{what}/{made[key]}", change, name=name)
    return str(made[key])


async def _know_the_guests(story: Story) -> None:
    suda = {"name": "Suda Jaidee", "phone": "081 234 5678", "email": "suda@example.com"}
    customer_id = (await story.tell("POST", "/v1/customers", suda))["customer_id"]
    await story.tell("GET", "/v1/customers", q="suda")
    one, name = f"/v1/customers/{customer_id}", "/v1/customers/{customer_id}"
    await story.tell("GET", one, name=name)
    await story.tell("PATCH", one, {"note": "Annual pass"}, name=name)
    points = {"points": 50, "reason_text": "Birthday"}
    await story.tell("POST", f"{one}/points", points, name=f"{name}/points", key=True)
    story.customer_id = customer_id


async def _sell(story: Story) -> None:
    packages = (await story.client.data("GET", "/v1/catalog/packages"))["items"]
    adult = next(each for each in packages if each["name"] == "Adult day pass")
    lines = [{"package_id": adult["package_id"], "qty": 2}]
    cart = {"lines": lines, "promo_codes": ["FAMILY10"], "customer_id": story.customer_id}
    preview = await story.tell("POST", "/v1/pricing/preview", cart)
    await story.tell("POST", "/v1/shifts/open", {"cash_open": 100_000}, key=True)
    await story.tell("GET", "/v1/shifts/current")
    total = preview["grand_total"]
    payments = [{"method": "cash", "amount": total, "tendered": 40_000}]
    body = cart | {"payments": payments, "expected_total": total}
    sold = await story.tell("POST", "/v1/sales", body, key=True)
    sale_id, tickets = sold["sale"]["sale_id"], sold["tickets"]
    await story.tell("GET", f"/v1/sales/{sale_id}", name="/v1/sales/{sale_id}")
    name = "/v1/customers/{customer_id}/history"
    await story.tell("GET", f"/v1/customers/{story.customer_id}/history", name=name)
    await story.tell("GET", "/v1/tickets", short_code=tickets[0]["short_code"])
    ticket_id = tickets[0]["ticket_id"]
    await story.tell("GET", f"/v1/tickets/{ticket_id}", name="/v1/tickets/{ticket_id}")
    for path, ticket in (("/v1/tickets/redeem", tickets[0]), ("/v1/redemptions", tickets[1])):
        await story.tell("POST", path, {"qr_token": ticket["qr_token"]}, key=True)
    op = {
        "op_id": new_ulid(),
        "kind": "sale",
        "seq": 1,
        "schema_version": 1,
        "employee_id": sold["sale"]["cashier_id"],
        "committed": True,
        "occurred_at": sold["sale"]["occurred_at"],
        "body": {"lines": lines, "payments": [{"method": "cash", "amount": 39_800}]},
    }
    await story.tell("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]})
    story.lines = lines


async def _park(story: Story) -> None:
    parked = {"name": "Family in red", "cart": {"lines": story.lines}}
    first = await story.tell("POST", "/v1/open_tickets", parked)
    second = await story.client.data("POST", "/v1/open_tickets", parked)
    await story.tell("GET", "/v1/open_tickets")
    one, name = f"/v1/open_tickets/{first['open_ticket_id']}", "/v1/open_tickets/{open_ticket_id}"
    now = await story.tell("GET", one, name=name)
    change = {"version": now["version"], "name": "Family in blue"}
    await story.tell("PATCH", one, change, name=name)
    total = now["priced"]["grand_total"]
    paid = {"payments": [{"method": "card", "amount": total}], "expected_total": total}
    await story.tell("POST", f"{one}/checkout", paid, name=f"{name}/checkout", key=True)
    await story.tell("DELETE", f"/v1/open_tickets/{second['open_ticket_id']}", name=name)


async def _give_back(story: Story) -> None:
    story.client.token = story.cashier
    why = {"reason_code": "customer_request"}

    async def fresh() -> tuple[str, list[str]]:
        sold = await story.client.sell(("Carousel ride", 2))
        return sold["sale"]["sale_id"], [each["ticket_id"] for each in sold["tickets"]]

    for path in ("/v1/refunds", "/v1/tickets/refund"):
        sale_id, ticket_ids = await fresh()
        body = {"sale_id": sale_id, "ticket_ids": ticket_ids[:1], **why}
        yes = await story.approval("refund", sale_id, 4_000)
        await story.tell("POST", path, body, key=True, approval=yes)
    for path in ("/v1/reprints", "/v1/tickets/reprint"):
        sale_id, ticket_ids = await fresh()
        body = {"sale_id": sale_id, **why}
        yes = await story.approval("reprint", sale_id)
        await story.tell("POST", path, body, key=True, approval=yes)
    sale_id, _ = await fresh()
    yes = await story.approval("void", sale_id, 8_000)
    name = "/v1/sales/{sale_id}/void"
    await story.tell("POST", f"/v1/sales/{sale_id}/void", why, name=name, key=True, approval=yes)


async def _close(story: Story) -> None:
    story.client.token = story.supervisor
    shift_id = (await story.client.data("GET", "/v1/shifts/current"))["shift_id"]
    name = "/v1/shifts/{shift_id}"
    await story.tell("GET", f"/v1/shifts/{shift_id}", name=name)
    x = await story.tell("GET", f"/v1/shifts/{shift_id}/x", name=f"{name}/x")
    expected = x["drawer"]["cash_expected"]
    notes, rest = divmod(expected, 10_000)
    counted = {"counted": {"10000": notes, "10": rest // 10}}
    await story.tell("POST", "/v1/shifts/close", counted, key=True)
    await story.tell("GET", f"/v1/shifts/{shift_id}/z", name=f"{name}/z")
    yes = await story.approval("shift_adjustment", shift_id)
    recount = {"type": "recount", "cash_counted": expected, "reason_code": "counting_error"}
    path = f"/v1/shifts/{shift_id}/adjustments"
    await story.tell("POST", path, recount, name=f"{name}/adjustments", key=True, approval=yes)


async def _count_the_drawer(story: Story) -> None:
    opened = await story.tell("POST", "/v1/cash_drawers/open", {"cash_open": 50_000}, key=True)
    one, name = f"/v1/cash_drawers/{opened['shift_id']}", "/v1/cash_drawers/{drawer_id}"
    await story.tell("GET", "/v1/cash_drawers/current")
    pay_in = {"type": "pay_in", "amount": 20_000, "reason_code": "change_money"}
    await story.tell("POST", f"{one}/movements", pay_in, name=f"{name}/movements", key=True)
    await story.tell("GET", f"{one}/summary", name=f"{name}/summary")
    counted = {"cash_counted": 70_000}
    await story.tell("POST", f"{one}/close", counted, name=f"{name}/close", key=True)


async def _look_into_the_books(story: Story) -> None:
    await story.tell("POST", "/v1/timecards/clock_out", {}, key=True)
    await story.tell("GET", "/v1/timecards")
    day = (await story.client.data("GET", "/v1/sales"))["items"][0]["business_date"]
    await story.tell("GET", "/v1/timecards/hours", **{"from": day, "to": day})
    await story.tell("GET", "/v1/reports/reconciliation", date=day)
    for what in ("sales", "payments", "refunds", "reprints", "shifts", "redemptions", "approvals"):
        await story.tell("GET", f"/v1/{what}")
    await story.tell("GET", "/v1/devices")
