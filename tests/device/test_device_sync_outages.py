"""R35, R37, R38: a line that hangs, a busy server, a device that is not taken, a long queue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from playpark.client import ApiClient, NoAnswerError
from playpark.clock import FixedClock
from playpark.contracts.sync import Counters, OpKind, OpStatus
from playpark.device import DeviceStore, LineMode, OpState, StoredOp, SyncEngine
from playpark.device.line import HOLD_S
from playpark.device.park_clock import ParkClock
from playpark.device.sending import COPIED, PutOff, patience
from playpark.device.standing import SLOW, Standing
from playpark.errors import ErrorCode, PlayParkError
from tests.device.conftest import IDENTITY, NOW, FaultyServer, _answer

SUSPENDED = (403, "E_DEVICE_SUSPENDED", "This till is suspended.")


class Server(FaultyServer):
    """`refuses` is how every call that needs a token is answered, as (status, code, message);
    `revoked`: the token of before is worth nothing. `rewound` is what the next batches meet; `cuts`
    loses the answers to batches larger than so many; `status` is of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: tuple[int, str, str] | None = None
        self.rewound: list[dict[str, Any]] = []
        self.cuts = 50
        self.status = "active"
        self.revoked = False
        self.retry: str | None = None
        self.asked: list[str] = []
        self.sizes: list[int] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1")
        self.asked.append(path)
        if path == "/sync/batch" and self.revoked and not self.logins:
            refusal = {"code": "E_DEVICE_REVOKED", "message": "This device was revoked."}
            return _answer(403, None, refusal)
        if path != "/time" and self.refuses:
            status, code, message = self.refuses
            return _answer(status, None, {"code": code, "message": message}, retry=self.retry)
        if path == "/auth/device/login":
            self.logins += 1
            device = IDENTITY.device
            assert device is not None
            told = {**device.model_dump(mode="json"), "type": "GATE", "status": self.status}
            store = IDENTITY.store
            assert store is not None
            session = {"access_token": self.valid_token, "expires_in": 900}
            return _answer(200, {**session, "device": told, "store": store.model_dump()})
        if path == "/time":
            return _answer(200, {"now": NOW.isoformat()})
        return super().handle(request)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sync/batch") and self.rewound:
            error = {"code": "E_OUTBOX_REWOUND", "message": "set back"}
            return _answer(409, None, {**error, "details": self.rewound.pop(0)})
        answer = super()._respond(request)
        if request.url.path.endswith("/sync/batch") and answer.status_code == 200:
            self.sizes.append(len(self.batches[-1]["ops"]))
            if self.sizes[-1] > self.cuts:
                raise httpx.ReadError("cut", request=request)
        return answer


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def engine(
    store: DeviceStore, server: Server, clock: FixedClock
) -> AsyncIterator[SyncEngine]:
    async with server.client() as client:
        yield SyncEngine(store, client, clock, jitter=lambda: 1.0, idle=0.01)


def add(store: DeviceStore, **body: Any) -> StoredOp:
    return store.append(OpKind.REDEMPTION, lambda _: dict(body), occurred_at=NOW)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.005)


# --- a line that hangs ------------------------------------------------------------------------


class Hanging(httpx.AsyncBaseTransport):
    """Keeps silent until it is let go; then it is the server."""

    def __init__(self, server: FaultyServer) -> None:
        self.server = server
        self.hangs = 0
        self.free = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.free.is_set():
            self.hangs += 1
            await self.free.wait()
            raise httpx.ReadTimeout("silence", request=request)
        return self.server.handle(request)


async def test_R37_guests_do_not_pay_for_a_line_that_swallows_everything(
    store: DeviceStore, server: Server, clock: FixedClock
) -> None:
    line = Hanging(server)
    line.free.set()
    async with ApiClient("http://park", transport=line) as client:
        engine = SyncEngine(store, client, clock)
        await engine.drain()
        await engine._knock()
        assert engine.mode is LineMode.ONLINE
        line.free.clear()
        first = add(store, n=0)
        assert await engine.submit(first.op_id, 0.05) is None
        assert engine.state.last_error == SLOW
        ops = [add(store, n=n) for n in range(1, 30)]
        async with asyncio.timeout(20):
            assert [await engine.submit(op.op_id, 60.0) for op in ops] == [None] * 29
        assert line.hangs == 1, "one batch in flight"

        line.free.set()
        await until(lambda: not engine.queued)

    assert list(server.applied) == [first.op_id, *(op.op_id for op in ops)]


