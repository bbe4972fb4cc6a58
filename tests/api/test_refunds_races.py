"""Refunds that meet: each other, a gate, an outbox that has paid already (R17, R20, R31)."""

import asyncio
from typing import Any

import httpx
import pytest

from playpark.ids import new_ulid
from tests.api.drawers import SEQS
from tests.api.giving_back import (
    approve,
    ask,
    behind,
    close,
    copies_of,
    refund,
    refund_of,
    told,
)
from tests.outside import Outsider

AT_ONCE = 20


@pytest.fixture
async def other_till(outside: Outsider) -> Outsider:
    pos = await outside.pair("POS")
    await pos.staff(email="cashier2@demo.playpark", pin="2222")
    await pos.open_shift()
    return pos


async def test_R31_of_twenty_refunds_at_once_one_pays(
    till: Outsider, other_till: Outsider, mongo_uri: str, database: str
) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id, one = sold["sale"]["sale_id"], sold["tickets"][0]["ticket_id"]
    tokens = []
    for asking in (till, other_till):
        token = await approve(asking, "refund", sale_id)
        with behind(mongo_uri, f"{database}_live") as db:
            tokens += [(asking, each) for each in copies_of(db, token, AT_ONCE // 2)]
    body = refund_of(sale_id, ticket_ids=[one])
    answers = await asyncio.gather(
        *(ask(asking, "/v1/refunds", body, approval=token) for asking, token in tokens)
    )
    results = [told(each) for each in answers]
    assert [status for status, _ in results].count(200) == 1
    assert {code for status, code in results if status != 200} <= {
        "E_REFUND_EXCEEDS",
        "E_CONFLICT",
    }
    closed = [await close(asking) for asking in (till, other_till)]
    assert sum(each["cash_expected"] for each in closed) == 200_000 + 39_800 - 19_900
    assert sum(each["z"]["refunds"]["count"] for each in closed) == 1
    with behind(mongo_uri, f"{database}_live") as db:
        kept = list(db.refunds.find({"sale_id": sale_id}))
        sale = db.sales.find_one({"_id": sale_id})
        paid = list(db.payments.find({"sale_id": sale_id}))
    assert [each["amount"] for each in kept] == [19_900]
    assert (sale["refunded"], sale["refund_seq"]) == (19_900, 1)
    assert [each["refunded"] for each in paid] == [19_900]


async def test_R31_different_tickets_at_once_are_all_given_back_and_sum_exactly(
    till: Outsider, other_till: Outsider, mongo_uri: str, database: str
) -> None:
    sold = await till.sell(("Adult day pass", 8))
    sale_id = sold["sale"]["sale_id"]
    asking_tills = (till, other_till)
    given = [await approve(each, "refund", sale_id) for each in asking_tills]
    with behind(mongo_uri, f"{database}_live") as db:
        copies = [copies_of(db, token, 4) for token in given]
    tokens = [token for pair in zip(*copies, strict=True) for token in pair]
    asked = zip(sold["tickets"], tokens, asking_tills * 4, strict=True)
    answers = await asyncio.gather(
        *(
            ask(
                asking,
                "/v1/refunds",
                refund_of(sale_id, ticket_ids=[ticket["ticket_id"]]),
                approval=each,
            )
            for ticket, each, asking in asked
        )
    )
    assert [told(each)[0] for each in answers] == [200] * 8
    assert sum(told(each)[1]["amount"] for each in answers) == sold["sale"]["grand_total"]
    assert await refund(till, sale_id) == (409, "E_REFUND_EXCEEDS")


async def test_R20_a_ticket_is_never_admitted_and_refunded_in_the_same_moment(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    sold = await till.sell(("Adult day pass", 12))
    sale_id = sold["sale"]["sale_id"]
    token = await approve(till, "refund", sale_id)
    with behind(mongo_uri, f"{database}_live") as db:
        tokens = copies_of(db, token, 12, without="refund_used")
    seen = set()
    for turn, (ticket, each) in enumerate(zip(sold["tickets"], tokens, strict=True)):
        show = {"qr_token": ticket["qr_token"]}
        body = refund_of(sale_id, ticket_ids=[ticket["ticket_id"]])
        racers = [
            gate.call("POST", "/v1/tickets/redeem", show, key=new_ulid()),
            ask(till, "/v1/refunds", body, approval=each),
        ]
        answers: list[httpx.Response] = await asyncio.gather(*racers[:: 1 if turn % 2 else -1])
        shown, given = answers[:: 1 if turn % 2 else -1]
        passed = shown.json()["data"]["result"] == "pass"
        assert passed == (given.status_code != 200)
        assert told(given)[1] == "E_PERMISSION" if passed else given.status_code == 200
        seen.add(passed)
    found = (await till.data("GET", "/v1/tickets", sale_id=sale_id))["items"]
    assert all((each["used"] > 0) != (each["status"] == "refunded") for each in found)


async def op(till: Outsider, kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "op_id": new_ulid(),
        "kind": kind,
        "seq": next(SEQS),
        "schema_version": 1,
        "employee_id": (await till.data("GET", "/v1/employees/me"))["employee_id"],
        "occurred_at": (await till.data("GET", "/v1/time"))["now"],
        "body": body,
        **more,
    }


async def sync(till: Outsider, *ops: dict[str, Any]) -> list[dict[str, Any]]:
    batch = {"epoch": 1, "ops": list(ops)}
    results: list[dict[str, Any]] = (await till.data("POST", "/v1/sync/batch", batch))["results"]
    return results


async def test_R14_both_doors_are_one(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id = sold["sale"]["sale_id"]
    approval = await approve(till, "refund", sale_id)
    asked = await op(till, "refund", refund_of(sale_id), approval=approval)
    (done,) = await sync(till, asked)
    assert (done["status"], done["result"]["amount"]) == ("applied", 19_900)
    again = await ask(till, "/v1/refunds", refund_of(sale_id), key=asked["op_id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == done["result"]
    (bare,) = await sync(till, await op(till, "refund", refund_of(sale_id)))
    assert (bare["status"], bare["code"]) == ("rejected", "E_REFUND_EXCEEDS")


async def test_R17_money_that_was_given_back_too_often_is_flagged_and_never_counted_twice(
    till: Outsider,
) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id = sold["sale"]["sale_id"]
    one, two = (ticket["ticket_id"] for ticket in sold["tickets"])
    bodies = [
        refund_of(sale_id, ticket_ids=[one]),
        refund_of(sale_id, ticket_ids=[one, two]),  # one of them for the second time
        refund_of(sale_id, ticket_ids=[two], reason_code="no_such_reason"),
        refund_of(sale_id),
    ]
    ops = [await op(till, "refund", body, committed=True) for body in bodies]
    results = await sync(till, *ops)
    assert {each["status"] for each in results} == {"applied"}
    told_ = [(each["result"]["amount"], each["result"]["flags"]) for each in results]
    assert told_ == [
        (19_900, ["unapproved"]),
        (19_900, ["over_refunded", "unapproved"]),
        (0, ["over_refunded", "unapproved", "reason_unknown"]),
        (0, ["over_refunded", "unapproved"]),
    ]
    sale = (await till.data("GET", f"/v1/sales/{sale_id}"))["sale"]
    assert (sale["refunded"], sale["status"]) == (39_800, "refunded")
    assert (await close(till))["cash_expected"] == 100_000


async def test_R17_what_was_given_back_of_a_foreign_or_unknown_sale_is_no_refund(
    till: Outsider, outside: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    other = await outside.pair("POS", "DEMO-OTHER-PARK")
    await other.staff(email="cashier@other.playpark", pin="1111")
    for sale_id in (sold["sale"]["sale_id"], new_ulid()):
        (answer,) = await sync(other, await op(other, "refund", refund_of(sale_id), committed=True))
        assert (answer["status"], answer["code"]) == ("rejected", "E_NOT_FOUND")
    (answer,) = await sync(
        till,
        await op(till, "refund", refund_of(sold["sale"]["sale_id"], ticket_ids=[new_ulid()])),
    )
    assert (answer["status"], answer["code"]) == ("rejected", "E_NOT_FOUND")
