"""R35, R37, R38: the engine before a real server, on a line that is cut, torn and silent."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.sync import OpKind, OpStatus
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import Direction, RedeemIn
from playpark.device import DeviceStore, LineMode, OpState, StoredOp, SyncEngine, pair
from qa.proxy import BLACKHOLE, LOSSY, PASSING, REFUSED, FaultProxy
from tests.api.own_park import OWNER
from tests.outside import Outsider


@pytest.fixture
async def line(api_url: str) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(api_url, chance=random.Random(7).random) as proxy:
        yield proxy


@pytest.fixture
async def client(line: FaultProxy) -> AsyncIterator[ApiClient]:
    async with ApiClient(line.url) as made:
        yield made


@pytest.fixture
async def gate(tmp_path: Path, client: ApiClient) -> AsyncIterator[DeviceStore]:
    """The store of a paired gate: it redeems by its device token alone."""
    with DeviceStore.open(tmp_path / "gate.db", SystemClock()) as opened:
        await pair(opened, client, "DEMO-MAIN-GATE", DeviceType.GATE, "Gate")
        yield opened


@pytest.fixture
def engine(gate: DeviceStore, client: ApiClient) -> SyncEngine:
    return SyncEngine(gate, client, SystemClock(), deadline=0.8, idle=0.05, jitter=lambda: 0.01)


def show(store: DeviceStore, code: str = "00000000") -> StoredOp:
    """A showing of a code that no ticket has: the server writes it down as a FAIL."""
    at = SystemClock().now()
    body = RedeemIn(short_code=code, direction=Direction.ENTRY, occurred_at=at)
    frozen = body.model_dump(mode="json", exclude_unset=True)
    return store.append(OpKind.REDEMPTION, lambda _: frozen, occurred_at=at)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.01)


async def test_R37_a_blackhole_costs_one_guest_a_deadline_and_nobody_an_operation(
    gate: DeviceStore, engine: SyncEngine, line: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LINE_S", 0.5), ("OP_S", 0.2)):
        monkeypatch.setattr(f"playpark.device.sending.{name}", seconds)
    monkeypatch.setattr("playpark.device.sync.PROBE_S", 0.5)
    monkeypatch.setattr("playpark.device.line.HOLD_S", 0.2)
    running = asyncio.create_task(engine.run_forever())
    await until(lambda: engine.online)

    line.set(BLACKHOLE)
    ops = [show(gate)]
    assert await engine.submit(ops[0].op_id, 0.3) is None
    assert engine.mode is LineMode.SLOW
    async with asyncio.timeout(20):
        for _ in range(10):
            ops.append(show(gate))
            assert await engine.submit(ops[-1].op_id, 60.0) is None
    await until(lambda: engine.mode is LineMode.OFFLINE)

    line.set(PASSING)
    await until(lambda: engine.online and not engine.queued)
    running.cancel()
    states = [gate.op(op.op_id) for op in ops]
    assert all(each and each.state is OpState.APPLIED for each in states)


async def test_R35_nothing_is_lost_or_done_twice_where_a_third_of_the_answers_is(
    gate: DeviceStore, engine: SyncEngine, line: FaultProxy
) -> None:
    ops = [show(gate) for _ in range(80)]
    line.set(LOSSY)
    running = asyncio.create_task(engine.run_forever())
    await until(lambda: not engine.queued)
    running.cancel()
    line.set(PASSING)

    assert any(not each.answered for each in line.seen), "no answer was lost"
    for op in (ops[0], ops[40], ops[-1]):
        again = await engine.submit(op.op_id, 10.0, patient=True)
        assert again is not None
        assert again.status is OpStatus.DUPLICATE


async def test_a_server_that_is_gone_is_found_again(
    gate: DeviceStore, engine: SyncEngine, line: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("playpark.device.line.HOLD_S", 0.1)
    running = asyncio.create_task(engine.run_forever())
    await until(lambda: engine.online)
    line.set(REFUSED)
    await until(lambda: engine.mode is LineMode.OFFLINE)
    op = show(gate)
    assert await engine.submit(op.op_id, 5.0) is None
    line.set(PASSING)
    await until(lambda: engine.online and not engine.queued)
    running.cancel()


async def test_R38_a_copy_of_the_store_goes_on_in_a_new_epoch(
    client: ApiClient, tmp_path: Path
) -> None:
    with DeviceStore.open(tmp_path / "gate.db", SystemClock()) as first:
        await pair(first, client, "DEMO-MAIN-GATE", DeviceType.GATE, "Gate")
        show(first)
        await SyncEngine(first, client, SystemClock()).drain()
    shutil.copy(tmp_path / "gate.db", tmp_path / "copy.db")
    with DeviceStore.open(tmp_path / "gate.db", SystemClock()) as first:
        for _ in range(3):
            show(first)
        await SyncEngine(first, client, SystemClock()).drain()

    with DeviceStore.open(tmp_path / "copy.db", SystemClock()) as copy:
        late = [show(copy) for _ in range(2)]
        report = await SyncEngine(copy, client, SystemClock()).drain()
        assert (report.error, report.applied) == (None, 2)
        found = [copy.op(op.op_id) for op in late]
        assert [each.epoch for each in found if each] == [2, 2]


async def test_R38_a_revoked_gate_hands_its_queue_over(
    gate: DeviceStore, engine: SyncEngine, api_url: str, outside: Outsider
) -> None:
    await engine.drain()
    await engine._knock()
    assert gate.identity is not None
    owner = await (await outside.pair("ADMIN")).staff(**OWNER)
    await owner.data("POST", f"/v1/devices/{gate.identity.device_id}/revoke")
    op = show(gate)

    await engine.submit(op.op_id, 10.0)
    assert engine.turned_away
    await engine._round()

    kept = gate.op(op.op_id)
    assert kept is not None
    assert (kept.state, kept.code) == (OpState.REJECTED, "E_DEVICE_REVOKED")
    assert kept.dead_letter_id
    assert engine.turned_away
    assert (engine.queued, engine._client.review) == (0, True)
