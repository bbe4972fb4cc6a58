"""The till: its parts put together, who works at it, which state it is in (R12–R29, R37, R40).

`counter` is what all parts share; `selling`, `drawer`, `finding`, `giving_back`, `parking`,
`guests` and `approvals` are what a cashier does. No Textual here.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.contracts.catalog import PackageView
from playpark.contracts.employees import EmployeeView, Permission
from playpark.contracts.pricing import PaymentMethod, PricedCart
from playpark.contracts.provider import HeartbeatAnswer
from playpark.contracts.tenancy import DeviceType
from playpark.device import (
    DeviceStore,
    Heart,
    OfflineTickets,
    PrintState,
    StoredOp,
    SyncEngine,
    find_safe,
    login,
    pair,
)
from playpark.device.offline_login import OfflinePeople
from playpark.errors import ErrorCode, PlayParkError
from terminal.approvals import Approvals
from terminal.basket import Basket
from terminal.counter import Counter, Notice, TillState
from terminal.drawer import Closing, Drawer
from terminal.finding import Finding
from terminal.giving_back import GivingBack
from terminal.outage import Outage
from terminal.papers import Papers
from terminal.parking import Guests, Parking
from terminal.people import ALONE_INSTEAD, People
from terminal.printer import ReceiptPrinter
from terminal.refused import Refused
from terminal.sale import Sold
from terminal.selling import SALE_DEADLINE_S, Selling


class Till:
    """One register. `listen` tells when something changed that a screen shows.

    What an ordinary sale needs stands here by name; the rest is reached through the parts.
    """

    def __init__(
        self, store: DeviceStore, client: ApiClient, clock: Clock, printer: ReceiptPrinter
    ) -> None:
        self.counter = Counter(store, client, clock)
        safe = find_safe()
        self.offline_tickets = OfflineTickets(store, safe)
        self.people = People(self.counter, OfflinePeople(store, safe))
        self.papers = Papers(store, self.counter.engine, printer, self.tell, self._printed)
        self.approvals = Approvals(self.counter)
        self.outage = Outage(self.counter, self.offline_tickets)
        self.selling = Selling(self.counter, self.papers, self.outage)
        self.drawer = Drawer(self.counter, self.papers)
        self.finding = Finding(self.counter)
        self.giving_back = GivingBack(self.counter, self.papers)
        self.parking = Parking(self.counter, self.selling)
        self.guests = Guests(self.counter)
        self.refused = Refused(self.counter, self.papers)

    # --- what a screen asks ---------------------------------------------------------------

    @property
    def state(self) -> TillState:
        return self.counter.state

    @property
    def store(self) -> DeviceStore:
        return self.counter.store

    @property
    def engine(self) -> SyncEngine:
        return self.counter.engine

    @property
    def shift(self) -> StoredOp | None:
        """The operation that opened the shift of now; its op_id is the shift id."""
        return self.counter.shift

    @property
    def employee(self) -> EmployeeView | None:
        return self.counter.employee

    @property
    def notice(self) -> Notice:
        return self.counter.notice

    @property
    def training(self) -> bool:
        return self.counter.training

    @property
    def packages(self) -> list[PackageView]:
        """What is on sale here, in the order of the keys F1, F2, …"""
        return self.selling.packages

    @property
    def basket(self) -> Basket:
        return self.selling.basket

    @property
    def priced(self) -> PricedCart | None:
        return self.selling.priced

    @property
    def sold(self) -> Sold | None:
        return self.selling.sold

    @property
    def last_sales(self) -> list[Sold]:
        return self.selling.last_sales

    @property
    def closing(self) -> Closing | None:
        return self.drawer.closing

    def listen(self, changed: Callable[[], None]) -> None:
        self.counter.listen(changed)

    def tell(self, sentence: str, refused: bool = False) -> None:
        self.counter.tell(sentence, refused)

    def may(self, permission: Permission) -> bool:
        return self.counter.may(permission)

    def heart(self, heard: Callable[[HeartbeatAnswer], None]) -> Heart:
        """What tells the server every 30 seconds how this till is."""
        counter = self.counter
        return Heart(
            counter.store,
            counter.client,
            counter.clock,
            printer=lambda: self.papers.printer_part,
            heard=heard,
            relogin=counter.log_in_device,
        )

    async def renew_certificate(self) -> None:
        """See to it that this till may sign tickets while the server is away (R22)."""
        try:
            await self.offline_tickets.renew(self.counter.client, self.counter.clock.now())
        except PlayParkError:
            return  # the next heartbeat asks again

    async def close(self) -> None:
        """Give the connection back; the store stays open."""
        await self.counter.client.close()

    # --- device and people ----------------------------------------------------------------

    async def pair(self, site_key: str, name: str) -> None:
        """Pair with the store, or go on where an earlier attempt waits for its approval.

        Raises PlayParkError: wrong key, not approved yet, server not reachable.
        """
        store, client = self.store, self.counter.client
        if store.identity is None:
            key = await asyncio.to_thread(self.offline_tickets.public_key)
            await pair(store, client, site_key, DeviceType.POS, name, public_key=key)
        else:
            await login(store, client)
        self.counter.catalog = await asyncio.to_thread(store.catalog)
        self.tell("")

    async def log_in(self, email: str, pin: str, code: str | None = None) -> None:
        """Log an employee in and refresh the catalogue; where the server does not answer, somebody
        who logged in here lately (R39). Raises PlayParkError: wrong PIN, locked, code missing
        (details `totp`), not allowed to sell, unknown here while the server is away."""
        counter = self.counter
        try:
            session = await self.people.ask_server(email, pin, code)
        except PlayParkError as refused:
            if refused.code not in ALONE_INSTEAD:
                raise
            counter.alone = await self.people.log_in_alone(email, pin)
            counter.email = email
            self.tell("")
            return
        await self.refresh_catalog()
        counter.session, counter.alone, counter.email = session, None, email
        counter.engine.note(None)
        self.tell("")

    async def prove(self, pin: str) -> None:
        """The PIN of who logged in without the server, for the server: from here on it acts in
        their name. Raises PlayParkError: wrong PIN, suspended, not reachable."""
        counter = self.counter
        session = await self.people.ask_server(counter.email, pin)
        if counter.alone is not None:  # nobody has logged out meanwhile
            counter.session, counter.alone = session, None
        counter.engine.note(None)
        counter.changed()

    async def refresh_catalog(self) -> None:
        """Take the newest prices, but never under a basket that is being rung (R12)."""
        known = await asyncio.to_thread(self.store.catalog)
        try:
            fresh = await self.counter.client.catalog(known)
        except PlayParkError:
            return  # the snapshot at hand stays good; the status bar shows the connection
        if not self.basket:
            if fresh is not known:
                await asyncio.to_thread(self.store.save_catalog, fresh)
            if not self.basket:  # nothing was rung meanwhile
                self.counter.catalog = fresh
                self.counter.changed()

    async def log_out(self) -> None:
        """End the employee's session; always possible, queue or not (R37)."""
        session, self.counter.session = self.counter.session, None
        self.counter.alone, self.counter.training = None, False
        self.selling.empty()
        self.tell("")
        if session is None:
            return
        try:
            await self.counter.client.acting(session.access_token).logout()
        except PlayParkError:
            return  # offline: the token runs out by itself

    def train(self) -> None:
        """Begin or end training: what is sold then is practice (R32). Raises E_CONFLICT while
        something is rung."""
        if self.basket:
            message = "Finish or void the sale in the basket first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        self.counter.training = not self.counter.training
        self.tell("Training: nothing that you sell now is real." if self.training else "")

    # --- a sale ---------------------------------------------------------------------------

    def add(self, package_id: str, qty: int = 1) -> None:
        self.selling.add(package_id, qty)

    def void_line(self, index: int) -> None:
        self.selling.void_line(index)

    def undo(self) -> None:
        self.selling.undo()

    def is_unusual(self, tendered: int) -> bool:
        return self.selling.is_unusual(tendered)

    async def pay_exact_cash(self) -> StoredOp:
        return await self.selling.pay(PaymentMethod.CASH)

    async def pay_cash(self, tendered: int, *, confirmed: bool = False) -> StoredOp:
        return await self.selling.pay_cash(tendered, confirmed=confirmed)

    async def pay(
        self,
        method: PaymentMethod,
        *,
        tendered: int | None = None,
        reference: str | None = None,
        at: datetime | None = None,
    ) -> StoredOp:
        return await self.selling.pay(method, tendered=tendered, reference=reference, at=at)

    async def deliver(self, op: StoredOp) -> None:
        await self.selling.deliver(op)

    async def print_due(self) -> None:
        """Print what is done and not on paper; what may be out already is asked about first."""
        if not (due := self.papers.due):
            self.tell("Nothing waits for the printer.")
            return
        if missing := await self.papers.resume(due, SALE_DEADLINE_S):
            self.tell(f"{missing} papers wait for the server: they print when it answers.")

    # --- the shift ------------------------------------------------------------------------

    async def open_shift(self, cash_open: int) -> None:
        await self.drawer.open_shift(cash_open)

    async def close_shift(self, counted: Mapping[int, int] | int) -> None:
        """Close with what was counted blind (R27). Raises E_CONFLICT while something is rung."""
        if self.basket:
            message = "Finish or void the sale in the basket first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        await self.drawer.close_shift(counted)
        self.selling.sold = None
        self.counter.training = False

    # --- inside ---------------------------------------------------------------------------

    def _printed(self, op_id: str, state: PrintState) -> None:
        self.selling.printed(op_id, state)
        if state is PrintState.PRINTED and self.notice.text.startswith("Saved"):
            self.counter.notice = Notice("")
        self.counter.changed()
