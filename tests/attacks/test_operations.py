"""One operation has one effect, whoever repeats it, in whatever order and through whichever door
and process (R14–R16, R20, R35; ATTACKS 20, 22–25)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from playpark.ids import new_ulid
from tests.api.drawers import op, send, sync, tell
from tests.api.giving_back import SUPERVISOR, approve, ask
from tests.api.own_park import OwnPark, own_park
from tests.conftest import running_api
from tests.outside import CASHIER, Outsider

MANY = 20


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_attacked") as park:
        yield park


@pytest.fixture
async def till(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("POS", **CASHIER) as till:
        await till.open_shift(0)
        yield till


@pytest.fixture
async def another(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("POS", **CASHIER) as till:
        await till.open_shift(0)
        yield till


@pytest.fixture
async def other_park(park: OwnPark) -> AsyncIterator[Outsider]:
    who = {"email": "cashier@other.playpark", "pin": "1111"}
    async with park.connect("POS", "DEMO-OTHER-PARK", **who) as till:
        await till.open_shift(0)
        yield till


async def ride(till: Outsider, **more: Any) -> dict[str, Any]:
    """The body of a sale of one ride: whatever the park's first package is."""
    package = min((await till.packages()).values(), key=lambda each: each["price"])
    line = {"package_id": package["package_id"], "qty": 1}
    return {
        "lines": [line],
        "payments": [{"method": "cash", "amount": package["price"]}],
        **more,
    }


# --- 20: double spend -------------------------------------------------------------------


async def test_attack_20_fifty_gates_on_three_processes_admit_one_guest(
    park: OwnPark, mongo_uri: str, till: Outsider
) -> None:
    """The scans lie ten seconds apart, so that it is the quota alone that refuses."""
    (ticket,) = (await till.sell(("Carousel ride", 1)))["tickets"]
    now, which = datetime.now(UTC), {"ticket_id": ticket["ticket_id"]}
    park.mongo.tickets.update_one(which, {"$set": {"valid_from": now - timedelta(days=1)}})
    shown = [
        {
            "qr_token": ticket["qr_token"],
            "occurred_at": (now - timedelta(seconds=10 * n)).isoformat(),
        }
        for n in reversed(range(50))
    ]
    with ExitStack() as processes:
        more = [processes.enter_context(running_api(mongo_uri, park.mongo.name)) for _ in range(2)]
        gates = [
            await Outsider(httpx.AsyncClient(base_url=url, timeout=30)).pair("GATE")
            for url in (park.url, *more)
        ]
        answers = await asyncio.gather(
            *(tell(gates[n % 3], "POST", "/tickets/redeem", each) for n, each in enumerate(shown))
        )
        for gate in gates:
            await gate.http.aclose()
    assert sorted(answer["result"] for answer in answers) == ["fail"] * 49 + ["pass"]
    assert {answer["reason"] for answer in answers} == {None, "duplicate_use"}
    assert park.mongo.tickets.find_one(which)["used"] == 1
    rows = list(park.mongo.redemptions.find(which))
    assert sorted(row["result"] for row in rows) == ["fail"] * 49 + ["pass"]


# --- 22: the same key once more -----------------------------------------------------------

Asked = tuple[str, dict[str, Any], str | None]
"""Path, body, and the approval that comes with it."""


async def _opening(till: Outsider) -> Asked:
    current = await tell(till, "GET", "/shifts/current")
    expected = (await tell(till, "GET", f"/shifts/{current['shift_id']}"))["cash_open"]
    await tell(till, "POST", "/shifts/close", {"cash_counted": expected})
    return "/shifts/open", {"cash_open": 500}, None


async def _sale(till: Outsider) -> Asked:
    return "/sales", await ride(till), None


async def _parking(till: Outsider) -> Asked:
    return "/open_tickets", {"name": "red", "cart": {"lines": (await ride(till))["lines"]}}, None


async def _movement(till: Outsider) -> Asked:
    drawer = (await tell(till, "GET", "/shifts/current"))["shift_id"]
    body = {"type": "pay_in", "amount": 100, "reason_code": "change_money"}
    return f"/cash_drawers/{drawer}/movements", body, None


async def _admission(till: Outsider) -> Asked:
    ticket = (await tell(till, "POST", "/sales", await ride(till)))["tickets"][0]
    return "/redemptions", {"qr_token": ticket["qr_token"]}, None


async def _refund(till: Outsider) -> Asked:
    sale_id = (await tell(till, "POST", "/sales", await ride(till)))["sale"]["sale_id"]
    body = {"sale_id": sale_id, "reason_code": "customer_request"}
    return "/refunds", body, await approve(till, "refund", sale_id)


async def _reprint(till: Outsider) -> Asked:
    sale_id = (await tell(till, "POST", "/sales", await ride(till)))["sale"]["sale_id"]
    body = {"sale_id": sale_id, "reason_code": "customer_request"}
    return "/reprints", body, await approve(till, "reprint", sale_id)


