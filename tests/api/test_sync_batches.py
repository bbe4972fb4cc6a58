"""Batches as a whole: their bounds, their order, their budget, and what is told later (R14, R35;
ATTACKS 25)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.platform.limits import Limits
from api.sync.service import SyncService
from api.tickets import merging
from playpark.contracts.sync import BatchIn
from playpark.errors import ErrorCode, PlayParkError
from tests.api.inside import Inside, inside
from tests.api.outages import Store, answered, statuses

MOVED = {"type": "pay_in", "amount": 1_000, "reason_code": "change_money"}


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_batches") as park:
        yield park


@pytest.fixture
async def store(park: Inside) -> Store:
    till = Store(await (await park.device("POS")).staff(), park)
    await till.sync(till.op("shift_open", {"cash_open": 0}))
    return till


@pytest.mark.parametrize(("count", "status"), [(0, 422), (50, 200), (51, 413), (501, 413)])
async def test_attack_25_a_batch_has_one_to_fifty_operations(
    store: Store, count: int, status: int
) -> None:
    ops = [store.op("cash_movement", MOVED) for _ in range(count)]
    assert (await store.send(*ops)).status_code == status


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "magic"},
        {"kind": {"$ne": ""}},
        {"seq": -1},
        {"seq": 2**53},
        {"prev_hash": "x"},
        {"op_id": "x"},
        {"depends_on": ["x"]},
        {"body": []},
        {"schema_version": 2},
        {"tenant_id": "x"},
    ],
    ids=str,
)
async def test_attack_25_an_envelope_that_cannot_be_read_refuses_the_batch_before_any_effect(
    park: Inside, store: Store, broken: dict[str, Any]
) -> None:
    sold = await store.sale(1)
    response = await store.send(sold, {**store.op("cash_movement", MOVED), **broken})
    assert answered(response) == (422, "E_VALIDATION")
    assert await park.platform.mongo.db.operations.count_documents({"op_id": sold["op_id"]}) == 0


async def test_attack_25_one_poisoned_operation_in_the_middle_stops_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.sales.service.shifts.book_sale", None)
    before, poison, after = (
        store.op("cash_movement", MOVED),
        await store.sale(1),
        store.op("cash_movement", MOVED),
    )
    results = await store.sync(before, poison, after)
    assert statuses(results) == ["applied", "rejected", "applied"]
    assert (results[1]["code"], bool(results[1]["dead_letter_id"])) == ("E_INTERNAL", True)


async def test_R35_answers_stand_in_the_order_of_the_batch_whatever_that_is(store: Store) -> None:
    ops = [store.op("cash_movement", MOVED) for _ in range(5)]
    shuffled = [ops[index] for index in (3, 0, 4, 1, 2)]
    results = await store.sync(*shuffled)
    assert [each["op_id"] for each in results] == [each["op_id"] for each in shuffled]
    assert statuses(results) == ["applied"] * 5


async def test_R35_after_one_that_has_to_come_again_the_rest_waits_in_its_order(
    park: Inside, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = [store.op("cash_movement", MOVED) for _ in range(4)]
    asked: list[Any] = []

    async def third(*told: Any) -> None:
        asked.append(told)
        if len(asked) == 3:
            raise PlayParkError(ErrorCode.RATE_LIMITED, "later", retry_after=7)

    with monkeypatch.context() as limited:
        limited.setattr(Limits, "operation", third)
        results = await store.sync(*ops)
    assert statuses(results) == ["applied", "applied", "retry", "retry"]
    assert [each["op_id"] for each in results] == [each["op_id"] for each in ops]
    assert [each["retry_after"] for each in results[2:]] == [7, 7]
    assert len(asked) == 3
    assert statuses(await store.sync(*ops)) == ["duplicate", "duplicate", "applied", "applied"]


@pytest.mark.parametrize(("seconds", "status"), [(0.0, "retry"), (20.0, "applied")])
async def test_R35_what_a_batch_has_no_time_for_has_to_come_again(
    park: Inside, store: Store, seconds: float, status: str
) -> None:
    ops = [store.op("cash_movement", MOVED) for _ in range(3)]
    batch = BatchIn.model_validate({"epoch": 1, "ops": ops})
    scope = await park.scope(store.device)
    service = SyncService(park.platform, seconds)
    done = await service.apply(scope, batch, {"epoch": 1, "ops": ops})
    assert [each.status for each in done.results] == [status] * 3
    assert [each.op_id for each in done.results] == [each["op_id"] for each in ops]


# --- what is told later -----------------------------------------------------------------


async def refused_scan(park: Inside, store: Store) -> tuple[Store, dict[str, Any], str]:
    """A gate that was told NO for a ticket that is used up: the operation, and the ticket's id."""
    ticket = (await store.device.sell(("Adult day pass", 1)))["tickets"][0]
    gate = Store(await park.device("GATE"), park)
    first, second = (
        gate.op("redemption", {"qr_token": ticket["qr_token"]}, committed=False) for _ in range(2)
    )
    passed, refused = await gate.sync(first, second)
    assert (passed["result"]["result"], refused["result"]["result"]) == ("pass", "fail")
    return gate, second, ticket["ticket_id"]


async def conflicts(park: Inside, ticket_id: str) -> int:
    about = {"data.ticket_id": ticket_id, "type": "ticket.conflict"}
    return int(await park.platform.mongo.db.events.count_documents(about))


async def test_R14_what_happened_is_heard_once_however_often_it_is_told(
    park: Inside, store: Store
) -> None:
    gate, scan, ticket_id = await refused_scan(park, store)
    let_in = scan | {"committed": True, "local": {"result": "pass"}}
    for _ in range(3):
        assert statuses(await gate.sync(let_in)) == ["duplicate"]
    assert await conflicts(park, ticket_id) == 1
    turned_away = scan | {"committed": True, "local": {"result": "fail"}}
    await gate.sync(turned_away)
    record = await park.platform.mongo.db.operations.find_one({"op_id": scan["op_id"]})
    assert record is not None
    assert record["local"]["result"] == "pass"


async def test_R14_what_it_comes_to_stands_with_it_or_not_at_all(
    park: Inside, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, scan, ticket_id = await refused_scan(park, store)
    let_in = scan | {"committed": True, "local": {"result": "pass"}}

    async def broken(*_: Any) -> None:
        raise PlayParkError(ErrorCode.UNAVAILABLE, "away")

    with monkeypatch.context() as away:
        away.setattr(merging, "tell", broken)
        assert statuses(await gate.sync(let_in)) == ["retry"]
    record = await park.platform.mongo.db.operations.find_one({"op_id": scan["op_id"]})
    assert record is not None
    assert record["local"] is None
    assert statuses(await gate.sync(let_in)) == ["duplicate"]
    assert await conflicts(park, ticket_id) == 1
