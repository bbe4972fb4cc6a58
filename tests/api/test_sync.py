"""The till's door: batches of operations, each applied once (R14, R15, R17, R35)."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import pytest
from pymongo import MongoClient

from api.demo_park import demo_id
from api.platform.services import Platform
from api.sync.service import SyncService
from playpark.contracts.sync import OpKind
from playpark.ids import new_ulid
from tests.outside import Outsider


def now(offset: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=offset)).isoformat()


def op(kind: str, body: dict[str, Any], seq: int, **more: Any) -> dict[str, Any]:
    return {
        "op_id": new_ulid(),
        "kind": kind,
        "seq": seq,
        "schema_version": 1,
        "occurred_at": now(),
        "body": body,
        "committed": True,
        **more,
    }


async def sync(device: Outsider, *ops: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await device.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": list(ops)})
    return list(answer["results"])


async def carousel(device: Outsider, **more: Any) -> dict[str, Any]:
    package_id = (await device.packages())["Carousel ride"]["package_id"]
    return {
        "lines": [{"package_id": package_id, "qty": 1}],
        "payments": [{"method": "cash", "amount": 4000, "tendered": 5000}],
        **more,
    }


def test_R14_every_kind_of_operation_has_its_function() -> None:
    kinds = SyncService(cast("Platform", None)).kinds
    assert set(kinds) == set(OpKind)
    assert all(kind.name is name for name, kind in kinds.items())


async def test_a_shift_of_sales_syncs_in_one_batch_and_again_as_duplicates(
    outside: Outsider,
) -> None:
    till = await outside.pair("POS")
    code = till.device["device_code"]
    sale = await carousel(till, receipt_no=f"{code}-S000001", ticket_ids=[[new_ulid()]])
    ops = [
        op("shift_open", {"cash_open": 1000}, 1),
        op("sale", sale, 2),
        op("shift_close", {"cash_counted": 5000}, 3),
    ]
    first = await sync(till, *ops)
    assert [result["status"] for result in first] == ["applied"] * 3, first
    assert first[1]["result"]["sale"]["receipt_no"] == f"{code}-S000001"
    assert first[1]["result"]["sale"]["shift_id"] == ops[0]["op_id"]
    assert first[2]["result"]["cash_diff"] == 0
    again = await sync(till, *ops)
    assert [result["status"] for result in again] == ["duplicate"] * 3
    assert [result["result"] for result in again] == [result["result"] for result in first]


async def test_R15_the_direct_route_and_the_batch_share_one_namespace(till: Outsider) -> None:
    body = await carousel(till)
    sent = op("sale", body, 1)
    direct = await till.data("POST", "/v1/sales", body, key=sent["op_id"])
    (through_sync,) = await sync(till, sent)
    assert through_sync["status"] == "duplicate"
    assert through_sync["result"]["sale"]["sale_id"] == direct["sale"]["sale_id"]


async def test_one_refused_operation_does_not_hold_up_the_others(till: Outsider) -> None:
    good, bad = await carousel(till), await carousel(till)
    bad["lines"][0]["package_id"] = new_ulid()
    refused = op("sale", bad, 1)
    malformed = op("sale", {"lines": "no"}, 2)
    waits = op("sale", good, 3, depends_on=[refused["op_id"]])
    results = await sync(till, refused, malformed, waits, op("sale", good, 4))
    assert [result["status"] for result in results] == [
        "rejected",
        "rejected",
        "blocked",
        "applied",
    ]
    assert [result["code"] for result in results[:2]] == ["E_NOT_FOUND", "E_VALIDATION"]
    assert results[2]["blocked_on"] == refused["op_id"]


async def test_R17_a_committed_sale_is_kept_whatever_the_rules_say(outside: Outsider) -> None:
    till = await outside.pair("POS")
    body = await carousel(till)
    body["payments"][0]["amount"] = 3000
    uncommitted, committed = op("sale", body, 1, committed=False), op("sale", body, 2)
    results = await sync(till, uncommitted, committed)
    assert (results[0]["status"], results[0]["code"]) == ("rejected", "E_PERMISSION")
    assert results[1]["status"] == "applied"
    flags = results[1]["result"]["sale"]["flags"]
    assert set(flags) == {"needs_review", "not_permitted", "no_shift"}


async def test_R12_a_committed_sale_is_booked_as_rung_and_the_variance_flagged(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    body = await carousel(till)
    slice_ = {
        "gross": 3500,
        "line_discount": 0,
        "cart_discount": 0,
        "payable": 3500,
        "vat": 229,
        "vat_rate": 700,
    }
    body["rung"] = {
        "subtotal": 3500,
        "discount_total": 0,
        "tax_total": 229,
        "surcharge_total": 0,
        "cash_rounding": 0,
        "grand_total": 3500,
        "lines": [{"unit_price": 3500, "slices": [slice_]}],
    }
    body["payments"] = [{"method": "cash", "amount": 3500}]
    refused, booked = await sync(till, op("sale", body, 1, committed=False), op("sale", body, 2))
    # Without an employee an uncommitted sale is refused before its price matters.
    assert refused["status"] == "rejected"
    sale = booked["result"]["sale"]
    assert (sale["grand_total"], sale["flags"]) == (3500, ["not_permitted", "price_variance"])
    broken = body | {"rung": body["rung"] | {"tax_total": 228}}
    (reviewed,) = await sync(till, op("sale", broken, 3))
    assert "needs_review" in reviewed["result"]["sale"]["flags"]
    misshapen = body | {"rung": body["rung"] | {"lines": body["rung"]["lines"] * 2}}
    (malformed,) = await sync(till, op("sale", misshapen, 4))
    assert (malformed["status"], malformed["code"]) == ("rejected", "E_VALIDATION")
    direct = await till.call("POST", "/v1/sales", body, key=new_ulid())
    assert direct.json()["error"]["code"] == "E_PRICE_CHANGED"
    assert direct.json()["error"]["details"]["grand_total"] == 4000
    with MongoClient(mongo_uri) as mongo:
        rows = mongo[f"{database}_live"]["audits"]
        row = rows.find_one({"entity_id": sale["sale_id"]})
    assert row is not None
    assert row["payload"]["price_variance"] == {"rung": 3500, "server": 4000}


async def test_R16_a_ticket_id_in_use_is_a_conflict_and_writes_nothing(
    till: Outsider, outside: Outsider
) -> None:
    ticket_id = new_ulid()
    body = await carousel(till, ticket_ids=[[ticket_id]])
    (first,) = await sync(till, op("sale", body, 1))
    assert first["status"] == "applied"
    other = await outside.pair("POS")
    (second,) = await sync(other, op("sale", body, 1))
    assert (second["status"], second["code"]) == ("rejected", "E_CONFLICT")


async def test_R16_another_devices_op_id_never_yields_its_result(
    till: Outsider, outside: Outsider
) -> None:
    sent = op("sale", await carousel(till), 1)
    (mine,) = await sync(till, sent)
    other = await outside.pair("POS")
    (theirs,) = await sync(other, sent)
    assert theirs["status"] == "applied"
    assert theirs["result"]["sale"]["sale_id"] != mine["result"]["sale"]["sale_id"]


async def test_R29_a_used_receipt_number_is_flagged_on_a_committed_sale(till: Outsider) -> None:
    receipt_no = f"{till.device['device_code']}-S000007"
    body = await carousel(till, receipt_no=receipt_no)
    results = await sync(till, op("sale", body, 1), op("sale", body, 2))
    assert results[0]["result"]["sale"]["flags"] == ["not_permitted"]
    assert "receipt_no_duplicate" in results[1]["result"]["sale"]["flags"]


async def test_attack_21_a_clock_that_is_far_off_is_clamped_and_flagged(till: Outsider) -> None:
    body = await carousel(till)
    future = op("sale", body, 1) | {"occurred_at": now(3600)}
    past = op("sale", body, 2) | {"occurred_at": "1970-01-01T00:00:00Z"}
    for result in await sync(till, future, past):
        sale = result["result"]["sale"]
        assert "clock_clamped" in sale["flags"]
        assert abs(datetime.fromisoformat(sale["occurred_at"]) - datetime.now(UTC)) < timedelta(
            hours=73
        )


async def test_the_batch_is_bounded(till: Outsider) -> None:
    body = await carousel(till)
    empty = await till.call("POST", "/v1/sync/batch", {"epoch": 1, "ops": []})
    assert empty.status_code == 422
    many = {"epoch": 1, "ops": [op("sale", body, seq) for seq in range(51)]}
    large = await till.call("POST", "/v1/sync/batch", many)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "E_BATCH_TOO_LARGE")
    unknown = await till.call("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op("magic", {}, 1)]})
    assert unknown.status_code == 422


async def test_parallel_sales_of_one_till_keep_one_audit_chain(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    await asyncio.gather(*(till.sell(("Carousel ride", 1)) for _ in range(12)))
    with MongoClient(mongo_uri) as mongo:
        rows = list(
            mongo[f"{database}_live"]["audits"]
            .find({"device_id": till.device["device_id"]})
            .sort("seq", 1)
        )
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(a["hash"] == b["prev_hash"] for a, b in pairwise(rows))
    assert len([row for row in rows if row["event_type"] == "sale.created"]) == 12


async def test_R35_a_device_cannot_act_in_the_name_of_someone_who_is_not_logged_in(
    outside: Outsider,
) -> None:
    till = await outside.pair("POS")
    owner = demo_id("employee", "malee")
    ops = [
        op("shift_open", {"cash_open": 0}, 1, committed=False, employee_id=owner),
        op("sale", await carousel(till), 2, committed=False, employee_id=owner),
    ]
    results = await sync(till, *ops)
    assert [result["code"] for result in results] == ["E_PERMISSION"] * 2
    (kept,) = await sync(till, op("sale", await carousel(till), 3, employee_id=new_ulid()))
    assert "unknown_employee" in kept["result"]["sale"]["flags"]


async def test_R35_who_is_logged_in_acts_with_their_own_permissions(till: Outsider) -> None:
    nok = demo_id("employee", "nok")
    sale = op("sale", await carousel(till), 1, committed=False, employee_id=nok)
    (applied,) = await sync(till, sale)
    assert applied["status"] == "applied", applied
    assert (applied["result"]["sale"]["cashier_name"], applied["result"]["sale"]["flags"]) == (
        "Nok",
        [],
    )


async def test_R17_a_device_that_does_not_sell_cannot_commit_a_sale(gate: Outsider) -> None:
    body = await carousel(gate)
    sale, shift = await sync(gate, op("sale", body, 1), op("shift_open", {"cash_open": 0}, 2))
    assert (sale["status"], sale["code"]) == ("rejected", "E_PERMISSION")
    assert (shift["status"], shift["code"]) == ("rejected", "E_PERMISSION")


@pytest.mark.parametrize(
    "wrong",
    [
        {"payments": [{"method": "cash", "amount": 4000, "tendered": 1}]},
        {"payments": [{"method": "cash", "amount": 10**12}, {"method": "qr", "amount": 10**12}]},
        {"payments": []},
        {"business_date": "1970-01-01"},
        {"business_date": "2199-12-31"},
        {"catalog_version": 4711},
        {"promo_codes": ["NOPE"]},
        {"customer_id": "01HZZZZZZZZZZZZZZZZZZZZZZZ"},
        {"expected_total": 1},
    ],
)
async def test_R17_money_that_is_taken_is_booked_and_flagged_whatever_is_wrong(
    till: Outsider, wrong: dict[str, Any]
) -> None:
    first, second = await sync(
        till, op("sale", await carousel(till, **wrong), 1), op("sale", await carousel(till), 2)
    )
    assert (first["status"], second["status"]) == ("applied", "applied"), first
    flags = set(first["result"]["sale"]["flags"]) - set(second["result"]["sale"]["flags"])
    assert flags
    assert (await till.call("GET", "/v1/shifts/current")).status_code == 200


async def test_R17_a_package_that_was_taken_off_sale_is_still_booked(till: Outsider) -> None:
    body = await carousel(till)
    body["lines"][0]["package_id"] = demo_id("package", "summer-2020")
    body["payments"][0]["amount"] = 9_900
    (booked,) = await sync(till, op("sale", body, 1))
    assert "inactive_package" in booked["result"]["sale"]["flags"]
    assert booked["result"]["sale"]["grand_total"] == 9_900


@pytest.mark.parametrize(
    "when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "1700000000", 1700000000]
)
async def test_times_at_the_ends_of_the_calendar_are_refused(till: Outsider, when: Any) -> None:
    good = op("sale", await carousel(till), 1)
    in_body = good | {"op_id": new_ulid(), "seq": 2, "body": await carousel(till, occurred_at=when)}
    refused, applied = await sync(till, in_body, good)
    assert (refused["status"], refused["code"]) == ("rejected", "E_VALIDATION")
    assert applied["status"] == "applied"
    batch = {"epoch": 1, "ops": [good | {"occurred_at": when}]}
    assert (await till.call("POST", "/v1/sync/batch", batch)).status_code == 422
    preview = {"lines": good["body"]["lines"], "at": when}
    assert (await till.call("POST", "/v1/pricing/preview", preview)).status_code == 422


async def test_a_bundle_rung_with_impossible_vat_is_flagged_and_stops_nothing(
    till: Outsider,
) -> None:
    family = (await till.packages())["Family bundle"]
    part = {
        "gross": 100,
        "line_discount": 0,
        "cart_discount": 0,
        "payable": 100,
        "vat": 10**9,
        "vat_rate": 700,
    }
    rung = {
        "subtotal": 100,
        "discount_total": 0,
        "tax_total": 10**9,
        "surcharge_total": 0,
        "cash_rounding": 0,
        "grand_total": 100,
        "lines": [{"unit_price": 100, "slices": [part]}],
    }
    body = {
        "lines": [{"package_id": family["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 100}],
        "rung": rung,
    }
    (booked,) = await sync(till, op("sale", body, 1))
    assert booked["status"] == "applied", booked
    assert "needs_review" in booked["result"]["sale"]["flags"]
    unknown = body | {"rung": rung | {"lines": [{"unit_price": 1, "slices": [part | {"x": 1}]}]}}
    (refused,) = await sync(till, op("sale", unknown, 2))
    assert refused["code"] == "E_VALIDATION"


async def test_absurd_amounts_are_refused_before_they_lock_a_shift(outside: Outsider) -> None:
    till = await outside.pair("POS")
    await till.staff()
    body = {"cash_open": 2**53 - 1}
    assert (await till.call("POST", "/v1/shifts/open", body, key=new_ulid())).status_code == 422
    await till.open_shift(10**12)
    await till.sell(("Carousel ride", 1))
    many = {"counted": {str(face): 100_000 for face in range(1, 40)}}
    assert (await till.call("POST", "/v1/shifts/close", many, key=new_ulid())).status_code == 422
    (closed,) = await sync(till, op("shift_close", {"cash_counted": 0}, 1))
    assert closed["result"]["cash_expected"] == 10**12 + 4_000


async def test_R28_a_late_sale_is_booked_on_the_shift_it_names(outside: Outsider) -> None:
    till = await outside.pair("POS")
    first, second = op("shift_open", {"cash_open": 0}, 1), op("shift_open", {"cash_open": 0}, 3)
    await sync(till, first, op("shift_close", {"cash_counted": 0}, 2), second)
    late = op("sale", await carousel(till), 4, shift_id=first["op_id"])
    close_again = op("shift_close", {"cash_counted": 0}, 5, shift_id=first["op_id"])
    booked, counted_late = await sync(till, late, close_again)
    assert booked["result"]["sale"]["shift_id"] == first["op_id"]
    assert "after_close" in booked["result"]["sale"]["flags"]
    assert counted_late["status"] == "applied"
    assert "already_closed" in counted_late["result"]["flags"]
    (closed,) = await sync(till, op("shift_close", {"cash_counted": 0}, 6))
    assert closed["result"]["shift_id"] == second["op_id"]
    assert closed["result"]["cash_expected"] == 0


async def test_R24_a_short_code_in_use_is_replaced_and_flagged(till: Outsider) -> None:
    code = (await till.sell(("Carousel ride", 1)))["tickets"][0]["short_code"]
    (booked,) = await sync(till, op("sale", await carousel(till, short_codes=[[code]]), 1))
    assert "short_code_replaced" in booked["result"]["sale"]["flags"]
    assert booked["result"]["tickets"][0]["short_code"] != code


async def test_R14_what_happened_is_recorded_once_even_on_a_duplicate(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    sent = op("sale", await carousel(till), 1)
    await sync(till, sent)
    await sync(till, sent | {"local": {"printed": True}})
    await sync(till, sent | {"local": {"printed": False}})
    with MongoClient(mongo_uri) as mongo:
        record = mongo[f"{database}_live"]["operations"].find_one({"op_id": sent["op_id"]})
    assert record is not None
    assert record["local"]["printed"] is True