async def _void(till: Outsider) -> Asked:
    sale_id = (await tell(till, "POST", "/sales", await ride(till)))["sale"]["sale_id"]
    approval = await approve(till, "void", sale_id)
    return f"/sales/{sale_id}/void", {"reason_code": "customer_request"}, approval


async def _clock_in(till: Outsider) -> Asked:
    del till
    return "/timecards/clock_in", {}, None


@pytest.mark.parametrize(
    "make",
    [_opening, _sale, _parking, _movement, _admission, _refund, _reprint, _void, _clock_in],
    ids=lambda make: make.__name__.strip("_"),
)
async def test_attack_22_the_same_key_answers_as_at_first_and_another_body_is_refused(
    till: Outsider, make: Callable[[Outsider], Awaitable[Asked]]
) -> None:
    (path, body, approval), key = await make(till), new_ulid()
    first = await ask(till, f"/v1{path}", body, approval=approval, key=key)
    assert first.status_code == 200, first.text
    again = await ask(till, f"/v1{path}", body, key=key)
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    other = body | {"occurred_at": "2026-01-01T00:00:00Z"}
    if path == "/open_tickets":
        other = body | {"name": "blue"}
    refused = await ask(till, f"/v1{path}", other, approval=approval, key=key)
    told = refused.status_code, refused.json()["error"]["code"]
    assert told == (422, "E_IDEMPOTENCY_MISMATCH")
    still = await ask(till, f"/v1{path}", body, key=key)
    assert still.json()["data"] == first.json()["data"]


async def test_attack_22_another_devices_and_another_parks_key_is_their_own(
    park: OwnPark, till: Outsider, another: Outsider, other_park: Outsider
) -> None:
    key = new_ulid()
    sales = []
    for who in (till, another, other_park):
        response = await send(who, "POST", "/sales", await ride(who), key=key)
        assert response.status_code == 200
        assert "Idempotent-Replayed" not in response.headers
        sales.append(response.json()["data"]["sale"])
    assert len({sale["sale_id"] for sale in sales}) == 3
    assert len({sale["device_id"] for sale in sales}) == 3
    assert park.mongo.sales.count_documents({"op_id": key}) == 3


