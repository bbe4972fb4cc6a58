"""The outbox under crashes, lost requests and lost answers: nothing lost, nothing twice."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from playpark.clock import FixedClock
from playpark.contracts.sync import OpKind
from playpark.device import DeviceStore, OpState, SyncEngine
from playpark.device.records import link
from playpark.ids import ReceiptSeries
from tests.device.conftest import IDENTITY, NOW, FaultyServer

FAULTS = st.lists(st.sampled_from(["drop", "lose", 503, 401, None]), max_size=4)


class Outbox(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "till.db"
        self.server = FaultyServer()
        self.made: dict[str, bool] = {}
        self.store = DeviceStore.open(self.path, FixedClock(NOW))
        self.store.save_identity(IDENTITY)

    @rule(refused=st.booleans())
    def append(self, refused: bool) -> None:
        def body(allocator):
            number = allocator.receipt_no(ReceiptSeries.SALE)
            return {"receipt_no": number} | ({"refuse": True} if refused else {})

        op = self.store.append(OpKind.SALE, body, occurred_at=NOW, committed=True)
        self.made[op.op_id] = refused

    @rule()
    def append_fails(self) -> None:
        def body(allocator):
            allocator.receipt_no(ReceiptSeries.SALE)
            raise ZeroDivisionError

        try:
            self.store.append(OpKind.SALE, body, occurred_at=NOW)
        except ZeroDivisionError:
            return

    @rule()
    def crash(self) -> None:
        self.store.close()
        self.store = DeviceStore.open(self.path, FixedClock(NOW))

    @rule(faults=FAULTS)
    def drain(self, faults: list) -> None:
        self.server.faults = list(faults)
        self._drain()
        self.server.faults = []

    @rule(data=st.data())
    def ask_again(self, data) -> None:
        if self.made:
            op_id = data.draw(st.sampled_from(sorted(self.made)))
            self._with_engine(lambda engine: engine.submit(op_id, 2.0))

    def _drain(self) -> None:
        self._with_engine(lambda engine: engine.drain())

    def _with_engine(self, act) -> None:
        async def run() -> None:
            async with self.server.client() as client:
                await act(SyncEngine(self.store, client, FixedClock(NOW)))

        asyncio.run(run())

    @invariant()
    def nothing_is_lost_and_nothing_is_applied_twice(self) -> None:
        if not hasattr(self, "store"):
            return
        ops = [self.store.op(op_id) for op_id in self.made]
        for op in ops:
            if op.state is OpState.APPLIED:
                assert op.op_id in self.server.applied
        assert len(self.server.order) == len(set(self.server.order)) == len(self.server.applied)
        assert self.server.order == sorted(self.server.order)
        assert self.store.queued_count() == sum(op.state is OpState.PENDING for op in ops)

    @invariant()
    def numbers_have_no_gap_and_the_chain_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        ops = [self.store.op(op_id) for op_id in self.made]
        expected = [f"03-S{n:06d}" for n in range(1, len(ops) + 1)]
        assert [op.receipt_no for op in ops] == expected
        previous = "0" * 64
        for op in ops:
            assert op.envelope["prev_hash"] == previous
            previous = link(op.op_id, op.kind, op.seq, previous, op.body)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self._drain()
        for op_id, refused in self.made.items():
            state = self.store.op(op_id).state
            assert state is (OpState.REJECTED if refused else OpState.APPLIED)
        assert set(self.server.applied) == {op for op, refused in self.made.items() if not refused}
        self.store.close()
        self.folder.cleanup()


TestOutbox = Outbox.TestCase
TestOutbox.settings = settings(
    max_examples=settings.default.max_examples // 5,  # 20, and in full 4,000
    stateful_step_count=15,
    deadline=None,
)
