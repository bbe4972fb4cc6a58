"""When an operation happened: by its own clock, between its neighbours (R30, R36; ATTACKS 21)."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.sync.clocks import Timeline
from playpark.clock import business_date, park_zone
from tests.api.inside import Inside, inside
from tests.api.outages import OWNER, Store, letters, resolve, statuses

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CLAMPED = "clock_clamped"


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_clock") as park:
        yield park


@pytest.fixture
async def store(park: Inside) -> Store:
    return Store(await park.device("POS"), park)


async def log_in(store: Store) -> None:
    login = {name: store.device.device[name] for name in ("device_id", "device_token")}
    session = await store.device.data("POST", "/v1/auth/device/login", login)
    store.device.token = session["access_token"]


async def sold(
    store: Store, at: datetime, seq: int | None = None, **body: Any
) -> tuple[datetime, set[str], dict[str, Any]]:
    """What became of the time of one sale, its flags, and the sale."""
    made = await store.sale(at=at.isoformat())
    made["body"] |= body
    if seq is not None:
        made["seq"] = seq
    (result,) = await store.sync(made)
    assert result["status"] == "applied", result
    sale = result["result"]["sale"]
    return datetime.fromisoformat(sale["occurred_at"]), set(sale["flags"]) & {CLAMPED}, sale


async def test_R36_an_outage_may_last_longer_than_three_days(park: Inside, store: Store) -> None:
    """With a sequence only the neighbours bound a time."""
    began = park.clock.now()
    park.clock.advance(6 * DAY)
    await log_in(store)
    for days in (1, 2, 5):
        at = began + days * DAY
        assert (await sold(store, at))[:2] == (at, set())


async def test_attack_21_a_time_before_its_lower_neighbour_is_moved_to_it(
    park: Inside, store: Store
) -> None:
    now = park.clock.now()
    await sold(store, now - HOUR)
    assert (await sold(store, now - 2 * HOUR))[:2] == (now - HOUR, {CLAMPED})
    first = datetime.fromisoformat("1970-01-01T00:00:00Z")
    assert (await sold(store, first))[:2] == (now - HOUR, {CLAMPED})


async def test_attack_21_a_late_one_lies_between_both_its_neighbours(
    park: Inside, store: Store
) -> None:
    now = park.clock.now()
    await sold(store, now - 3 * HOUR, seq=10)
    await sold(store, now - HOUR, seq=20)
    between = now - 2 * HOUR
    assert (await sold(store, between, seq=15))[:2] == (between, set())
    assert (await sold(store, now - HOUR / 2, seq=18))[:2] == (now - HOUR, {CLAMPED})
    assert (await sold(store, now - 5 * HOUR, seq=14))[:2] == (now - 3 * HOUR, {CLAMPED})
    assert (await sold(store, now, seq=16))[:2] == (now, set())  # it has just happened, it says
    assert (await sold(store, now - timedelta(minutes=30), seq=17))[:2] == (now, {CLAMPED})


async def test_attack_21_the_future_is_moved_to_the_arrival(park: Inside, store: Store) -> None:
    now = park.clock.now()
    assert (await sold(store, now + 365 * DAY))[:2] == (now, {CLAMPED})
    assert (await sold(store, now + timedelta(milliseconds=1)))[:2] == (now, {CLAMPED})


async def test_attack_21_the_first_one_is_bounded_by_its_devices_pairing_and_three_days(
    park: Inside, store: Store
) -> None:
    paired = park.clock.now()
    assert (await sold(store, paired - 80 * HOUR))[:2] == (paired - 72 * HOUR, {CLAMPED})
    old = Store(await park.device("POS"), park)
    paired = park.clock.now()
    park.clock.advance(5 * DAY)
    await log_in(old)
    assert (await sold(old, paired - HOUR))[:2] == (paired, {CLAMPED})


async def test_R36_a_new_epoch_follows_the_last_one(park: Inside, store: Store) -> None:
    now = park.clock.now()
    await sold(store, now - HOUR, seq=40)
    store.new_epoch(2)
    assert (await sold(store, now - 3 * HOUR))[:2] == (now - HOUR, {CLAMPED})
    assert (await sold(store, now - HOUR / 2))[:2] == (now - HOUR / 2, set())


async def test_R36_one_batch_is_bounded_by_itself(park: Inside, store: Store) -> None:
    now = park.clock.now()
    minutes = (50, 40, 45, 10)
    ops = [await store.sale(at=(now - timedelta(minutes=each)).isoformat()) for each in minutes]
    results = await store.sync(*ops)
    assert statuses(results) == ["applied"] * 4
    sales = [each["result"]["sale"] for each in results]
    told = [now - datetime.fromisoformat(sale["occurred_at"]) for sale in sales]
    assert [each / timedelta(minutes=1) for each in told] == [50, 40, 40, 10]
    assert [CLAMPED in sale["flags"] for sale in sales] == [False, False, True, False]


async def test_R30_a_clamp_moves_the_printed_date(park: Inside, store: Store) -> None:
    now = park.clock.now()
    today = business_date(now, park_zone(None)).isoformat()
    yesterday = business_date(now - DAY, park_zone(None)).isoformat()
    await sold(store, now - timedelta(seconds=10))
    *_, stands = await sold(store, now, business_date=yesterday)
    assert stands["business_date"] == yesterday
    *_, moved = await sold(store, now - DAY, business_date=yesterday)
    assert moved["business_date"] in {today, business_date(now, park_zone(None)).isoformat()}
    assert CLAMPED in moved["flags"]


async def test_R36_what_comes_at_once_is_believed_without_a_look(
    park: Inside, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = park.clock.now()
    made = [
        store.op(
            "timecard",
            {"event": "clock_in"},
            at=(now - timedelta(seconds=each)).isoformat(),
            committed=False,
        )
        for each in (4, 6)
    ]
    looked: list[Any] = []
    neighbours = Timeline._neighbours

    async def noted(timeline: Timeline, *told: Any) -> tuple[datetime, datetime]:
        looked.append(told)
        return await neighbours(timeline, *told)

    monkeypatch.setattr(Timeline, "_neighbours", noted)
    for each, times in zip(made, (0, 1), strict=True):
        await store.sync(each)
        assert len(looked) == times


async def test_R36_a_letter_is_bounded_by_when_it_came(park: Inside, store: Store) -> None:
    made = await store.sale(at=(park.clock.now() + DAY).isoformat())
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("api.sales.service.shifts.book_sale", None)
        await store.sync(made)
    came = park.clock.now()
    park.clock.advance(2 * DAY)
    office = await (await park.device("ADMIN")).staff(**OWNER)
    (letter,) = await letters(office, device_id=store.device_id)
    response = await resolve(office, letter["dead_letter_id"], "apply")
    sale = response.json()["data"]["result"]["sale"]
    assert datetime.fromisoformat(sale["occurred_at"]) == came
