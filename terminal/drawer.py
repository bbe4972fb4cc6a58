"""The drawer: shift, movements, X, count and Z, differences (R26–R28).

The till never computes what the drawer ought to hold: the cashier counts blind, the server says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import (
    AdjustmentIn,
    AdjustmentType,
    MovementIn,
    MovementType,
    ShiftClosed,
    ShiftCloseIn,
    ShiftOpenIn,
    XReport,
)
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.contracts.timecards import TimecardEvent, TimecardIn
from playpark.device import Allocator, DeviceStore, OpState, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from playpark.money import format_satang
from terminal import slips
from terminal.approvals import Question
from terminal.counter import Counter, open_shift_on
from terminal.giving_back import Why
from terminal.papers import Papers

DEADLINE_S = 1.5
CLOSE_DEADLINE_S = 8.0
MOVEMENTS = {
    MovementType.PAY_IN: "Pay-in",
    MovementType.PAY_OUT: "Pay-out",
    MovementType.DROP: "Drop to the safe",
}
_CLOCKED = {
    TimecardEvent.CLOCK_IN: "{} clocked in at {}.",
    TimecardEvent.CLOCK_OUT: "{} clocked out at {}.",
    TimecardEvent.BREAK_START: "{} began a break at {}.",
    TimecardEvent.BREAK_END: "{} ended the break at {}.",
}
VARIANCE = "variance_unapproved"


@dataclass(frozen=True, slots=True)
class Closing:
    """A shift that was closed here; `closed` is the server's answer, None until it comes.

    `adjusted` says in words what was done about a difference.
    """

    op_id: str
    shift_id: str
    counted: int
    closed: ShiftClosed | None = None
    refusal: str | None = None
    adjusted: str | None = None

    @classmethod
    def of(cls, op: StoredOp) -> "Closing":
        """A close as it stands on the disk."""
        closing = cls(op.op_id, op.shift_id or "", slips.counted_in(op))
        if op.state is OpState.APPLIED and op.result is not None:
            done = OpResult(op_id=op.op_id, status=OpStatus.APPLIED, result=op.result)
            return closing.answered(done)
        return closing

    @property
    def difference(self) -> str:
        """The difference in words, such as `Z 12: 1,950.00 too little cash`."""
        if self.closed is None:
            return ""
        amount = self.closed.cash_diff
        word = "too little" if amount < 0 else "too much"
        return f"Z {self.closed.z.number}: {format_satang(abs(amount))} {word} cash"

    @property
    def over_tolerance(self) -> bool:
        """True while a supervisor has to see the difference (R27)."""
        return self.closed is not None and VARIANCE in self.closed.flags and not self.adjusted

    def answered(self, result: OpResult) -> "Closing":
        if result.status is OpStatus.REJECTED:
            return replace(self, refusal=result.message or "The server gave no reason.")
        try:
            return replace(self, closed=ShiftClosed.model_validate(result.result))
        except ValidationError:
            return replace(self, refusal="The server's answer cannot be read: call support.")


class Drawer:
    """What a cashier does with the shift and its cash, and with the timecard."""

    def __init__(self, counter: Counter, papers: Papers) -> None:
        self._counter = counter
        self._papers = papers
        self.closing: Closing | None = None
        """The shift that was closed just now, until the next one is opened."""
        self.unsettled = _unsettled_on(counter.store)
        """The shift that was closed last, while its difference waits for a supervisor (R27)."""
        papers.learn(
            {
                OpKind.SHIFT_CLOSE: slips.final_z(counter),
                OpKind.SHIFT_ADJUSTMENT: slips.adjustment(counter),
            },
            {OpKind.CASH_MOVEMENT: slips.movement(counter)},
        )
        counter.engine.listen(self._heard)

    # --- the shift ------------------------------------------------------------------------

    async def open_shift(self, cash_open: int) -> None:
        """Open the shift with this float, satang; the drawer session is the same thing (R26)."""
        counter = self._counter
        counter.require(Permission.SHIFT_OPEN, "open a shift")
        if counter.shift is not None:
            raise PlayParkError(ErrorCode.SHIFT_ALREADY_OPEN, "A shift is open here already.")
        now = counter.clock.now()
        try:
            body = _frozen(ShiftOpenIn(cash_open=cash_open, occurred_at=now))
        except ValidationError as wrong:
            message = "That is more than any drawer holds: check the amount."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        memo = {"opened_by": counter.employee.name if counter.employee else None}
        counter.shift = await counter.append(OpKind.SHIFT_OPEN, lambda _: body, at=now, memo=memo)
        self.closing = None
        counter.tell("")
        await counter.engine.submit(counter.shift.op_id, DEADLINE_S)

    async def close_shift(self, counted: Mapping[int, int] | int) -> None:
        """Close with what was counted blind: {face value: pieces}, or a sum, satang (R27).

        Always accepted, offline too; the Z number is taken now, the Z prints with the server's
        answer and a PROVISIONAL one at once where that does not come (R28).
        """
        counter = self._counter
        counter.require(Permission.SHIFT_CLOSE, "close the shift")
        if counter.shift is None:
            raise PlayParkError(ErrorCode.SHIFT_CLOSED, "No shift is open here: open one first.")
        now, total = counter.clock.now(), _total(counted)

        def body(allocator: Allocator) -> dict[str, Any]:
            number = allocator.receipt_no(ReceiptSeries.Z)
            return _frozen(_close_in(counted, number, now))

        opened = counter.shift
        memo = slips.memo_of(opened, counter)
        op = await counter.append(OpKind.SHIFT_CLOSE, body, at=now, prints=True, memo=memo)
        counter.shift = None
        self._papers.expect(op)
        self.closing = Closing(op.op_id, opened.op_id, total)
        counter.tell("")
        answer = await counter.engine.submit(op.op_id, CLOSE_DEADLINE_S, patient=True)
        if answer is None:
            await self._papers.print_alone(slips.provisional_z(counter, opened, op))

    # --- a difference ---------------------------------------------------------------------

    async def look_at_difference(self) -> Closing:
        """The difference that waits. Raises E_CONFLICT where none does: it may have been settled
        in the back office."""
        counter, closing = self._counter, self._waiting()
        counter.need_server()
        shift = await counter.ask(lambda server: server.shift(closing.shift_id))
        if VARIANCE not in shift.flags:
            self._settled(closing.shift_id, "The difference is settled.")
            raise PlayParkError(ErrorCode.CONFLICT, f"{_name(closing)} is settled already.")
        return closing

    def _waiting(self) -> Closing:
        """The closed shift whose difference waits."""
        closing = self.unsettled
        if closing is None:
            message = "No difference waits here: the server has not told one, or it is settled."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        for op in self._counter.store.pending_of([OpKind.SHIFT_ADJUSTMENT]):
            if op.body["shift_id"] == closing.shift_id:
                message = f"{_name(closing)} was asked for already: wait for the answer."
                raise PlayParkError(ErrorCode.CONFLICT, message)
        return closing

    def variance_question(self, why: Why, recount: int | None = None) -> Question:
        """What a supervisor is asked about the difference that waits."""
        closing = self._waiting()
        if closing.closed is None:
            message = "The server has not said what was expected yet: wait for it."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        because = f"{why.label}{f': {why.text}' if why.text else ''}"
        if recount is None:
            difference = closing.closed.cash_diff
            word = "too little" if difference < 0 else "too much"
            return Question(
                action=ApprovalAction.CASH_VARIANCE,
                entity_id=closing.shift_id,
                amount=abs(difference),
                what=f"Accept the difference: {word} cash",
                whose=f"Z {closing.closed.z.number}",
                why=because,
            )
        return Question(
            action=ApprovalAction.SHIFT_ADJUSTMENT,
            entity_id=closing.shift_id,
            amount=recount,
            what="New count",
            whose=f"Z {closing.closed.z.number}",
            why=because,
        )

    async def adjust(self, why: Why, token: str, recount: int | None = None) -> str:
        """Accept the difference, or hand in a new count, satang. Returns what was done.

        Raises PlayParkError where the server refuses it or does not answer.
        """
        counter, closing = self._counter, self._waiting()
        counter.need_server()
        more: dict[str, Any] = {} if recount is None else {"cash_counted": recount}
        kind = AdjustmentType.ACCEPT_VARIANCE if recount is None else AdjustmentType.RECOUNT
        body = _frozen(
            AdjustmentIn(
                shift_id=closing.shift_id,
                type=kind,
                occurred_at=counter.clock.now(),
                **why.fields(),
                **more,
            )
        )
        op = await counter.append(
            OpKind.SHIFT_ADJUSTMENT, lambda _: body, committed=False, prints=True, approval=token
        )
        self._papers.expect(op)
        result = await counter.engine.submit(op.op_id, CLOSE_DEADLINE_S, patient=True)
        if result is None:
            message = "The server has not answered: it is asked again, the slip prints then."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)
        if result.status is OpStatus.REJECTED:
            message = result.message or "The server refused it and gave no reason."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        return _adjusted(op)

    # --- movements and X ------------------------------------------------------------------

    async def move_cash(self, kind: MovementType, amount: int, why: Why | None) -> None:
        """Put cash in, take it out, drop it to the safe; satang. Works offline, the slip prints
        at once. Raises PlayParkError where nothing was recorded."""
        counter = self._counter
        counter.require(Permission.CASH_MOVEMENT, "move cash")
        if counter.shift is None:
            raise PlayParkError(ErrorCode.SHIFT_CLOSED, "No shift is open here: open one first.")
        if counter.training:
            message = "No cash moves in training: leave it first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        now = counter.clock.now()
        try:
            body = _frozen(
                MovementIn(
                    type=kind,
                    amount=amount,
                    drawer_id=counter.shift.op_id,
                    occurred_at=now,
                    **(why.fields() if why else {}),
                )
            )
        except ValidationError as wrong:
            message = "Type an amount in baht, more than 0, such as 500."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        memo = {
            "employee_name": counter.employee.name if counter.employee else None,
            "reason": why.label if why else None,
        }
        op = await counter.append(
            OpKind.CASH_MOVEMENT, lambda _: body, at=now, prints=True, memo=memo
        )
        self._papers.expect(op)
        counter.tell(f"{MOVEMENTS[kind]} of {format_satang(amount)} is recorded.")
        await counter.engine.submit(op.op_id, DEADLINE_S)

    def x_question(self) -> Question | None:
        """What a supervisor is asked before an X report; None where the cashier may see it."""
        counter = self._counter
        if counter.shift is None or counter.may(Permission.REPORTS_VIEW):
            return None
        return Question(
            action=ApprovalAction.X_REPORT,
            entity_id=counter.shift.op_id,
            amount=None,
            what="X report: shows what the drawer ought to hold",
            whose=counter.employee.name if counter.employee else "",
            why="a look at the open shift",
        )

    async def x_report(self, token: str | None) -> XReport:
        """The open shift as the server has it, after all that is queued here; it prints too."""
        counter = self._counter
        counter.need_server()
        shift = counter.shift
        if shift is None:
            raise PlayParkError(ErrorCode.SHIFT_CLOSED, "No shift is open here: open one first.")
        await counter.engine.drain()
        report = await counter.ask(lambda server: server.x_report(shift.op_id, approval=token))
        await self._papers.print_alone(slips.x_paper(counter, report))
        return report

    # --- timecard -------------------------------------------------------------------------

    async def clock(self, event: TimecardEvent) -> None:
        """Clock in or out, begin or end a break, as of now; works offline."""
        counter = self._counter
        if counter.employee is None:
            raise PlayParkError(ErrorCode.CONFLICT, "Nobody is logged in here: log in first.")
        now = counter.clock.now()
        body = _frozen(TimecardIn(event=event, occurred_at=now))
        op = await counter.append(OpKind.TIMECARD, lambda _: body, at=now)
        at = f"{now.astimezone(counter.zone):%H:%M}"
        counter.tell(_CLOCKED[event].format(counter.employee.name, at))
        await counter.engine.submit(op.op_id, DEADLINE_S)

    # --- inside ---------------------------------------------------------------------------

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        counter = self._counter
        rejected = op.state is OpState.REJECTED
        if op.kind is OpKind.SHIFT_OPEN and rejected:
            if counter.shift and counter.shift.op_id == op.op_id:
                counter.shift = None
            counter.tell(f"The server refused to open the shift: {result.message}", refused=True)
        if op.kind is OpKind.SHIFT_CLOSE and rejected and counter.shift is None:
            counter.shift = open_shift_on(counter.store)  # it was not closed: go on with it
        elif op.kind is OpKind.SHIFT_CLOSE and counter.shift and op.shift_id == counter.shift.op_id:
            counter.shift = open_shift_on(counter.store)  # it was sent again, and is closed now
        if op.kind in {OpKind.CASH_MOVEMENT, OpKind.TIMECARD} and rejected:
            what = "cash movement" if op.kind is OpKind.CASH_MOVEMENT else "timecard"
            counter.tell(f"The server refused the {what}: {result.message}", refused=True)
        if op.kind is OpKind.SHIFT_CLOSE:
            self.unsettled = _unsettled_on(counter.store)
        if op.kind is OpKind.SHIFT_ADJUSTMENT and result.status is not OpStatus.REJECTED:
            self._settled(op.body["shift_id"], _adjusted(op))
        if self.closing and op.op_id == self.closing.op_id:
            self.closing = self.closing.answered(result)
        counter.changed()

    def _settled(self, shift_id: str, done: str) -> None:
        if self.unsettled and self.unsettled.shift_id == shift_id:
            self.unsettled = None
        if self.closing and self.closing.shift_id == shift_id:
            self.closing = replace(self.closing, adjusted=done)
        self._counter.changed()


def _unsettled_on(store: DeviceStore) -> Closing | None:
    """The last close on the disk, if its difference waits as far as this till knows."""
    for op in store.recent([OpKind.SHIFT_CLOSE], 1):
        closing = Closing.of(op)
        made = store.recent([OpKind.SHIFT_ADJUSTMENT], 10)
        settled = any(
            each.state is OpState.APPLIED and each.body["shift_id"] == closing.shift_id
            for each in made
        )
        if closing.over_tolerance and not settled:
            return closing
    return None


def _adjusted(op: StoredOp) -> str:
    """What an adjustment did, in words."""
    recount = op.body.get("cash_counted")
    if recount is None:
        return "The difference is accepted."
    return f"Counted anew: {format_satang(recount)}."


def _name(closing: Closing) -> str:
    number = closing.closed.z.number if closing.closed else ""
    return f"The difference of Z {number}"


def _total(counted: Mapping[int, int] | int) -> int:
    if isinstance(counted, int):
        return counted
    return sum(face * pieces for face, pieces in counted.items())


def _close_in(counted: Mapping[int, int] | int, number: str, at: datetime) -> ShiftCloseIn:
    if isinstance(counted, int):
        return ShiftCloseIn(cash_counted=counted, receipt_no=number, occurred_at=at)
    pieces = {str(face): count for face, count in counted.items() if count}
    return ShiftCloseIn(counted=pieces, receipt_no=number, occurred_at=at)


def _frozen(body: BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True)
