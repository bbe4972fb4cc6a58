"""Parked carts: found on any till, priced anew, changed by one at a time, settled once (R13)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import applied, op, refusal, send, sync, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, CAROUSEL, Park, refused, sell
from tests.outside import Outsider

CASH = {"payments": [{"method": "cash", "amount": ADULT}]}


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_open_tickets") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


@pytest.fixture(scope="module")
async def aging(mongo_uri: str, database: str) -> AsyncIterator[tuple[Park, Outsider]]:
    """A park whose clock is moved, and a till that was there before: whoever logs in later has a
    token that this machine's clock does not accept yet."""
    async with inside(mongo_uri, f"{database}_open_tickets_aging") as aged:
        park = await Park.of(aged)
        yield park, await park.till()


async def put_aside(
    till: Outsider, lines: list[dict[str, Any]], name: str = "family in red", **cart: Any
) -> dict[str, Any]:
    body = {"name": name, "cart": {"lines": lines, **cart}}
    parked: dict[str, Any] = await tell(till, "POST", "/open_tickets", body)
    return parked


async def one_adult(park: Park, till: Outsider) -> str:
    parked = await put_aside(till, park.lines(("Adult day pass", 1)))
    return f"/open_tickets/{parked['open_ticket_id']}"


async def test_a_cart_parked_on_one_till_is_found_and_sold_on_another(
    park: Park, till: Outsider
) -> None:
    parked = await put_aside(till, park.lines(("Adult day pass", 2), ("Carousel ride", 1)))
    assert (parked["pieces"], parked["grand_total"]) == (3, 2 * ADULT + CAROUSEL)
    assert (parked["status"], parked["version"], parked["parked_by"]) == ("open", 1, "Nok")
    other = await park.till(email="cashier2@demo.playpark", pin="2222")
    listed = (await tell(other, "GET", "/open_tickets"))["items"]
    assert listed[0]["open_ticket_id"] == parked["open_ticket_id"]
    path = f"/open_tickets/{parked['open_ticket_id']}"
    read = await tell(other, "GET", path)
    assert (read["difference"], read["problem"]) == (0, None)
    assert read["priced"]["grand_total"] == parked["grand_total"]
    body = {
        "payments": [{"method": "cash", "amount": parked["grand_total"], "tendered": 50_000}],
        "expected_total": parked["grand_total"],
    }
    sold = await tell(other, "POST", f"{path}/checkout", body)
    assert (sold["sale"]["cashier_name"], sold["sale"]["change"]) == ("Ploy", 6_200)
    assert len(sold["tickets"]) == 3
    gone = await tell(till, "GET", path)
    assert (gone["status"], gone["sale_id"]) == ("checked_out", sold["sale"]["sale_id"])
    assert gone["priced"] is None
    assert gone["problem"]
    still = (await tell(till, "GET", "/open_tickets"))["items"]
    assert parked["open_ticket_id"] not in {each["open_ticket_id"] for each in still}


async def test_R13_a_cart_is_priced_as_of_now_with_the_difference(
    park: Park, till: Outsider
) -> None:
    ride = await park.add("/catalog/packages", kind="single", price=10_000)
    lines = [{"package_id": ride["package_id"], "qty": 2}]
    path = f"/open_tickets/{(await put_aside(till, lines))['open_ticket_id']}"
    package = f"/catalog/packages/{ride['package_id']}"
    await tell(park.owner, "PATCH", package, {"price": 9_000})
    read = await tell(till, "GET", path)
    assert (read["grand_total"], read["difference"]) == (20_000, -2_000)
    assert read["priced"]["grand_total"] == 18_000
    as_parked = {"payments": [{"method": "cash", "amount": 20_000}], "expected_total": 20_000}
    status, code, details = await refused(till, as_parked, f"{path}/checkout")
    assert (status, code, details["grand_total"]) == (409, "E_PRICE_CHANGED", 18_000)
    await tell(park.owner, "PATCH", package, {"active": False})
    read = await tell(till, "GET", path)
    assert (read["priced"], read["difference"]) == (None, None)
    assert read["problem"]
    cash = {"payments": [{"method": "cash", "amount": 18_000}]}
    assert (await refused(till, cash, f"{path}/checkout"))[:2] == (409, "E_INACTIVE_PACKAGE")
    assert (await tell(till, "GET", path))["status"] == "open"


