"""Refunds, voids, reprints, exchanges: found, asked for, answered, then paid out (R25, R31, R32,
R42).

These operations are not committed: the server may refuse them. Money leaves only after its
definitive answer, however late that comes; until then the till says so, after a restart too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.refunds import (
    ExchangeIn,
    ExchangeView,
    RefundIn,
    RefundView,
    ReprintIn,
    ReprintView,
    VoidIn,
    VoidView,
)
from playpark.contracts.sales import SaleStatus
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.contracts.tickets import TicketStatus
from playpark.device import Allocator, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from playpark.money import format_satang
from playpark.printing.receipt_notes import ReceiptNotes
from terminal import slips
from terminal.approvals import Question
from terminal.counter import Counter
from terminal.finding import FoundSale, FoundTicket
from terminal.papers import Papers
from terminal.refund_amount import Back, expected_refund

DEADLINE_S = 6.0
KINDS = (OpKind.REFUND, OpKind.VOID, OpKind.REPRINT, OpKind.EXCHANGE)
NO_MONEY = (OpKind.REPRINT, OpKind.EXCHANGE)


class Standing(StrEnum):
    """Where something that was asked for stands. `waiting`: no money may leave yet."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was asked for, as the screen shows it; `sentence` says what to do now."""

    op_id: str
    kind: OpKind
    standing: Standing
    sentence: str
    parts: tuple[tuple[PaymentMethod, int], ...] = ()
    """What has to be given back by which tender, satang; only once it is done."""


@dataclass(frozen=True, slots=True)
class Why:
    """A reason of the store, with the words that some reasons ask for."""

    code: str
    label: str
    text: str | None = None

    def fields(self) -> dict[str, Any]:
        return {"reason_code": self.code, **({"reason_text": self.text} if self.text else {})}


