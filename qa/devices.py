"""Real tills and gates without screens: their disk, their engine, their line that can fail.

What the guests paid and got is noted here as they would note it: the till's own disk is a second
witness.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gate.admission import Code
from gate.answers import Answer
from gate.refreshing import Refresher
from gate.station import Station
from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.provider import HeartbeatAnswer
from playpark.contracts.qa import QaSwitches
from playpark.contracts.sales import SaleView
from playpark.contracts.tickets import TicketView
from playpark.device import DeviceStore, OpState, StoredOp, SyncEngine
from playpark.device.faults import QUIET, FaultyTransport, SkewedClock, Switches
from playpark.device.park_clock import ParkClock
from playpark.device.safe import SECRET_VARIABLE
from playpark.errors import ErrorCode, PlayParkError
from terminal.printer import Paper
from terminal.till import Till

FILE_NAME = "device.db"
FLOAT = 100_000
LOOK_S, WAKE_S = 0.02, 0.4
PATIENCE_S = 30.0
"""How long anything may take that has to come by itself."""


async def until(ready: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait for what other tasks do. Raises E_UNAVAILABLE that names `what`."""
    ends_at = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > ends_at:
            message = f"Waited {seconds:.0f} s in vain: {what}."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)
        await asyncio.sleep(LOOK_S)


def let_tills_sign() -> None:
    """Tills print tickets by themselves only with a secret for their key: for the simulator's own
    devices one of this run does, where the environment has none (R34)."""
    os.environ.setdefault(SECRET_VARIABLE, secrets.token_urlsafe(32))


class Tray:
    """A printer that keeps what comes out of it."""

    name = "tray"

    def __init__(self) -> None:
        self.out: list[Paper] = []

    def put_out(self, paper: Paper, *, copy: bool = False) -> None:  # noqa: ARG002 - all is kept
        self.out.append(paper)

    @property
    def receipts(self) -> list[str]:
        return [each.content.receipt_no for each in self.out if isinstance(each.content, SaleView)]

    def tickets(self, ids: list[str]) -> list[TicketView]:
        """The papers of these tickets, as guests hold them."""
        papers = [each.content for each in self.out if isinstance(each.content, TicketView)]
        return [each for each in papers if each.ticket_id in ids]


@dataclass(frozen=True, slots=True)
class Paid:
    """A sale as its guest knows it: satang, how it was paid, the tickets' ids."""

    receipt_no: str
    total: int
    method: PaymentMethod
    ticket_ids: tuple[str, ...]


@dataclass
class Wires:
    """What a device's line and clock are made of. `chance` decides what is lost."""

    url: str
    chance: Callable[[], float]
    switches: Switches = field(default_factory=Switches)

    @property
    def clock(self) -> ParkClock:
        return ParkClock(SkewedClock(SystemClock(), self.switches))

    def transport(self) -> FaultyTransport:
        return FaultyTransport(self.switches, chance=self.chance)


class _Device:
    """What runs beside a till or gate."""

    def __init__(self, folder: Path, wires: Wires) -> None:
        self.folder = folder
        self.wires = wires
        self.clock = wires.clock
        self.store = DeviceStore.open(folder / FILE_NAME, self.clock)
        self._beside: list[asyncio.Task[Any]] = []

    @property
    def device_id(self) -> str:
        if self.store.identity is None:
            raise PlayParkError(ErrorCode.CONFLICT, "This device is not paired.")
        return self.store.identity.device_id

    @property
    def quarantined(self) -> list[StoredOp]:
        return self.store.rejected()

    def switch(self, **switched: int) -> None:
        """Switch to exactly this, as a key of the program would; nothing for a line that works."""
        self.wires.switches.set(QaSwitches.model_validate(switched))

    def start(self, *work: Coroutine[Any, Any, Any]) -> None:
        self._beside += [asyncio.create_task(each) for each in work]

    @property
    def engine(self) -> SyncEngine:
        raise NotImplementedError

    async def sent(self, seconds: float = PATIENCE_S) -> None:
        """Wait until the server has answered everything; now and then it is asked for."""
        ends_at = time.monotonic() + seconds
        while waiting := self.store.queued_count():
            if time.monotonic() > ends_at:
                why = self.engine.state.last_error or "the engine does not say why"
                message = f"{waiting} operations are not sent after {seconds:.0f} s: {why}"
                raise PlayParkError(ErrorCode.UNAVAILABLE, message)
            self.engine.wake()
            with contextlib.suppress(PlayParkError):
                await until(lambda: not self.store.queued_count(), "the queue", WAKE_S)

    async def stop(self) -> None:
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        self._beside = []


