"""The till's door: batches of operations, each applied once (R14, R15, R17, R35)."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from pymongo import MongoClient

from playpark.ids import new_ulid
from tests.api.conftest import Outsider


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
    assert (sale["grand_total"], sale["flags"]) == (3500, ["price_variance", "not_permitted"])
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


async def test_R36_a_clock_that_is_far_off_is_clamped_and_flagged(till: Outsider) -> None:
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
    for ops in ([], [op("sale", body, seq) for seq in range(51)]):
        response = await till.call("POST", "/v1/sync/batch", {"epoch": 1, "ops": ops})
        assert response.status_code == 422
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


async def test_R50_a_pass_that_let_nobody_in_is_given_back_once(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    token = (await till.sell(("2-hour pass", 1)))["tickets"][0]["qr_token"]
    shown = op("redemption", {"qr_token": token}, 1, committed=False)
    (passed,) = await sync(gate, shown)
    assert passed["result"]["result"] == "pass"
    with MongoClient(mongo_uri) as mongo:  # let an hour of its two pass
        tickets = mongo[f"{database}_live"]["tickets"]
        hour = [{"$set": {"ends_at": {"$subtract": ["$ends_at", 3_600_000]}}}]
        tickets.update_one({"ticket_id": passed["result"]["ticket_id"]}, hour)
    refused_there = shown | {"local": {"result": "fail", "reason": "answer_too_late"}}
    for _ in range(2):
        (replayed,) = await sync(gate, refused_there)
        assert (replayed["status"], replayed["result"]) == ("duplicate", passed["result"])
    (again,) = await sync(gate, op("redemption", {"qr_token": token}, 2, committed=False))
    assert (again["result"]["result"], again["result"]["remaining"]) == ("pass", 120)
    single = (await till.sell(("Adult day pass", 1)))["tickets"][0]
    first = op("redemption", {"qr_token": single["qr_token"]}, 3, committed=False)
    (late,) = await sync(gate, first | {"local": {"result": "fail"}})
    assert late["result"]["result"] == "pass"
    ticket = await till.data("GET", f"/v1/tickets/{single['ticket_id']}")
    assert ticket["used"] == 0