class GivingBack:
    """What is given back or printed again, and what waits for its answer."""

    def __init__(self, counter: Counter, papers: Papers) -> None:
        self._counter = counter
        self.outcomes: dict[str, Outcome] = {
            op.op_id: _waiting(op) for op in counter.store.pending_of(KINDS)
        }
        """By op_id: what waits, and what was answered in this run."""
        self._asking: set[str] = set()
        self._busy: set[str] = set()
        """Sales for which something is being written down at this moment."""
        self.unseen: list[Outcome] = []
        """Answers that came late: they stay before the cashier until they are confirmed."""
        self._papers = papers
        papers.learn(
            {
                OpKind.REFUND: slips.refund,
                OpKind.VOID: slips.void,
                OpKind.REPRINT: slips.copies,
                OpKind.EXCHANGE: slips.exchanged,
            }
        )
        counter.engine.listen(self._heard)

    @property
    def waiting(self) -> list[Outcome]:
        """What the server has not answered: no money may leave for it."""
        return [each for each in self.outcomes.values() if each.standing is Standing.WAITING]

    def seen(self) -> None:
        """The cashier has done what the oldest late answer says."""
        if self.unseen:
            self.unseen.pop(0)
            self._counter.changed()

    # --- what can be asked for ------------------------------------------------------------

    def why_not_void(self, found: FoundSale) -> str | None:
        """Why this sale cannot be voided; None where it can (R32)."""
        sale, identity, shift = found.sale, self._counter.store.identity, self._counter.shift
        if sale.status is not SaleStatus.COMPLETED:
            return f"The sale is {sale.status.value.replace('_', ' ')} already."
        if identity is None or sale.device_id != identity.device_id:
            return "It was sold on another till: refund it instead."
        if shift is None or sale.shift_id != shift.op_id:
            return "It was sold in another shift: refund it instead."
        if any(each.ticket.used for each in found.tickets):
            return "A ticket of it is used already: refund the others instead."
        return None

    @staticmethod
    def why_not_exchange(lost: FoundTicket) -> str | None:
        """Why no new ticket is given for this one; None where one is (R25)."""
        status = lost.ticket.status
        if status is TicketStatus.ACTIVE:
            return None
        return f"This ticket is {status.value}: there is nothing to exchange."

    @property
    def by_amount(self) -> bool:
        """Whether the store gives back amounts too, and not whole tickets only (R31)."""
        catalog = self._counter.catalog
        return catalog is not None and catalog.settings.sales.refund_by_amount

    def expected(self, found: FoundSale, back: Back) -> int | None:
        """What a refund will pay out, satang; None where only the server can tell.

        Raises E_REFUND_EXCEEDS for more than is left.
        """
        catalog = self._counter.catalog
        return expected_refund(found, back, catalog) if catalog else None

    def question(
        self, action: ApprovalAction, found: FoundSale, why: Why, amount: int | None
    ) -> Question:
        """What the supervisor is asked; every one of these needs an approval (R42)."""
        what = {
            ApprovalAction.REFUND: "Refund",
            ApprovalAction.VOID: "Void of the whole sale",
            ApprovalAction.REPRINT: "Print again, marked COPY",
        }[action]
        if action is ApprovalAction.REFUND and amount is None:
            what = f"Refund: the server says how much, {format_satang(found.left)} at most"
        return Question(
            action=action,
            entity_id=found.sale.sale_id,
            amount=amount,
            what=what,
            whose=f"Sale {found.sale.receipt_no}",
            why=f"{why.label}{f': {why.text}' if why.text else ''}",
        )

    def exchange_question(self, lost: FoundTicket, why: Why) -> Question:
        """What the supervisor is asked for a lost ticket: the yes is to this one alone."""
        code = lost.ticket.short_code
        return Question(
            action=ApprovalAction.EXCHANGE,
            entity_id=lost.ticket.ticket_id,
            amount=None,
            what="A new ticket; the lost one is void",
            whose=f"{lost.ticket.package_name} {code[:4]}-{code[4:]}",
            why=f"{why.label}{f': {why.text}' if why.text else ''}",
        )

    # --- asking for it --------------------------------------------------------------------

    async def refund(
        self,
        found: FoundSale,
        back: Back,
        why: Why,
        token: str,
    ) -> Outcome:
        """Give back what is wanted. Money leaves when the outcome is done."""
        self._check(found)
        now = self._counter.clock.now()

        def body(allocator: Allocator) -> dict[str, Any]:
            request = RefundIn(
                sale_id=found.sale.sale_id,
                receipt_no=allocator.receipt_no(ReceiptSeries.REFUND),
                occurred_at=now,
                **why.fields(),
                **back.fields(),
            )
            return request.model_dump(mode="json", exclude_unset=True)

        return await self._ask_for(OpKind.REFUND, body, found, why, token)

    async def void(self, found: FoundSale, why: Why, token: str) -> Outcome:
        """Take the whole sale back; it keeps its number (R32)."""
        self._check(found)
        if problem := self.why_not_void(found):
            raise PlayParkError(ErrorCode.CONFLICT, problem)
        request = VoidIn(
            sale_id=found.sale.sale_id, occurred_at=self._counter.clock.now(), **why.fields()
        )
        body = request.model_dump(mode="json", exclude_unset=True)
        return await self._ask_for(OpKind.VOID, lambda _: body, found, why, token)

    async def reprint(
        self, found: FoundSale, ticket_ids: Sequence[str] | None, why: Why, token: str
    ) -> Outcome:
        """Print these tickets again, or the receipt and all tickets, marked COPY."""
        self._counter.need_server()
        what = (
            {"sale_id": found.sale.sale_id}
            if ticket_ids is None
            else {"ticket_ids": list(ticket_ids)}
        )
        request = ReprintIn.model_validate(
            {**what, **why.fields(), "occurred_at": self._counter.clock.now()}
        )
        body = request.model_dump(mode="json", exclude_unset=True)
        return await self._ask_for(OpKind.REPRINT, lambda _: body, found, why, token)

    async def exchange(self, found: FoundSale, lost: FoundTicket, why: Why, token: str) -> Outcome:
        """Give a new ticket for a lost one; it prints with the answer (R25)."""
        self._counter.need_server()
        if problem := self.why_not_exchange(lost):
            raise PlayParkError(ErrorCode.CONFLICT, problem)
        request = ExchangeIn(
            ticket_id=lost.ticket.ticket_id, occurred_at=self._counter.clock.now(), **why.fields()
        )
        body = request.model_dump(mode="json", exclude_unset=True)
        return await self._ask_for(OpKind.EXCHANGE, lambda _: body, found, why, token)

    def _check(self, found: FoundSale) -> None:
        counter = self._counter
        counter.need_server()
        if counter.shift is None:
            message = "No shift is open here: open one before money is given back."
            raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
        asked = {op.body.get("sale_id") for op in counter.store.pending_of(KINDS)}
        if found.sale.sale_id in asked | self._busy:
            message = "Something is asked for this sale already: wait for its answer."
            raise PlayParkError(ErrorCode.CONFLICT, message)

    async def _ask_for(
        self, kind: OpKind, body: Any, found: FoundSale, why: Why, token: str
    ) -> Outcome:
        memo = _memo(found, why, self._counter)
        self._busy.add(found.sale.sale_id)
        try:
            op = await self._counter.append(
                kind, body, committed=False, prints=True, approval=token, memo=memo
            )
        finally:
            self._busy.discard(found.sale.sale_id)
        self.outcomes[op.op_id] = _waiting(op)
        self._asking.add(op.op_id)
        self._papers.expect(op)
        self._counter.changed()
        try:
            await self._counter.engine.submit(op.op_id, DEADLINE_S, patient=True)
        finally:
            self._asking.discard(op.op_id)
        return self.outcomes[op.op_id]

    # --- the answer -----------------------------------------------------------------------

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        before = self.outcomes.get(op.op_id)
        if op.kind not in KINDS or (before and before.standing is not Standing.WAITING):
            return
        outcome = _answered(op, result)
        if before is None and outcome.parts:
            # Answered before the program was started anew: its paper alone was asked for again.
            sentence = f"{outcome.sentence} If it was not given back before."
            outcome = replace(outcome, sentence=sentence)
        self.outcomes[op.op_id] = outcome
        if op.op_id not in self._asking:
            self.unseen.append(outcome)
        self._counter.changed()


