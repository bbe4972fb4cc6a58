"""A sale that was deleted before it was sent shows at the close of its shift (R28, R34)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.sync.repository import Trace
from api.sync.sequence import judge, link_of
from playpark.canonical import operation_hash
from playpark.contracts.sync import OpKind
from playpark.device.records import link
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.api.outages import Store, statuses

MOVED = {"type": "pay_in", "amount": 1_000, "reason_code": "change_money"}
GAP, BROKEN = "sequence_gap", "sequence_broken"


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_sequence") as park:
        yield park


@pytest.fixture
async def store(park: Inside) -> Store:
    till = Store(await (await park.device("POS")).staff(), park)
    await till.sync(till.op("shift_open", {"cash_open": 0}))
    return till


def close(store: Store, **more: Any) -> dict[str, Any]:
    return store.op("shift_close", {"cash_counted": 0}, **more)


async def found(park: Inside, store: Store) -> tuple[set[str], list[dict[str, Any]]]:
    """The flags of the device's shifts about its sequence, and what the audit trail says."""
    db = park.platform.mongo.db
    shifts = await db.shifts.find({"device_id": store.device_id}).to_list(None)
    rows = await db.audits.find(
        {"device_id": store.device_id, "event_type": "shift.sequence_broken"}
    ).to_list(None)
    flags = {flag for shift in shifts for flag in shift["flags"]} & {GAP, BROKEN}
    return flags, [row["payload"] for row in rows]


async def test_R34_a_whole_sequence_closes_without_a_flag(park: Inside, store: Store) -> None:
    await store.sync(await store.sale(1), await store.sale(2))
    assert statuses(await store.sync(close(store))) == ["applied"]
    await store.sync(store.op("shift_open", {"cash_open": 0}), await store.sale(3))
    assert statuses(await store.sync(close(store))) == ["applied"]
    assert await found(park, store) == (set(), [])


async def test_R34_a_deleted_unsynced_sale_shows(park: Inside, store: Store) -> None:
    sent, deleted = await store.sale(1), await store.sale(2)
    await store.sync(sent, await store.sale(3))
    (closed,) = await store.sync(close(store))
    assert closed["status"] == "applied"
    flags, (row,) = await found(park, store)
    assert flags == {GAP}
    assert (row["missing"], row["gap"]) == (1, {"epoch": 1, "seq": deleted["seq"]})


async def test_R34_a_sequence_that_was_numbered_anew_shows(park: Inside, store: Store) -> None:
    sent, deleted, after = [await store.sale(number) for number in (1, 2, 3)]
    await store.sync(sent, {**after, "seq": deleted["seq"]})
    store.seq = deleted["seq"]
    assert statuses(await store.sync(close(store))) == ["applied"]
    flags, (row,) = await found(park, store)
    assert flags == {BROKEN}
    assert (row["missing"], row["broken"]) == (0, {"epoch": 1, "seq": deleted["seq"]})


async def test_R34_an_operation_that_was_changed_shows(park: Inside, store: Store) -> None:
    cheaper = await store.sale(1)
    cheaper["body"] = {**cheaper["body"], "receipt_no": f"{store.code}-S000002"}
    await store.sync(cheaper, await store.sale(3), close(store))
    flags, _ = await found(park, store)
    assert flags == {BROKEN}


async def test_R34_what_was_refused_blocked_or_kept_is_no_gap(park: Inside, store: Store) -> None:
    not_done, bad = await store.bad_sale(1, committed=False), await store.bad_sale(2)
    waits = store.op("cash_movement", MOVED, depends_on=[bad["op_id"]])
    malformed = store.op("sale", {}, committed=False)
    kept = store.op("sale", {})
    results = await store.sync(not_done, bad, waits, malformed, kept, close(store))
    assert statuses(results) == [
        *("rejected", "rejected", "blocked", "rejected", "rejected", "applied")
    ]
    assert await found(park, store) == (set(), [])


async def test_R38_what_was_booked_before_its_store_was_set_back_is_no_gap(
    park: Inside, store: Store
) -> None:
    sold, bad = await store.sale(1), await store.bad_sale(2)
    await store.sync(sold, bad)
    store.new_epoch(2)
    again = [
        store.op("sale", sold["body"], op_id=sold["op_id"]),
        store.op("sale", bad["body"], op_id=bad["op_id"]),
    ]
    assert statuses(await store.sync(*again, await store.sale(3), close(store))) == [
        *("duplicate", "rejected", "applied", "applied")
    ]
    assert await found(park, store) == (set(), [])


async def test_R34_a_new_epoch_whose_beginning_is_missing_shows(park: Inside, store: Store) -> None:
    store.new_epoch(2)
    await store.sale(1)
    await store.sync(await store.sale(2), close(store))
    flags, (row,) = await found(park, store)
    assert (flags, row["gap"]) == ({GAP}, {"epoch": 2, "seq": 1})


async def test_R34_a_gap_before_the_last_close_is_told_there_and_not_again(
    park: Inside, store: Store
) -> None:
    await store.sale(1)
    await store.sync(close(store))
    await store.sync(store.op("shift_open", {"cash_open": 0}), close(store))
    _, rows = await found(park, store)
    assert len(rows) == 1


async def test_R28_a_close_comes_after_all_that_stands_before_it_in_its_batch(
    store: Store,
) -> None:
    sold, closing = await store.sale(1), close(store)
    first, second = await store.sync(closing, sold)
    assert (first["status"], second["status"]) == ("applied", "applied")
    assert first["result"]["cash_expected"] == 4_000
    assert "after_close" not in second["result"]["sale"]["flags"]


async def test_R28_a_client_that_chains_nothing_is_asked_for_whole_numbers_only(
    park: Inside, store: Store
) -> None:
    other = Store(await park.device("POS"), park, seq=100)
    ops = [other.op("shift_open", {"cash_open": 0}), await other.sale(1), close(other)]
    await other.sync(*[{**each, "prev_hash": None} for each in ops])
    assert await found(park, other) == (set(), [])
    again = [other.op("shift_open", {"cash_open": 0}), await other.sale(2), close(other)]
    await other.sync(*[{**again[at], "prev_hash": None} for at in (0, 2)])
    assert (await found(park, other))[0] == {GAP}


def test_R34_the_server_and_the_device_link_alike() -> None:
    body, op_id = {"a": 1}, new_ulid()
    trace = Trace((1, 7), op_id, operation_hash("sale", body), "ab" * 32)
    assert link_of(trace) == link(op_id, OpKind.SALE, 7, "ab" * 32, body)


def test_R34_an_empty_sequence_is_whole() -> None:
    assert judge([], from_start=True).flags == []
