"""The way to the server: lost, doubled and refused answers (R35, R37)."""

import asyncio

import pytest

from playpark.client import NoAnswerError
from playpark.contracts.sync import OpKind, OpStatus
from playpark.device import LineMode, OpState, SyncEngine, login
from playpark.device.line import HOLD_S
from playpark.device.sending import BACKOFF_CAP_S, backoff
from playpark.device.standing import LONGEST_PAUSE_S
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from tests.device.conftest import NOW


def add(store, **body):
    return store.append(OpKind.REDEMPTION, lambda _: dict(body), occurred_at=NOW)


@pytest.fixture
async def engine(store, server, clock):
    async with server.client() as client:
        yield SyncEngine(store, client, clock, jitter=lambda: 1.0, idle=0.01)


async def test_an_answer_is_handed_to_who_waits(store, server, engine):
    op = add(store, n=1)

    result = await engine.submit(op.op_id, 2.0)

    assert result.status is OpStatus.APPLIED
    assert result.result["qr_token"].startswith("PP1")
    assert store.op(op.op_id).state is OpState.APPLIED
    assert (engine.online, engine.queued) == (True, 0)


async def test_R14_a_lost_answer_leaves_the_operation_queued_and_is_made_good(
    store, server, engine
):
    await engine.drain()
    op = add(store, n=1)
    await login(store, engine._client)
    server.faults = ["lose"]

    assert await engine.submit(op.op_id, 2.0) is None
    assert (engine.online, engine.reachable, engine.queued) == (False, False, 1)
    assert "does not answer" in engine.state.last_error

    report = await engine.drain()
    assert (report.applied, engine.queued) == (1, 0)
    assert list(server.applied) == [op.op_id]


async def test_a_late_answer_reaches_the_listener(store, server, engine):
    heard = []
    engine.listen(lambda op, result: heard.append((op.op_id, result.result["echo"])))
    server.faults = ["drop"]
    op = add(store, n=7)

    assert await engine.submit(op.op_id, 2.0) is None
    await engine.drain()

    assert heard == [(op.op_id, {"n": 7})]


async def test_R15_an_applied_operation_can_be_asked_again(store, server, engine):
    op = add(store, n=1)
    await engine.submit(op.op_id, 2.0)

    again = await engine.submit(op.op_id, 2.0)

    assert again.status is OpStatus.DUPLICATE
    assert again.result["qr_token"] == f"PP1.{op.op_id}"
    assert len(server.applied) == 1


async def test_R35_batches_hold_fifty_in_order(store, server, engine):
    for n in range(120):
        add(store, n=n)

    report = await engine.drain()

    assert report.applied == 120
    assert [len(batch["ops"]) for batch in server.batches] == [50, 50, 20]
    assert server.order == sorted(server.order)


async def test_R35_one_batch_is_in_flight(store, server, engine):
    ops = [add(store, n=n) for n in range(5)]

    results = await asyncio.gather(*(engine.submit(op.op_id, 2.0) for op in ops))

    assert [result.status for result in results] == [OpStatus.APPLIED] * 5
    assert len(server.order) == 5
    assert server.order == sorted(server.order)


async def test_R35_a_second_batch_waits_for_the_first(store, server, clock):
    under_way = 0

    class CountingClient(type(server.client())):
        async def sync(self, batch, **options):
            nonlocal under_way
            under_way += 1
            assert under_way == 1, "two batches in flight"
            await asyncio.sleep(0.02)
            under_way -= 1
            return await super().sync(batch, **options)

    async with CountingClient("http://park", transport=server.transport) as client:
        engine = SyncEngine(store, client, clock)
        add(store, n=1)
        first = asyncio.create_task(engine.drain())
        await asyncio.sleep(0.01)
        add(store, n=2)
        await asyncio.gather(first, engine.drain(), engine.drain())

    assert len(server.order) == 2


