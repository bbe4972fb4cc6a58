"""What had happened and cannot be booked is kept, and a person decides about it (R17, R29, R35)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.platform.uow import unavailable
from api.sync.clocks import Timeline
from playpark.ids import new_ulid
from tests.api.drawers import approve
from tests.api.inside import Inside, inside
from tests.api.outages import OWNER, Store, answered, letters, resolve, statuses
from tests.outside import CASHIER, Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_letters") as park:
        yield park


@pytest.fixture
async def store(park: Inside) -> Store:
    till = Store(await (await park.device("POS")).staff(), park)
    await till.sync(till.op("shift_open", {"cash_open": 0}))
    return till


@pytest.fixture
async def office(park: Inside) -> Outsider:
    return await (await park.device("ADMIN")).staff(**OWNER)


async def ledger(park: Inside, receipt_no: str) -> tuple[str, str]:
    """(state, op_id) of a number's row."""
    row = await park.platform.mongo.db.receipt_ledger.find_one({"receipt_no": receipt_no})
    assert row is not None
    return row["state"], row["op_id"]


async def told_of(park: Inside, letter_id: str) -> list[str]:
    """The audit rows and events of a letter, in their order."""
    db = park.platform.mongo.db
    about = {"entity_id": letter_id, "event_type": {"$regex": "^dead_letter"}}
    rows = await db.audits.find(about).sort("ts", 1).to_list(None)
    events = await db.events.find({"data.dead_letter_id": letter_id}).to_list(None)
    assert sorted(row["event_type"] for row in rows) == sorted(each["type"] for each in events)
    return [row["event_type"] for row in rows]


# --- what is kept -----------------------------------------------------------------------


async def test_R35_what_had_happened_and_is_refused_is_kept_with_its_body(
    park: Inside, store: Store, office: Outsider
) -> None:
    sold = await store.bad_sale(1, local={"printed": True})
    (refused,) = await store.sync(sold)
    assert (refused["status"], refused["code"]) == ("rejected", "E_NOT_FOUND")
    (letter,) = await letters(office, device_id=store.device_id)
    assert letter["dead_letter_id"] == refused["dead_letter_id"]
    assert (letter["kind"], letter["status"]) == ("rejected", "open")
    assert (letter["op_id"], letter["op_kind"]) == (sold["op_id"], "sale")
    assert (letter["amount"], letter["code"]) == (4_000, "E_NOT_FOUND")
    assert (letter["receipt_no"], letter["seq"]) == (f"{store.code}-S000001", 2)
    assert letter["body"] is None
    path = f"/v1/sync/dead_letters/{letter['dead_letter_id']}"
    assert (await office.data("GET", path))["body"] == sold["body"]
    assert await ledger(park, letter["receipt_no"]) == ("dead_lettered", sold["op_id"])
    assert await told_of(park, letter["dead_letter_id"]) == ["dead_letter.kept"]


async def test_R35_it_is_kept_once_however_often_it_comes(
    park: Inside, store: Store, office: Outsider
) -> None:
    sold = await store.bad_sale(1)
    answers = await asyncio.gather(*(store.sync(sold) for _ in range(12)))
    again = await store.sync(sold)
    found = {results[0]["dead_letter_id"] for results in (*answers, again)}
    assert len(found) == 1
    assert len(await letters(office, device_id=store.device_id)) == 1
    assert await told_of(park, found.pop()) == ["dead_letter.kept"]


