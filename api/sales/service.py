"""The sale: one transaction of sale, payments, tickets, shift totals, events, audit (R14–R29)."""

from dataclasses import dataclass
from datetime import date, timedelta

from api.audit import service as audit
from api.events import service as events
from api.identity import stores
from api.platform.operations import CLOCK_CLAMPED, Kind, Operation, OpRecord
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.receipts import service as receipts
from api.sales import booking as booking_rules
from api.sales import issuing
from api.sales.booking import Booking
from api.sales.models import Payment, Sale
from api.sales.repository import PaymentRepository, SaleRepository
from api.shifts import service as shifts
from api.shifts.service import SaleAmounts
from api.tickets import service as tickets
from api.tickets.models import Ticket
from playpark.clock import business_date, business_day_start
from playpark.contracts.employees import Permission
from playpark.contracts.pricing import PaymentMethod, Totals
from playpark.contracts.sales import PaymentView, SaleAnswer, SaleIn, SaleSummary, SaleView
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries, new_ulid

NEAR = timedelta(days=3)
"""How far a printed trading day may be from the reckoned one: outages, not wrong clocks."""


@dataclass(frozen=True, slots=True)
class Selling:
    """The sale operation, bound to the platform for its keys."""

    platform: Platform

    @property
    def kind(self) -> Kind[SaleIn, SaleAnswer]:
        return Kind(OpKind.SALE, SaleIn, self.apply, self.rebuild)

    async def apply(
        self, work: Work, scope: Scope, op: Operation[SaleIn], sale_id: str
    ) -> SaleAnswer:
        """Book the sale. Raises the refusals of `booking.book`, E_PERMISSION, E_SHIFT_CLOSED."""
        if not op.committed:
            scope.require(Permission.SELL)
        scope.require_device(Permission.SELL)
        booking = await booking_rules.book(work, scope, op)
        booking.flags[:0] = op.flags
        if not scope.may(Permission.SELL):
            booking.flags.append("not_permitted")
        day = _business_date(scope, op, booking)
        series = ReceiptSeries.SALE
        receipt_no, flags = await receipts.take(work, scope, op, series, op.body.receipt_no)
        booking.flags += flags
        counts = issuing.tickets_per_line(op.body, booking.catalog)
        amounts = _amounts(op.body, sum(counts))
        shift_id, flags = await shifts.book_sale(work, scope, op, amounts)
        booking.flags += flags
        ids = issuing.given(op.body.ticket_ids, counts, "ticket_ids")
        issued_specs = issuing.specs(
            booking.priced,
            booking.catalog,
            ids=ids or [new_ulid() for _ in range(sum(counts))],
            codes=await self._codes(work, scope, op, booking, counts),
            day=day,
            zone=scope.zone,
        )
        place = _Place(sale_id, receipt_no, shift_id, day)
        sale = _sale(scope, op, booking, place, amounts)
        payments = _payments(scope, op, sale)
        await SaleRepository.of(work, scope).insert(sale)
        await PaymentRepository.of(work, scope).insert_many(payments)
        context = tickets.IssueContext(sale_id, shift_id, business_day_start(day, scope.zone))
        keys = self.platform.ticket_keys(scope.tenant_id)
        issued = await tickets.issue(work, scope, keys, context, issued_specs)
        await _tell(work, scope, sale, issued, booking)
        return self._answer(scope, sale, payments, issued)

    async def rebuild(self, work: Work, scope: Scope, record: OpRecord) -> SaleAnswer:
        """As it was when it was sold: what its tickets have been through is not part of it."""
        sale, payments, issued = await self._read(work, scope, record.result_id)
        fresh = {"used": 0, "status": TicketStatus.ACTIVE}
        unused = [ticket.model_copy(update=fresh) for ticket in issued]
        return self._answer(scope, sale, payments, unused)

    async def read(self, work: Work, scope: Scope, sale_id: str) -> SaleAnswer:
        """A sale and its tickets as they are now; tokens only for the device that sold them.

        Raises E_NOT_FOUND.
        """
        return self._answer(scope, *await self._read(work, scope, sale_id))

    async def _read(
        self, work: Work, scope: Scope, sale_id: str
    ) -> tuple[Sale, list[Payment], list[Ticket]]:
        sale = await SaleRepository.of(work, scope).find_one(_id=sale_id)
        if sale is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such sale.")
        payments = await PaymentRepository.of(work, scope).find(sort="position", sale_id=sale_id)
        return sale, payments, await tickets.of_sale(work, scope, sale_id)

    def _answer(
        self, scope: Scope, sale: Sale, payments: list[Payment], issued: list[Ticket]
    ) -> SaleAnswer:
        sold_here = sale.device_id == scope.device.device_id
        keys = self.platform.ticket_keys(scope.tenant_id) if sold_here else None
        return SaleAnswer(
            sale=view(sale, payments), tickets=[tickets.view(ticket, keys) for ticket in issued]
        )

    async def _codes(
        self,
        work: Work,
        scope: Scope,
        op: Operation[SaleIn],
        booking: Booking,
        counts: list[int],
    ) -> list[str]:
        """The till's short codes, or the server's. One that is in use already is replaced and
        flagged where the money is taken, never refused (R24)."""
        codes = issuing.given(op.body.short_codes, counts, "short_codes")
        if codes is None:
            return await stores.server_short_codes(self.platform, scope.tenant_id, sum(counts))
        used = await tickets.short_codes_in_use(work, scope, codes) if op.committed else set()
        if used:
            booking.flags.append("short_code_replaced")
            fresh = await stores.server_short_codes(self.platform, scope.tenant_id, len(used))
            codes = [fresh.pop() if code in used else code for code in codes]
        return codes


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a sale stands in the books."""

    sale_id: str
    receipt_no: str
    shift_id: str | None
    day: date


def _business_date(scope: Scope, op: Operation[SaleIn], booking: Booking) -> date:
    """The printed date stands, unless the time it was printed at had to be moved, or it is so
    far off that the till's clock cannot be meant (R30)."""
    computed = business_date(op.occurred_at, scope.zone)
    told = op.body.business_date
    if not told or not op.committed or CLOCK_CLAMPED in op.flags:
        return computed
    if abs(told - computed) > NEAR:
        booking.flags.append("business_date_moved")
        return computed
    return told


