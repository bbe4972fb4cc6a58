"""Refunds: what comes back, who has to say yes, and what a refusal leaves alone (R31, R42)."""

from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.giving_back import (
    SUPERVISOR,
    approve,
    ask,
    behind,
    books,
    close,
    copies_of,
    refund,
    refund_of,
    told,
)
from tests.outside import Outsider


async def test_R31_a_ticket_gives_its_slice_back_by_the_tender_it_was_paid_with(
    till: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 2), ("Carousel ride", 1))
    sale = sold["sale"]
    gone, kept = sold["tickets"][0], sold["tickets"][1]
    status, answer = await refund(till, sale["sale_id"], ticket_ids=[gone["ticket_id"]])
    assert status == 200
    assert (answer["amount"], answer["method"]) == (19_900, "cash")
    assert answer["parts"] == [{"method": "cash", "amount": 19_900}]
    assert answer["tickets"] == [{"ticket_id": gone["ticket_id"], "amount": 19_900, "vat": 1_302}]
    assert (answer["status"], answer["vat"], answer["cash_rounding"]) == ("completed", 1_302, 0)
    assert answer["sale_receipt_no"] == sale["receipt_no"]
    assert answer["receipt_no"] != sale["receipt_no"]
    for ticket, result in ((gone, ("fail", "refunded")), (kept, ("pass", None))):
        shown = await gate.data("POST", "/v1/tickets/redeem", {"qr_token": ticket["qr_token"]})
        assert (shown["result"], shown["reason"]) == result
    found = await till.data("GET", "/v1/tickets", sale_id=sale["sale_id"])
    assert [(each["status"], each["refunded"]) for each in found["items"]] == [
        ("refunded", 19_900),
        ("active", 0),
        ("active", 0),
    ]


async def test_R27_a_cash_refund_leaves_the_drawer_of_the_shift_that_is_open_now(
    till: Outsider,
) -> None:
    first = await till.sell(("Adult day pass", 2))
    assert (await close(till))["cash_expected"] == 100_000 + 39_800
    await till.open_shift()
    second = await till.sell(("Carousel ride", 1))
    assert (await refund(till, first["sale"]["sale_id"]))[0] == 200
    closed = await close(till)
    assert closed["cash_expected"] == 100_000 + second["sale"]["grand_total"] - 39_800
    assert closed["z"]["refunds"] == {"count": 1, "amount": 39_800, "by_method": {"cash": 39_800}}
    assert closed["z"]["sales"]["amount"] == second["sale"]["grand_total"]


