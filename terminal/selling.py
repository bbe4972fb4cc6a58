"""Ringing and paying: the basket, its price, its approval, the sale (R8, R12, R14, R42).

A sale is on the disk when `pay` returns, whatever happens to the network, the printer or the
program after that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.catalog import PackageView
from playpark.contracts.employees import Permission
from playpark.contracts.pricing import PaymentIn, PaymentMethod, PricedCart
from playpark.contracts.rules import DiscountLevel, DiscountView
from playpark.contracts.sync import OpKind, OpResult
from playpark.device import OpState, PrintState, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang, percent_of
from terminal import sale
from terminal.approvals import Question
from terminal.basket import Basket, Guest
from terminal.counter import Counter
from terminal.outage import Outage
from terminal.papers import Papers
from terminal.recording import Recording
from terminal.sale import SaleDraft, Sold
from terminal.tender import Split, Way, way_of, way_payment, ways

SALE_DEADLINE_S = 1.5
LAST_SALES = 5
APPROVAL_HOLDS = timedelta(seconds=110)
"""The server takes an approval for two minutes; what is older is asked for again (R42)."""
SAVED = "Saved. Tickets print when the server answers."


@dataclass(frozen=True, slots=True)
class _Approved:
    """An approval for the sale to come; it holds for what was approved and nothing else."""

    token: str
    question: Question
    until: datetime


class Selling:
    """What is rung now, and the last sales."""

    def __init__(self, counter: Counter, papers: Papers, outage: Outage) -> None:
        self._counter = counter
        self._papers = papers
        self._outage = outage
        self._recording = Recording(counter, papers, outage)
        self.basket = Basket()
        self.priced: PricedCart | None = None
        self.sold: Sold | None = None
        """The sale whose change is on the screen, until the next one begins."""
        self.last_sales = [Sold.of(op) for op in counter.store.recent([OpKind.SALE], LAST_SALES)]
        self._op_id = counter.store.new_id()
        self._approved: _Approved | None = None
        counter.engine.listen(self._heard)

    # --- the basket -----------------------------------------------------------------------

    @property
    def packages(self) -> list[PackageView]:
        """What is on sale here, in the order of the keys F1, F2, …"""
        packages = self._counter.catalog.packages if self._counter.catalog else []
        return sorted(packages, key=lambda package: (package.sort, package.name))

    def add(self, package_id: str, qty: int = 1) -> None:
        """Ring packages. Raises PlayParkError where one sale cannot have so many."""
        catalog = self._counter.selling()
        self._changed(lambda: self.basket.add(package_id, qty, catalog))

    def void_line(self, index: int) -> None:
        self._changed(lambda: self.basket.void_line(index))

    def undo(self) -> None:
        self._counter.selling()
        if self.basket.undo():
            self.reprice()
            self.begin()

    def discounts(self, index: int) -> list[DiscountView]:
        """What the store lets a cashier choose for this line, and for the cart."""
        catalog = self._counter.catalog
        if catalog is None or not 0 <= index < len(self.basket.lines):
            return []
        package_id = self.basket.lines[index].package_id
        return [
            each
            for each in catalog.discounts
            if each.active
            and (
                each.level is DiscountLevel.CART
                or not each.package_ids
                or package_id in each.package_ids
            )
        ]

    def choose(self, discount: DiscountView, index: int) -> None:
        """Give a discount of the store, or take it off again."""
        if discount.level is DiscountLevel.CART:
            self._changed(lambda: self.basket.choose_for_cart(discount.discount_id))
        else:
            self._changed(lambda: self.basket.choose_for_line(index, discount.discount_id))

    def discount_by_hand(self, index: int, *, amount: int | None = None, percent: int = 0) -> None:
        """Take satang, or basis points of its price, off a line; 0 takes the discount away.

        Raises E_VALIDATION for more than the line costs.
        """
        if self.priced is None or not 0 <= index < len(self.priced.lines):
            raise PlayParkError(ErrorCode.VALIDATION, "The basket is empty: add a ticket first.")
        gross = self.priced.lines[index].gross
        wanted = percent_of(gross, percent) if amount is None else amount
        if not 0 <= wanted <= gross:
            message = f"The line costs {format_satang(gross)}: type that, or less."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        self._changed(lambda: self.basket.discount_by_hand(index, wanted))

    def enter_promo(self, code: str) -> None:
        """Enter a promotion code, or take it off. Raises PlayParkError for one that is unknown
        or does nothing here."""
        catalog = self._counter.selling()
        wanted = code.strip().upper()
        known = {rule.params.code for rule in catalog.rules if rule.params.code}
        if wanted not in known:
            message = "There is no such promotion code: check the letters."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        self._changed(lambda: self.basket.enter_promo(wanted))
        if wanted in self.basket.rung.promo_codes and (why := self._unused(wanted)):
            self._counter.tell(f"{wanted}: {why}", refused=True)

    def is_promo(self, text: str) -> bool:
        """True where this is a promotion code of the store."""
        catalog = self._counter.catalog
        rules = catalog.rules if catalog else []
        return any(rule.params.code == text.strip().upper() for rule in rules if rule.params.code)

    def attach(self, guest: Guest | None) -> None:
        """Whose sale it is; prices of their group come with it."""
        self._changed(lambda: self.basket.attach(guest))

    def replace_basket(self, change: Callable[[], None]) -> None:
        """Another basket in the place of this one, priced anew."""
        self._changed(change)

    def _unused(self, code: str) -> str | None:
        """Why a promotion code takes nothing off; None where it does."""
        catalog, priced = self._counter.catalog, self.priced
        if catalog is None or priced is None:
            return None
        ids = {rule.rule_id for rule in catalog.rules if rule.params.code == code}
        steps = [step for step in priced.trace if step.rule_id in ids]
        if any(step.applied for step in steps):
            return None
        return steps[-1].why if steps else "it does not fit this basket."

    def _changed(self, change: Callable[[], None]) -> None:
        """Change the basket and price it; what cannot be priced goes back to what it was."""
        self._counter.selling()
        before = self.basket.rung
        change()
        try:
            self.reprice()
        except (PlayParkError, ValidationError) as wrong:
            if not self.basket.undo():
                self.basket.rung = before
            if isinstance(wrong, PlayParkError):
                raise
            message = "One sale takes no more discounts or codes: take one off first."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        self.begin()

    def reprice(self, at: datetime | None = None) -> None:
        """Price what is rung, as of now."""
        catalog = self._counter.selling()
        self.priced = self.basket.priced(catalog, at or self._counter.clock.now())

    def begin(self) -> None:
        """The first key of the next sale takes the last one's change off the screen."""
        if self.sold is not None or self._counter.notice.text or self.priced is not None:
            self.sold = None
            self._counter.tell("")

    # --- what a sale needs before money is taken ------------------------------------------

    def question(self) -> Question | None:
        """What a supervisor has to be asked before this basket is paid; None for nothing (R42)."""
        catalog, priced, rung = self._counter.catalog, self.priced, self.basket.rung
        if catalog is None or priced is None or self._counter.training:
            return None
        amount = rung.manual_discount
        limit = catalog.settings.money.manual_discount_limit
        over = any(
            line.manual_discount > percent_of(cost.gross, limit)
            for line, cost in zip(rung.lines, priced.lines, strict=True)
        )
        unpermitted = amount > 0 and not self._counter.may(Permission.MANUAL_DISCOUNT)
        chosen = {*rung.discount_ids, *(each for line in rung.lines for each in line.discount_ids)}
        named = {
            each.discount_id: each.name
            for each in catalog.discounts
            if each.discount_id in chosen and each.needs_approval
        }
        if not (over or unpermitted or named):
            return None
        why = list(named.values())
        if over or unpermitted:
            why.insert(0, "over the limit" if over else "not in the cashier's permissions")
        off = sum(step.input - step.output for step in priced.trace if step.rule_id in named)
        question = Question(
            action=ApprovalAction.MANUAL_DISCOUNT,
            entity_id=self._op_id,
            amount=amount,
            what="Discount by hand" if amount else "Discount",
            whose=self._counter.employee.name if self._counter.employee else "",
            why=", ".join(why),
            worth=amount + off,
        )
        yes, now = self._approved, self._counter.clock.now()
        holds = yes is not None and yes.question == question and now < yes.until
        return None if holds else question

    def approved(self, question: Question, token: str) -> None:
        """A supervisor said yes; it holds for this basket and these discounts."""
        if question.entity_id == self._op_id:
            until = self._counter.clock.now() + APPROVAL_HOLDS
            self._approved = _Approved(token, question, until)

    # --- paying ---------------------------------------------------------------------------

    def way(self, method: PaymentMethod) -> Way:
        return way_of(self._counter.selling(), method)

    def ways(self) -> list[Way]:
        """How this basket can be paid now: points only online, by a guest who has some."""
        catalog, guest = self._counter.selling(), self.basket.rung.guest
        points = bool(guest and guest.points > 0 and self._counter.engine.online)
        points = points and catalog.settings.loyalty.point_value > 0 and not self._counter.training
        return [each for each in ways(catalog) if points or not each.points]

    def preview(self, payments: Sequence[PaymentIn], at: datetime | None = None) -> PricedCart:
        """The price of the basket when it is paid so."""
        catalog = self._counter.selling()
        priced = self.basket.priced(catalog, at or self._counter.clock.now(), payments)
        if priced is None:
            raise PlayParkError(ErrorCode.VALIDATION, "The basket is empty: add a ticket first.")
        return priced

    def due(self, method: PaymentMethod, at: datetime | None = None) -> int:
        """What the whole basket costs paid this way, satang: surcharge, rounding contained."""
        return self.preview([way_payment(self.way(method))], at).due[0]

    def quote(self) -> datetime:
        """The moment whose price is paid: from here on the guest pays what stands there, however
        long the card terminal takes. Raises E_PRICE_CHANGED, before money is taken."""
        now = self._counter.clock.now()
        if self.priced is not None:
            self._refuse_another_price(self.priced, now)
        return now

    def split(self, at: datetime) -> Split:
        """Begin to take money in parts, at the price of this moment."""
        catalog, guest = self._counter.selling(), self.basket.rung.guest
        value = catalog.settings.loyalty.point_value
        limit = guest.points * value if guest else 0
        return Split(
            lambda payments: self.preview(payments, at), points_limit=limit, point_value=value
        )

    def is_unusual(self, tendered: int) -> bool:
        """True where a tender (satang) should be asked about first."""
        return self.priced is not None and sale.is_unusual(tendered, self.priced.grand_total)

    async def pay_cash(self, tendered: int, *, confirmed: bool = False) -> StoredOp:
        """Cash handed over, satang. Raises E_INSUFFICIENT_TENDER; E_VALIDATION for more than ten
        times the total, unless `confirmed`."""
        if not confirmed and self.is_unusual(tendered):
            message = "That is more than ten times the total: check the amount."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        return await self.pay(PaymentMethod.CASH, tendered=tendered)

    async def pay(
        self,
        method: PaymentMethod,
        *,
        tendered: int | None = None,
        reference: str | None = None,
        at: datetime | None = None,
    ) -> StoredOp:
        """All of it one way: exact cash where no tender is told. Records the sale as
        `pay_by` does."""
        way = self.way(method)
        due = self.due(method, at)
        cash = method is PaymentMethod.CASH
        given = due if cash and tendered is None else tendered
        if given is not None and given < due:
            missing = format_satang(due - given)
            message = f"฿{missing} is missing: type the whole amount that the guest hands over."
            raise PlayParkError(ErrorCode.INSUFFICIENT_TENDER, message)
        payment = way.payment(due, tendered=given if cash else None, reference=reference)
        return await self.pay_by([payment] if due or not cash else [], at)

    async def ready(self) -> None:
        """Raises PlayParkError where this basket cannot be sold now: call it before money is
        taken (R22, R36, R39)."""
        if self.priced is not None:
            await self._outage.allow(self.priced, self.basket.rung)

    async def pay_by(self, payments: Sequence[PaymentIn], at: datetime | None = None) -> StoredOp:
        """Record the sale: the money is taken, at the price of `at`, else of now. On the disk
        when this returns (R14, R34).

        `deliver` sends it and prints; while the line is not online its tickets are signed here.
        Without `at` no money has been taken yet: what cannot be sold now is refused. Raises
        PlayParkError; then nothing was sold.
        """
        counter = self._counter
        catalog = counter.selling()
        shown = self.priced
        if shown is None or counter.employee is None:
            raise PlayParkError(ErrorCode.VALIDATION, "The basket is empty: add a ticket first.")
        if not counter.may(Permission.SELL):
            message = f"{counter.employee.name} may not sell: ask the supervisor."
            raise PlayParkError(ErrorCode.PERMISSION, message)
        if self.question() is not None:
            message = "A supervisor has to approve the discount first."
            raise PlayParkError(ErrorCode.PERMISSION, message)
        now = at or counter.clock.now()
        self._refuse_another_price(shown, now)
        priced = self.preview(payments, now)
        _check_paid(priced, payments)
        if at is None:
            await self._outage.allow(priced, self.basket.rung)
        # The draft must not change under the thread that records it.
        basket = Basket(self.basket.rung)
        draft = SaleDraft(
            basket=basket,
            priced=priced,
            catalog=catalog,
            payments=payments,
            occurred_at=now,
            business_date=counter.business_date(now),
            training=counter.training,
            device_id=counter.store.identity.device_id if counter.store.identity else "",
            cashier_name=counter.employee.name,
        )
        counter.paying = True
        try:
            op = await self._recording.record(
                draft,
                op_id=self._op_id,
                approval=self._approved.token if self._approved else None,
                money_is_taken=at is not None,
            )
        finally:
            counter.paying = False
        self.empty()
        self._papers.expect(op)
        self.sold = Sold.of(op)
        self.last_sales = [self.sold, *self.last_sales][:LAST_SALES]
        counter.tell("")
        return op

    async def deliver(self, op: StoredOp) -> None:
        """Send a recorded sale; its papers print with the answer, now or later."""
        engine = self._counter.engine
        result = await engine.submit(op.op_id, SALE_DEADLINE_S)
        if result is not None or await self._recording.printed_alone(op):
            return
        if self.sold is not None and self.sold.op_id == op.op_id:
            state = engine.state
            # A server that answers and does not take it says why.
            reason = state.last_error or "the server is busy"
            self._counter.tell(f"Saved, not sent: {reason}" if state.online else SAVED)

    def empty(self) -> None:
        """The next basket: nothing rung, nothing approved, an id of its own."""
        self.basket.clear()
        self.priced = None
        self._approved = None
        self._op_id = self._counter.store.new_id()

    # --- inside ---------------------------------------------------------------------------

    def _refuse_another_price(self, shown: PricedCart, now: datetime) -> None:
        """A happy hour may begin or end while a basket is rung: the guest pays what is shown."""
        self.reprice(now)
        if self.priced is not None and self.priced.grand_total != shown.grand_total:
            was, is_now = format_satang(shown.grand_total), format_satang(self.priced.grand_total)
            message = f"The price is {is_now} now, not {was}: tell the guest, then pay again."
            raise PlayParkError(ErrorCode.PRICE_CHANGED, message)

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        if op.kind is not OpKind.SALE:
            return
        self.last_sales = [
            Sold.of(op) if each.op_id == op.op_id else each for each in self.last_sales
        ]
        if op.state is OpState.REJECTED:
            reason = result.message or "it gave no reason"
            sentence = f"The server refused sale {op.receipt_no}: {reason}"
            self._counter.tell(f"{sentence} Call the supervisor.", refused=True)
        self._counter.changed()

    def printed(self, op_id: str, state: PrintState) -> None:
        """A paper moved: the list of the last sales shows it."""
        self.last_sales = [
            replace(each, printing=state) if each.op_id == op_id else each
            for each in self.last_sales
        ]


def _check_paid(priced: PricedCart, payments: Sequence[PaymentIn]) -> None:
    """Raises E_CONFLICT where the payments are not what the price function asks for."""
    if [payment.amount for payment in payments] != priced.due or (
        sum(priced.due) != priced.grand_total
    ):
        message = "The payments do not add up to the price now: take the money again."
        raise PlayParkError(ErrorCode.CONFLICT, message)
