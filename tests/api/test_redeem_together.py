"""Scans that come at once share a transaction, and none of them notices it (R15, R20)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from api.platform.crew import TOGETHER, Crew
from api.platform.uow import Work
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.drawers import send
from tests.api.ticket_lives import Life, life

MANY = 24


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_together") as made:
        yield made


async def tickets(park: Life, count: int) -> list[dict[str, Any]]:
    await park.by_day()
    sold: list[dict[str, Any]] = (await park.till.sell(("Carousel ride", count)))["tickets"]
    return sold


async def scan(park: Life, body: dict[str, Any], key: str | None = None) -> tuple[int, Any]:
    answer = await send(park.gate, "POST", "/tickets/redeem", body, key=key)
    told = answer.json()
    return answer.status_code, told["data"] or told["error"]["code"]


@pytest.fixture
def transactions(park: Life, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many effects were tried in one transaction, each time that it was several."""
    seen: list[int] = []
    together = park.inside.platform.uow._crew._together

    def overheard(effects: Sequence[Any], ends_at: float) -> Sequence[Any]:
        seen.append(len(effects))
        return together(effects, ends_at)

    monkeypatch.setattr(park.inside.platform.uow._crew, "_together", overheard)
    return seen


async def test_R20_each_of_many_scans_at_once_gets_its_own_answer_and_row(
    park: Life, transactions: list[int]
) -> None:
    many = await tickets(park, MANY)
    answers = await asyncio.gather(*(scan(park, {"qr_token": t["qr_token"]}) for t in many))
    assert max(transactions) > 1
    assert max(transactions) <= TOGETHER
    for ticket, (status, answer) in zip(many, answers, strict=True):
        assert (status, answer["result"]) == (200, "pass")
        assert answer["ticket_id"] == ticket["ticket_id"]
        (row,) = await park.rows(ticket)
        assert row["_id"] == answer["redemption_id"]
        op = await park.db.operations.find_one({"result_id": row["_id"]})
        assert op["op_id"] == row["op_id"]
        which = {"data.redemption_id": row["_id"]}
        assert await park.db.events.count_documents(which) == 1
        assert (await park.state(ticket))["used"] == 1
    assert (await scan(park, {"qr_token": many[0]["qr_token"]}))[1]["reason"] == "duplicate_use"


async def test_R20_one_ticket_many_times_in_one_transaction_admits_once(
    park: Life, transactions: list[int]
) -> None:
    (ticket,) = await tickets(park, 1)
    body = {"qr_token": ticket["qr_token"]}
    answers = await asyncio.gather(*(scan(park, body) for _ in range(MANY)))
    assert max(transactions) > 1
    results = [answer["result"] for _, answer in answers]
    assert sorted(results) == ["fail"] * (MANY - 1) + ["pass"]
    assert len(await park.rows(ticket)) == MANY


async def test_R15_the_same_scan_many_times_at_once_is_one_operation(park: Life) -> None:
    ticket, other = await tickets(park, 2)
    key, body = new_ulid(), {"qr_token": ticket["qr_token"]}
    answers = await asyncio.gather(
        *(scan(park, body, key) for _ in range(MANY)), scan(park, {"qr_token": other["qr_token"]})
    )
    told = {answer["redemption_id"] for _, answer in answers[:-1]}
    assert len(told) == 1
    assert {answer["result"] for _, answer in answers} == {"pass"}
    assert len(await park.rows(ticket)) == 1
    assert (await park.state(ticket))["used"] == 1


async def test_what_one_scan_is_refused_for_is_no_other_ones(
    park: Life, transactions: list[int]
) -> None:
    many = await tickets(park, MANY)
    bodies: list[dict[str, Any]] = [{"qr_token": ticket["qr_token"]} for ticket in many]
    bodies[3]["zone_id"] = new_ulid()
    bodies[11]["device_id"] = new_ulid()
    bodies[17]["qr_token"] = "PP1.nonsense"
    answers = await asyncio.gather(*(scan(park, body) for body in bodies))
    assert max(transactions) > 1
    assert answers[3] == (404, "E_NOT_FOUND")
    assert answers[11] == (422, "E_VALIDATION")
    assert answers[17][1]["reason"] == "invalid_sig"
    for number, (status, answer) in enumerate(answers):
        if number not in {3, 11, 17}:
            assert (status, answer["result"]) == (200, "pass"), number
    for number in (3, 11):  # a refusal leaves nothing behind
        assert await park.rows(many[number]) == []
        assert (await park.state(many[number]))["used"] == 0


async def test_R51_scans_of_one_gate_at_once_are_all_counted(park: Life) -> None:
    async def counted() -> int:
        items = (await park.gate.data("GET", "/v1/gate/occupancy"))["items"]
        return int(next(each["entries"] for each in items if each["zone_id"] == zone))

    many = await tickets(park, MANY)
    zone = many[0]["zones"][0]
    before = await counted()
    bodies = ({"qr_token": ticket["qr_token"], "zone_id": zone} for ticket in many)
    answers = await asyncio.gather(*(scan(park, body) for body in bodies))
    assert {answer["result"] for _, answer in answers} == {"pass"}
    assert await counted() == before + MANY


# --- the crew itself ------------------------------------------------------------------------------


async def test_a_fault_in_one_effect_is_told_to_the_one_who_asked_for_it(park: Life) -> None:
    uow = park.inside.platform.uow

    async def good(work: Work) -> str:
        assert work.apart
        return "good"

    async def refused(work: Work) -> str:
        del work
        raise PlayParkError(ErrorCode.CONFLICT, "No.")

    async def broken(work: Work) -> str:
        del work
        raise ZeroDivisionError

    async def twice(work: Work) -> str:
        await work.collection("twice").insert_one({"_id": 1}, session=work.session)
        return "once"

    async def waits(work: Work) -> str:
        del work
        await asyncio.sleep(0)
        return "never"

    effects = [good, refused, good, broken, twice, twice, waits, good]
    found = await asyncio.gather(*(uow.run_apart(each) for each in effects), return_exceptions=True)
    assert [found[number] for number in (0, 2, 7)] == ["good"] * 3
    assert isinstance(found[1], PlayParkError)
    assert isinstance(found[3], ZeroDivisionError)
    assert isinstance(found[6], RuntimeError)  # such an effect has no event loop there
    assert sorted(str(type(each)) for each in found[4:6]) == sorted(
        map(str, (str, DuplicateKeyError))
    )
    assert await uow.run_apart(good) == "good"


async def test_an_effect_that_nobody_waits_for_any_more_stops_no_other() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def alone(effect: Any, ends_at: float) -> Any:
        del ends_at
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return effect

    crew = Crew(alone, lambda effects, _: [alone(each, 0) for each in effects])
    given_up = asyncio.create_task(crew.do("first", 0))
    await started.wait()
    given_up.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*(crew.do(number, 0) for number in range(50))) == list(range(50))
    assert given_up.cancelled()
    crew.close()
