"""Refunds, voids and reprints: found, asked for, answered, and only then paid out (R31, R32, R42).

These operations are not committed: the server may refuse them. Money leaves only after its
definitive answer, however late that comes; until then the till says so, after a restart too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.refunds import (
    RefundIn,
    RefundView,
    ReprintIn,
    ReprintView,
    VoidIn,
    VoidView,
)
from playpark.contracts.sales import SaleAnswer, SaleStatus, SaleView
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.contracts.tickets import TicketStatus, TicketView
from playpark.device import Allocator, OpState, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries, normalise_short_code
from playpark.money import format_satang
from playpark.printing.document import Document
from playpark.printing.letterhead import Letterhead
from playpark.printing.receipt_notes import ReceiptNotes
from playpark.printing.refund_slip import SlipMarks, refund_document, void_document
from playpark.refunding import RefundState, SoldSlice, Tender, plan_refund
from playpark.tokens import parse_pp1
from terminal import sale as sales
from terminal.approvals import Question
from terminal.counter import Counter
from terminal.papers import Papers
from terminal.printer import Paper

DEADLINE_S = 6.0
KINDS = (OpKind.REFUND, OpKind.VOID, OpKind.REPRINT)
_TICKETS = TypeAdapter(list[TicketView])


class Standing(StrEnum):
    """Where something that was asked for stands. `waiting`: no money may leave yet."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A refund, void or reprint as the screen shows it; `sentence` says what to do now."""

    op_id: str
    kind: OpKind
    standing: Standing
    sentence: str
    parts: tuple[tuple[PaymentMethod, int], ...] = ()
    """What has to be given back by which tender, satang; only once it is done."""


@dataclass(frozen=True, slots=True)
class FoundTicket:
    """A ticket of a found sale: `state` in a word, `left` what it can still give back, satang."""

    ticket: TicketView
    state: str
    left: int


