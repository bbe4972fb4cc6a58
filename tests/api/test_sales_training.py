"""Practice sales: answered like real ones, and nowhere in the books (R32)."""

from collections.abc import AsyncIterator

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import SUPERVISOR, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, Park, refused, sell
from tests.outside import Outsider

BOOKS = (
    *("sales", "payments", "tickets", "events", "customer_points", "operations"),
    *("receipt_ledger", "audits", "training_sales"),
)


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_sales_training") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


async def counts(park: Park) -> dict[str, int]:
    return {name: await park.count(name) for name in BOOKS}


async def test_R32_a_practice_sale_is_answered_and_written_into_no_book(
    park: Park, till: Outsider
) -> None:
    guest = await park.customer()
    before, shift = await counts(park), await park.db["shifts"].find_one({"status": "open"})
    code, rule_id = await park.promo(max_uses=1)
    changed = await counts(park)
    body = park.adult(2, training=True, customer_id=guest, promo_codes=[code])
    body["payments"] = [{"method": "cash", "amount": ADULT * 2 * 9 // 10, "tendered": 40_000}]
    sold = await sell(till, body)
    sale, tickets = sold["sale"], sold["tickets"]
    assert sale["training"] is True
    assert sale["receipt_no"] == f"{till.device['device_code']}-T000001"
    assert (sale["grand_total"], sale["change"], sale["shift_id"]) == (35_820, 4_180, None)
    assert sale["points_earned"] == 0
    assert [each["qr_token"] for each in tickets] == [f"PPT.{t['ticket_id']}" for t in tickets]
    after = await counts(park)
    grown = {name: after[name] - changed[name] for name in BOOKS if after[name] != changed[name]}
    assert grown == {"operations": 1, "receipt_ledger": 1, "audits": 1, "training_sales": 1}
    assert before["sales"] == after["sales"]
    assert await park.points(guest) == 0
    assert (await park.db["rule_uses"].find_one({"_id": rule_id}))["used"] == 0
    assert await park.db["shifts"].find_one({"_id": shift["_id"]}) == shift
    row = await park.db["audits"].find_one({"entity_id": sale["sale_id"]})
    assert row["event_type"] == "training.sale"
    assert set(row["payload"]) == {"receipt_no", "flags"}


async def test_R32_practice_is_found_nowhere_and_its_tickets_admit_nobody(
    park: Park, till: Outsider
) -> None:
    sold = await sell(till, park.adult(training=True))
    sale_id, ticket = sold["sale"]["sale_id"], sold["tickets"][0]
    for path in (f"/v1/sales/{sale_id}", f"/v1/tickets/{ticket['ticket_id']}"):
        assert (await till.call("GET", path)).status_code == 404
    found = await till.data("GET", "/v1/sales", receipt_no=sold["sale"]["receipt_no"])
    assert found["items"] == []
    gate = await park.inside.device("GATE")
    shown = await gate.data("POST", "/v1/tickets/redeem", {"qr_token": ticket["qr_token"]})
    assert (shown["result"], shown["reason"]) == ("fail", "training")
    typed = await gate.data("POST", "/v1/tickets/redeem", {"short_code": ticket["short_code"]})
    assert (typed["result"], typed["reason"]) == ("fail", "unknown_ticket")
    supervised = await park.supervised()
    refund = {"sale_id": sale_id, "reason_code": "customer_request"}
    assert (await refused(supervised, refund, "/refunds"))[:2] == (404, "E_NOT_FOUND")


async def test_R15_a_practice_sale_sent_again_is_answered_as_the_first_time(
    park: Park, till: Outsider
) -> None:
    key, body = new_ulid(), park.adult(training=True)
    first = await sell(till, body, key=key)
    assert await sell(till, body, key=key) == first
    assert (await refused(till, park.adult(), key=key))[1] == "E_IDEMPOTENCY_MISMATCH"


async def test_R32_practice_needs_no_shift_and_no_approval_and_still_a_price(park: Park) -> None:
    till = await park.till(shift=False)
    body = park.adult(training=True)
    body["lines"][0]["manual_discount"] = 5_000
    body["payments"][0]["amount"] = ADULT - 5_000
    sold = await sell(till, body)
    assert sold["sale"]["discount_total"] == 5_000
    body["payments"][0]["amount"] = ADULT
    assert (await refused(till, body))[:2] == (422, "E_VALIDATION")
    body["training"] = 1
    assert (await refused(till, body))[:2] == (422, "E_VALIDATION")


async def test_R32_a_till_practises_with_its_own_numbers(park: Park, till: Outsider) -> None:
    device = till.device["device_code"]
    ids = {
        "receipt_no": f"{device}-T000900",
        "ticket_ids": [[new_ulid()]],
        "short_codes": [["ABCDEFGH"]],
    }
    sale = await park.committed(till, park.adult(training=True, **ids))
    assert (sale["receipt_no"], sale["flags"]) == (ids["receipt_no"], [])
    wrong = park.adult(training=True, receipt_no=f"{device}-S000900")
    assert (await refused(till, wrong))[:2] == (422, "E_VALIDATION")


async def test_R32_practice_goes_on_after_the_numbers_that_a_till_took_itself(park: Park) -> None:
    till = await park.till()
    code = till.device["device_code"]
    for number in (1, 2):
        own = park.adult(training=True, receipt_no=f"{code}-T00000{number}")
        assert (await sell(till, own))["sale"]["training"]
    numbers = [(await sell(till, park.adult(training=True)))["sale"]["receipt_no"] for _ in "ab"]
    assert numbers == [f"{code}-T000003", f"{code}-T000004"]


async def test_R32_practice_settles_no_parked_cart(park: Park, till: Outsider) -> None:
    cart = {"lines": park.lines(("Adult day pass", 1))}
    parked = await tell(till, "POST", "/open_tickets", {"name": "blue", "cart": cart})
    body = park.adult(training=True, open_ticket_id=parked["open_ticket_id"])
    assert (await refused(till, body))[:2] == (422, "E_VALIDATION")
    await park.committed(till, body)
    again = await tell(till, "GET", f"/open_tickets/{parked['open_ticket_id']}")
    assert again["status"] == "open"


async def test_R32_practice_stays_out_of_the_reports_of_the_shift(park: Park) -> None:
    till = await park.till(**SUPERVISOR)
    await sell(till, park.adult(training=True))
    await sell(till, park.adult())
    closed = await tell(till, "POST", "/shifts/close", {"cash_counted": 100_000 + ADULT})
    assert (closed["z"]["sales"]["count"], closed["cash_diff"]) == (1, 0)