async def test_R35_a_poisoned_operation_holds_nobody_up(store, server, engine):
    good, other = [add(store, n=n) for n in range(3)], [add(store, n=n) for n in range(4)]
    bad = store.append(OpKind.SALE, lambda _: {"poison": True}, occurred_at=NOW, committed=True)
    last = add(store, n=9)

    report = await engine.drain()

    # Alone it is refused still, and by the server: it goes to the quarantine with the reason.
    assert (report.applied, report.rejected, report.waiting) == (8, 1, 0)
    assert [op.op_id for op in store.quarantine()] == [bad.op_id]
    refused = store.op(bad.op_id)
    assert (refused.code, refused.message) == ("E_VALIDATION", "this body is wrong")
    assert engine.state.quarantined == 1
    assert set(server.applied) == {op.op_id for op in [*good, *other, last]}


async def test_R35_a_login_that_is_refused_whole_is_not_held_against_an_operation(
    store, server, clock
):
    async def refused():
        raise PlayParkError(ErrorCode.VALIDATION, "no such login")

    async with server.client() as client:
        engine = SyncEngine(store, client, clock, relogin=refused)
        op = add(store, n=1)

        report = await engine.drain()

        assert report.error.message == "no such login"
        assert store.op(op.op_id).state is OpState.PENDING


async def test_R17_a_fault_of_the_server_is_no_verdict_on_a_sale(store, server, engine):
    faulty, good = add(store, fault=True), add(store, n=1)

    report = await engine.drain()

    assert (report.applied, report.rejected, report.waiting) == (1, 0, 1)
    assert store.op(good.op_id).state is OpState.APPLIED
    assert store.op(faulty.op_id).state is OpState.PENDING
    assert engine.state.last_error == "our fault"


def test_R37_no_answer_keeps_a_device_away_for_long():
    assert backoff(1, 1e9, lambda: 0.0) == LONGEST_PAUSE_S


async def test_R35_a_rejected_operation_is_answered_and_kept(store, server, engine):
    bad = add(store, refuse=True)

    result = await engine.submit(bad.op_id, 2.0)
    again = await engine.submit(bad.op_id, 2.0)

    assert (result.status, result.message) == (OpStatus.REJECTED, "not this")
    assert again.message == "not this"
    assert len(server.batches) == 1


async def test_R37_retry_keeps_the_operation_and_its_pause(store, server, engine):
    later = add(store, later=True)

    report = await engine.drain()

    assert (report.waiting, report.retry_after) == (1, 3)
    assert store.op(later.op_id).state is OpState.PENDING
    sent = len(server.batches)
    assert await engine.submit(add(store, n=1).op_id, 2.0) is None
    assert len(server.batches) == sent


@pytest.mark.parametrize("status", [429, 503])
async def test_R37_a_busy_server_never_loses_an_operation(store, server, engine, status):
    op = add(store, n=1)
    await login(store, engine._client)
    server.faults = [status]

    report = await engine.drain()

    assert report.retry_after == 7
    assert store.op(op.op_id).state is OpState.PENDING


async def test_R37_401_logs_in_once_and_tries_again(store, server, engine):
    add(store, n=1)
    await engine.drain()
    server.valid_token = "token-2"
    add(store, n=2)

    report = await engine.drain()

    assert (report.applied, server.logins) == (1, 2)


async def test_R37_a_second_401_is_not_answered_with_another_login(store, server, engine):
    add(store, n=1)
    await login(store, engine._client)
    server.faults = [401, None, 401]

    report = await engine.drain()

    assert report.error.code is ErrorCode.TOKEN_EXPIRED
    assert server.logins == 2
    assert engine.queued == 1


