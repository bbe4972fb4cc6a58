"""One redemption operation for one showing, and what its answer means at the gate (R14, R20, R33,
R50).

A showing becomes an operation on the disk before it is sent, so nothing is lost. It is in one of
these states, and leaves each of them once:

- **asked**: the server has 800 ms. Its answer is the answer, and the showing is over. While the
  line is not online (away, too slow, or behind with a long queue) nobody waits for it.
- **decided here**: no answer, but the gate's own list tells. What the gate does is written into
  the operation (`committed`, `local`) before it is said, and never changes. The server's later
  answer is only compared with it: a difference is told as LATE, with what to do. Who was let in
  stays in (the server records the conflict); who was refused has lost nothing, for the server
  takes nothing from the ticket, or gives it back (R50). Operations go in their order, so that
  happens before any new showing of the ticket.
- **waiting**: neither server nor list can tell: no list or one too old, a typed code, credit beyond
  the zone's limit, a gate that the server does not take. Nobody is admitted. While the guest stays
  or comes back, the same operation is asked again under the same op_id, for a second one could find
  the ticket spent by the first, whose answer was only lost; its answer is shown. When the guest has
  gone it is told as LATE: a late PASS has spent a ticket that admitted nobody, so the operation is
  sent once more with what happened, `local.result = fail`, for the server to annul.

Foreign codes are operations like tickets, for every redemption leaves a row (R20); without an
answer they are refused here. An exit is never refused (R51). A typed code whose check character is
wrong was not shown by a ticket: it is not sent. An entry that the gate let through can be taken
back for 15 minutes: an operation of its own, behind that of the entry (R50).
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from gate.alone import of_judgement, otherwise
from gate.answers import (
    FOREIGN,
    MISTYPED,
    THAI_KEYS,
    Answer,
    Level,
    annul_refused,
    annul_waits,
    annulled,
    exit_unanswered,
    not_accepted,
    of_redemption,
    unanswered,
)
from gate.deciding import TRAINING_PREFIX, Judge, Judgement, Shown
from gate.ledger import happened, ticket_id_of
from playpark.clock import Clock
from playpark.contracts.sync import LocalOutcome, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import (
    AnnulIn,
    Direction,
    FailReason,
    RedeemIn,
    RedemptionResult,
    RedemptionView,
)
from playpark.device import DeviceStore, LineMode, StoredOp, SyncEngine
from playpark.errors import PlayParkError
from playpark.ids import normalise_short_code

DEADLINE = 0.8
"""Seconds a guest waits for the server."""
LONGEST_TOKEN = 500
IN_TIME = timedelta(minutes=15)
"""How long an entry can be taken back (R50)."""
ANNULMENTS = 500
"""How many of the latest are looked through for one that was made already."""
_THAI = re.compile(r"[\u0e00-\u0e7f]")


@dataclass(frozen=True, slots=True)
class Code:
    """What was read. `typed` by a person: a short code; else the text of a QR code, `keyed`
    where a hand scanner sent it through the keyboard. `source` is what read it."""

    text: str
    typed: bool = False
    keyed: bool = False
    source: str = field(default="keyboard", compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`pending` is the op_id where something may still be told about it, `op_id` the operation's
    in any case; None where nothing was recorded."""

    answer: Answer
    pending: str | None = None
    op_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Showing:
    """Where an operation may be taken up again: same code, place and direction."""

    text: str
    typed: bool
    zone_id: str | None
    direction: Direction