async def test_two_tills_checking_out_one_cart_make_exactly_one_sale(
    park: Park, till: Outsider
) -> None:
    tills = [till, *[await park.till() for _ in range(4)]]
    path = await one_adult(park, till)
    open_ticket_id = path.rsplit("/", 1)[1]
    before = await park.count("sales")
    # Half of them by the route, half by a sale that names the cart, as our till does.
    calls = [
        each.call("POST", f"/v1{path}/checkout", CASH, key=new_ulid())
        if number % 2
        else each.call(
            "POST", "/v1/sales", park.adult(open_ticket_id=open_ticket_id), key=new_ulid()
        )
        for number, each in enumerate(tills)
    ]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    codes = {(answer.json()["error"] or {}).get("code") for answer in answers}
    assert codes == {None, "E_CONFLICT"}
    assert await park.count("sales") == before + 1
    assert await park.count("sales", open_ticket_id=open_ticket_id) == 1
    assert await park.count("tickets", sale_id={"$exists": True}) >= 1


async def test_R15_a_checkout_sent_again_is_answered_as_the_first_time(
    park: Park, till: Outsider
) -> None:
    path, key = await one_adult(park, till), new_ulid()
    first = await tell(till, "POST", f"{path}/checkout", CASH, key=key)
    assert await tell(till, "POST", f"{path}/checkout", CASH, key=key) == first
    other = await one_adult(park, till)
    status, code, _ = await refused(till, CASH, f"{other}/checkout", key=key)
    assert (status, code) == (422, "E_IDEMPOTENCY_MISMATCH")
    no_key = await till.call("POST", f"/v1{other}/checkout", CASH)
    assert no_key.json()["error"]["code"] == "E_IDEMPOTENCY_KEY_REQUIRED"


async def test_a_refused_checkout_leaves_the_cart_where_it_is(park: Park, till: Outsider) -> None:
    path = await one_adult(park, till)
    short = {"payments": [{"method": "cash", "amount": ADULT - 1}]}
    assert (await refused(till, short, f"{path}/checkout"))[1] == "E_INSUFFICIENT_TENDER"
    read = await tell(till, "GET", path)
    assert (read["status"], read["version"]) == ("open", 1)
    nobody = await park.till(shift=False)
    assert (await refused(nobody, CASH, f"{path}/checkout"))[1] == "E_SHIFT_CLOSED"
    await tell(till, "POST", f"{path}/checkout", CASH)