async def test_a_slow_server_costs_the_guest_the_deadline_only_once(store, clock, server):
    release = asyncio.Event()

    class SlowClient(type(server.client())):
        async def sync(self, *args, **kwargs):
            await release.wait()
            return await super().sync(*args, **kwargs)

    async with SlowClient("http://park", transport=server.transport) as client:
        engine = SyncEngine(store, client, clock)
        await engine._knock()
        first = add(store, n=1)
        assert await engine.submit(first.op_id, 0.1) is None
        assert engine.mode is LineMode.SLOW
        assert engine.reachable  # slow is no outage: what needs the server is worth a try
        async with asyncio.timeout(20):  # far less than a single deadline of these
            for n in range(20):
                assert await engine.submit(add(store, n=n).op_id, 60.0) is None
        assert len(engine._attempts) <= 2

        release.set()
        await engine.drain()
        assert (engine.mode, engine.queued, len(server.order)) == (LineMode.SLOW, 0, 21)
        assert 0 < engine.state.back_in <= HOLD_S


async def test_the_loop_recovers_by_itself(store, server, clock, monkeypatch):
    monkeypatch.setattr("playpark.device.line.HOLD_S", 0.0)
    server.faults = ["drop", "drop", "lose"]
    add(store, n=1)
    async with server.client() as client:
        engine = SyncEngine(store, client, clock, jitter=lambda: 0.001, idle=0.01)
        loop = asyncio.create_task(engine.run_forever())
        async with asyncio.timeout(5):
            while engine.queued or not engine.online:  # noqa: ASYNC110 - that is what is tested
                await asyncio.sleep(0.01)
        loop.cancel()

    assert len(server.applied) == 1


async def test_state_tells_since_when(store, server, engine, clock):
    from datetime import timedelta

    await engine._knock()
    went_online = engine.state.since
    clock.advance(timedelta(minutes=3))
    server.faults = ["drop"]
    await engine._knock()

    assert engine.state.since - went_online == timedelta(minutes=3)
    assert not engine.state.online


async def test_an_unknown_operation_is_refused(engine):
    with pytest.raises(PlayParkError, match="no such operation"):
        await engine.submit("01J00000000000000000000000", 1.0)


def test_R37_backoff_is_full_jitter_with_base_cap_and_retry_after():
    assert [backoff(n, None, lambda: 1.0) for n in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert backoff(50, None, lambda: 1.0) == BACKOFF_CAP_S
    assert backoff(50, None, lambda: 0.0) == 0.0
    assert backoff(1, 30.0, lambda: 0.5) == 30.0


async def test_R29_the_number_of_a_refused_refund_is_abandoned_in_the_same_drain(
    store, server, engine
):
    def refund(allocator):
        return {"receipt_no": allocator.receipt_no(ReceiptSeries.REFUND), "refuse": True}

    asked = store.append(OpKind.REFUND, refund, occurred_at=NOW, approval="token")
    result = await engine.submit(asked.op_id, 2.0)
    await engine.drain()

    assert result.status is OpStatus.REJECTED
    sent = [(op["kind"], op["body"]) for batch in server.batches for op in batch["ops"]]
    assert sent[-1] == ("abandon", {"op_id": asked.op_id, "receipt_no": "03-R000001"})
    assert store.queued_count() == 0


async def test_R39_a_slow_answer_after_an_outage_is_an_outage_still(store, clock, server):
    class StuckClient(type(server.client())):
        async def sync(self, *_args, **_kwargs):
            await asyncio.Event().wait()

    async with StuckClient("http://park", transport=server.transport) as client:
        engine = SyncEngine(store, client, clock)

        assert await engine.submit(add(store, n=1).op_id, 0.05) is None

        assert not engine.reachable


async def test_a_call_beside_the_queue_tells_whether_the_server_is_there(engine):
    engine.note(None)
    assert engine.online
    engine.note(PlayParkError(ErrorCode.UNAVAILABLE, "busy"))
    assert (engine.mode, engine.state.last_error) == (LineMode.SLOW, "busy")
    engine.note(NoAnswerError("gone"))
    assert not engine.reachable
    engine.note(PlayParkError(ErrorCode.PERMISSION, "not you"))
    assert (engine.reachable, engine.state.last_error) == (True, "not you")