async def test_the_sale_tells_how_much_of_it_has_gone_back(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id, ticket_id = sold["sale"]["sale_id"], sold["tickets"][0]["ticket_id"]
    told_ = []
    for what in ({"ticket_ids": [ticket_id]}, {}):
        assert (await refund(till, sale_id, **what))[0] == 200
        sale = (await till.data("GET", f"/v1/sales/{sale_id}"))["sale"]
        told_.append((sale["status"], sale["refunded"]))
    assert told_ == [("partly_refunded", 19_900), ("refunded", 39_800)]


async def test_R31_nothing_is_given_back_twice(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id, ticket_id = sold["sale"]["sale_id"], sold["tickets"][0]["ticket_id"]
    assert (await refund(till, sale_id, ticket_ids=[ticket_id]))[0] == 200
    before = await books(till, sale_id)
    assert await refund(till, sale_id, ticket_ids=[ticket_id]) == (409, "E_REFUND_EXCEEDS")
    both = [ticket["ticket_id"] for ticket in sold["tickets"]]
    assert await refund(till, sale_id, ticket_ids=both) == (409, "E_REFUND_EXCEEDS")
    assert await books(till, sale_id) == before
    status, rest = await refund(till, sale_id)
    assert (status, rest["amount"]) == (200, 19_900)
    assert await refund(till, sale_id) == (409, "E_REFUND_EXCEEDS")


async def test_R15_a_refund_that_is_sent_again_pays_once_and_answers_the_same(
    till: Outsider,
) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id, key = sold["sale"]["sale_id"], new_ulid()
    approval = await approve(till, "refund", sale_id)
    body = refund_of(sale_id, ticket_ids=[sold["tickets"][0]["ticket_id"]])
    first = await ask(till, "/v1/refunds", body, approval=approval, key=key)
    assert first.status_code == 200
    await refund(till, sale_id)
    again = await ask(till, "/v1/tickets/refund", body, approval=approval, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]
    other = refund_of(sale_id)
    response = await ask(till, "/v1/refunds", other, approval=approval, key=key)
    assert told(response) == (422, "E_IDEMPOTENCY_MISMATCH")
    assert (await close(till))["z"]["refunds"]["count"] == 2


async def test_R42_a_refund_needs_an_approval_for_exactly_this(
    till: Outsider, outside: Outsider
) -> None:
    sold, other = await till.sell(("Adult day pass", 2)), await till.sell(("Carousel ride", 1))
    sale_id = sold["sale"]["sale_id"]
    one, two = (ticket["ticket_id"] for ticket in sold["tickets"])
    before = await books(till, sale_id)
    spent = await approve(till, "refund", other["sale"]["sale_id"])
    body = refund_of(other["sale"]["sale_id"])
    assert (await ask(till, "/v1/refunds", body, approval=spent)).status_code == 200
    attempts = [
        (None, [one]),
        ("nonsense", [one]),
        (spent, [one]),
        (await approve(till, "refund", other["sale"]["sale_id"]), [one]),  # another sale's
        (await approve(till, "refund", sale_id, amount=39_800), [one]),  # another amount
        (await approve(till, "refund", one), [one, two]),  # one ticket's yes, two tickets
        (await approve(till, "refund", two), [one]),
        (await approve(till, "void", sale_id), [one]),
        (await approve(till, "refund", new_ulid()), [one]),  # another operation's
    ]
    for approval, ticket_ids in attempts:
        body = refund_of(sale_id, ticket_ids=ticket_ids)
        response = await ask(till, "/v1/refunds", body, approval=approval)
        assert told(response) == (403, "E_PERMISSION")
        assert response.json()["error"]["details"]["reason"] == "approval_required"
    assert await books(till, sale_id) == before
    boss = await outside.pair("POS")
    await boss.staff(**SUPERVISOR)
    await boss.open_shift()
    response = await boss.call(
        "POST",
        "/v1/approvals/verify_pin",
        {**SUPERVISOR, "action": "refund", "entity_id": sale_id},
    )
    if response.status_code == 200:  # nobody's yes to themselves
        token = response.json()["data"]["approval_token"]
        response = await ask(boss, "/v1/refunds", refund_of(sale_id), approval=token)
    assert told(response) == (403, "E_PERMISSION")
    assert await books(till, sale_id) == before
    closed = await close(till)
    assert closed["z"]["refunds"]["amount"] == other["sale"]["grand_total"]


@pytest.mark.parametrize("bound_to", ["sale", "ticket", "operation"])
async def test_R42_an_approval_may_name_the_sale_the_ticket_or_the_operation_to_come(
    till: Outsider, bound_to: str
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id, key = sold["sale"]["sale_id"], new_ulid()
    names = {"sale": sale_id, "ticket": sold["tickets"][0]["ticket_id"], "operation": key}
    approval = await approve(till, "refund", names[bound_to], amount=19_900)
    response = await ask(till, "/v1/refunds", refund_of(sale_id), approval=approval, key=key)
    assert response.status_code == 200


async def test_R42_an_approval_that_was_refused_for_another_reason_is_not_used_up(
    till: Outsider,
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id = sold["sale"]["sale_id"]
    approval = await approve(till, "refund", sale_id)
    for reason in ({"reason_code": "paper_jam"}, {"reason_code": "goodwill"}):
        body = {**refund_of(sale_id), **reason}
        response = await ask(till, "/v1/refunds", body, approval=approval)
        assert told(response) == (422, "E_VALIDATION")
    body = {**refund_of(sale_id), "reason_code": "goodwill", "reason_text": "It rained."}
    assert (await ask(till, "/v1/refunds", body, approval=approval)).status_code == 200


async def test_R31_a_used_ticket_goes_back_only_with_somebody_who_may_say_so(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    for package in ("Adult day pass", "2-hour pass"):
        sold = await till.sell((package, 2))
        sale_id, used = sold["sale"]["sale_id"], sold["tickets"][0]
        await gate.data("POST", "/v1/tickets/redeem", {"qr_token": used["qr_token"]})
        full = await approve(till, "refund", sale_id)
        with behind(mongo_uri, f"{database}_live") as db:
            (lesser,) = copies_of(db, full, 1, without="refund_used")
        before = await books(till, sale_id)
        for what in ({}, {"ticket_ids": [used["ticket_id"]]}):
            body = refund_of(sale_id, **what)
            response = await ask(till, "/v1/refunds", body, approval=lesser)
            assert told(response) == (403, "E_PERMISSION")
        assert await books(till, sale_id) == before
        body = refund_of(sale_id, ticket_ids=[sold["tickets"][1]["ticket_id"]])
        assert (await ask(till, "/v1/refunds", body, approval=lesser)).status_code == 200
        body = refund_of(sale_id)
        assert (await ask(till, "/v1/refunds", body, approval=full)).status_code == 200


async def test_R18_a_bundle_is_given_back_as_a_whole(till: Outsider) -> None:
    sold = await till.sell(("Family bundle", 2))
    sale_id = sold["sale"]["sale_id"]
    ids = [ticket["ticket_id"] for ticket in sold["tickets"]]
    before = await books(till, sale_id)
    assert await refund(till, sale_id, ticket_ids=ids[:3]) == (422, "E_VALIDATION")
    assert await books(till, sale_id) == before
    status, answer = await refund(till, sale_id, ticket_ids=ids[4:])
    assert (status, answer["amount"]) == (200, 59_000)
    status, answer = await refund(till, sale_id)
    assert (status, answer["amount"]) == (200, 59_000)


async def test_a_store_that_refunds_tickets_refuses_amounts_and_half_said_requests(
    till: Outsider,
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id, ticket_id = sold["sale"]["sale_id"], sold["tickets"][0]["ticket_id"]
    before = await books(till, sale_id)
    assert await refund(till, sale_id, amount=5_000) == (422, "E_VALIDATION")
    assert await refund(till, sale_id, amount=1, ticket_ids=[ticket_id]) == (422, "E_VALIDATION")
    twice = [ticket_id, ticket_id]
    assert await refund(till, sale_id, ticket_ids=twice) == (422, "E_VALIDATION")
    assert await refund(till, sale_id, ticket_ids=[]) == (422, "E_VALIDATION")
    assert await refund(till, sale_id, ticket_ids=[new_ulid()]) == (404, "E_NOT_FOUND")
    for hostile in (-1, 0, 1.5, True, "5", 2**63):
        assert (await refund(till, sale_id, amount=hostile))[1] == "E_VALIDATION"
    assert await books(till, sale_id) == before


async def test_R44_another_parks_sale_looks_like_one_that_does_not_exist(
    till: Outsider, outside: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id = sold["sale"]["sale_id"]
    before = await books(till, sale_id)
    other = await outside.pair("POS", "DEMO-OTHER-PARK")
    await other.staff(email="cashier@other.playpark", pin="1111")
    await other.open_shift()
    errors = [
        (await ask(other, "/v1/refunds", refund_of(each))).json()["error"]
        for each in (sale_id, new_ulid())
    ]
    assert errors[0] == errors[1]
    assert errors[0]["code"] == "E_NOT_FOUND"
    mixed = refund_of(
        sale_id, ticket_ids=[(await till.sell(("Carousel ride", 1)))["tickets"][0]["ticket_id"]]
    )
    approval = await approve(till, "refund", sale_id)
    assert told(await ask(till, "/v1/refunds", mixed, approval=approval)) == (404, "E_NOT_FOUND")
    assert await books(till, sale_id) == before


async def test_R26_without_an_open_shift_there_is_no_refund(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 1))
    await close(till)
    assert await refund(till, sold["sale"]["sale_id"]) == (409, "E_SHIFT_CLOSED")
    sale = (await till.data("GET", f"/v1/sales/{sold['sale']['sale_id']}"))["sale"]
    assert (sale["status"], sale["refunded"]) == ("completed", 0)


async def test_a_voided_sale_has_nothing_to_refund(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id = sold["sale"]["sale_id"]
    approval = await approve(till, "void", sale_id)
    body = {"reason_code": "wrong_package"}
    response = await ask(till, f"/v1/sales/{sale_id}/void", body, approval=approval)
    assert response.status_code == 200
    assert await refund(till, sale_id) == (409, "E_CONFLICT")


async def test_R29_a_refund_has_a_number_of_its_own_series_or_the_servers(
    till: Outsider,
) -> None:
    code = till.device["device_code"]
    sold = await till.sell(("Carousel ride", 3))
    sale_id = sold["sale"]["sale_id"]
    ids = [ticket["ticket_id"] for ticket in sold["tickets"]]
    _, first = await refund(till, sale_id, ticket_ids=ids[:1], receipt_no=f"{code}-R000001")
    assert first["receipt_no"] == f"{code}-R000001"
    again = await refund(till, sale_id, ticket_ids=ids[1:2], receipt_no=f"{code}-R000001")
    assert again == (409, "E_CONFLICT")
    wrong = await refund(till, sale_id, ticket_ids=ids[1:2], receipt_no=f"{code}-S000009")
    assert wrong == (422, "E_VALIDATION")
    _, second = await refund(till, sale_id, ticket_ids=ids[1:2])
    assert second["receipt_no"] == f"{code}-W000002"
    assert (await close(till))["z"]["refunds"]["count"] == 2


async def test_R32_a_practice_sale_took_no_money_and_gives_none_back(till: Outsider) -> None:
    package = (await till.packages())["Adult day pass"]
    body = {
        "lines": [{"package_id": package["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": package["price"]}],
        "training": True,
    }
    practised = (await till.data("POST", "/v1/sales", body, key=new_ulid()))["sale"]
    sale_id = practised["sale_id"]
    assert await refund(till, sale_id) == (404, "E_NOT_FOUND")
    for path, wanted in (
        (f"/v1/sales/{sale_id}/void", {"reason_code": "wrong_package"}),
        ("/v1/reprints", {"sale_id": sale_id, "reason_code": "paper_jam"}),
    ):
        assert told(await ask(till, path, wanted)) == (404, "E_NOT_FOUND")


async def test_refunds_are_listed_and_exported(till: Outsider, outside: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id = sold["sale"]["sale_id"]
    ids = [ticket["ticket_id"] for ticket in sold["tickets"]]
    answers: list[Any] = [
        (await refund(till, sale_id, ticket_ids=[each], reason_text="=cmd()"))[1] for each in ids
    ]
    assert (await till.call("GET", "/v1/refunds")).status_code == 403
    office = await outside.pair("POS")
    await office.staff(**SUPERVISOR)
    page = await office.data("GET", "/v1/refunds", sale_id=sale_id, limit=1)
    rest = await office.data(
        "GET", "/v1/refunds", sale_id=sale_id, limit=1, cursor=page["next_cursor"]
    )
    assert [*page["items"], *rest["items"]] == answers[::-1]
    assert rest["next_cursor"] is None
    day = answers[0]["business_date"]
    for filters, count in (
        ({"from": day, "to": day, "device_id": till.device["device_id"]}, 2),
        ({"device_id": new_ulid()}, 0),
        ({"to": "2000-01-01"}, 0),
    ):
        found = await office.data("GET", "/v1/refunds", **{"sale_id": sale_id, **filters})
        assert len(found["items"]) == count
    text = (await office.call("GET", "/v1/refunds", sale_id=sale_id, format="csv")).text
    head, *lines = text.strip().splitlines()
    assert head.startswith("refund_id,sale_id,sale_receipt_no,receipt_no,business_date")
    assert len(lines) == 2
    assert all(",19900,cash," in line and "'=cmd()" in line for line in lines)
