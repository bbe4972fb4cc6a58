"""One redemption operation for one showing, and what its answer means at the gate (R14, R20, R50).

A showing becomes an operation on the disk before it is sent, so nothing is lost. Where no answer
comes within 800 ms the guest is not admitted; the operation stays queued, and three things may
follow. They must never make a silent PASS of it:

- The guest stays or comes back while it is unanswered: the same operation is sent again, under
  the same op_id, and its answer is shown. A second operation could find the ticket spent by the
  first, whose answer was only lost.
- The answer comes while the ticket is still shown: it is the answer.
- The answer comes when the guest has gone: it is told as LATE. A late PASS has spent a ticket
  that admitted nobody, so the operation is sent once more with what happened, `local.result =
  fail`, for the server to annul (R50). Operations go in their order, so this arrives before any
  new showing of the ticket. LATE asks for the supervisor all the same.

Foreign codes are sent like tickets, for every redemption leaves a row (R20); without an answer
they are refused here, which the server would do too. An exit is never refused (R51). A typed
code whose check character is wrong was not shown by a ticket: it is not sent.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from gate.answers import (
    FOREIGN,
    MISTYPED,
    THAI_KEYS,
    Answer,
    exit_unanswered,
    not_accepted,
    of_redemption,
    unanswered,
)
from playpark.clock import Clock
from playpark.contracts.sync import LocalOutcome, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import Direction, RedeemIn, RedemptionResult, RedemptionView
from playpark.device import DeviceStore, StoredOp, SyncEngine
from playpark.errors import PlayParkError
from playpark.ids import normalise_short_code
from playpark.tokens import parse_pp1

DEADLINE = 0.8
"""Seconds a guest waits for the server."""
LONGEST_TOKEN = 500
_THAI = re.compile(r"[\u0e00-\u0e7f]")


@dataclass(frozen=True, slots=True)
class Code:
    """What was read. `typed` by a person: a short code; else the text of a QR code, `keyed`
    where a hand scanner sent it through the keyboard."""

    text: str
    typed: bool = False
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`pending` is the op_id where the answer is still to come."""

    answer: Answer
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class _Showing:
    """Where an operation may be taken up again: same code, place and direction."""

    text: str
    typed: bool
    zone_id: str | None
    direction: Direction


class Admission:
    """Asks the server about codes, through the device's outbox. `zone_id` and `direction` may be
    changed between two showings."""

    def __init__(
        self,
        store: DeviceStore,
        engine: SyncEngine,
        clock: Clock,
        *,
        zone_id: str | None = None,
        direction: Direction = Direction.ENTRY,
        deadline: float = DEADLINE,
    ) -> None:
        self.zone_id = zone_id
        self.direction = direction
        self._store = store
        self._engine = engine
        self._clock = clock
        self._deadline = deadline
        self._open: dict[_Showing, str] = {}
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        engine.listen(self._heard)

    def now(self) -> datetime:
        return self._clock.now()

    def unanswered_op(self, code: Code) -> str | None:
        """The operation of an earlier showing of `code` here that has no answer yet."""
        return self._open.get(self._showing(code))

    async def admit(self, code: Code) -> Verdict:
        """The answer for one showing; never raises for faults of network, server or disk."""
        if code.typed and normalise_short_code(code.text) is None:
            return Verdict(MISTYPED)
        if code.keyed and _THAI.search(code.text):
            return Verdict(THAI_KEYS)
        showing = self._showing(code)
        try:
            op_id = self._open.get(showing) or await self._record(showing)
            result = await self._engine.submit(op_id, self._deadline)
            if result is not None:
                return Verdict(self._settle(op_id, result, showing.direction))
            return await self._without_answer(op_id, showing)
        except ValidationError:  # no text that could be sent, so no ticket
            return Verdict(FOREIGN)
        except PlayParkError as refusal:  # such as a full disk: nothing was recorded
            return Verdict(not_accepted(refusal.message))

    def answered(self, op_id: str) -> asyncio.Future[Answer]:
        """The answer to a pending operation, when it comes; shield it from cancellation."""
        return self._answers[op_id]

    async def not_admitted(self, op_id: str) -> None:
        """Tell the server that its late PASS let nobody in (R50). Where the disk does not take
        it, the LATE line on the screen is what remains."""
        outcome = LocalOutcome(
            result=RedemptionResult.FAIL, reason="answer_too_late", at=self.now()
        )
        try:
            await asyncio.to_thread(self._store.record_local, op_id, outcome, committed=False)
        except PlayParkError:
            return
        self._engine.wake()

    def left_over(self) -> list[tuple[str, Code]]:
        """Operations of an earlier run that wait for an answer. Their guests have gone."""
        found: list[tuple[str, Code]] = []
        position = (0, 0)
        while batch := self._store.pending(after=position):
            position = (batch[-1].epoch, batch[-1].seq)
            for op in batch:
                if op.kind is OpKind.REDEMPTION and op.local is None:
                    self._await(op.op_id)
                    found.append((op.op_id, _code_of(op)))
        return found

    async def _record(self, showing: _Showing) -> str:
        at = self.now()
        text = showing.text[:LONGEST_TOKEN]  # no ticket is longer, so none is cut
        code = {"short_code": text} if showing.typed else {"qr_token": text}
        zone = {"zone_id": showing.zone_id} if showing.zone_id else {}
        body = RedeemIn(**code, **zone, direction=showing.direction, occurred_at=at)
        frozen = body.model_dump(mode="json", exclude_unset=True)
        stored = await asyncio.to_thread(
            self._store.append, OpKind.REDEMPTION, lambda _: frozen, occurred_at=at
        )
        self._open[showing] = stored.op_id
        self._await(stored.op_id)
        return stored.op_id

    async def _without_answer(self, op_id: str, showing: _Showing) -> Verdict:
        if not showing.typed and parse_pp1(showing.text) is None:
            return Verdict(FOREIGN)
        if showing.direction is Direction.EXIT:
            outcome = LocalOutcome(result=RedemptionResult.PASS, at=self.now())
            await asyncio.to_thread(self._store.record_local, op_id, outcome, committed=True)
            self._forget(op_id)
            return Verdict(exit_unanswered())
        state = self._engine.state
        return Verdict(unanswered(online=state.online, error=state.last_error), op_id)

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        """The engine has an answer: perhaps after the one who asked had given up."""
        if op.op_id in self._answers:
            direction = Direction(op.body.get("direction", Direction.ENTRY))
            self._settle(op.op_id, result, direction)

    def _settle(self, op_id: str, result: OpResult, direction: Direction) -> Answer:
        answer = _answer(result, direction)
        waiting = self._answers.get(op_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        self._forget(op_id)
        return answer

    def _await(self, op_id: str) -> None:
        self._answers[op_id] = asyncio.get_running_loop().create_future()

    def _forget(self, op_id: str) -> None:
        self._answers.pop(op_id, None)
        self._open = {showing: each for showing, each in self._open.items() if each != op_id}

    def _showing(self, code: Code) -> _Showing:
        short = normalise_short_code(code.text) if code.typed else None
        return _Showing(short or code.text, code.typed, self.zone_id, self.direction)


def _answer(result: OpResult, direction: Direction) -> Answer:
    if result.status is OpStatus.REJECTED:
        return not_accepted(result.message or f"The server refused ({result.code}).")
    try:
        return of_redemption(RedemptionView.model_validate(result.result), direction)
    except ValidationError:
        return not_accepted("The server's answer is not understood: update this gate.")


def _code_of(op: StoredOp) -> Code:
    if short := op.body.get("short_code"):
        return Code(short, typed=True)
    return Code(op.body.get("qr_token", ""))
