"""The register as a state machine: who works, which shift, what is rung, what is paid (R12–R29).

No Textual here. Everything that touches the disk or the network is a coroutine; a sale is on the
disk when `pay` returns, whatever happens to the network, the printer or the program after that.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import ValidationError

from playpark.client import ApiClient
from playpark.clock import Clock, business_date, park_zone
from playpark.contracts.catalog import PackageView
from playpark.contracts.employees import EmployeeLoginIn, EmployeeView, Permission
from playpark.contracts.pricing import PaymentMethod, PricedCart
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.sync import OpKind, OpResult
from playpark.contracts.tenancy import DeviceType
from playpark.device import (
    DeviceStore,
    OpState,
    PrintState,
    RecentEmployee,
    StoredOp,
    SyncEngine,
    login,
    pair,
)
from playpark.errors import ErrorCode, PlayParkError
from terminal import sale, shift
from terminal.basket import Basket
from terminal.papers import Papers
from terminal.printer import ReceiptPrinter
from terminal.sale import SaleDraft, Sold

SALE_DEADLINE_S = 1.5
CLOSE_DEADLINE_S = 8.0
LAST_SALES = 5
SAVED = "Saved. Tickets print when the server answers."


class TillState(StrEnum):
    UNPAIRED = "unpaired"
    LOGGED_OUT = "logged_out"
    NO_SHIFT = "no_shift"
    SELLING = "selling"
    PAYING = "paying"


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the cashier; `refused` where something was not done."""

    text: str
    refused: bool = False


