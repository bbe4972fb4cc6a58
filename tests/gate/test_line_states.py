"""R33, R37: while the line is not online nobody at the gate waits for it; what the screen says."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from gate.admission import Code, Verdict
from gate.allowlist import AllowList
from gate.answers import Level
from gate.board import idle
from playpark.contracts.sync import MAX_OPS, OpKind
from playpark.device import DeviceStore, LineMode
from tests.gate.lists import allowed, fill, told
from tests.gate.park import Park
from tests.gate.pictures import token
from tests.gate.test_alone import Desk, working

FIRST, SECOND = Code(token(1)), Code(token(2))
AT_ONCE = 5.0
"""Far less than a guest of these tests would wait."""


@pytest.fixture
def own(store: DeviceStore) -> Iterator[AllowList]:
    opened = AllowList(store.folder / "allowlist.db")
    fill(opened, told(allowed(FIRST.text), allowed(SECOND.text)))
    yield opened
    opened.close()


@pytest.fixture
async def desk(park: Park, store: DeviceStore, own: AllowList) -> AsyncIterator[Desk]:
    async with working(park, store, own) as running:
        running.admission._deadline = 60.0
        yield running


async def admitted(desk: Desk, code: Code) -> Verdict:
    async with asyncio.timeout(AT_ONCE):
        return await desk.admit(code)


async def test_R33_over_a_slow_line_the_gate_decides_before_it_asks(desk: Desk) -> None:
    desk.park.slow = asyncio.Event()
    desk.engine.missed()
    assert desk.engine.mode is LineMode.SLOW

    verdict = await admitted(desk, FIRST)

    assert (verdict.answer.level, verdict.answer.local) == (Level.PASS, True)
    assert desk.park.ops == []
    desk.park.slow.set()
    await desk.sent()
    # Asked once, with what had happened: nothing that could differ was on its way before.
    assert [(op["committed"], op["local"]["result"]) for op in desk.park.ops] == [(True, "pass")]


async def test_R33_a_gate_behind_with_a_long_queue_decides_by_itself_until_it_is_through(
    desk: Desk,
) -> None:
    desk.park.slow = asyncio.Event()
    for _ in range(MAX_OPS + 1):
        desk.store.append(
            OpKind.REDEMPTION,
            lambda _: {"qr_token": "nothing"},
            occurred_at=desk.park.clock.now(),
        )
    verdict = await admitted(desk, FIRST)
    assert (verdict.answer.level, verdict.answer.local) == (Level.PASS, True)
    desk.park.slow.set()
    await desk.sent()
    assert desk.engine.online
    again = await admitted(desk, SECOND)
    assert (again.answer.level, again.answer.local) == (Level.PASS, False)


async def test_R24_what_the_list_cannot_tell_is_asked_over_a_slow_line_too(desk: Desk) -> None:
    desk.engine.missed()
    assert desk.engine.mode is LineMode.SLOW
    fill(desk.own, told(version=2))
    desk.own.throw_away()

    verdict = await admitted(desk, FIRST)

    assert (verdict.answer.level, verdict.answer.local) == (Level.PASS, False)


async def test_R33_a_line_that_comes_and_goes_admits_nobody_twice(desk: Desk) -> None:
    words = []
    for slow in (True, False, True, False):
        if slow:
            desk.engine.missed()
        else:
            desk.engine.note(None)
        desk.park.clock.advance(timedelta(seconds=6))
        words.append((await admitted(desk, FIRST)).answer.word)
    assert words == ["PASS", "NO", "NO", "NO"]


async def test_R50_a_refusal_by_the_list_reaches_the_server_before_the_next_showing(
    desk: Desk,
) -> None:
    """The server passed it, its answer was late, and the gate said no: the ticket is free again
    when it is shown next."""
    fill(desk.own, told(deny=[allowed(FIRST.text).ticket_id], version=2))
    desk.engine.missed()
    refused = await admitted(desk, FIRST)
    assert refused.answer.level is Level.FAIL
    desk.engine._standing._line._held_until = 0.0
    desk.engine._standing._line._in_time = True
    assert desk.engine.online
    again = await admitted(desk, FIRST)
    told_first, asked = desk.park.ops[:2]
    assert (told_first["op_id"], told_first["local"]["result"]) == (refused.op_id, "fail")
    assert asked["op_id"] == again.op_id


def test_R33_a_gate_that_decides_alone_lets_no_guest_know_of_the_outage() -> None:
    assert idle(online=False, alone=True).word == "SCAN…"
    assert idle(online=False, alone=True, error="The server takes too long.").word == "SCAN…"
    assert idle(online=False, alone=True, fault="Camera 0 is not there.").word == "NO CAMERA"
    assert idle(online=False, alone=False).word == "OFFLINE"
    assert idle(online=True, error="This device is suspended.").word == "OFF"
