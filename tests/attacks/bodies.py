"""For each route that names things in its body: a good one, with all that it can name. `ids` are
by the names that they have in `worlds`."""

from collections.abc import Callable
from typing import Any

from playpark.ids import new_ulid

Ids = dict[str, str]
Body = dict[str, Any]
BECAUSE = {"reason_text": "why"}


def cart(ids: Ids) -> Body:
    """10,000 less 100 of the line and 100 of the cart."""
    line = {"package_id": ids["package_id"], "qty": 1, "discount_ids": [ids["discount_id"]]}
    on_top = {"discount_ids": [ids["cart_discount_id"]], "customer_id": ids["customer_id"]}
    return {"lines": [line], **on_top}


def paid(ids: Ids) -> Body:
    payment_type_id = ids["payment_type_id"]
    return {"payments": [{"method": "cash", "amount": 9_800, "payment_type_id": payment_type_id}]}


def hired(ids: Ids) -> Body:
    email = f"{new_ulid()}@demo.playpark"
    return {"name": "new", "email": email, "pin": "8462", **membership(ids)}


def membership(ids: Ids) -> Body:
    return {"memberships": [{"store_id": ids["store_id"], "role_ids": [ids["role_id"]]}]}


def entry(ids: Ids) -> Body:
    zones, devices = [ids["zone_id"]], [ids["gate_id"]]
    return {"tax_id": ids["tax_id"], "zones": zones, "allowed_devices": devices}


def components(ids: Ids) -> Body:
    return {"components": [{"package_id": ids["package_id"], "qty": 2}]}


def targets(ids: Ids) -> Body:
    return {"targets": {"package_ids": [ids["package_id"]]}}


def back(ids: Ids) -> Body:
    return {"sale_id": ids["sale_id"], "reason_code": ids["code"], **BECAUSE}


def again(ids: Ids) -> Body:
    return {"ticket_ids": [ids["ticket_id"]], "reason_code": ids["code"], **BECAUSE}


def lost(ids: Ids) -> Body:
    return {"ticket_id": ids["ticket_id"], "reason_code": ids["code"], **BECAUSE}


def handed_in(ids: Ids) -> Body:
    """An export of one operation, which nobody could book."""
    op = {
        "op_id": new_ulid(),
        "kind": "cash_movement",
        "seq": 1,
        "schema_version": 1,
        "occurred_at": "2026-11-21T12:00:00Z",
        "body": {},
    }
    return {"device_id": ids["device_id"], "epoch": 1, "ops": [op]}


NAMED = {"name": "new", "name_th": "ใหม่"}
BUNDLE = {"kind": "bundle", "price": 15_000, **NAMED}
SINGLE = {"kind": "single", "price": 5_000, **NAMED}
RULE = {"kind": "line_percent", "params": {"percent": 100}, "active": False, **NAMED}
COMBO = {"kind": "bundle", "active": False, **NAMED}
BODIES: dict[str, list[Callable[[Ids], Body]]] = {
    "POST /v1/employees": [hired],
    "PUT /v1/employees/{employee_id}/memberships": [membership],
    "POST /v1/employees/{employee_id}/reset_pin": [lambda _: {"pin": "7351"}],
    "POST /v1/catalog/packages": [
        lambda ids: SINGLE | entry(ids),
        lambda ids: BUNDLE | components(ids),
    ],
    "PATCH /v1/catalog/packages/{package_id}": [entry, components],
    "POST /v1/catalog/price_lists": [
        lambda ids: {"name": "new", "prices": {ids["package_id"]: 9_000}, "active": False}
    ],
    "PATCH /v1/catalog/price_lists/{price_list_id}": [
        lambda ids: {"prices": {ids["package_id"]: 10_000}}
    ],
    "POST /v1/catalog/discounts": [
        lambda ids: {"level": "line", "amount": 1, **NAMED, "package_ids": [ids["package_id"]]}
    ],
    "PATCH /v1/catalog/discounts/{discount_id}": [lambda ids: {"package_ids": [ids["package_id"]]}],
    "POST /v1/pricing/rules": [
        lambda ids: RULE | targets(ids),
        lambda ids: COMBO | {"params": {"price": 15_000, **components(ids)}},
    ],
    "PATCH /v1/pricing/rules/{rule_id}": [targets],
    "POST /v1/pricing/preview": [lambda ids: cart(ids) | paid(ids)],
    "POST /v1/sales": [
        lambda ids: cart(ids) | paid(ids) | {"open_ticket_id": ids["open_ticket_id"]}
    ],
    "POST /v1/open_tickets": [lambda ids: {"name": "new", "cart": cart(ids)}],
    "PATCH /v1/open_tickets/{open_ticket_id}": [lambda ids: {"version": 1, "cart": cart(ids)}],
    "POST /v1/open_tickets/{open_ticket_id}/checkout": [paid],
    "POST /v1/redemptions": [
        lambda ids: {
            "short_code": ids["short_code"],
            "zone_id": ids["zone_id"],
            "device_id": ids["gate_id"],
        }
    ],
    "POST /v1/redemptions/{redemption_id}/annul": [lambda _: BECAUSE],
    "POST /v1/refunds": [lambda ids: back(ids) | {"ticket_ids": [ids["ticket_id"]]}],
    "POST /v1/reprints": [back, again],
    "POST /v1/sales/{sale_id}/void": [lambda ids: {"reason_code": ids["code"], **BECAUSE}],
    "POST /v1/approvals/verify_pin": [
        lambda ids: {
            "employee_id": ids["helper_id"],
            "pin": "8888",
            "action": "refund",
            "entity_id": "01HZZZZZZZZZZZZZZZZZZZSALE",
        }
    ],
    "POST /v1/cash_drawers/{drawer_id}/movements": [
        lambda ids: {"type": "pay_in", "amount": 100, "reason_code": ids["code"], **BECAUSE}
    ],
    "POST /v1/cash_drawers/{drawer_id}/close": [lambda _: {"cash_counted": 0}],
    "POST /v1/shifts/{shift_id}/adjustments": [
        lambda ids: {"type": "recount", "cash_counted": 0, "reason_code": ids["code"], **BECAUSE}
    ],
    "POST /v1/customers/{customer_id}/points": [lambda _: {"points": 1, "reason_text": "why"}],
    "PATCH /v1/customers/{customer_id}": [lambda _: {"note": "new"}],
    "POST /v1/sync/dead_letters/{dead_letter_id}/resolve": [
        lambda ids: {"action": "dismiss", "reason_code": ids["code"], **BECAUSE}
    ],
    "POST /v1/sync/bundles": [handed_in],
}
BODIES["POST /v1/tickets/redeem"] = BODIES["POST /v1/redemptions"]
BODIES["POST /v1/tickets/exchange"] = BODIES["POST /v1/tickets/cancel"] = [lost]
BODIES["POST /v1/tickets/refund"] = BODIES["POST /v1/refunds"]
BODIES["POST /v1/tickets/reprint"] = BODIES["POST /v1/reprints"]