async def test_R17_what_had_not_happened_is_refused_and_not_kept(
    store: Store, office: Outsider
) -> None:
    refused, malformed = await store.sync(
        await store.bad_sale(committed=False),
        store.op("sale", {"lines": "no"}, committed=False),
    )
    assert (refused["status"], refused["dead_letter_id"]) == ("rejected", None)
    assert (malformed["status"], malformed["dead_letter_id"]) == ("rejected", None)
    assert await letters(office, device_id=store.device_id) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lines": {"$ne": ""}, "receipt_no": {"$gt": ""}, "payments": [{"amount": "4000"}]},
        {"lines": [], "receipt_no": "../../etc", "payments": [7, None], "rung": [1]},
        {"receipt_no": 7, "rung": {"grand_total": -1}, "payments": {"a": 1}},
        {"deep": [[[[[[[[]]]]]]]], "payments": [{"amount": True}], "a.b": {"$where": "1"}},
    ],
    ids=["empty", "operators", "lists", "objects", "dots"],
)
async def test_R35_a_malformed_body_is_kept_and_stops_nobody(
    store: Store, office: Outsider, body: dict[str, Any]
) -> None:
    broken = store.op("sale", body)
    results = await store.sync(broken, await store.sale(1))
    assert statuses(results) == ["rejected", "applied"]
    letter_id = results[0]["dead_letter_id"]
    shown = await office.data("GET", f"/v1/sync/dead_letters/{letter_id}")
    assert (shown["body"], shown["code"]) == (body, "E_VALIDATION")
    assert answered(await resolve(office, letter_id, "apply")) == (422, "E_VALIDATION")
    assert answered(await resolve(office, letter_id, "dismiss")) == (200, None)


