"""The sale: one transaction of sale, payments, tickets, shift totals, events, audit (R14–R32)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, ClassVar

from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.identity import stores
from api.open_tickets import service as open_tickets
from api.platform.operations import CLOCK_CLAMPED, Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.receipts import service as receipts
from api.sales import booking as booking_rules
from api.sales import discounts, issuing, loyalty, sold, tenders, training
from api.sales.booking import Booking
from api.sales.documents import Place, amounts_of, payments_of, sale_of
from api.sales.models import Payment, Sale
from api.sales.repository import PaymentRepository, SaleRepository
from api.sales.views import summary, view
from api.shifts import service as shifts
from api.tickets import issuing as tickets
from api.tickets.models import Ticket
from playpark.clock import business_date, business_day_start
from playpark.contracts.approvals import ApprovalAction, EmployeeRef
from playpark.contracts.employees import Permission
from playpark.contracts.open_tickets import CheckoutIn
from playpark.contracts.pricing import PricedLine
from playpark.contracts.sales import SaleAnswer, SaleIn, SaleStatus
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries, new_ulid
from playpark.issuing import tickets_per_line
from playpark.pricing import applied_rules

__all__ = ["Selling", "summary", "view"]
NEAR = timedelta(days=3)
"""How far a printed trading day may be from the reckoned one: outages, not wrong clocks."""
PROMO_OVER_CAP = "promo_over_cap"


@dataclass(frozen=True, slots=True)
class Selling:
    """The sale operation, bound to the platform for its keys."""

    platform: Platform
    rights: ClassVar = Rights(
        (Permission.SELL,),
        approvals=(ApprovalAction.MANUAL_DISCOUNT,),
        when="for discounts beyond what one may give",
    )

    @property
    def kind(self) -> Kind[SaleIn, SaleAnswer]:
        how = (self.apply, self.rebuild, self.rights)
        return Kind(OpKind.SALE, SaleIn, *how, told=self._heard)

    @property
    def checkout_kind(self) -> Kind[CheckoutIn, SaleAnswer]:
        return Kind(OpKind.CHECKOUT, CheckoutIn, self.check_out, self.rebuild, self.rights)

    async def apply(
        self, work: Work, scope: Scope, op: Operation[SaleIn], sale_id: str
    ) -> SaleAnswer:
        """Book the sale.

        Raises E_PRICE_CHANGED, E_INSUFFICIENT_TENDER, E_INACTIVE_PACKAGE, E_PERMISSION
        (an approval), E_SHIFT_CLOSED, E_CONFLICT (a number, points or a parked cart that are
        gone), E_NOT_FOUND, E_VALIDATION.
        """
        booking = await booking_rules.book(work, scope, op)
        flags = [*op.flags, *booking.flags, *tenders.check(op, booking)]
        if op.body.training:
            return await self._practise(work, scope, op, booking, sale_id, flags)
        approver, more = await discounts.approve(work, scope, op, booking)
        flags += more
        day = _business_date(scope, op, flags)
        counts = tickets_per_line(op.body.lines, booking.catalog)
        codes = await self._codes(work, scope, op, counts, flags)
        counted, more = await _claim(work, scope, op, booking, sale_id)
        flags += more
        points, more = await loyalty.settle(work, scope, op, booking, sale_id)
        flags += more
        series = ReceiptSeries.SALE
        receipt_no, more = await receipts.take(work, scope, op, series, op.body.receipt_no)
        flags += more
        amounts = amounts_of(booking.priced, op.body.payments, sum(counts))
        shift_id, more = await shifts.book_sale(work, scope, op, amounts)
        flags += more
        specs = issuing.specs(
            booking.priced,
            booking.catalog,
            ids=_ticket_ids(op.body, counts),
            codes=codes,
            day=day,
            zone=scope.zone,
        )
        told_later = op.op_id if op.seq is not None and op.local is None else None
        begins = business_day_start(day, scope.zone)
        context = tickets.IssueContext(sale_id, shift_id, begins, told_later)
        printed, more = await issuing.printed(work, scope, op, counts, specs, context.valid_from)
        flags += more
        place = Place(sale_id, receipt_no, shift_id, day, flags, approver, points, counted)
        sale = sale_of(scope, op, booking, place)
        payments = payments_of(op, booking, sale)
        await SaleRepository.of(work, scope).insert(sale)
        await PaymentRepository.of(work, scope).insert_many(payments)
        keys = await self.platform.ticket_keys(scope)
        vault = self.platform.vault
        issued = await tickets.issue(
            work, scope, keys, context, specs, vault=vault, printed=printed
        )
        await _tell(work, scope, sale, issued, booking, approver)
        return await self._answer(scope, sale, payments, issued, booking.priced.lines)

    async def check_out(
        self, work: Work, scope: Scope, op: Operation[CheckoutIn], sale_id: str
    ) -> SaleAnswer:
        """Sell a parked cart as it was parked, at the price of now (R13). Raises as `apply`."""
        parked = await open_tickets.cart_of(work, scope, op.body.open_ticket_id)
        told = {name: getattr(op.body, name) for name in op.body.model_fields_set}
        cart = {name: getattr(parked, name) for name in parked.model_fields_set}
        anything: Operation[Any] = op
        sale = replace(anything, body=SaleIn.model_validate({**cart, **told}))
        return await self.apply(work, scope, sale, sale_id)

    async def rebuild(self, work: Work, scope: Scope, record: OpRecord) -> SaleAnswer:
        """As it was when it was sold: what has become of it and of its tickets since is not part
        of it, but which tokens they have: what its till has printed by itself (R23)."""
        found = await sold.find(work, scope, record.result_id)
        if found is None:
            practised = await training.answer_again(work, scope, record.result_id)
            if practised is None:
                raise sold.not_found()
            return practised
        sale = found.sale.model_copy(update={"status": SaleStatus.COMPLETED, "refunded": 0})
        fresh = {"used": 0, "status": TicketStatus.ACTIVE}
        issued = await tickets.first_of_sale(work, scope, sale.id)
        unused = [ticket.model_copy(update=fresh) for ticket in issued]
        return await self._answer(scope, sale, found.payments, unused)

    async def _heard(self, work: Work, scope: Scope, record: OpRecord, op: Operation[Any]) -> None:
        await issuing.printed_after_all(work, scope, self.platform.vault, op, record.result_id)

    async def read(self, work: Work, scope: Scope, sale_id: str) -> SaleAnswer:
        """A sale and its tickets as they are now, and why it cost what it did; without tokens,
        which are for a reprint (R25). Raises E_NOT_FOUND, for a practice sale too (R32)."""
        found = await sold.read(work, scope, sale_id)
        return SaleAnswer(
            sale=view(found.sale, found.payments),
            tickets=[tickets.view(ticket, None) for ticket in found.tickets],
            trace=found.sale.trace,
        )

    async def _answer(
        self,
        scope: Scope,
        sale: Sale,
        payments: list[Payment],
        issued: list[Ticket],
        lines: Sequence[PricedLine] | None = None,
    ) -> SaleAnswer:
        keys = await self.platform.ticket_keys(scope)
        return SaleAnswer(
            sale=view(sale, payments, lines),
            tickets=[tickets.view(ticket, keys, self.platform.vault) for ticket in issued],
        )

    async def _practise(
        self,
        work: Work,
        scope: Scope,
        op: Operation[SaleIn],
        booking: Booking,
        sale_id: str,
        flags: list[str],
    ) -> SaleAnswer:
        """The same price and the same answer, and none of the effects (R32). Raises E_VALIDATION
        where it would settle a parked cart."""
        if op.body.open_ticket_id is not None and not op.committed:
            message = "A practice sale settles no parked cart: leave the training mode first."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        day = _business_date(scope, op, flags)
        counts = tickets_per_line(op.body.lines, booking.catalog)
        codes = issuing.given(op.body.short_codes, counts, "short_codes")
        specs = issuing.specs(
            booking.priced,
            booking.catalog,
            ids=_ticket_ids(op.body, counts),
            codes=codes or [training.NO_CODE] * sum(counts),
            day=day,
            zone=scope.zone,
        )
        series = ReceiptSeries.TRAINING
        receipt_no, more = await receipts.take(work, scope, op, series, op.body.receipt_no)
        sale = sale_of(scope, op, booking, Place(sale_id, receipt_no, None, day, flags + more))
        payments = payments_of(op, booking, sale)
        return await training.record(work, scope, op, sale, payments, specs)

    async def _codes(
        self,
        work: Work,
        scope: Scope,
        op: Operation[SaleIn],
        counts: list[int],
        flags: list[str],
    ) -> list[str]:
        """The till's short codes, or the server's. One that is in use already is replaced and
        flagged where the money is taken, never refused (R24)."""
        codes = issuing.given(op.body.short_codes, counts, "short_codes")
        if codes is None:
            return await stores.server_short_codes(self.platform, scope.tenant_id, sum(counts))
        used = await tickets.short_codes_in_use(work, scope, codes) if op.committed else set()
        if used:
            flags.append("short_code_replaced")
            fresh = await stores.server_short_codes(self.platform, scope.tenant_id, len(used))
            codes = [fresh.pop() if code in used else code for code in codes]
        return codes


def _ticket_ids(sale: SaleIn, counts: list[int]) -> list[str]:
    given = issuing.given(sale.ticket_ids, counts, "ticket_ids")
    return given or [new_ulid() for _ in range(sum(counts))]


async def _claim(
    work: Work, scope: Scope, op: Operation[SaleIn], booking: Booking, sale_id: str
) -> tuple[list[str], list[str]]:
    """What others may want at the same moment: the parked cart, and the last uses of capped
    promotions. Returns the rules that were counted, and flags; raises E_CONFLICT,
    E_PRICE_CHANGED."""
    flags: list[str] = []
    if op.body.open_ticket_id is not None:
        flags += await open_tickets.settle(work, scope, op, op.body.open_ticket_id, sale_id)
    rules = applied_rules(booking.priced)
    over = await catalog.count_uses(work, scope, booking.catalog, rules)
    if over:
        if not op.committed:
            raise await booking_rules.used_up(work, scope, op, booking, over)
        flags.append(PROMO_OVER_CAP)
    return [rule for rule in rules if rule not in over], flags


def _business_date(scope: Scope, op: Operation[SaleIn], flags: list[str]) -> date:
    """The printed date stands, unless the time it was printed at had to be moved, or it is so
    far off that the till's clock cannot be meant (R30)."""
    computed = business_date(op.occurred_at, scope.zone)
    told = op.body.business_date
    if not told or not op.committed or CLOCK_CLAMPED in op.flags:
        return computed
    if abs(told - computed) > NEAR:
        flags.append("business_date_moved")
        return computed
    return told


async def _tell(
    work: Work,
    scope: Scope,
    sale: Sale,
    issued: list[Ticket],
    booking: Booking,
    approver: EmployeeRef | None,
) -> None:
    """Events and, last of all statements, the audit rows."""
    ticket_ids = [ticket.ticket_id for ticket in issued]
    facts = {"receipt_no": sale.receipt_no, "grand_total": sale.grand_total}
    await events.emit(
        work,
        scope,
        ("sale.created", {"sale_id": sale.id, **facts}),
        ("ticket.issued", {"sale_id": sale.id, "ticket_ids": ticket_ids}),
    )
    if booking.variance is not None:
        told = {"receipt_no": sale.receipt_no, "price_variance": booking.variance}
        await audit.append(work, scope, "price_variance", sale.id, told)
    payload: dict[str, Any] = {**facts, "tickets": len(ticket_ids), "flags": sale.flags}
    if sale.discount_total:
        payload["discount_total"] = sale.discount_total
    if approver is not None:
        payload["approver_id"] = approver.employee_id
    await audit.append(work, scope, "sale.created", sale.id, payload)