class Admission:
    """Asks the server about codes, through the device's outbox, and without an answer the gate's
    own `judge`. `zone_id` and `direction` may be changed between two showings."""

    def __init__(
        self,
        store: DeviceStore,
        engine: SyncEngine,
        clock: Clock,
        *,
        zone_id: str | None = None,
        direction: Direction = Direction.ENTRY,
        deadline: float = DEADLINE,
        judge: Judge | None = None,
    ) -> None:
        self.zone_id = zone_id
        self.direction = direction
        self._store = store
        self._engine = engine
        self._clock = clock
        self._deadline = deadline
        self._judge = judge
        self._open: dict[_Showing, str] = {}
        self._answers: dict[str, asyncio.Future[Answer | None]] = {}
        self._deciding = asyncio.Lock()
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
            coming = self._answers[op_id]
            if not self._engine.online:
                verdict = await self._by_itself(op_id, coming, showing)
                if verdict is not None:
                    return verdict
            result = await self._engine.submit(op_id, self._deadline, patient=True)
            if result is not None:
                answer = _answer(result, showing.direction)
                self._settle(op_id, answer)
                return Verdict(answer, op_id=op_id)
            return await self._without_answer(op_id, coming, showing)
        except ValidationError:  # no text that could be sent, so no ticket
            return Verdict(FOREIGN)
        except PlayParkError as refusal:  # such as a full disk: nothing was recorded
            return Verdict(not_accepted(refusal.message))

    def answered(self, op_id: str) -> asyncio.Future[Answer | None]:
        """The answer to a pending operation, when it comes; shield it from cancellation. What was
        decided here gets a LATE, or None where the server says the same."""
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

    async def annul(self, op_id: str) -> Answer:
        """Take back an entry that this gate let through within 15 minutes (R50); says what came of
        it, and never raises for faults of network, server or disk."""
        try:
            async with self._deciding:  # a key that was pressed twice annuls once
                refusal = await asyncio.to_thread(self._stands, op_id)
                if refusal is not None:
                    return annul_refused(refusal)
                annulment = await self._record_annulment(op_id)
            return await self._take_back(op_id, annulment)
        except PlayParkError as refused:  # such as a full disk: nothing was recorded
            return annul_refused(refused.message)

    def left_over(self) -> list[tuple[str, Code]]:
        """Operations of an earlier run that the server has not answered. Their guests have gone."""
        found: list[tuple[str, Code]] = []
        position = (0, 0)
        while batch := self._store.pending(after=position):
            position = (batch[-1].epoch, batch[-1].seq)
            for op in batch:
                if op.kind is OpKind.REDEMPTION and not _gone(op):
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

    # --- without the server -------------------------------------------------------------

    async def _without_answer(
        self, op_id: str, coming: asyncio.Future[Answer | None], showing: _Showing
    ) -> Verdict:
        verdict = await self._by_itself(op_id, coming, showing)
        if verdict is not None:
            return verdict
        state = self._engine.state
        slow = state.mode is LineMode.SLOW  # it is asked, and has said nothing against this gate
        error = None if slow else state.last_error
        return Verdict(unanswered(online=state.online or slow, error=error), op_id, op_id)

    async def _by_itself(
        self, op_id: str, coming: asyncio.Future[Answer | None], showing: _Showing
    ) -> Verdict | None:
        """What the gate decides without the server, or an answer that came meanwhile; None where
        neither of them can tell."""
        # One at a time: the next guest finds this one's place in the zone taken.
        async with self._deciding:
            found = await self._decide(showing)
            if coming.done() and (answer := coming.result()) is not None:
                return Verdict(answer, op_id=op_id)
            if found is None:
                return None
            answer, outcome = found
            stored = await asyncio.to_thread(
                self._store.record_local, op_id, outcome, committed=True
            )
            if self._judge is not None:
                self._judge.ledger.note(stored)
        self._forget(op_id)
        if answer.redemption is None:  # an exit, or no ticket: nothing to compare
            return Verdict(answer, op_id=op_id)
        late = self._await(op_id)
        if coming.done() and (told := coming.result()) is not None:
            # It came while the gate's own decision was being written, which stands.
            late.set_result(told if told.level is Level.LATE else otherwise(outcome, told))
        else:
            self._engine.wake()
        return Verdict(answer, op_id, op_id)

    async def _decide(self, showing: _Showing) -> tuple[Answer, LocalOutcome] | None:
        """What the gate does by itself, and says; None where it has to wait for the server."""
        at = self.now()
        training = showing.text.startswith(TRAINING_PREFIX)
        if not showing.typed and not training and ticket_id_of(showing.text) is None:
            return FOREIGN, _refused(FailReason.INVALID_SIG, at)
        if showing.direction is Direction.EXIT and not training:
            return exit_unanswered(), LocalOutcome(result=RedemptionResult.PASS, at=at)
        shown = Shown(showing.text, showing.zone_id, showing.direction, at)
        judgement = None if showing.typed else await self._by_the_list(shown)
        if judgement is None or self._judge is None:
            return (FOREIGN, _refused(FailReason.TRAINING, at)) if training else None
        answer = of_judgement(judgement, showing.direction, self._judge.park_zone)
        if judgement.decision.passed:
            return answer, LocalOutcome(result=RedemptionResult.PASS, at=at)
        return answer, _refused(judgement.reason, at)

    async def _by_the_list(self, shown: Shown) -> Judgement | None:
        """What the gate's own list says. A gate that the server does not take (suspended, revoked)
        loses its list on the spot: pulling the plug must not bring it back (R38)."""
        if self._judge is None:
            return None
        if self._engine.turned_away:
            await asyncio.to_thread(self._judge.forget)
        return await asyncio.to_thread(self._judge.judge, shown)

    # --- answers that come --------------------------------------------------------------

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        """The engine has an answer: perhaps after the one who asked had given up."""
        if op.kind is not OpKind.REDEMPTION:
            return
        if self._judge is not None:
            self._judge.heard(op, result, self.now())
        if op.op_id in self._answers:
            answer: Answer | None = _answer(result, _direction_of(op))
            if op.local is not None and op.committed and answer is not None:
                answer = otherwise(op.local, answer)
            self._settle(op.op_id, answer)

    def _settle(self, op_id: str, answer: Answer | None) -> None:
        waiting = self._answers.get(op_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        self._forget(op_id)

    def _await(self, op_id: str) -> asyncio.Future[Answer | None]:
        coming: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._answers[op_id] = coming
        return coming

    def _forget(self, op_id: str) -> None:
        self._answers.pop(op_id, None)
        self._open = {showing: each for showing, each in self._open.items() if each != op_id}

    # --- taking back --------------------------------------------------------------------

    def _stands(self, op_id: str) -> str | None:
        """Why an entry cannot be taken back; None where it can. Blocks on the disk."""
        op = self._store.op(op_id)
        if op is None or op.kind is not OpKind.REDEMPTION:
            return "This gate has no such scan."
        if _direction_of(op) is Direction.EXIT or not happened(op.local, op.result):
            return "Nobody went in with this scan: only an entry that passed is annulled."
        at = (op.local.at if op.local else None) or op.occurred_at
        if self.now() - at > IN_TIME:
            return "This entry is more than 15 minutes old: send the guest to the counter."
        redemption_id = (op.result or {}).get("redemption_id", op_id)
        made = self._store.recent([OpKind.ANNUL], ANNULMENTS)
        named = {each.body.get("op_id") or each.body.get("redemption_id") for each in made}
        if named & {op_id, redemption_id}:
            return "This entry is annulled already: scan the ticket again to let the guest in."
        return None

    async def _record_annulment(self, op_id: str) -> StoredOp:
        at = self.now()
        body = AnnulIn(op_id=op_id, occurred_at=at).model_dump(mode="json", exclude_unset=True)
        return await asyncio.to_thread(
            self._store.append, OpKind.ANNUL, lambda _: body, occurred_at=at
        )

    async def _take_back(self, op_id: str, annulment: StoredOp) -> Answer:
        taken = self._judge.ledger.take_back(op_id) if self._judge is not None else None
        result = await self._engine.submit(annulment.op_id, self._deadline)
        if result is None:
            # From here on it has happened: the server may find it late, and no longer refuses it.
            outcome = LocalOutcome(at=annulment.occurred_at)
            with contextlib.suppress(PlayParkError):  # it is queued all the same
                await asyncio.to_thread(
                    self._store.record_local, annulment.op_id, outcome, committed=True
                )
            return annul_waits()
        if result.status is not OpStatus.REJECTED:
            return annulled()
        if self._judge is not None and taken is not None:
            self._judge.ledger.restore(taken)
        return annul_refused(result.message or f"The server refused ({result.code}).")

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


def _refused(reason: str | None, at: datetime) -> LocalOutcome:
    return LocalOutcome(result=RedemptionResult.FAIL, reason=reason, at=at)


def _direction_of(op: StoredOp) -> Direction:
    return Direction(op.body.get("direction", Direction.ENTRY))


def _gone(op: StoredOp) -> bool:
    """An exit that was let out: whatever the server says, nobody has to do anything."""
    return op.local is not None and _direction_of(op) is Direction.EXIT


def _code_of(op: StoredOp) -> Code:
    if short := op.body.get("short_code"):
        return Code(short, typed=True)
    return Code(op.body.get("qr_token", ""))