class Desk(_Device):
    """A till with its guests. `paid` is what they paid, in their own count."""

    def __init__(self, folder: Path, wires: Wires) -> None:
        super().__init__(folder, wires)
        self.tray = Tray()
        self.paid: list[Paid] = []
        client = ApiClient(wires.url, transport=wires.transport())
        self.till = Till(self.store, client, self.clock, self.tray)

    @property
    def engine(self) -> SyncEngine:
        return self.till.engine

    async def open(self, site_key: str, name: str, email: str, pin: str) -> None:
        """Pair, log in, open a shift, and be allowed to print tickets alone."""
        till = self.till
        await till.pair(site_key, name)
        self.start(till.engine.run_forever(), till.papers.run())
        await till.log_in(email, pin)
        await till.open_shift(FLOAT)
        await till.renew_certificate()
        await self.sent()

    async def go_on(self, email: str, pin: str) -> None:
        """Work with a folder that was paired and opened before."""
        await self.till.pair("", "")
        self.start(self.till.engine.run_forever(), self.till.papers.run())
        await self.till.log_in(email, pin)

    async def sell(
        self, name: str = "Carousel ride", qty: int = 1, method: PaymentMethod = PaymentMethod.CASH
    ) -> Paid:
        """Sell so many of a package; the guest pays and waits at the counter as they would."""
        till = self.till
        package = next(each for each in till.packages if each.name == name)
        till.add(package.package_id, qty)
        due = till.selling.due(method)
        op = await till.pay(method)
        await till.deliver(op)
        ids = tuple(each for line in op.body["ticket_ids"] for each in line)
        paid = Paid(op.receipt_no or "", due, method, ids)
        self.paid.append(paid)
        return paid

    async def sells(self) -> str:
        """Whether it sells a ticket now: `sold`, or `refused`."""
        try:
            await self.sell()
        except PlayParkError:
            return "refused"
        return "sold"

    async def papers(self, *paid: Paid) -> list[TicketView]:
        """The tickets that the guests of these sales hold, once all of them are printed."""
        ids = [each for sale in paid for each in sale.ticket_ids]
        await until(lambda: len(self.tray.tickets(ids)) >= len(ids), "the tickets are not printed")
        return self.tray.tickets(ids)

    async def beat(self) -> HeartbeatAnswer:
        """One heartbeat, and what it switches."""
        return await self.till.heart(self.wires.switches.heard).beat()

    async def count_and_close(self) -> None:
        """Close the shift with what has to be in the drawer."""
        cash = sum(each.total for each in self.paid if each.method is PaymentMethod.CASH)
        await self.till.close_shift(FLOAT + cash)

    def op_of(self, paid: Paid) -> StoredOp:
        """The operation of a sale on the till's disk."""
        found = self.store.by_receipt(paid.receipt_no)
        if found is None:
            message = f"Receipt {paid.receipt_no} is not on the till's disk."
            raise PlayParkError(ErrorCode.NOT_FOUND, message)
        return found

    def states(self) -> list[OpState]:
        """How each sale stands on the till's disk."""
        return [self.op_of(each).state for each in self.paid]

    async def close(self) -> None:
        self.wires.switches.set(QUIET)
        await self.stop()
        await self.till.close()
        self.store.close()


class Door(_Device):
    """A gate with its guests."""

    def __init__(self, folder: Path, wires: Wires) -> None:
        super().__init__(folder, wires)
        self.station = Station(
            self.store, self.clock, None, api_url=wires.url, transport=wires.transport()
        )
        self._refresher = Refresher(
            self.store,
            self.station.client,
            self.clock,
            self.station.allow_list,
            self.station._judge,  # noqa: SLF001 - what the station runs by itself, one turn of it
        )

    @property
    def engine(self) -> SyncEngine:
        return self.station.engine

    async def open(self, site_key: str, name: str) -> None:
        """Pair, and learn which tickets there are."""
        await self.station.connect(site_key=site_key, name=name)
        self.start(self.station.engine.run_forever())
        await self.learn()

    async def learn(self) -> None:
        """Ask for the list of tickets once."""
        await self._refresher.refresh()

    async def show(self, ticket: TicketView) -> Answer:
        """What the guest who holds this paper sees."""
        verdict = await self.station.admission.admit(Code(ticket.qr_token or "", keyed=True))
        return verdict.answer

    async def close(self) -> None:
        self.wires.switches.set(QUIET)
        await self.stop()
        with contextlib.suppress(PlayParkError):
            await self.station.close()