def _amounts(sale: SaleIn, ticket_count: int) -> SaleAmounts:
    by_method: dict[str, int] = {}
    for payment in sale.payments:
        by_method[payment.method.value] = by_method.get(payment.method.value, 0) + payment.amount
    return SaleAmounts(
        amount=sum(by_method.values()),
        cash=by_method.get(PaymentMethod.CASH.value, 0),
        by_method=by_method,
        tickets=ticket_count,
    )


def _sale(
    scope: Scope,
    op: Operation[SaleIn],
    booking: Booking,
    place: _Place,
    amounts: SaleAmounts,
) -> Sale:
    priced = booking.priced
    tendered = sum(p.tendered if p.tendered is not None else p.amount for p in op.body.payments)
    return Sale(
        id=place.sale_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        device_id=scope.device.device_id,
        shift_id=place.shift_id,
        cashier_id=scope.actor.employee_id if scope.actor else None,
        cashier_name=scope.actor.name if scope.actor else None,
        receipt_no=place.receipt_no,
        business_date=place.day.isoformat(),
        occurred_at=op.occurred_at,
        lines=[line.model_dump(mode="json") for line in priced.lines],
        **{name: getattr(priced, name) for name in Totals.model_fields},
        amount_tendered=tendered,
        change=max(0, tendered - amounts.amount),
        payment_method=_payment_method(list(amounts.by_method)),
        customer_id=op.body.customer_id,
        catalog_version=priced.catalog_version,
        vat_mode=booking.catalog.settings.money.vat_mode,
        trace=[entry.model_dump(mode="json") for entry in priced.trace],
        flags=booking.flags,
    )


def _payment_method(methods: list[str]) -> str:
    if not methods:
        return PaymentMethod.OTHER.value  # nothing had to be paid
    return methods[0] if len(methods) == 1 else "split"


def _payments(scope: Scope, op: Operation[SaleIn], sale: Sale) -> list[Payment]:
    return [
        Payment(
            id=new_ulid(),
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            sale_id=sale.id,
            position=position,
            method=payment.method,
            payment_type_id=payment.payment_type_id,
            amount=payment.amount,
            tendered=payment.tendered,
            reference=payment.reference,
            occurred_at=op.occurred_at,
        )
        for position, payment in enumerate(op.body.payments)
    ]


async def _tell(
    work: Work, scope: Scope, sale: Sale, issued: list[Ticket], booking: Booking
) -> None:
    """Events and, last of all statements, the audit row."""
    ticket_ids = [ticket.ticket_id for ticket in issued]
    facts = {"receipt_no": sale.receipt_no, "grand_total": sale.grand_total}
    await events.emit(
        work,
        scope,
        ("sale.created", {"sale_id": sale.id, **facts}),
        ("ticket.issued", {"sale_id": sale.id, "ticket_ids": ticket_ids}),
    )
    payload = {**facts, "tickets": len(ticket_ids), "flags": sale.flags}
    if booking.variance is not None:
        payload["price_variance"] = booking.variance
    await audit.append(work, scope, "sale.created", sale.id, payload)


def view(sale: Sale, payments: list[Payment]) -> SaleView:
    """A sale as the API shows it."""
    header = {name: getattr(sale, name) for name in Totals.model_fields}
    return SaleView(
        **header,
        sale_id=sale.id,
        receipt_no=sale.receipt_no,
        business_date=sale.day,
        occurred_at=sale.occurred_at,
        device_id=sale.device_id,
        shift_id=sale.shift_id,
        cashier_id=sale.cashier_id,
        cashier_name=sale.cashier_name,
        lines=sale.lines,
        payments=[
            PaymentView(
                payment_id=payment.id,
                method=payment.method,
                amount=payment.amount,
                tendered=payment.tendered,
                reference=payment.reference,
            )
            for payment in payments
        ],
        change=sale.change,
        payment_method=sale.payment_method,
        catalog_version=sale.catalog_version,
        flags=sale.flags,
    )


def summary(sale: Sale) -> SaleSummary:
    """A sale in a list."""
    return SaleSummary(
        sale_id=sale.id,
        receipt_no=sale.receipt_no,
        business_date=sale.day,
        occurred_at=sale.occurred_at,
        device_id=sale.device_id,
        shift_id=sale.shift_id,
        cashier_name=sale.cashier_name,
        grand_total=sale.grand_total,
        payment_method=sale.payment_method,
        flags=sale.flags,
    )