async def test_a_change_needs_the_version_that_was_read(park: Park, till: Outsider) -> None:
    path = await one_adult(park, till)
    cart = {"lines": park.lines(("Carousel ride", 3))}
    changed = await tell(till, "PATCH", path, {"version": 1, "name": "in blue", "cart": cart})
    assert (changed["name"], changed["pieces"], changed["version"]) == ("in blue", 3, 2)
    assert changed["grand_total"] == 3 * CAROUSEL
    assert await refusal(till, "PATCH", path, {"version": 1, "name": "late"}) == (409, "E_CONFLICT")
    renamed = await tell(till, "PATCH", path, {"version": 2, "name": "in green"})
    assert (renamed["cart"], renamed["grand_total"]) == (changed["cart"], 3 * CAROUSEL)
    other = await park.till()
    answers = await asyncio.gather(
        *(
            each.call("PATCH", f"/v1{path}", {"version": 3, "name": f"by {number}"})
            for number, each in enumerate((till, other))
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_deleted_cart_is_off_the_list_cannot_be_sold_and_is_audited(
    park: Park, till: Outsider
) -> None:
    path = await one_adult(park, till)
    gone = await tell(till, "DELETE", path)
    assert (gone["status"], gone["priced"]) == ("deleted", None)
    assert await refusal(till, "DELETE", path) == (409, "E_CONFLICT")
    assert (await refused(till, CASH, f"{path}/checkout"))[:2] == (409, "E_CONFLICT")
    row = await park.db["audits"].find_one({"entity_id": path.rsplit("/", 1)[1]})
    assert row["event_type"] == "open_ticket.deleted"
    assert row["payload"] == {"grand_total": ADULT, "pieces": 1}


async def test_a_cart_expires_after_the_hours_of_the_store(aging: tuple[Park, Outsider]) -> None:
    park, till = aging
    await park.settings(sales={"parked_hours": 2})
    path = await one_adult(park, till)
    kept = await one_adult(park, till)
    park.inside.clock.advance(timedelta(hours=1, minutes=59))
    assert (await tell(till, "GET", path))["status"] == "open"
    cart = {"lines": park.lines(("Adult day pass", 1))}
    await tell(till, "PATCH", kept, {"version": 1, "cart": cart})
    park.inside.clock.advance(timedelta(minutes=1))
    read = await tell(till, "GET", path)
    assert (read["status"], read["priced"]) == ("expired", None)
    listed = {
        each["open_ticket_id"] for each in (await tell(till, "GET", "/open_tickets"))["items"]
    }
    assert path.rsplit("/", 1)[1] not in listed
    assert kept.rsplit("/", 1)[1] in listed  # changed, and so parked anew
    assert (await refused(till, CASH, f"{path}/checkout"))[:2] == (409, "E_CONFLICT")
    assert await refusal(till, "PATCH", path, {"version": 1, "name": "x"}) == (409, "E_CONFLICT")
    await park.settings(sales={"parked_hours": None})
    stored = await park.db["open_tickets"].find_one({"_id": path.rsplit("/", 1)[1]})
    assert stored["purge_at"] - stored["expires_at"] == timedelta(days=30)
    indexes = await park.db["open_tickets"].index_information()
    ending = [each for each in indexes.values() if "expireAfterSeconds" in each]
    assert [(each["key"], each["expireAfterSeconds"]) for each in ending] == [
        ([("purge_at", 1)], 0)
    ]


async def test_R17_a_cart_that_is_gone_is_flagged_once_the_money_is_taken(
    park: Park, till: Outsider
) -> None:
    path = await one_adult(park, till)
    open_ticket_id = path.rsplit("/", 1)[1]
    await tell(till, "POST", f"{path}/checkout", CASH)
    late = await park.committed(till, park.adult(open_ticket_id=open_ticket_id))
    assert late["flags"] == ["open_ticket_gone"]
    unknown = await park.committed(till, park.adult(open_ticket_id=new_ulid()))
    assert unknown["flags"] == ["open_ticket_gone"]
    assert (await refused(till, park.adult(open_ticket_id=new_ulid())))[:2] == (404, "E_NOT_FOUND")


async def test_R17_a_cart_whose_time_was_over_is_settled_and_flagged(
    aging: tuple[Park, Outsider],
) -> None:
    park, till = aging
    expired = (await one_adult(park, till)).rsplit("/", 1)[1]
    late = await park.op(till, park.adult(open_ticket_id=expired))
    # A day later nobody is logged in any more: the till sends what happened by its own token.
    known = {key: till.device[key] for key in ("device_id", "device_token")}
    till.token = (await tell(till, "POST", "/auth/device/login", known))["access_token"]
    park.inside.clock.advance(timedelta(hours=25))
    late["occurred_at"] = park.inside.clock.now().isoformat()
    (result,) = await applied(till, late)
    sale = result["sale"]
    assert sale["flags"] == ["open_ticket_expired"]
    stored = await park.db["open_tickets"].find_one({"_id": expired})
    assert (stored["status"], stored["sale_id"]) == ("checked_out", sale["sale_id"])


async def test_R14_a_checkout_comes_by_the_batch_too(park: Park, till: Outsider) -> None:
    open_ticket_id = (await one_adult(park, till)).rsplit("/", 1)[1]
    body = {**CASH, "open_ticket_id": open_ticket_id}
    employee_id = (await tell(till, "GET", "/employees/me"))["employee_id"]
    at = park.inside.clock.now().isoformat()
    sent = op("checkout", body, employee_id=employee_id, occurred_at=at)
    first, again = await sync(till, sent, sent)
    assert (first["status"], again["status"]) == ("applied", "duplicate")
    assert first["result"]["sale"]["flags"] == []
    direct = await tell(
        till, "POST", f"/open_tickets/{open_ticket_id}/checkout", CASH, key=sent["op_id"]
    )
    assert direct == first["result"]


async def test_R44_carts_are_the_stores_own_and_for_those_who_sell(
    park: Park, till: Outsider
) -> None:
    path = await one_adult(park, till)
    stranger = await Outsider(park.inside.http).pair("POS", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    await stranger.open_shift()
    assert (await tell(stranger, "GET", "/open_tickets"))["items"] == []
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"version": 1, "name": "x"})):
        assert await refusal(stranger, method, path, body) == (404, "E_NOT_FOUND")
    assert (await refused(stranger, CASH, f"{path}/checkout"))[:2] == (404, "E_NOT_FOUND")
    gate = await park.inside.device("GATE")
    for method, where in (("GET", "/open_tickets"), ("GET", path), ("DELETE", path)):
        assert await refusal(gate, method, where) == (403, "E_PERMISSION")
    kiosk = await park.inside.device("KIOSK")  # it sells by itself, and has no carts of others
    for method, where in (("GET", "/open_tickets"), ("GET", path), ("DELETE", path)):
        assert await refusal(kiosk, method, where) == (401, "E_UNAUTHENTICATED")
    assert (await tell(till, "GET", path))["status"] == "open"