async def test_R37_who_is_patient_waits_on_a_slow_line(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    await engine._knock()
    engine.missed()
    assert engine.mode is LineMode.SLOW

    assert await engine.submit(add(store, n=1).op_id, 5.0) is None
    result = await engine.submit(add(store, n=2).op_id, 5.0, patient=True)

    assert result is not None
    assert result.status is OpStatus.APPLIED


async def test_two_who_wait_for_one_operation_are_both_answered(
    store: DeviceStore, engine: SyncEngine
) -> None:
    await engine._knock()
    op = add(store, n=1)

    answers = await asyncio.gather(*(engine.submit(op.op_id, 5.0) for _ in range(3)))

    assert [each.status for each in answers if each] == [OpStatus.APPLIED] * 3
    assert not engine._waiters


async def test_R37_a_line_that_cuts_long_answers_gets_shorter_batches(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    server.cuts = 10
    ops = [add(store, n=n) for n in range(60)]

    for _ in range(4):
        await engine.drain()
    assert server.sizes[:3] == [50, 25, 12]
    for _ in range(60):
        await engine.drain()

    assert not engine.queued
    assert list(server.applied) == [op.op_id for op in ops]


def test_R35_the_client_waits_longer_than_the_server_works() -> None:
    assert [patience(n) for n in (1, 3, 4, 50)] == [10, 20, 25, 25]


async def test_a_cut_while_the_server_is_gone_asks_for_the_time_first(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    await engine._knock()
    engine.note(NoAnswerError("gone"))
    server.asked.clear()
    op = add(store, n=1)

    result = await engine.submit(op.op_id, 5.0)

    assert result is not None
    assert server.asked == ["/time", "/sync/batch"]


# --- a server that is busy --------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(503, "E_UNAVAILABLE"), (429, "E_RATE_LIMITED")])
async def test_R37_a_busy_server_is_slow_and_not_gone(
    store: DeviceStore, server: Server, engine: SyncEngine, status: int, code: str
) -> None:
    await engine._knock()
    server.refuses, server.retry = (status, code, "Wait."), "30"
    op = add(store, n=1)

    assert await engine.submit(op.op_id, 60.0) is None

    state = engine.state
    assert (state.mode, state.last_error, state.queued) == (LineMode.SLOW, "Wait.", 1)
    assert state.back_in is not None
    assert 25 < state.back_in <= 30
    assert store.op(op.op_id).state is OpState.PENDING  # type: ignore[union-attr]
    server.asked.clear()
    assert await engine.submit(op.op_id, 60.0) is None
    assert not server.asked, "it asked not to be asked"


async def test_R37_no_hurry_shortens_what_the_server_asked_for(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    await engine._knock()
    server.refuses, server.retry = (429, "E_RATE_LIMITED", "Wait."), "60"
    add(store, n=1)
    loop = asyncio.create_task(engine.run_forever())
    await until(lambda: "/sync/batch" in server.asked)
    asked = len(server.asked)
    for _ in range(5):
        engine.wake()
        await asyncio.sleep(0.01)
    loop.cancel()
    assert len(server.asked) == asked


async def test_R17_a_faulty_operation_is_asked_again_later_and_later(
    store: DeviceStore, server: Server, engine: SyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    engine._sender.put_off = PutOff(lambda: 1.0, lambda: now)
    faulty, good = add(store, fault=True), add(store, n=1)
    await engine.drain()
    assert store.op(good.op_id).state is OpState.APPLIED  # type: ignore[union-attr]
    assert server.sizes == [2]

    again = []
    for _ in range(120):
        now += 1.0
        await engine.drain()
        again.append(len(server.sizes))
    # It is due after 1, 2, 4, 8, 16, 32, 60 seconds.
    assert [n for n in range(1, 120) if again[n] > again[n - 1]] == [2, 6, 14, 30, 62]
    assert engine._sender.put_off.next_in is not None
    assert store.op(faulty.op_id).state is OpState.PENDING  # type: ignore[union-attr]
    late = add(store, n=2)
    await engine.drain()
    assert late.op_id in server.applied


def test_what_waits_no_more_is_forgotten() -> None:
    put_off = PutOff(lambda: 1.0, lambda: 0.0)
    assert put_off.next_in is None
    put_off.put("a")
    put_off.put("b")
    assert (len(put_off), put_off.waits("a"), put_off.next_in) == (2, True, 1.0)
    put_off.keep({"b"})
    assert ("a" in put_off, "b" in put_off) == (False, True)
    put_off.settled("b")
    assert put_off.next_in is None


# --- a device that is not taken ---------------------------------------------------------------


async def test_R38_a_suspended_device_keeps_its_operations_and_comes_back(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    await engine._knock()
    server.refuses = SUSPENDED
    op = add(store, n=1)
    assert await engine.submit(op.op_id, 5.0) is None

    assert engine.turned_away
    assert engine.state.last_error == "This till is suspended."
    # The server tells the time to anybody: that is no pardon.
    assert await engine._knock()
    engine._standing.probed(0.01)
    assert engine.turned_away
    assert engine.state.last_error == "This till is suspended."
    assert engine.queued == 1

    server.refuses = None
    assert await engine._knock() is None
    assert not engine.turned_away
    await engine.drain()
    assert list(server.applied) == [op.op_id]


async def test_R38_a_revoked_device_hands_its_queue_over_and_stays_shut(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    server.status = "revoked"
    ops = [add(store, n=n) for n in range(3)]

    await engine.drain()
    assert await engine._knock() is None
    assert await engine._knock() is None

    assert list(server.applied) == [op.op_id for op in ops]
    assert engine.turned_away
    assert "for a review" in (engine.state.last_error or "")
    assert server.logins == 1, "logins are few in an hour"


async def test_R38_a_device_that_is_revoked_at_work_logs_in_once_more_for_the_review(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    engine._client.device_token = server.valid_token
    server.revoked, server.status = True, "revoked"
    op = add(store, n=1)
    assert await engine.submit(op.op_id, 5.0) is None
    assert engine.turned_away
    assert not server.applied

    report = await engine._round()

    assert report.error is None
    assert list(server.applied) == [op.op_id]
    assert engine.turned_away


# --- a store that was set back ------------------------------------------------------------------


def counters(epoch: int = 1, seq: int = 40) -> dict[str, Any]:
    return Counters(epoch=epoch, seq=seq, receipts={"S": 12}).model_dump()


async def test_R38_a_store_that_was_set_back_goes_on_in_a_new_epoch(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    ops = [add(store, n=n) for n in range(60)]
    server.rewound = [counters()]

    report = await engine.drain()

    assert (report.error, report.applied) == (None, 60)
    assert list(server.applied) == [op.op_id for op in ops]
    assert {epoch for epoch, _ in server.order} == {2}
    assert engine.state.last_error is None


async def test_R38_the_same_counters_again_are_told_and_no_loop(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    op = add(store, n=1)
    server.rewound = [counters()] * 9

    first = await engine.drain()
    assert first.error is not None
    assert first.error.code is ErrorCode.OUTBOX_REWOUND
    assert len(server.rewound) == 7
    again = await engine.drain()
    assert again.error is not None
    assert (len(server.rewound), store.epoch) == (6, 2)
    assert engine.state.last_error == COPIED

    server.rewound = []
    await engine.drain()
    assert list(server.applied) == [op.op_id]
    assert engine.state.last_error is None


async def test_R38_one_new_epoch_in_a_drain_is_enough(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    op = add(store, n=1)
    server.rewound = [counters(epoch) for epoch in (1, 2, 3)]

    assert (await engine.drain()).error is not None
    assert (store.epoch, len(server.rewound)) == (2, 1)
    assert (await engine.drain()).error is None
    assert store.epoch == 4
    assert list(server.applied) == [op.op_id]


async def test_R38_a_rewound_answer_without_counters_is_a_fault(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    add(store, n=1)
    server.rewound = [{"epoch": "x"}]

    report = await engine.drain()

    assert report.error is not None
    assert (store.epoch, engine.queued) == (1, 1)


# --- a long queue -----------------------------------------------------------------------------


async def test_R37_while_a_long_queue_is_sent_a_fresh_sale_does_not_wait(
    store: DeviceStore, server: Server, engine: SyncEngine
) -> None:
    for n in range(230):
        add(store, n=n)
    seen: list[tuple[LineMode, Any]] = []
    engine.listen(lambda *_: seen.append((engine.mode, engine.state.progress)))
    drain = asyncio.create_task(engine.drain())
    await until(lambda: seen)

    async with asyncio.timeout(20):
        fresh = add(store, n=999)
        assert await engine.submit(fresh.op_id, 60.0) is None
    await drain

    progress = [each.done for _, each in seen if each]
    assert progress == [*range(1, 231), 230]  # the fresh one was not of it
    assert {each.total for _, each in seen if each} == {230}
    assert seen[0][0] is LineMode.SLOW
    assert seen[-1][0] is LineMode.ONLINE
    assert list(server.applied)[-1] == fresh.op_id
    assert engine.state.progress is None


async def test_a_full_disk_is_told_and_is_no_outage(
    store: DeviceStore, engine: SyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise PlayParkError(ErrorCode.UNAVAILABLE, "The disk is full.")

    add(store, n=1)
    monkeypatch.setattr(store, "record_results", full)
    report = await engine.drain()
    assert report.error is not None
    assert (engine.mode, engine.state.last_error) == (LineMode.ONLINE, "The disk is full.")


# --- the time, and what a cut login lacks -------------------------------------------------------


async def test_R36_the_engine_teaches_the_clock_and_keeps_what_it_lacks(
    store: DeviceStore, server: Server
) -> None:
    machine = FixedClock(NOW - timedelta(hours=3))
    clock = ParkClock(machine)
    async with server.client() as client:
        engine = SyncEngine(store, client, clock)
        await engine._knock()

    assert abs(clock.now() - NOW) < timedelta(seconds=30)
    kept = store.clock()
    assert kept is not None
    assert abs(kept.offset_ms - 3 * 3_600_000) < 30_000
    assert clock.note() is None


def test_the_time_of_a_probe_counts_against_the_deadline(clock: FixedClock) -> None:
    now = 0.0
    standing = Standing(clock, 0.8, monotonic=lambda: now)
    standing.probed(0.1)
    assert standing.mode is LineMode.ONLINE
    assert standing.since(online=True) == NOW
    clock.advance(timedelta(seconds=9))
    standing.probed(0.9)
    assert (standing.mode, standing.last_error) == (LineMode.SLOW, SLOW)
    assert standing.since(online=False) == NOW + timedelta(seconds=9)
    standing.probed(0.1)
    assert standing.mode is LineMode.SLOW
    now = HOLD_S
    assert standing.mode is LineMode.ONLINE
