"""Merging what gates let through by themselves: whatever the order of arrival (R33)."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.drawers import op, sync
from tests.api.ticket_lives import Life, life

HOUR = 3_600
POOL, WATER = "Ball Pit", "Water Park"


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_merging") as made:
        yield made


async def zone_id(park: Life, name: str) -> str:
    zones = (await park.office.data("GET", "/v1/catalog/snapshot"))["zones"]
    return str(next(each["zone_id"] for each in zones if each["name"] == name))


async def results(park: Life, ticket: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(row["result"], row["reason"]) for row in await park.rows(ticket)]


async def told_of(park: Life, row: dict[str, Any]) -> list[dict[str, Any]]:
    """What was told of an entry whose guest is in, and which the server did not cover."""
    events = await park.db.events.find({"data.redemption_id": row["_id"]}).to_list(None)
    about = [each for each in events if each["type"].startswith("ticket.conflict")]
    return sorted(about, key=lambda each: str(each["_id"]))


# --- one case after the other -------------------------------------------------------------


async def test_R33_the_earlier_entry_keeps_its_pass_and_the_later_one_is_told(park: Life) -> None:
    ticket = await park.ticket()
    park.later(HOUR)
    later, earlier = park.shown(ticket, -60), park.shown(ticket, -120)
    (first,) = await sync(park.gates[0], later)
    (second,) = await sync(park.gates[1], earlier)
    assert (first["result"]["result"], second["result"]["result"]) == ("pass", "pass")
    assert await results(park, ticket) == [("pass", None), ("fail", "duplicate_use")]
    assert (await park.state(ticket))["used"] == 1
    _, row = await park.rows(ticket)
    assert (row["gate_result"], row["answered"]["result"]) == ("pass", "pass")
    (again,) = await sync(park.gates[0], later)
    assert (again["status"], again["result"]) == ("duplicate", first["result"])
    (audited,) = await park.db.audits.find({"entity_id": row["_id"]}).to_list(9)
    assert (audited["event_type"], audited["payload"]["was"]) == ("redemption.conflict", "pass")
    event = await park.db.events.find_one(
        {"type": "ticket.conflict", "data.redemption_id": row["_id"]}
    )
    assert event["data"]["reason"] == "duplicate_use"


async def test_R33_an_entry_that_the_server_let_in_is_judged_with_the_others(park: Life) -> None:
    ticket = await park.ticket()
    park.later(HOUR)
    online = await park.show(ticket)
    (offline,) = await sync(park.gates[1], park.shown(ticket, -600))
    assert (online["result"], offline["result"]["result"]) == ("pass", "pass")
    assert await results(park, ticket) == [("pass", None), ("fail", "duplicate_use")]
    row = (await park.rows(ticket))[1]
    assert (row["_id"], row["gate_result"]) == (online["redemption_id"], "pass")
    assert (await park.state(ticket))["used"] == 1


async def test_R33_R50_nobody_is_inside_whom_the_gate_turned_away_after_all(park: Life) -> None:
    """The server passed the guest, the gate had no answer and refused; before it could say so, an
    earlier entry from elsewhere took the use."""
    ticket, zone = await park.ticket(), await zone_id(park, POOL)
    park.later(HOUR)
    asked = park.asked(ticket, zone_id=zone)
    (passed,) = await sync(park.gates[0], asked)
    assert passed["result"]["result"] == "pass"
    await sync(park.gates[1], park.shown(ticket, -600, zone_id=zone))
    inside = passed["result"]["inside"] + 1
    refused = asked["occurred_at"]
    local = {"result": "fail", "reason": "duplicate_use", "at": refused}
    for _ in range(2):
        (again,) = await sync(park.gates[0], asked | {"committed": True, "local": local})
        assert again["result"]["result"] == "pass"
    earlier, row = await park.rows(ticket)
    assert (earlier["result"], earlier["gate_result"]) == ("pass", "pass")
    assert (row["gate_result"], row["annulled_because"]) == ("fail", "not_admitted")
    assert (await park.state(ticket))["used"] == 1
    counts = await park.db.occupancy.find({"zone_id": zone}).to_list(None)
    assert sum(each["entries"] - each["exits"] for each in counts) == inside - 1


@pytest.mark.parametrize("told", ["with the operation", "after the answer"])
async def test_R33_what_a_credit_did_not_cover_is_a_conflict_whenever_it_is_told(
    park: Life, told: str
) -> None:
    """The balance went at another gate, the server refused, and the gate let the guest in."""
    ticket, water = await park.ticket("Play credit 500"), await zone_id(park, WATER)
    park.later(HOUR)
    while (await park.show(ticket, park.gates[1], zone_id=water))["result"] == "pass":
        pass
    park.later(60)
    asked = park.asked(ticket, zone_id=water)
    if told == "after the answer":
        (refused,) = await sync(park.gates[0], asked)
        assert refused["result"]["reason"] == "exhausted"
    local = {"result": "pass", "at": asked["occurred_at"]}
    await sync(park.gates[0], asked | {"committed": True, "local": local})
    row = (await park.rows(ticket))[-1]
    assert (row["gate_result"], row["credit_shortfall"] > 0) == ("pass", True)
    assert [each["type"] for each in await told_of(park, row)] == ["ticket.conflict"]
    audited = await park.db.audits.find({"entity_id": row["_id"]}).to_list(9)
    assert [each["event_type"] for each in audited] == ["redemption.conflict"]


async def test_R33_entries_of_one_moment_go_by_their_op_id(park: Life) -> None:
    ticket = await park.ticket()
    park.later(HOUR)
    ops = sorted((park.shown(ticket, -60) for _ in range(3)), key=lambda each: str(each["op_id"]))
    for each in reversed(ops):
        await sync(park.gate, each)
    rows = await park.rows(ticket)
    assert [row["op_id"] for row in rows] == [each["op_id"] for each in ops]
    assert [row["result"] for row in rows] == ["pass", "fail", "fail"]


async def test_R33_a_gates_refusal_takes_nothing_and_is_never_judged_anew(park: Life) -> None:
    ticket = await park.ticket()
    park.later(HOUR)
    refused = park.shown(ticket, -60, local="fail")
    refused["local"]["reason"] = "wrong_device"
    (answer,) = await sync(park.gate, refused)
    assert (answer["result"]["result"], answer["result"]["reason"]) == ("fail", "wrong_device")
    await sync(park.gate, park.shown(ticket, -30))
    assert await results(park, ticket) == [("fail", "wrong_device"), ("pass", None)]
    assert (await park.state(ticket))["used"] == 1


async def test_R33_anti_passback_is_not_judged_anew(park: Life) -> None:
    ticket = await park.ticket("10 entries")
    park.later(HOUR)
    await sync(park.gates[0], park.shown(ticket, -60))
    await sync(park.gates[1], park.shown(ticket, -59))
    assert await results(park, ticket) == [("pass", None), ("pass", None)]
    assert (await park.state(ticket))["used"] == 2


async def test_a_cancelled_ticket_that_was_let_in_is_a_conflict_and_takes_nothing(
    park: Life,
) -> None:
    ticket = await park.ticket()
    assert (await park.change("cancel", ticket))[0] == 200
    park.later(HOUR)
    (answer,) = await sync(park.gate, park.shown(ticket, -60))
    assert (answer["status"], answer["result"]["reason"]) == ("applied", "cancelled")
    (row,) = await park.rows(ticket)
    assert (row["result"], row["gate_result"]) == ("fail", "pass")
    assert (await park.state(ticket))["used"] == 0
    assert await park.db.audits.count_documents({"entity_id": row["_id"]}) == 1


async def test_a_forged_ticket_that_was_let_in_is_recorded_as_a_conflict(park: Life) -> None:
    ticket = await park.ticket()
    token = ticket["qr_token"][:-1] + ("A" if ticket["qr_token"][-1] != "A" else "B")
    (answer,) = await sync(park.gate, park.shown({**ticket, "qr_token": token}))
    assert (answer["status"], answer["result"]["reason"]) == ("applied", "invalid_sig")
    row = await park.db.redemptions.find_one({"_id": answer["result"]["redemption_id"]})
    assert (row["ticket_id"], row["gate_result"]) == (None, "pass")


async def test_R33_credit_is_spent_down_to_nothing_and_the_rest_is_a_shortfall(park: Life) -> None:
    ticket, pool = await park.ticket("Play credit 500"), await zone_id(park, WATER)
    park.later(HOUR)
    entries = [park.shown(ticket, -seconds, zone_id=pool) for seconds in (40, 30, 20, 10)]
    for number in (3, 0, 1, 2):
        await sync(park.gate, entries[number])
    rows = await park.rows(ticket)
    assert [(row["spend"], row["credit_shortfall"]) for row in rows] == [
        *[(15_000, 0)] * 3,
        (5_000, 10_000),
    ]
    assert {row["result"] for row in rows} == {"pass"}
    assert (await park.state(ticket))["used"] == 50_000


async def test_R33_a_timepass_runs_from_its_earliest_entry(park: Life) -> None:
    ticket = await park.ticket("2-hour pass")
    park.later(4 * HOUR)
    before, later = (park.shown(ticket, -seconds) for seconds in (3 * HOUR + 60, 2 * HOUR))
    await sync(park.gates[0], park.shown(ticket, -HOUR))
    assert (await park.state(ticket))["ends_at"] is not None
    await sync(park.gates[1], later)
    await sync(park.gates[1], before)
    first, second, third = await park.rows(ticket)
    assert (first["started_clock"], second["started_clock"]) == (True, False)
    assert (await park.state(ticket))["ends_at"] == first["ends_at"] == second["ends_at"]
    assert (third["result"], third["reason"]) == ("fail", "exhausted")


async def test_R50_what_an_annulment_gives_back_goes_to_whoever_stood_behind(park: Life) -> None:
    ticket = await park.ticket()
    park.later(HOUR)
    first, second = park.shown(ticket, -120), park.shown(ticket, -60)
    await sync(park.gates[0], first)
    (refused,) = await sync(park.gates[1], second)
    assert refused["result"]["reason"] == "duplicate_use"
    undo = op("annul", {"op_id": first["op_id"]}, occurred_at=park.now(-60))
    (done,) = await sync(park.gates[0], undo)
    assert (done["status"], done["result"]["remaining"]) == ("applied", 0)
    assert await results(park, ticket) == [("pass", None), ("pass", None)]
    assert (await park.state(ticket))["used"] == 1
    _, row = await park.rows(ticket)
    lost, regained = await told_of(park, row)
    assert (lost["type"], lost["data"]["reason"]) == ("ticket.conflict", "duplicate_use")
    assert (regained["type"], regained["data"]["reason"]) == ("ticket.conflict.settled", None)
    assert (regained["data"]["was"], regained["data"]["gate_result"]) == ("fail", "pass")
    audited = await park.db.audits.find({"entity_id": row["_id"]}).sort("seq").to_list(9)
    assert [each["event_type"] for each in audited] == [
        "redemption.conflict",
        "redemption.conflict_settled",
    ]
    (again,) = await sync(park.gates[1], second)
    assert again["result"] == refused["result"]


async def test_R33_credit_that_an_annulment_gives_back_covers_what_was_short(park: Life) -> None:
    ticket, pool = await park.ticket("Play credit 500"), await zone_id(park, WATER)
    park.later(HOUR)
    entries = [park.shown(ticket, -seconds, zone_id=pool) for seconds in (50, 40, 30, 20)]
    for each in entries:
        await sync(park.gate, each)
    _, _, _, last = await park.rows(ticket)
    assert (last["spend"], last["credit_shortfall"]) == (5_000, 10_000)
    undo = op("annul", {"op_id": entries[0]["op_id"]}, occurred_at=park.now(-20))
    await sync(park.gate, undo)
    _, _, _, last = await park.rows(ticket)
    assert (last["spend"], last["credit_shortfall"]) == (15_000, 0)
    assert (await park.state(ticket))["used"] == 45_000
    lost, regained = await told_of(park, last)
    assert (lost["type"], lost["data"]["credit_shortfall"]) == ("ticket.conflict", 10_000)
    assert (regained["type"], regained["data"]["credit_shortfall"]) == (
        "ticket.conflict.settled",
        0,
    )


async def test_R33_a_guest_whom_the_server_refused_and_the_gate_let_in_is_a_conflict(
    park: Life,
) -> None:
    ticket = await park.ticket()
    await park.show(ticket)
    park.later(60)
    asked = park.asked(ticket)
    (refused,) = await sync(park.gates[1], asked)
    assert refused["result"]["reason"] == "duplicate_use"
    let_in = asked | {"committed": True, "local": {"result": "pass"}}
    for _ in range(2):
        (again,) = await sync(park.gates[1], let_in)
        assert (again["status"], again["result"]) == ("duplicate", refused["result"])
    _, row = await park.rows(ticket)
    assert (row["result"], row["gate_result"]) == ("fail", "pass")
    assert row["counted_on"] is not None  # somebody is inside with it
    assert await park.db.audits.count_documents({"entity_id": row["_id"]}) == 1
    assert (await park.state(ticket))["used"] == 1


async def test_R15_a_refusal_that_turns_into_a_pass_is_answered_as_the_first_time(
    park: Life,
) -> None:
    ticket = await park.ticket()
    park.later(60)
    await sync(park.gates[0], park.shown(ticket))
    park.later(60)
    asked = park.asked(ticket)
    (refused,) = await sync(park.gates[1], asked)
    assert refused["result"]["reason"] == "duplicate_use"
    let_in = asked | {"committed": True, "local": {"result": "pass"}}
    await sync(park.gates[1], let_in)
    first, _ = await park.rows(ticket)
    assert (await park.annul(first["_id"], park.gates[0]))[0] == 200
    assert await results(park, ticket) == [("pass", None), ("pass", None)]
    (again,) = await sync(park.gates[1], let_in)
    assert (again["status"], again["result"]) == ("duplicate", refused["result"])


async def test_what_an_exchange_carried_over_is_not_spent_again(park: Life) -> None:
    lost = await park.ticket()
    await park.show(lost)
    _, given = await park.change("exchange", lost)
    park.later(HOUR)
    (answer,) = await sync(park.gate, park.shown(given["ticket"], -60))
    assert answer["result"]["reason"] == "duplicate_use"
    assert (await park.state(given["ticket"]))["used"] == 1


async def test_two_outages_that_arrive_at_once_follow_each_other(park: Life) -> None:
    ticket = await park.ticket("10 entries")
    park.later(HOUR)
    ops = [park.shown(ticket, -10 * number) for number in range(15, 0, -1)]
    await asyncio.gather(
        *(sync(park.gates[number % 2], each) for number, each in enumerate(ops)),
    )
    found = await results(park, ticket)
    assert found == [("pass", None)] * 10 + [("fail", "duplicate_use")] * 5
    assert (await park.state(ticket))["used"] == 10


# --- any order of arrival, against a plain model --------------------------------------------


@dataclass
class Model:
    """What the books must say of a set of entries, however they came."""

    results: list[tuple[str, str | None, int, int]]
    """(result, reason, spent, shortfall) in the order of time."""
    used: int


def expected(package: str, entries: list[tuple[int, str]]) -> Model:
    """`entries`: (second, op_id)."""
    in_order = sorted(entries)
    if package == "Play credit 500":
        left, rows = 50_000, []
        for _ in in_order:
            spent = min(15_000, left)
            left -= spent
            rows.append(("pass", None, spent, 15_000 - spent))
        return Model(rows, 50_000 - left)
    if package == "2-hour pass":
        end = in_order[0][0] + 2 * HOUR
        inside = [second < end for second, _ in in_order]
        late = ("fail", "exhausted", 0, 0)
        return Model([("pass", None, 0, 0) if each else late for each in inside], 0)
    quota = {"Adult day pass": 1, "10 entries": 10}[package]
    late = ("fail", "duplicate_use", 0, 0)
    rows = [("pass", None, 1, 0)] * min(quota, len(in_order))
    return Model(rows + [late] * (len(in_order) - len(rows)), len(rows))


PACKAGES = ["Adult day pass", "10 entries", "2-hour pass", "Play credit 500"]


@pytest.fixture(scope="module")
def world(mongo_uri: str, database: str) -> Iterator[tuple[asyncio.Runner, Life, str]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        made = life(mongo_uri, f"{database}_merging_orders")
        park = runner.run(stack.enter_async_context(made))
        yield runner, park, runner.run(zone_id(park, WATER))
        runner.run(stack.aclose())


@pytest.mark.timeout(300)
@settings(
    max_examples=150 if os.environ.get("PLAYPARK_FULL") else 12,
    suppress_health_check=list(HealthCheck),
)
@given(
    package=st.sampled_from(PACKAGES),
    seconds=st.lists(st.integers(0, 3 * HOUR), min_size=2, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_R33_any_order_of_arrival_ends_in_the_same_books(
    world: tuple[asyncio.Runner, Life, str], package: str, seconds: list[int], order: Any
) -> None:
    runner, park, pool = world
    in_zone = {"zone_id": pool} if package == "Play credit 500" else {}

    async def arrive() -> None:
        ticket = await park.ticket(package)
        park.later(3 * HOUR + 1)
        # A device counts its operations as they happen; the server hears of them in any order.
        moments = sorted(seconds)
        ops = [park.shown(ticket, second - 3 * HOUR, **in_zone) for second in moments]
        model = expected(
            package,
            [(second, str(each["op_id"])) for second, each in zip(moments, ops, strict=True)],
        )
        order.shuffle(ops)
        gates = {each["op_id"]: order.choice(park.gates) for each in ops}
        first = {each["op_id"]: (await sync(gates[each["op_id"]], each))[0] for each in ops}
        rows = await park.rows(ticket)
        told = [(r["result"], r["reason"], r["spend"], r["credit_shortfall"]) for r in rows]
        assert told == model.results
        assert {row["gate_result"] for row in rows} == {"pass"}
        assert (await park.state(ticket))["used"] == model.used
        for row in rows:  # who listens knows how each of them stands
            last = [each["data"] for each in await told_of(park, row)][-1:]
            short = row["result"] == "fail" or row["credit_shortfall"] > 0
            assert [each["reason"] for each in last] == ([row["reason"]] if last else [])
            assert bool(last) or not short
            assert [each["credit_shortfall"] for each in last] in ([], [row["credit_shortfall"]])
        for each in ops:
            (again,) = await sync(gates[each["op_id"]], each)
            assert again["result"] == first[each["op_id"]]["result"]

    runner.run(arrive())