# --- 23: the same key at once -----------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "collection"),
    [
        (_sale, "sales"),
        (_refund, "refunds"),
        (_void, "voids"),
        (_reprint, "reprints"),
        (_movement, "cash_movements"),
        (_admission, "redemptions"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else value,
)
async def test_attack_23_the_same_key_twenty_times_at_once_has_one_effect(
    park: OwnPark, till: Outsider, make: Callable[[Outsider], Awaitable[Asked]], collection: str
) -> None:
    (path, body, approval), key = await make(till), new_ulid()
    answers = await asyncio.gather(
        *(ask(till, f"/v1{path}", body, approval=approval, key=key) for _ in range(MANY))
    )
    assert [answer.status_code for answer in answers] == [200] * MANY
    assert len({str(answer.json()["data"]) for answer in answers}) == 1
    fresh = [each for each in answers if "Idempotent-Replayed" not in each.headers]
    assert len(fresh) == 1
    which = {"op_id": key, "device_id": till.device["device_id"]}
    assert park.mongo[collection].count_documents(which) == 1
    assert park.mongo.operations.count_documents(which) == 1


async def test_attack_23_both_doors_at_once_have_one_effect(park: OwnPark, till: Outsider) -> None:
    body, me = await ride(till), (await tell(till, "GET", "/employees/me"))["employee_id"]
    sent = op("sale", body, committed=False, employee_id=me)
    direct = [send(till, "POST", "/sales", body, key=sent["op_id"]) for _ in range(MANY // 2)]
    synced = [sync(till, sent) for _ in range(MANY // 2)]
    answers = await asyncio.gather(asyncio.gather(*direct), asyncio.gather(*synced))
    told = [each.json()["data"]["sale"]["sale_id"] for each in answers[0]]
    told += [result["result"]["sale"]["sale_id"] for (result,) in answers[1]]
    assert len(told) == MANY
    assert len(set(told)) == 1
    assert park.mongo.sales.count_documents({"op_id": sent["op_id"]}) == 1


# --- 24: the op_id of another device -----------------------------------------------------


@pytest.mark.parametrize(
    "make", [_sale, _movement, _admission, _refund], ids=lambda make: make.__name__.strip("_")
)
async def test_attack_24_another_devices_op_id_never_yields_its_answer(
    till: Outsider, another: Outsider, make: Callable[[Outsider], Awaitable[Asked]]
) -> None:
    (path, body, approval), key = await make(till), new_ulid()
    first = await ask(till, f"/v1{path}", body, approval=approval, key=key)
    assert first.status_code == 200
    stolen = await ask(another, f"/v1{path}", body, key=key)
    assert "Idempotent-Replayed" not in stolen.headers
    assert stolen.json()["data"] != first.json()["data"]
    for name, value in _ids(first.json()["data"]):
        assert (name, value) not in _ids(stolen.json()["data"] or {})


def _ids(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What the answer has made."""
    flat = told | told.get("sale", {})
    made = ("sale_id", "refund_id", "movement_id", "redemption_id", "receipt_no")
    return [(name, flat[name]) for name in made if name in flat]


async def test_attack_24_a_shift_whose_id_another_device_has_taken_is_refused(
    park: OwnPark, till: Outsider
) -> None:
    """A shift is named by its operation, so one id opens one shift in the store."""
    taken = (await tell(till, "GET", "/shifts/current"))["shift_id"]
    async with park.connect("POS", **CASHIER) as another:
        for door in ("direct", "sync"):
            if door == "direct":
                refused = await send(another, "POST", "/shifts/open", {"cash_open": 0}, key=taken)
                code = refused.json()["error"]["code"]
            else:
                forged = op("shift_open", {"cash_open": 0}) | {"op_id": taken}
                (result,) = await sync(another, forged)
                code = result["code"]
            assert code == "E_CONFLICT", door
            none_open = await send(another, "GET", "/shifts/current")
            assert none_open.json()["error"]["code"] == "E_SHIFT_CLOSED"


async def test_attack_24_nobody_acts_in_the_name_of_who_is_not_logged_in_here(
    park: OwnPark, till: Outsider
) -> None:
    boss = park.mongo.employees.find_one({"email": SUPERVISOR["email"]})["_id"]
    sale_id = (await tell(till, "POST", "/sales", await ride(till)))["sale"]["sale_id"]
    body = {"sale_id": sale_id, "reason_code": "customer_request"}
    for committed in (False, True):
        forged = op("refund", body, employee_id=boss, committed=committed)
        (result,) = await sync(till, forged)
        if committed:  # money that has gone is booked, and looked at by somebody
            assert "unapproved" in result["result"]["flags"]
        else:
            assert (result["status"], result["code"]) == ("rejected", "E_PERMISSION")


# --- 25: batches ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "status", "code"),
    [(0, 422, "E_VALIDATION"), (51, 413, "E_BATCH_TOO_LARGE"), (501, 413, "E_BATCH_TOO_LARGE")],
)
async def test_attack_25_a_batch_of_the_wrong_size_is_refused_whole(
    park: OwnPark, till: Outsider, count: int, status: int, code: str
) -> None:
    body = await ride(till)
    before = park.mongo.sales.count_documents({})
    ops = [op("sale", body) for _ in range(count)]
    response = await send(till, "POST", "/sync/batch", {"epoch": 1, "ops": ops})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert park.mongo.sales.count_documents({}) == before


async def test_attack_25_an_unknown_kind_is_refused_before_anything_is_applied(
    park: OwnPark, till: Outsider
) -> None:
    good = op("sale", await ride(till))
    for kind in ("grant_admin", "$where", "", "SALE"):
        batch = {"epoch": 1, "ops": [good, op(kind, {})]}
        response = await send(till, "POST", "/sync/batch", batch)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "E_VALIDATION")
    assert park.mongo.sales.count_documents({"op_id": good["op_id"]}) == 0


async def test_attack_25_an_op_that_stands_twice_in_a_batch_is_applied_once(
    park: OwnPark, till: Outsider
) -> None:
    twice = op("sale", await ride(till))
    forged = op("sale", await ride(till, promo_codes=["FAMILY10"])) | {"op_id": twice["op_id"]}
    results = await sync(till, twice, twice, forged)
    assert [result["status"] for result in results] == ["applied", "duplicate", "rejected"]
    assert results[2]["code"] == "E_IDEMPOTENCY_MISMATCH"
    assert results[0]["result"] == results[1]["result"]
    assert park.mongo.sales.count_documents({"op_id": twice["op_id"]}) == 1


POISONS: list[tuple[str, Any]] = [
    ("sale", {"lines": "no"}),
    ("sale", {"lines": [{"package_id": {"$ne": ""}, "qty": 1}], "payments": []}),
    ("sale", {"lines": [{"package_id": "nobody", "qty": 1}], "payments": []}),
    ("refund", {"sale_id": "nobody", "reason_code": "customer_request"}),
    ("redemption", {"qr_token": "\x00$where"}),
    ("shift_close", {"counted": {"0": 1}}),
    ("timecard", {"event": "__class__"}),
    ("abandon", {"op_id": "x", "receipt_no": "99-S999999999999"}),
    ("points", {"customer_id": "a.b", "points": 10**15, "reason_text": "x"}),
]


@pytest.mark.parametrize(("kind", "body"), POISONS, ids=lambda value: str(value)[:40])
async def test_attack_25_one_poison_in_the_middle_stops_nobody_else(
    park: OwnPark, till: Outsider, kind: str, body: Any
) -> None:
    good = [op("sale", await ride(till)) for _ in range(4)]
    results = await sync(till, *good[:2], op(kind, body), *good[2:])
    told = [result["status"] for result in results]
    assert told[:2] + told[3:] == ["applied"] * 4
    assert results[2]["code"] != "E_INTERNAL"
    if kind != "redemption":  # a code that is none is refused at the gate, and written down
        assert told[2] == "rejected"
    ids = [each["op_id"] for each in good]
    assert park.mongo.sales.count_documents({"op_id": {"$in": ids}}) == 4