@dataclass(frozen=True, slots=True)
class FoundSale:
    """A sale with all its tickets, as the server knows it now."""

    answer: SaleAnswer
    tickets: tuple[FoundTicket, ...]

    @property
    def sale(self) -> SaleView:
        return self.answer.sale

    @property
    def left(self) -> int:
        """What was taken and not given back, satang."""
        gone = self.sale.status is SaleStatus.VOIDED
        return 0 if gone else self.sale.grand_total - self.sale.refunded

    @property
    def methods(self) -> list[PaymentMethod]:
        """How it was paid, each way once."""
        return list(dict.fromkeys(payment.method for payment in self.sale.payments))


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
        self._papers = papers
        papers.learn({OpKind.REFUND: _refund_slip, OpKind.VOID: _void_slip})
        papers.learn({OpKind.REPRINT: _copies})
        counter.engine.listen(self._heard)

    @property
    def waiting(self) -> list[Outcome]:
        """What the server has not answered: no money may leave for it."""
        return [each for each in self.outcomes.values() if each.standing is Standing.WAITING]

    # --- finding a sale -------------------------------------------------------------------

    async def find(self, text: str) -> FoundSale:
        """The sale of a receipt number, a short code or a scanned ticket.

        Raises PlayParkError: unknown, offline, or sold here and not arrived at the server yet.
        """
        counter, text = self._counter, text.strip()
        counter.need_server()
        code = normalise_short_code(text)
        token = parse_pp1(text.upper())
        known = counter.store.by_receipt(text.upper())
        if known is None and (code or token):
            wanted = code or (token.ticket_id if token else "")
            known = counter.store.sale_of_ticket(wanted)
        if known is not None and known.kind is OpKind.SALE:
            return await self.find_sold(known)
        sale_id = await self._look_up(text, code, is_token=text.upper().startswith("PP"))
        return await self._load(sale_id)

    async def find_sold(self, op: StoredOp) -> FoundSale:
        """The sale of an operation of this till. Raises PlayParkError where it has not arrived."""
        if op.state is OpState.PENDING:
            await self._counter.engine.submit(op.op_id, DEADLINE_S)
            op = self._counter.store.op(op.op_id) or op
        if op.state is OpState.PENDING:
            message = f"Sale {op.receipt_no} has not arrived at the server yet: wait till it has."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        if op.state is OpState.REJECTED or not op.result:
            message = f"The server refused sale {op.receipt_no}: call the supervisor."
            raise PlayParkError(ErrorCode.NOT_FOUND, message)
        return await self._load(op.result["sale_id"])

    async def _look_up(self, text: str, code: str | None, *, is_token: bool) -> str:
        ask = self._counter.ask
        if is_token or code:
            query = {"qr": text} if is_token else {"short_code": text}
            tickets = (await ask(lambda server: server.tickets(**query))).items
            if tickets and tickets[0].sale_id:
                return tickets[0].sale_id
        else:
            sold = (await ask(lambda server: server.sales_by_receipt(text.upper()))).items
            if sold:
                return sold[0].sale_id
        message = "No sale is known by that: type a receipt number or the code on a ticket."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)

    async def _load(self, sale_id: str) -> FoundSale:
        answer = await self._counter.ask(lambda server: server.sale(sale_id))
        known = await self._counter.ask(lambda server: server.tickets(sale_id=sale_id))
        refunded = {each.ticket_id: each.refunded or 0 for each in known.items}
        gone = answer.sale.status is SaleStatus.VOIDED
        tickets = []
        for ticket in known.items or answer.tickets:
            left = ticket.payable - refunded.get(ticket.ticket_id, 0)
            back = gone or ticket.status is not TicketStatus.ACTIVE
            tickets.append(FoundTicket(ticket, _state(ticket), 0 if back else left))
        return FoundSale(answer, tuple(tickets))

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

    def expected(
        self, found: FoundSale, ticket_ids: Sequence[str] | None, method: PaymentMethod | None
    ) -> int | None:
        """What a refund will pay out, satang; None where only the server can tell (cash that was
        given back in parts before is rounded with it)."""
        sale, catalog = found.sale, self._counter.catalog
        money = catalog.settings.money if catalog else None
        if catalog and catalog.settings.sales.refund_reprice and ticket_ids is not None:
            return None
        if ticket_ids is None:
            return found.left
        if sale.refunded and (money is None or money.cash_step > 1):
            return None
        state = RefundState(
            slices=[
                SoldSlice(
                    each.ticket.ticket_id,
                    each.ticket.ticket_id,
                    each.ticket.payable,
                    0,
                    each.ticket.payable - each.left,
                )
                for each in found.tickets
            ],
            tenders=[Tender(each.method, each.amount) for each in sale.payments],
            grand_total=sale.grand_total,
            refunded_total=sale.refunded,
            surcharge_total=sale.surcharge_total,
            cash_rounding=sale.cash_rounding,
            cash_step=money.cash_step if money else 1,
        )
        try:
            return plan_refund(state, ticket_ids=ticket_ids, method=method).amount
        except PlayParkError:
            return None

    def question(
        self, action: ApprovalAction, found: FoundSale, why: Why, amount: int | None
    ) -> Question:
        """What the supervisor is asked; every one of these needs an approval (R42)."""
        what = {
            ApprovalAction.REFUND: "Refund",
            ApprovalAction.VOID: "Void of the whole sale",
            ApprovalAction.REPRINT: "Print again, marked COPY",
        }[action]
        return Question(
            action=action,
            entity_id=found.sale.sale_id,
            amount=amount,
            what=what,
            whose=f"Sale {found.sale.receipt_no}",
            why=f"{why.label}{f': {why.text}' if why.text else ''}",
        )

    # --- asking for it --------------------------------------------------------------------

    async def refund(
        self,
        found: FoundSale,
        ticket_ids: Sequence[str] | None,
        why: Why,
        token: str,
        method: PaymentMethod | None = None,
    ) -> Outcome:
        """Give back these tickets, or all that is left. Money leaves when the outcome is done."""
        self._check(found)
        now = self._counter.clock.now()

        def body(allocator: Allocator) -> dict[str, Any]:
            more: dict[str, Any] = {}
            if ticket_ids is not None:
                more["ticket_ids"] = list(ticket_ids)
            if method is not None:
                more["method"] = method
            request = RefundIn(
                sale_id=found.sale.sale_id,
                receipt_no=allocator.receipt_no(ReceiptSeries.REFUND),
                occurred_at=now,
                **why.fields(),
                **more,
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

    def _check(self, found: FoundSale) -> None:
        counter = self._counter
        counter.need_server()
        if counter.shift is None:
            message = "No shift is open here: open one before money is given back."
            raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
        mine = {op.op_id for op in counter.store.pending_of(KINDS)}
        for each in self.waiting:
            if each.op_id in mine and self._sale_of(each.op_id) == found.sale.sale_id:
                message = "Something is asked for this sale already: wait for its answer."
                raise PlayParkError(ErrorCode.CONFLICT, message)

    def _sale_of(self, op_id: str) -> str | None:
        op = self._counter.store.op(op_id)
        return op.body.get("sale_id") if op else None

    async def _ask_for(
        self, kind: OpKind, body: Any, found: FoundSale, why: Why, token: str
    ) -> Outcome:
        memo = _memo(found, why, self._counter)
        op = await self._counter.append(
            kind, body, committed=False, prints=True, approval=token, memo=memo
        )
        self.outcomes[op.op_id] = _waiting(op)
        self._papers.expect(op)
        self._counter.changed()
        await self._counter.engine.submit(op.op_id, DEADLINE_S)
        return self.outcomes[op.op_id]

    # --- the answer -----------------------------------------------------------------------

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        before = self.outcomes.get(op.op_id)
        if op.kind not in KINDS or (before and before.standing is not Standing.WAITING):
            return
        outcome = _answered(op, result)
        self.outcomes[op.op_id] = outcome
        self._counter.tell(outcome.sentence, refused=outcome.standing is Standing.REFUSED)


def _state(ticket: TicketView) -> str:
    if ticket.status is not TicketStatus.ACTIVE:
        return ticket.status.value
    return "used" if ticket.used else "not used"


def _memo(found: FoundSale, why: Why, counter: Counter) -> dict[str, Any]:
    """What slips and copies say beyond the answer; no token goes to the disk."""
    sale = found.sale
    tickets = [each.ticket.model_copy(update={"qr_token": None}) for each in found.tickets]
    memo: dict[str, Any] = {
        "receipt_no": sale.receipt_no,
        "reason": why.label,
        "tickets": _TICKETS.dump_python(tickets, mode="json"),
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
    return Outcome(op.op_id, op.kind, Standing.WAITING, sentence)


def _answered(op: StoredOp, result: OpResult) -> Outcome:
    outcome = replace(_waiting(op), standing=Standing.DONE)
    sale = (op.memo or {}).get("receipt_no", "")
    if result.status is OpStatus.REJECTED:
        what = {OpKind.REFUND: "refund", OpKind.VOID: "void"}.get(op.kind, "reprint")
        reason = result.message or "It gave no reason."
        sentence = f"No {what} of {sale}: {reason}"
        if op.kind is not OpKind.REPRINT:
            sentence += " Give no money back."
        return replace(outcome, standing=Standing.REFUSED, sentence=sentence)
    try:
        parts = _parts(op.kind, result.result or {})
    except ValidationError:
        sentence = f"The answer about {sale} cannot be read: give nothing back, call support."
        return replace(outcome, standing=Standing.REFUSED, sentence=sentence)
    if op.kind is OpKind.REPRINT:
        return replace(outcome, sentence=f"Copies of {sale} are printing.")
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
        case _:
            ReprintView.model_validate(result)
            return ()


def _refund_slip(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    refund, memo = RefundView.model_validate(result), op.memo or {}
    tickets = _TICKETS.validate_python(memo.get("tickets", []))
    till, reason = refund.receipt_no.partition("-")[0], memo.get("reason")

    def draw(head: Letterhead, copy: bool) -> Document:
        marked = SlipMarks(copy=copy, kick_drawer=not copy)
        return refund_document(head, refund, tickets, till=till, reason=reason, marked=marked)

    return [Paper("refund", refund, draw)]


def _void_slip(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    voided, memo = VoidView.model_validate(result), op.memo or {}
    till, reason = voided.sale.receipt_no.partition("-")[0], memo.get("reason")

    def draw(head: Letterhead, copy: bool) -> Document:
        training = voided.sale.training
        marked = SlipMarks(copy=copy, training=training, kick_drawer=not copy)
        return void_document(head, voided, till=till, reason=reason, marked=marked)

    return [Paper("void", voided, draw)]


def _copies(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    view, memo = ReprintView.model_validate(result), op.memo or {}
    notes = ReceiptNotes.model_validate(memo["notes"]) if "notes" in memo else None
    if view.sale is not None:
        answer = SaleAnswer(sale=view.sale, tickets=view.tickets)
        return sales.papers_of(answer, notes, always_copy=True)
    papers = [sales.ticket_paper(ticket) for ticket in view.tickets]
    return [replace(each, always_copy=True) for each in papers]


REASONS = {
    OpKind.REFUND: ReasonKind.REFUND,
    OpKind.VOID: ReasonKind.VOID,
    OpKind.REPRINT: ReasonKind.REPRINT,
}
