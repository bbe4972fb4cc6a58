"""The outbox under crashes, lost requests and answers, refusals, and folders that are put back:
nothing lost, nothing twice, no number without a gap (R14, R29, R34, R35, R38)."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from playpark.canonical import loads_strict
from playpark.clock import FixedClock
from playpark.contracts.sync import Counters, LocalOutcome, OpKind
from playpark.device import Allocator, DeviceStore, OpState, StoredOp, SyncEngine
from playpark.device.numbers import Figures
from playpark.device.records import link
from playpark.errors import PlayParkError
from playpark.ids import ReceiptSeries
from tests.device.conftest import IDENTITY, NOW, FaultyServer, _answer

FAULTS = st.lists(st.sampled_from(["drop", "lose", 503, 401, None]), max_size=4)
REFUSED = {OpState.REJECTED, OpState.HANDED_OVER}


class Office(FaultyServer):
    """Knows which operation stands where (R38), and keeps what it refuses in half of the cases."""

    def __init__(self) -> None:
        super().__init__()
        self.pardoned: set[str] = set()
        self.places: dict[tuple[int, int], str] = {}
        self.numbers = [0]
        self.serials = [0]

    def counters(self) -> Counters:
        epoch, seq = max(self.places, default=(0, 0))
        numbers, serials = {"S": max(self.numbers)}, {"k": max(self.serials)}
        return Counters(epoch=epoch, seq=seq, receipts=numbers, serials=serials)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sync/batch"):
            batch = loads_strict(request.content)
            for op in batch["ops"]:
                place = batch["epoch"], op["seq"]
                if self.places.get(place, op["op_id"]) != op["op_id"]:
                    known = self.counters().model_dump()
                    error = {"code": "E_OUTBOX_REWOUND", "message": "rewound", "details": known}
                    return _answer(409, None, error)
        return super()._respond(request)

    def _apply(self, epoch: int, op: dict[str, Any]) -> dict[str, Any]:
        self.places[epoch, op["seq"]] = op["op_id"]
        self.numbers.append(int(op["body"]["receipt_no"][4:]))
        for [token] in (op.get("local") or {}).get("tokens", []):
            self.serials.append(int(token))
        if op["op_id"] in self.pardoned:
            op = {**op, "body": {**op["body"], "refuse": False}}
        answer = super()._apply(epoch, op)
        if answer["status"] == "rejected" and op["seq"] % 2:
            answer["dead_letter_id"] = f"dl-{op['op_id']}"
        return answer


def signed(allocator: Allocator, *_: object) -> LocalOutcome:
    return LocalOutcome(printed=True, tokens=[[str(allocator.serial("k"))]])


class Outbox(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "till.db"
        self.server = Office()
        self.made: dict[str, bool] = {}
        self.tokens: dict[str, list[list[str]]] = {}
        self.last = 0
        self.backup: tuple[list[str], int] | None = None
        self.in_order = True
        self.store = DeviceStore.open(self.path, FixedClock(NOW))
        self.store.save_identity(IDENTITY)

    # --- the till -----------------------------------------------------------------------

    @rule(refused=st.booleans(), alone=st.booleans())
    def append(self, refused: bool, alone: bool) -> None:
        def body(allocator: Allocator) -> dict[str, Any]:
            number = allocator.receipt_no(ReceiptSeries.SALE)
            return {"receipt_no": number, "refuse": refused, "rung": {"grand_total": 7}}

        local = signed if alone else None
        op = self.store.append(OpKind.SALE, body, occurred_at=NOW, committed=True, local=local)
        self.last += 1
        assert op.receipt_no == f"03-S{self.last:06d}"
        self.made[op.op_id] = refused
        if alone:
            self.tokens[op.op_id] = op.local.tokens

    @rule()
    def append_fails(self) -> None:
        def fails(allocator: Allocator) -> dict[str, Any]:
            allocator.receipt_no(ReceiptSeries.SALE)
            raise ZeroDivisionError

        with contextlib.suppress(ZeroDivisionError):
            self.store.append(OpKind.SALE, fails, occurred_at=NOW)

    @precondition(lambda self: self.made)
    @rule(data=st.data(), fails=st.booleans())
    def print_alone(self, data: st.DataObject, fails: bool) -> None:
        op_id = self._some(data)
        before = self.store.op(op_id)

        def sign(allocator: Allocator) -> LocalOutcome:
            found = signed(allocator)
            if fails:
                raise ZeroDivisionError
            return found

        try:
            printed = self.store.record_printed(op_id, sign)
        except ZeroDivisionError:
            assert self.store.op(op_id) == before
            return
        assert (printed is None) == (before.state is not OpState.PENDING)
        if printed is not None:
            assert printed.local.tokens == self.tokens.setdefault(op_id, printed.local.tokens)

    # --- the operator -------------------------------------------------------------------

    @precondition(lambda self: self.made)
    @rule(data=st.data(), pardon=st.booleans())
    def retry(self, data: st.DataObject, pardon: bool) -> None:
        op_id = self._some(data)
        before = self.store.op(op_id)
        if pardon:
            self.server.pardoned.add(op_id)
        try:
            assert self.store.retry(op_id).state is OpState.PENDING
        except PlayParkError:
            assert before.state in {OpState.APPLIED, OpState.HANDED_OVER}
            return
        if before.state is OpState.REJECTED:
            self.in_order = False

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        op_id = self._some(data)
        before = self.store.op(op_id)
        try:
            assert self.store.hand_over(op_id).state is OpState.HANDED_OVER
        except PlayParkError:
            assert before.state not in REFUSED or before.dead_letter_id is None

    # --- what happens to it -------------------------------------------------------------

    @rule()
    def crash(self) -> None:
        self.store.close()
        self._open_again()

    @rule()
    def keep_a_backup(self) -> None:
        self.store.close()
        shutil.copy(self.path, self.path.with_name("backup"))
        self.backup = list(self.made), self.last
        self._open_again()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def put_the_backup_back(self) -> None:
        """What was made since is gone, unless the server has it."""
        self.store.close()
        shutil.copy(self.path.with_name("backup"), self.path)
        then, self.last = self.backup
        self.made = {op_id: self.made[op_id] for op_id in then if op_id in self.made}
        self._open_again()
        self.tokens = {op.op_id: op.local.tokens for op in self._ops() if op.local}
        self.in_order = False

    @rule()
    def hear_counters(self) -> None:
        """E_OUTBOX_REWOUND, whoever caused it."""
        told = self.server.counters()
        epoch = self.store.open_epoch(told)
        self.last = max(self.last, told.receipts["S"])
        assert self.store.epoch == epoch > told.epoch
        before = self._ops()
        assert self.store.open_epoch(told) == epoch
        assert self._ops() == before

    @rule(faults=FAULTS)
    def drain(self, faults: list[str | int | None]) -> None:
        self.server.faults = list(faults)
        self._drain()
        self.server.faults = []

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        op_id = self._some(data)
        self._with_engine(lambda engine: engine.submit(op_id, 2.0))

    def _drain(self) -> None:
        self._with_engine(lambda engine: engine.drain())

    def _with_engine(self, act: Any) -> None:
        async def run() -> None:
            async with self.server.client() as client:
                await act(SyncEngine(self.store, client, FixedClock(NOW)))

        epoch = self.store.epoch
        asyncio.run(run())
        if self.store.epoch != epoch:
            self.last = max(self.last, self.server.counters().receipts["S"])

    def _open_again(self) -> None:
        self.store = DeviceStore.open(self.path, FixedClock(NOW))

    def _some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.made)))

    def _ops(self) -> list[StoredOp]:
        return [op for op in map(self.store.op, self.made) if op is not None]

    # --- what holds ---------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_nothing_is_applied_twice(self) -> None:
        if not hasattr(self, "store"):
            return
        ops = self._ops()
        assert len(ops) == len(self.made)
        for op in ops:
            if op.state is OpState.APPLIED:
                assert op.op_id in self.server.applied
        assert len(self.server.order) == len(self.server.applied)
        assert self.server.order == sorted(self.server.order) or not self.in_order
        figures = self.store._figures
        assert figures == Figures.count(self.store._database)
        assert figures.queued == sum(op.state is OpState.PENDING for op in ops)
        assert figures.quarantined == sum(op.state is OpState.REJECTED for op in ops)

    @invariant()
    def numbers_are_given_out_once_and_the_chain_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        ops = self._ops()
        assert len({op.receipt_no for op in ops}) == len(ops)
        found = {op.op_id: op.local.tokens for op in ops if op.local}
        assert found == self.tokens
        assert len({token for [[token]] in found.values()}) == len(found)
        present = sorted((op for op in ops if op.epoch == self.store.epoch), key=lambda o: o.seq)
        assert [op.seq for op in present] == list(range(1, len(present) + 1))
        previous = "0" * 64
        for op in present:
            assert op.envelope["prev_hash"] == previous
            previous = link(op.op_id, op.kind, op.seq, previous, op.body)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        for _ in range(3):
            self._drain()
        for op_id, refused in self.made.items():
            state = self.store.op(op_id).state
            stays = refused and op_id not in self.server.applied
            assert state in (REFUSED if stays else {OpState.APPLIED, *REFUSED})
            assert state is not OpState.PENDING
            assert refused or state is OpState.APPLIED
        self.store.close()
        self.folder.cleanup()


TestOutbox = Outbox.TestCase
TestOutbox.settings = settings(
    max_examples=settings.default.max_examples // 5,  # 20, and in full 4,000
    stateful_step_count=15,
    deadline=None,
)
