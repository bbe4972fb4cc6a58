"""Stores that were set back or copied: nothing is applied, nothing is doubled (R38)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.platform.mongo import Mongo
from playpark.ids import short_code, short_code_origin
from tests.api.inside import Inside, inside
from tests.api.outages import Store, answered, statuses

KEY = bytes.fromhex("5a" * 32)


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_rewound") as park:
        yield park


@pytest.fixture
async def store(park: Inside) -> Store:
    till = Store(await park.device("POS"), park)
    await till.sync(till.op("shift_open", {"cash_open": 0}))
    return till


def counters(response: httpx.Response) -> dict[str, Any]:
    assert answered(response) == (409, "E_OUTBOX_REWOUND"), response.text
    return dict(response.json()["error"]["details"])


async def sales_of(park: Inside, store: Store) -> int:
    return int(await park.platform.mongo.db.sales.count_documents({"device_id": store.device_id}))


async def rows_of(park: Inside, store: Store, event: str) -> list[dict[str, Any]]:
    found = park.platform.mongo.db.audits.find({"entity_id": store.device_id, "event_type": event})
    return list(await found.to_list(None))


async def test_R38_another_operation_in_a_known_place_refuses_the_whole_batch_before_any_effect(
    park: Inside, store: Store
) -> None:
    await store.sync(await store.sale(1), await store.sale(2))
    store.seq = 3  # goes on, and takes the place of the last one again
    fresh = [await store.sale(4), await store.sale(5)]
    copied = {**await store.sale(3), "seq": 3}
    response = await store.send(*fresh, copied)
    told = counters(response)
    assert (told["epoch"], told["seq"], told["receipts"]) == (1, 3, {"S": 2})
    assert await sales_of(park, store) == 2


async def test_R38_a_batch_of_one_is_refused_by_the_index(park: Inside, store: Store) -> None:
    await store.sync(await store.sale(1))
    copied = {**await store.sale(9), "seq": 2}
    assert counters(await store.send(copied))["receipts"] == {"S": 1}
    assert await sales_of(park, store) == 1


async def test_R38_the_same_operation_is_a_duplicate_wherever_it_stands_now(store: Store) -> None:
    sold = await store.sale(1)
    (first,) = await store.sync(sold)
    (again,) = await store.sync(sold)
    store.new_epoch(2)
    (moved,) = await store.sync({**sold, "seq": 1}, epoch=2)
    for each in (again, moved):
        assert (each["status"], each["result"]) == ("duplicate", first["result"])


async def test_R38_a_store_that_was_set_back_goes_on_in_a_new_epoch(
    park: Inside, store: Store
) -> None:
    await store.sync(await store.sale(1))
    kept = {**await store.sale(2), "seq": 2}
    told = counters(await store.send(kept))
    store.new_epoch(told["epoch"] + 1)
    again = store.op("sale", kept["body"], op_id=kept["op_id"])
    (applied,) = await store.sync(again)
    assert applied["status"] == "applied"
    assert await sales_of(park, store) == 2


async def test_R38_that_a_store_was_set_back_is_told_once_for_each_place(
    park: Inside, store: Store
) -> None:
    await store.sync(await store.sale(1))
    copied = {**await store.sale(2), "seq": 2}
    for _ in range(3):
        counters(await store.send(copied))
    (row,) = await rows_of(park, store, "device.rewound")
    assert row["payload"] == {
        "place": {"epoch": 1, "seq": 2},
        "known": {"epoch": 1, "seq": 2},
    }
    events = park.platform.mongo.db.events.find({"type": "device.rewound"})
    assert [
        each for each in await events.to_list(None) if each["data"]["device_id"] == store.device_id
    ]


async def test_R15_another_body_under_a_known_op_id_is_refused_alone(store: Store) -> None:
    sold = await store.sale(1)
    await store.sync(sold)
    other = {**sold, "body": (await store.sale(2))["body"]}
    store.seq = 2
    results = await store.sync(other, await store.sale(3))
    assert statuses(results) == ["rejected", "applied"]
    assert results[0]["code"] == "E_IDEMPOTENCY_MISMATCH"


async def test_R38_two_operations_in_one_place_of_a_batch_refuse_it(
    park: Inside, store: Store
) -> None:
    one, two = await store.sale(1), await store.sale(2)
    counters(await store.send(one, {**two, "seq": one["seq"]}))
    assert await sales_of(park, store) == 0


async def test_an_op_id_that_stands_twice_in_a_batch_has_one_effect(
    park: Inside, store: Store
) -> None:
    sold = await store.sale(1)
    results = await store.sync(sold, sold, {**sold, "seq": sold["seq"] + 1})
    assert statuses(results) == ["applied", "duplicate", "duplicate"]
    assert await sales_of(park, store) == 1


async def test_R38_what_waits_for_a_person_holds_its_place(store: Store) -> None:
    (refused,) = await store.sync(await store.bad_sale(7))
    assert refused["dead_letter_id"]
    store.seq = 1
    told = counters(await store.send(await store.sale(8), await store.sale(9)))
    assert (told["seq"], told["receipts"]) == (2, {"S": 7})


async def test_R38_a_refused_operation_that_had_not_happened_holds_its_place_too(
    store: Store,
) -> None:
    (refused,) = await store.sync(await store.bad_sale(committed=False))
    assert (refused["status"], refused["dead_letter_id"]) == ("rejected", None)
    store.seq = 1
    assert counters(await store.send(await store.sale(), await store.sale()))["seq"] == 2


async def test_R24_the_counters_tell_the_highest_short_code_that_was_sold_or_waits(
    park: Inside, store: Store
) -> None:
    login = {name: store.device.device[name] for name in ("device_id", "device_token")}
    session = await store.device.data("POST", "/v1/auth/device/login", login)
    key, number = bytes.fromhex(session["short_code_key"]), session["device"]["device_number"]

    def coded(counter: int) -> dict[str, Any]:
        return {"short_codes": [[short_code(key, number, counter)]]}

    for counter in (5, 9, 7):
        sold = await store.sale()
        sold["body"] |= coded(counter)
        assert statuses(await store.sync(sold)) == ["applied"]
    copied = {**await store.sale(), "seq": 1}
    assert counters(await store.send(copied))["short_codes"] == 9
    store.seq = 4
    waits = await store.bad_sale()
    waits["body"] |= coded(12)
    assert (await store.sync(waits))[0]["dead_letter_id"]
    assert counters(await store.send(copied))["short_codes"] == 12


async def test_R29_the_counters_tell_numbers_of_more_than_six_digits(store: Store) -> None:
    for number in (999_999, 1_000_000, 2):
        sold = await store.sale()
        sold["body"]["receipt_no"] = f"{store.code}-S{number:06d}"
        assert statuses(await store.sync(sold)) == ["applied"]
    copied = {**await store.sale(), "seq": 1}
    assert counters(await store.send(copied))["receipts"] == {"S": 1_000_000}


@pytest.mark.parametrize("batches", [1, 2])
async def test_R38_two_batches_at_once_with_one_place_have_one_effect_there(
    park: Inside, store: Store, batches: int
) -> None:
    """Two sockets after a time-out, or two copies of one store."""
    rounds = []
    for _ in range(6):
        seq = store.seq + 1
        mine = [await store.sale() for _ in range(batches)]
        theirs = [{**await store.sale(), "seq": each["seq"]} for each in mine]
        store.seq = seq + batches - 1
        rounds.append(await asyncio.gather(store.send(*mine), store.send(*theirs)))
    codes = [sorted(response.status_code for response in pair) for pair in rounds]
    assert all(409 in pair for pair in codes), codes
    assert await sales_of(park, store) == 6 * batches
    places = park.platform.mongo.db.operations
    taken = await places.find({"device_id": store.device_id, "kind": "sale"}).to_list(None)
    assert len({(each["epoch"], each["seq"]) for each in taken}) == len(taken)


async def test_attack_23_one_batch_twenty_times_at_once_has_one_effect(
    park: Inside, store: Store
) -> None:
    ops = [await store.sale(1), await store.sale(2)]
    answers = await asyncio.gather(*(store.sync(*ops) for _ in range(20)))
    told = [result["status"] for results in answers for result in results]
    assert set(told) <= {"applied", "duplicate"}
    assert told.count("applied") == 2
    assert await sales_of(park, store) == 2


async def test_R38_a_direct_route_takes_no_place(park: Inside) -> None:
    till = await (await park.device("POS")).staff()
    await till.open_shift()
    for _ in range(2):
        await till.sell(("Carousel ride", 1))
    records = park.platform.mongo.db.operations.find({"device_id": till.device["device_id"]})
    assert {each["seq"] for each in await records.to_list(None)} == {None}


async def test_a_batch_of_one_is_not_looked_up_before_it_is_applied(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redemption that waits for its answer pays nothing for what stores may do (R38)."""
    gate = Store(await park.device("GATE"), park)
    till = await (await park.device("POS")).staff()
    await till.open_shift()
    token = (await till.sell(("Adult day pass", 1)))["tickets"][0]["qr_token"]
    asked: list[str] = []
    collection = Mongo.collection

    def noted(mongo: Mongo, name: str) -> Any:
        asked.append(name)
        return collection(mongo, name)

    monkeypatch.setattr(Mongo, "collection", noted)
    (passed,) = await gate.sync(gate.op("redemption", {"qr_token": token}, committed=False))
    assert passed["result"]["result"] == "pass"
    assert not {"dead_letters", "sequence_marks", "operations", "devices"} & set(asked)


@pytest.mark.parametrize("number", [0, 1, 8_127, 8_191])
def test_R24_a_short_code_leads_back_to_its_device_and_counter(number: int) -> None:
    for counter in (0, 1, 77, 4_194_303):
        assert short_code_origin(KEY, short_code(KEY, number, counter)) == (number, counter)


async def test_R16_another_device_may_have_the_same_places(park: Inside, store: Store) -> None:
    other = Store(await park.device("POS"), park)
    assert statuses(await other.sync(other.op("shift_open", {"cash_open": 0}))) == ["applied"]