def _memo(found: FoundSale, why: Why, counter: Counter) -> dict[str, Any]:
    """What slips and copies say beyond the answer; no token goes to the disk."""
    sale = found.sale
    tickets = [each.ticket.model_copy(update={"qr_token": None}) for each in found.tickets]
    memo: dict[str, Any] = {
        "receipt_no": sale.receipt_no,
        "reason": why.label,
        "tickets": slips.TICKETS.dump_python(tickets, mode="json"),
    }
    if counter.catalog and found.answer.trace:
        notes = ReceiptNotes.of(
            found.answer.trace, counter.catalog, [line.qty for line in sale.lines]
        )
        memo["notes"] = notes.model_dump(mode="json")
    return memo


def _waiting(op: StoredOp) -> Outcome:
    sale = (op.memo or {}).get("receipt_no", "")
    sentence = f"Wait: do not give money back for {sale} yet. The server has not answered."
    if op.kind is OpKind.REPRINT:
        sentence = f"The server has not answered yet: copies of {sale} print when it does."
    elif op.kind is OpKind.EXCHANGE:
        sentence = f"The server has not answered yet: the new ticket of {sale} prints when it does."
    return Outcome(op.op_id, op.kind, Standing.WAITING, sentence)


def _answered(op: StoredOp, result: OpResult) -> Outcome:
    outcome = replace(_waiting(op), standing=Standing.DONE)
    sale = (op.memo or {}).get("receipt_no", "")
    if result.status is OpStatus.REJECTED:
        what = op.kind.value
        reason = result.message or "It gave no reason."
        sentence = f"No {what} of {sale}: {reason}"
        if op.kind not in NO_MONEY:
            sentence += " Give no money back."
        return replace(outcome, standing=Standing.REFUSED, sentence=sentence)
    try:
        parts = _parts(op.kind, result.result or {})
    except ValidationError:
        sentence = f"The answer about {sale} cannot be read: give nothing back, call support."
        return replace(outcome, standing=Standing.REFUSED, sentence=sentence)
    if op.kind is OpKind.REPRINT:
        return replace(outcome, sentence=f"Copies of {sale} are printing.")
    if op.kind is OpKind.EXCHANGE:
        sentence = f"The new ticket of {sale} is printing: the lost one admits nobody any more."
        return replace(outcome, sentence=sentence)
    money = " and ".join(f"{format_satang(amount)} {method.value}" for method, amount in parts)
    done = "voided" if op.kind is OpKind.VOID else "refunded"
    return replace(outcome, sentence=f"{sale} is {done}: give back {money or '0.00'}.", parts=parts)


def _parts(kind: OpKind, result: dict[str, Any]) -> tuple[tuple[PaymentMethod, int], ...]:
    match kind:
        case OpKind.REFUND:
            refund = RefundView.model_validate(result)
            return tuple((part.method, part.amount) for part in refund.parts)
        case OpKind.VOID:
            payments = VoidView.model_validate(result).sale.payments
            return tuple((each.method, each.amount) for each in payments if each.amount)
        case OpKind.EXCHANGE:
            ExchangeView.model_validate(result)
            return ()
        case _:
            ReprintView.model_validate(result)
            return ()