class Till:
    """One register. `listen` tells when something changed that a screen shows."""

    def __init__(
        self,
        store: DeviceStore,
        client: ApiClient,
        clock: Clock,
        printer: ReceiptPrinter,
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._changed: list[Callable[[], None]] = []
        self._catalog = store.catalog()
        self._shift = shift.open_on(store)
        self._paying = False
        self.engine = SyncEngine(store, client, clock)
        self.papers = Papers(store, self.engine, printer, self.tell, self._printed)
        self.engine.listen(self._heard)
        self.basket = Basket()
        self.priced: PricedCart | None = None
        self.employee: EmployeeView | None = None
        self._employee_token: str | None = None
        self.last_sales = [Sold.of(op) for op in store.recent([OpKind.SALE], LAST_SALES)]
        self.sold: Sold | None = None
        """The sale whose change is on the screen, until the next one begins."""
        self.closing: shift.Closing | None = None
        """The shift that was closed last in this run."""
        self.notice = Notice("")

    # --- what a screen asks -------------------------------------------------------------

    @property
    def state(self) -> TillState:
        if self._catalog is None:
            return TillState.UNPAIRED
        if self.employee is None:
            return TillState.LOGGED_OUT
        if self._shift is None:
            return TillState.NO_SHIFT
        return TillState.PAYING if self._paying else TillState.SELLING

    @property
    def store(self) -> DeviceStore:
        return self._store

    @property
    def shift(self) -> StoredOp | None:
        """The operation that opened the shift of now; its op_id is the shift id."""
        return self._shift

    @property
    def packages(self) -> list[PackageView]:
        """What is on sale here, in the order of the keys F1, F2, …"""
        packages = self._catalog.packages if self._catalog else []
        return sorted(packages, key=lambda package: (package.sort, package.name))

    def listen(self, changed: Callable[[], None]) -> None:
        self._changed.append(changed)

    async def close(self) -> None:
        """Give the connection back; the store stays open."""
        await self._client.close()

    def may(self, permission: Permission) -> bool:
        return self.employee is not None and permission in self.employee.permissions

    # --- device and people --------------------------------------------------------------

    async def pair(self, site_key: str, name: str) -> None:
        """Pair with the store, or go on where an earlier attempt waits for its approval.

        Raises PlayParkError: wrong key, not approved yet, server not reachable.
        """
        if self._store.identity is None:
            await pair(self._store, self._client, site_key, DeviceType.POS, name)
        else:
            await login(self._store, self._client)
        self._catalog = await asyncio.to_thread(self._store.catalog)
        self.tell("")

    async def log_in(self, email: str, pin: str) -> None:
        """Log an employee in and refresh the catalogue. Raises PlayParkError: wrong PIN, locked,
        not allowed to sell, server not reachable."""
        try:
            body = EmployeeLoginIn(email=email, pin=pin)
        except ValidationError as wrong:
            message = "Type an email address, such as nok@park.example, and a PIN of 4 to 8 digits."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        if self._client.device_token is None:
            await login(self._store, self._client)
        try:
            session = await self._client.login_employee(body)
        except PlayParkError as refused:
            if refused.code is not ErrorCode.TOKEN_EXPIRED:
                raise
            await login(self._store, self._client)
            session = await self._client.login_employee(body)
        # The device's token syncs: who acted stands in each operation (R14, R35).
        self._employee_token, self._client.employee_token = session.access_token, None
        who, now = session.employee, self._clock.now()
        seen = RecentEmployee(employee_id=who.employee_id, name=who.name, email=email, seen_at=now)
        await asyncio.to_thread(self._store.remember_employee, seen)
        await self.refresh_catalog()
        self.employee = session.employee
        self.tell("")

    async def refresh_catalog(self) -> None:
        """Take the newest prices, but never under a basket that is being rung (R12)."""
        try:
            fresh = await self._client.catalog()
        except PlayParkError:
            return  # the snapshot at hand stays good; the status bar shows the connection
        if not self.basket:
            await asyncio.to_thread(self._store.save_catalog, fresh)
            if not self.basket:  # nothing was rung meanwhile
                self._catalog = fresh
                self._tell_changed()

    async def log_out(self) -> None:
        """End the employee's session; always possible, queue or not (R37)."""
        self.employee = None
        self._empty()
        self._client.employee_token, self._employee_token = self._employee_token, None
        self.tell("")
        try:
            await self._client.logout()
        except PlayParkError:
            return  # offline: the token runs out by itself
        finally:
            self._client.employee_token = None

    # --- the basket ---------------------------------------------------------------------

    def add(self, package_id: str, qty: int = 1) -> None:
        """Ring packages. Raises PlayParkError where one sale cannot have so many."""
        catalog = self._selling()
        self.basket.add(package_id, qty, catalog)
        self._begin_next()

    def void_line(self, index: int) -> None:
        self._selling()
        self.basket.void_line(index)
        self._begin_next()

    def undo(self) -> None:
        self._selling()
        if self.basket.undo():
            self._begin_next()

    def _begin_next(self) -> None:
        """Price what is rung; the first key of the next sale clears the last one's change.

        A basket that cannot be priced goes back to what it was.
        """
        try:
            self.priced = self.basket.priced(self._selling(), self._clock.now())
        except PlayParkError:
            self.basket.undo()
            raise
        self.sold = None
        self.tell("")

    # --- paying -------------------------------------------------------------------------

    def is_unusual(self, tendered: int) -> bool:
        """True where a tender (satang) should be asked about first."""
        return self.priced is not None and sale.is_unusual(tendered, self.priced.grand_total)

    async def pay_exact_cash(self) -> StoredOp:
        return await self.pay(PaymentMethod.CASH)

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
    ) -> StoredOp:
        """Record the sale: the money is taken. On the disk when this returns (R14, R34).

        `deliver` sends it and prints. Raises PlayParkError; then nothing was sold.
        """
        catalog = self._selling()
        if self.priced is None or self.employee is None:
            raise PlayParkError(ErrorCode.VALIDATION, "The basket is empty: add a ticket first.")
        if not self.may(Permission.SELL):
            message = f"{self.employee.name} may not sell: ask the supervisor."
            raise PlayParkError(ErrorCode.PERMISSION, message)
        now = self._clock.now()
        draft = SaleDraft(
            cart=self.basket.cart(),
            priced=self.priced,
            catalog=catalog,
            payment=sale.payment(
                method, self.priced.grand_total, tendered=tendered, reference=reference
            ),
            occurred_at=now,
            business_date=business_date(now, park_zone(self._tz)),
        )
        self._paying = True
        try:
            op = await self._append(OpKind.SALE, draft.body, prints=True)
        finally:
            self._paying = False
        self._empty()
        self.papers.expect(op)
        self.sold = Sold.of(op)
        self.last_sales = [self.sold, *self.last_sales][:LAST_SALES]
        self.tell("")
        return op

    def begin_sale(self) -> None:
        """The first key of the next sale takes the last one's change off the screen."""
        if self.sold is not None:
            self.sold = None
            self.tell("")

    async def deliver(self, op: StoredOp) -> None:
        """Send a recorded sale; its papers print with the answer, now or later."""
        result = await self.engine.submit(op.op_id, SALE_DEADLINE_S)
        if result is None and self.sold is not None and self.sold.op_id == op.op_id:
            state = self.engine.state
            # A server that answers and does not take it says why.
            reason = state.last_error or "the server is busy"
            self.tell(f"Saved, not sent: {reason}" if state.online else SAVED)

    async def print_due(self) -> None:
        """Print what is sold and not on paper; what may be out already is asked about first."""
        if not (due := self.papers.due):
            self.tell("Nothing waits for the printer.")
            return
        if missing := await self.papers.resume(due, SALE_DEADLINE_S):
            self.tell(f"{missing} sales wait for the server: tickets print when it answers.")

    # --- the shift ----------------------------------------------------------------------

    async def open_shift(self, cash_open: int) -> None:
        """Open the shift with this float, satang; the drawer session is the same thing (R26)."""
        if not self.may(Permission.SHIFT_OPEN):
            raise PlayParkError(
                ErrorCode.PERMISSION, "You may not open a shift: ask the supervisor."
            )
        if self._shift is not None:
            raise PlayParkError(ErrorCode.SHIFT_ALREADY_OPEN, "A shift is open here already.")
        body = shift.open_body(cash_open, self._clock.now())
        self._shift = await self._append(OpKind.SHIFT_OPEN, lambda _: body)
        self.closing = None
        self.tell("")
        await self.engine.submit(self._shift.op_id, SALE_DEADLINE_S)

    async def close_shift(self, counted: Mapping[int, int] | int) -> None:
        """Close with what was counted blind: {face value: pieces}, or a sum, satang (R27).

        Always accepted, offline too; `closing` gets the server's figures when it answers (R28).
        """
        if not self.may(Permission.SHIFT_CLOSE):
            raise PlayParkError(
                ErrorCode.PERMISSION, "You may not close the shift: ask the supervisor."
            )
        if self._shift is None:
            raise PlayParkError(ErrorCode.SHIFT_CLOSED, "No shift is open here: open one first.")
        if self.basket:
            message = "Finish or void the sale in the basket first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        body, total = shift.close_body(counted, self._clock.now())
        op = await self._append(OpKind.SHIFT_CLOSE, lambda _: body)
        self._shift = None
        self.sold = None
        self.closing = shift.Closing(op.op_id, total)
        self.tell("")
        await self.engine.submit(op.op_id, CLOSE_DEADLINE_S)

    # --- inside -------------------------------------------------------------------------

    @property
    def _tz(self) -> str | None:
        identity = self._store.identity
        return identity.store.tz if identity and identity.store else None

    def _selling(self) -> CatalogSnapshot:
        if self.state is not TillState.SELLING or self._catalog is None:
            raise PlayParkError(ErrorCode.CONFLICT, "Nothing can be rung at this moment.")
        return self._catalog

    async def _append(
        self, kind: OpKind, body: Callable[..., dict[str, object]], *, prints: bool = False
    ) -> StoredOp:
        return await asyncio.to_thread(
            self._store.append,
            kind,
            body,
            occurred_at=self._clock.now(),
            employee_id=self.employee.employee_id if self.employee else None,
            shift_id=self._shift.op_id if self._shift else None,
            committed=True,
            prints=prints,
        )

    def _empty(self) -> None:
        self.basket.clear()
        self.priced = None

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        self.last_sales = [
            Sold.of(op) if each.op_id == op.op_id else each for each in self.last_sales
        ]
        if op.kind is OpKind.SHIFT_OPEN and op.state is OpState.REJECTED:
            self._shift = None if self._shift and self._shift.op_id == op.op_id else self._shift
            self.tell(f"The server refused to open the shift: {result.message}", refused=True)
        if op.kind is OpKind.SHIFT_CLOSE and op.state is OpState.REJECTED and self._shift is None:
            self._shift = shift.open_on(self._store)  # it was not closed: go on with it
        if self.closing and op.op_id == self.closing.op_id:
            self.closing = self.closing.answered(result)
        self._tell_changed()

    def _printed(self, op_id: str, state: PrintState) -> None:
        self.last_sales = [
            replace(each, printing=state) if each.op_id == op_id else each
            for each in self.last_sales
        ]
        if state is PrintState.PRINTED and self.notice.text.startswith("Saved"):
            self.notice = Notice("")
        self._tell_changed()

    def tell(self, sentence: str, refused: bool = False) -> None:
        """Put a sentence before the cashier; an empty one takes the last away."""
        self.notice = Notice(sentence, refused)
        self._tell_changed()

    def _tell_changed(self) -> None:
        for changed in self._changed:
            changed()