async def test_R15_a_cart_that_is_sent_again_is_parked_once_and_answered_as_at_first(
    park: Park, till: Outsider
) -> None:
    body = {"name": "blue", "cart": {"lines": park.lines(("Carousel ride", 1))}}
    key = new_ulid()
    first = await tell(till, "POST", "/open_tickets", body, key=key)
    path = f"/open_tickets/{first['open_ticket_id']}"
    await tell(till, "PATCH", path, {"version": 1, "name": "green"})
    again = await send(till, "POST", "/open_tickets", body, key=key)
    assert (again.json()["data"], again.headers["Idempotent-Replayed"]) == (first, "true")
    assert await park.count("open_tickets", name="green") == 1
    assert await park.count("open_tickets", name="blue") == 0
    other = body | {"name": "red"}
    mismatch = await refusal(till, "POST", "/open_tickets", other, key=key)
    assert mismatch == (422, "E_IDEMPOTENCY_MISMATCH")
    answers = await asyncio.gather(
        *(send(till, "POST", "/open_tickets", body, key=path[-26:]) for _ in range(20))
    )
    assert {each.json()["data"]["open_ticket_id"] for each in answers} == {
        answers[0].json()["data"]["open_ticket_id"]
    }


async def test_R15_a_cart_is_parked_by_sync_too_and_never_by_nobody(
    park: Park, till: Outsider
) -> None:
    body = {"name": "by sync", "cart": {"lines": park.lines(("Carousel ride", 1))}}
    me = (await tell(till, "GET", "/employees/me"))["employee_id"]
    asked = op("park", body, committed=False, employee_id=me)
    (parked,) = await sync(till, asked)
    (again,) = await sync(till, asked)
    assert (parked["status"], again["status"]) == ("applied", "duplicate")
    assert parked["result"] == again["result"]
    (refused,) = await sync(till, op("park", body))
    assert (refused["status"], refused["code"]) == ("rejected", "E_UNAUTHENTICATED")


async def test_what_cannot_be_sold_cannot_be_parked(park: Park, till: Outsider) -> None:
    lines = park.lines(("Adult day pass", 1))
    for cart, expected in (
        ({"lines": [{"package_id": new_ulid(), "qty": 1}]}, (404, "E_NOT_FOUND")),
        ({"lines": lines, "promo_codes": ["NOSUCH"]}, (422, "E_VALIDATION")),
        ({"lines": lines, "customer_id": new_ulid()}, (404, "E_NOT_FOUND")),
        ({"lines": []}, (422, "E_VALIDATION")),
    ):
        body = {"name": "x", "cart": cart}
        assert await refusal(till, "POST", "/open_tickets", body) == expected
    unnamed = {"name": "  ", "cart": {"lines": lines}}
    assert await refusal(till, "POST", "/open_tickets", unnamed) == (422, "E_VALIDATION")


async def test_what_was_rung_with_a_cart_is_all_in_its_sale(park: Park, till: Outsider) -> None:
    guest = await park.customer()
    lines = park.lines(("Carousel ride", 10))
    parked = await put_aside(till, lines, promo_codes=["FAMILY10"], customer_id=guest)
    body = {"payments": [{"method": "cash", "amount": parked["grand_total"]}]}
    path = f"/open_tickets/{parked['open_ticket_id']}/checkout"
    sale = (await tell(till, "POST", path, body))["sale"]
    assert (sale["grand_total"], sale["promo_codes"]) == (36_000, ["FAMILY10"])
    assert (sale["customer_id"], sale["points_earned"]) == (guest, 3)
    assert (await sell(till, park.adult(open_ticket_id=None)))["sale"]["flags"] == []