async def test_R35_what_breaks_the_server_is_kept_and_booked_when_it_comes_again(
    park: Inside, store: Store, office: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = await store.sale(1)
    with monkeypatch.context() as broken:
        broken.setattr("api.sales.service.shifts.book_sale", None)
        before, after = await store.sync(poison, store.op("cash_movement", MOVED))
    assert (before["status"], before["code"], after["status"]) == (
        "rejected",
        "E_INTERNAL",
        "applied",
    )
    (applied,) = await store.sync(poison)
    assert applied["status"] == "applied"
    (letter,) = await letters(office, device_id=store.device_id)
    assert (letter["status"], letter["resolved_by"]) == ("applied", None)
    told = await told_of(park, before["dead_letter_id"])
    assert told == ["dead_letter.kept", "dead_letter.applied"]
    assert await ledger(park, f"{store.code}-S000001") == ("applied", poison["op_id"])


MOVED = {"type": "pay_in", "amount": 1_000, "reason_code": "change_money"}


async def test_R15_no_token_is_stored_or_shown(
    park: Inside, store: Store, office: Outsider
) -> None:
    token = "PP2.THIS-IS-A-TOKEN-ON-PAPER"
    sold = await store.bad_sale(local={"printed": True, "tokens": [[token]]})
    sold["body"]["note"] = token
    sold["body"]["qr_token"] = "PP1.ANOTHER"
    (refused,) = await store.sync(sold)
    shown = await office.data("GET", f"/v1/sync/dead_letters/{refused['dead_letter_id']}")
    assert "PP2" not in json.dumps(shown)
    assert "PP1" not in json.dumps(shown)
    assert shown["body"]["lines"] == sold["body"]["lines"]
    stored = await park.platform.mongo.db.dead_letters.find_one({"op_id": sold["op_id"]})
    assert "PP2" not in str(stored)
    gone = await store.sale(2, local={"printed": True, "tokens": [[token]]})
    await store.sync(gone)
    record = await park.platform.mongo.db.operations.find_one({"op_id": gone["op_id"]})
    assert record is not None
    assert "tokens" not in record["local"]


async def test_R35_a_letter_that_cannot_be_written_is_no_refusal_yet(
    store: Store, office: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = await store.bad_sale()
    with monkeypatch.context() as away:
        away.setattr("api.sync.keeping._letter", _away)
        (again,) = await store.sync(sold)
    assert (again["status"], again["code"]) == ("retry", "E_UNAVAILABLE")
    (refused,) = await store.sync(sold)
    assert refused["dead_letter_id"]


def _away(*_: Any) -> None:
    raise unavailable()


# --- who depends on it ------------------------------------------------------------------


async def test_R35_what_depends_on_it_waits_in_later_batches_too(
    store: Store, office: Outsider
) -> None:
    bad = await store.bad_sale()
    first = store.op("cash_movement", MOVED, depends_on=[bad["op_id"]])
    second = store.op("cash_movement", MOVED, depends_on=[first["op_id"]])
    free = store.op("cash_movement", MOVED)
    results = await store.sync(bad, first, second, free)
    assert statuses(results) == ["rejected", "blocked", "blocked", "applied"]
    assert [each["blocked_on"] for each in results[1:3]] == [bad["op_id"], first["op_id"]]
    (waits,) = await store.sync(first)
    assert (waits["status"], waits["blocked_on"]) == ("blocked", bad["op_id"])
    letter_id = results[0]["dead_letter_id"]
    assert answered(await resolve(office, letter_id, "dismiss")) == (200, None)
    assert statuses(await store.sync(first, second)) == ["applied", "applied"]


async def test_R35_nobody_is_blocked_by_what_another_device_has_done(
    park: Inside, store: Store
) -> None:
    other = Store(await park.device("POS"), park)
    theirs = await other.bad_sale()
    assert (await other.sync(theirs))[0]["dead_letter_id"]
    named = [theirs["op_id"], new_ulid()]
    results = await store.sync(store.op("cash_movement", MOVED, depends_on=named))
    assert statuses(results) == ["applied"]


# --- numbers ----------------------------------------------------------------------------


def given_up(store: Store, number: int, op_id: str) -> dict[str, Any]:
    body = {"op_id": op_id, "receipt_no": f"{store.code}-S{number:06d}"}
    return store.op("abandon", body)


async def test_R29_a_number_that_is_given_up_and_waits_too_waits(
    park: Inside, store: Store
) -> None:
    one, two = await store.bad_sale(1), await store.bad_sale(2)
    await store.sync(one)
    assert statuses(await store.sync(given_up(store, 1, one["op_id"]))) == ["applied"]
    assert statuses(await store.sync(given_up(store, 2, two["op_id"]))) == ["applied"]
    assert (await ledger(park, f"{store.code}-S000002"))[0] == "abandoned"
    (late,) = await store.sync(two)
    assert late["dead_letter_id"]
    for number, op in ((1, one), (2, two)):
        state = await ledger(park, f"{store.code}-S{number:06d}")
        assert state == ("dead_lettered", op["op_id"])


async def test_R29_another_ones_number_and_another_devices_stay_as_they_are(
    park: Inside, store: Store
) -> None:
    sold = await store.sale(1)
    await store.sync(sold)
    await store.sync(await store.bad_sale(1))
    assert await ledger(park, f"{store.code}-S000001") == ("applied", sold["op_id"])
    foreign = await store.bad_sale()
    foreign["body"]["receipt_no"] = "ZZ-S000001"
    assert (await store.sync(foreign))[0]["dead_letter_id"]
    assert (
        await park.platform.mongo.db.receipt_ledger.count_documents({"receipt_no": "ZZ-S000001"})
        == 0
    )


# --- who decides ------------------------------------------------------------------------


async def kept_sale(park: Inside, store: Store, **more: Any) -> tuple[dict[str, Any], str]:
    """A sound sale that the server could not book when it came, and its letter."""
    sold = await store.sale(**more)
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("api.sales.service.shifts.book_sale", None)
        (refused,) = await store.sync(sold)
    return sold, str(refused["dead_letter_id"])


async def test_R35_a_letter_is_booked_under_its_device_by_whom_and_when_it_was_done(
    park: Inside, store: Store, office: Outsider
) -> None:
    nok = (await store.device.data("GET", "/v1/employees/me"))["employee_id"]
    sold, letter_id = await kept_sale(park, store, number=1, employee_id=nok)
    park.clock.advance(timedelta(hours=2))
    office = await fresh(park)
    response = await resolve(office, letter_id, "apply")
    assert answered(response) == (200, None), response.text
    letter = response.json()["data"]
    owner = (await office.data("GET", "/v1/employees/me"))["employee_id"]
    assert (letter["status"], letter["resolved_by"]) == ("applied", owner)
    assert (letter["resolution"], letter["body"]) == ("customer_request", None)
    sale = letter["result"]["sale"]
    assert (sale["device_id"], sale["cashier_id"]) == (store.device_id, nok)
    assert sale["occurred_at"][:19] == sold["occurred_at"][:19]
    assert sale["receipt_no"] == f"{store.code}-S000001"
    assert "dead_letter" in sale["flags"]
    assert "clock_clamped" not in sale["flags"]
    assert "qr_token" not in json.dumps(letter["result"])
    assert await ledger(park, sale["receipt_no"]) == ("applied", sold["op_id"])
    assert await told_of(park, letter_id) == ["dead_letter.kept", "dead_letter.applied"]
    store.device = await renewed(park, store)
    (again,) = await store.sync(sold)
    assert (again["status"], again["result"]["sale"]["sale_id"]) == ("duplicate", sale["sale_id"])


async def fresh(park: Inside) -> Outsider:
    return await (await park.device("ADMIN")).staff(**OWNER)


async def renewed(park: Inside, store: Store) -> Outsider:
    login = {name: store.device.device[name] for name in ("device_id", "device_token")}
    session = await store.device.data("POST", "/v1/auth/device/login", login)
    store.device.token = session["access_token"]
    return store.device


async def test_R35_a_refusal_leaves_the_letter_open_and_its_approval_unspent(
    store: Store, office: Outsider
) -> None:
    (refused,) = await store.sync(await store.bad_sale())
    letter_id = refused["dead_letter_id"]
    approval = await approve(office, "dead_letter", letter_id)
    headers = {"Authorization": f"Bearer {office.token}", "X-Approval": approval}
    path = f"/v1/sync/dead_letters/{letter_id}/resolve"
    body = {"action": "apply", "reason_code": "customer_request"}
    response = await office.http.post(path, json=body, headers=headers)
    assert answered(response) == (404, "E_NOT_FOUND")
    body["action"] = "dismiss"
    response = await office.http.post(path, json=body, headers=headers)
    assert answered(response) == (200, None)


async def test_R42_it_takes_an_approval_for_this_very_letter(
    store: Store, office: Outsider
) -> None:
    (one,) = await store.sync(await store.bad_sale())
    (two,) = await store.sync(await store.bad_sale())
    mine, other = one["dead_letter_id"], two["dead_letter_id"]
    bare = await resolve(office, mine, "dismiss", approved=False)
    assert answered(bare) == (403, "E_PERMISSION")
    assert bare.json()["error"]["details"]["reason"] == "approval_required"
    approval = await approve(office, "dead_letter", other)
    headers = {"Authorization": f"Bearer {office.token}", "X-Approval": approval}
    body = {"action": "dismiss", "reason_code": "customer_request"}
    path = f"/v1/sync/dead_letters/{mine}/resolve"
    response = await office.http.post(path, json=body, headers=headers)
    assert answered(response) == (403, "E_PERMISSION")
    (letter,) = [each for each in await letters(office) if each["dead_letter_id"] == mine]
    assert letter["status"] == "open"


async def test_a_reason_that_the_store_does_not_have_is_refused(
    store: Store, office: Outsider
) -> None:
    (refused,) = await store.sync(await store.bad_sale())
    response = await resolve(office, refused["dead_letter_id"], "dismiss", reason_code="because")
    assert answered(response) == (422, "E_VALIDATION")


async def test_R35_what_was_settled_by_hand_is_not_booked_on_top(
    park: Inside, store: Store, office: Outsider
) -> None:
    sold, letter_id = await kept_sale(park, store, number=1)
    assert answered(await resolve(office, letter_id, "dismiss")) == (200, None)
    assert answered(await resolve(office, letter_id, "dismiss", approved=False)) == (200, None)
    assert answered(await resolve(office, letter_id, "apply")) == (409, "E_CONFLICT")
    (again,) = await store.sync(sold)
    assert (again["status"], again["code"]) == ("rejected", "E_CONFLICT")
    assert again["dead_letter_id"] == letter_id
    sales = park.platform.mongo.db.sales
    assert await sales.count_documents({"op_id": sold["op_id"]}) == 0
    assert await ledger(park, f"{store.code}-S000001") == ("dead_lettered", sold["op_id"])


async def test_R15_a_device_that_sends_again_while_somebody_applies_has_one_effect(
    park: Inside, store: Store, office: Outsider
) -> None:
    for _ in range(4):
        sold, letter_id = await kept_sale(park, store)
        answers = await asyncio.gather(
            *(resolve(office, letter_id, "apply") for _ in range(2)),
            *(store.sync(sold) for _ in range(4)),
        )
        assert {each.status_code for each in answers[:2]} <= {200, 409}  # type: ignore[union-attr]
        sales = park.platform.mongo.db.sales
        assert await sales.count_documents({"op_id": sold["op_id"]}) == 1
        (letter,) = [
            each
            for each in await letters(office, device_id=store.device_id)
            if each["dead_letter_id"] == letter_id
        ]
        assert letter["status"] == "applied"
        assert (await told_of(park, letter_id)).count("dead_letter.applied") == 1


async def test_R35_what_is_settled_by_hand_while_its_batch_is_on_its_way_is_not_booked_on_top(
    park: Inside, store: Store, office: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold, letter_id = await kept_sale(park, store, number=1)
    believed = Timeline.corrected

    async def meanwhile(*args: Any) -> Any:
        assert answered(await resolve(office, letter_id, "dismiss")) == (200, None)
        return await believed(*args)

    monkeypatch.setattr(Timeline, "corrected", meanwhile)
    (again,) = await store.sync(sold)
    assert (again["status"], again["code"]) == ("rejected", "E_CONFLICT")
    assert again["dead_letter_id"] == letter_id
    sales = park.platform.mongo.db.sales
    assert await sales.count_documents({"op_id": sold["op_id"]}) == 0
    assert await told_of(park, letter_id) == ["dead_letter.kept", "dead_letter.dismissed"]


async def test_R35_it_is_settled_by_hand_or_booked_and_never_both(
    park: Inside, store: Store, office: Outsider
) -> None:
    for _ in range(4):
        sold, letter_id = await kept_sale(park, store)
        await asyncio.gather(
            *(resolve(office, letter_id, "dismiss") for _ in range(2)),
            *(store.sync(sold) for _ in range(4)),
        )
        (letter,) = [
            each
            for each in await letters(office, device_id=store.device_id)
            if each["dead_letter_id"] == letter_id
        ]
        sales = park.platform.mongo.db.sales
        booked = await sales.count_documents({"op_id": sold["op_id"]})
        assert (letter["status"], booked) in {("applied", 1), ("dismissed", 0)}


async def test_R37_what_had_not_happened_is_not_done_either_once_it_is_settled_by_hand(
    park: Inside, store: Store, office: Outsider
) -> None:
    waits = store.op("cash_movement", MOVED, committed=False)
    bundle = {"device_id": store.device_id, "epoch": 1, "ops": [waits]}
    assert await office.data("POST", "/v1/sync/bundles", bundle) == {"kept": 1, "known": 0}
    (letter,) = await letters(office, device_id=store.device_id)
    assert answered(await resolve(office, letter["dead_letter_id"], "dismiss")) == (200, None)
    (late,) = await store.sync(waits)
    assert (late["status"], late["code"]) == ("rejected", "E_CONFLICT")


async def test_R38_a_letter_whose_place_was_taken_is_booked_without_one(
    park: Inside, store: Store, office: Outsider
) -> None:
    sold, letter_id = await kept_sale(park, store, number=1)
    assert statuses(await store.sync({**await store.sale(2), "seq": sold["seq"]})) == ["applied"]
    assert answered(await resolve(office, letter_id, "apply")) == (200, None)
    record = await park.platform.mongo.db.operations.find_one({"op_id": sold["op_id"]})
    assert record is not None
    assert record["seq"] is None


async def test_R40_only_who_may_sees_and_decides(park: Inside, store: Store) -> None:
    (refused,) = await store.sync(await store.bad_sale())
    path = f"/v1/sync/dead_letters/{refused['dead_letter_id']}"
    cashier = await (await park.device("POS")).staff(**CASHIER)
    gate = await park.device("GATE")
    for who in (cashier, gate):
        for method, where in (("GET", "/v1/sync/dead_letters"), ("GET", path)):
            assert answered(await who.call(method, where)) == (403, "E_PERMISSION")
    decision = {"action": "dismiss", "reason_code": "customer_request"}
    assert (await cashier.call("POST", f"{path}/resolve", decision)).status_code == 403


async def test_half_of_a_character_is_kept_and_shown_as_what_it_can_be(
    store: Store, office: Outsider
) -> None:
    broken = store.op("sale", {"note": "HALF", "HALF": 1})
    batch = json.dumps({"epoch": 1, "ops": [broken]}).replace("HALF", "\\ud800")
    headers = {
        "Authorization": f"Bearer {store.device.token}",
        "Content-Type": "application/json",
    }
    response = await office.http.post("/v1/sync/batch", content=batch, headers=headers)
    (refused,) = response.json()["data"]["results"]
    shown = await office.data("GET", f"/v1/sync/dead_letters/{refused['dead_letter_id']}")
    assert shown["body"] == {"note": "?", "?": 1}


async def test_the_list_has_what_is_asked_for_and_goes_on(store: Store, office: Outsider) -> None:
    sent = [await store.bad_sale() for _ in range(3)]
    results = await store.sync(*sent)
    ids = [each["dead_letter_id"] for each in results]
    await resolve(office, ids[1], "dismiss")
    mine = {"device_id": store.device_id}
    found = await letters(office, status="open", **mine)
    assert [each["dead_letter_id"] for each in found] == [ids[2], ids[0]]
    assert await letters(office, kind="review", **mine) == []
    page = await office.data("GET", "/v1/sync/dead_letters", limit=2, **mine)
    rest = await office.data(
        "GET", "/v1/sync/dead_letters", limit=2, cursor=page["next_cursor"], **mine
    )
    told = [each["dead_letter_id"] for each in (*page["items"], *rest["items"])]
    assert (told, rest["next_cursor"]) == (ids[::-1], None)


async def test_R49_the_books_are_whole_while_something_waits_and_say_so(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_waiting") as park:
        store = Store(await (await park.device("POS")).staff(), park)
        opened, sold = store.op("shift_open", {"cash_open": 0}), await store.sale(1)
        kept, after = await store.bad_sale(2), await store.sale(3)
        closed = store.op("shift_close", {"cash_counted": 8_000})
        assert statuses(await store.sync(opened, sold, kept, after, closed)) == [
            *("applied", "applied", "rejected", "applied", "applied")
        ]
        office = await fresh(park)
        day = (await office.data("GET", f"/v1/sales/{await first_sale(park)}"))["sale"]
        found = await office.data("GET", "/v1/reports/reconciliation", date=day["business_date"])
        assert (found["breaks"], found["dead_letters"], found["sales"]) == ([], 1, 8_000)


async def first_sale(park: Inside) -> str:
    sale = await park.platform.mongo.db.sales.find_one({})
    assert sale is not None
    return str(sale["_id"])


async def test_R21_a_showing_is_booked_from_its_letter_by_the_token_that_was_shown(
    park: Inside, store: Store, office: Outsider
) -> None:
    ticket = (await store.device.sell(("Adult day pass", 1)))["tickets"][0]
    gate = Store(await park.device("GATE"), park)
    shown = gate.op(
        "redemption",
        {"qr_token": ticket["qr_token"]},
        local={"result": "pass", "at": park.clock.now().isoformat()},
    )
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("api.tickets.redeeming.merging.settled", None)
        (kept,) = await gate.sync(shown)
    path = f"/v1/sync/dead_letters/{kept['dead_letter_id']}"
    assert (await office.data("GET", path))["body"] == {}
    stored = await park.platform.mongo.db.dead_letters.find_one({"op_id": shown["op_id"]})
    assert ticket["qr_token"] not in str(stored)
    response = await resolve(office, kept["dead_letter_id"], "apply")
    assert answered(response) == (200, None), response.text
    assert response.json()["data"]["result"]["result"] == "pass"
    now = await store.device.data("GET", f"/v1/tickets/{ticket['ticket_id']}")
    assert now["used"] == 1
