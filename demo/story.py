"""The park's main job, step by step on real parts: sell, print, scan, admit, refuse, reconcile."""

import asyncio
import contextlib
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from demo.film import film
from demo.paper import PaperRoll
from gate.answers import Level, Scan
from gate.sources import open_source
from gate.station import Station
from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.auth import DeviceRegisterIn
from playpark.contracts.employees import EmployeeLoginIn
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import SaleSummary
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import FailReason, RedemptionResult, RedemptionSummary
from playpark.device import DeviceStore
from playpark.device.safe import SECRET_VARIABLE
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from playpark.printing.interpreter import interpret
from playpark.printing.transport import PrinterTarget
from terminal.printer import PaperPrinter
from terminal.till import Till

SITE_KEY = "DEMO-MAIN-GATE"
CASHIER = ("cashier@demo.playpark", "1111")
SUPERVISOR = ("supervisor@demo.playpark", "9999")
FLOAT = 100_000
KEY_FOR_TRYING_OUT = "a-key-for-trying-out-and-never-for-a-real-till"
PATIENCE = 10.0
"""Seconds: the demo proves what is decided; a guest at a real gate waits 0.8 s at most."""
NOTES = (100_000, 50_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 25, 1)
"""Thai notes and coins, satang; one satang for what is left."""


@dataclass(frozen=True, slots=True)
class Cart:
    """What a guest buys: (package name, quantity), and how they pay; `tendered` in satang."""

    lines: tuple[tuple[str, int], ...]
    method: PaymentMethod = PaymentMethod.CASH
    tendered: int | None = None


CARTS = (
    Cart((("Adult day pass", 2), ("Child day pass", 1))),
    Cart((("Family bundle", 1),), tendered=100_000),
    Cart((("Carousel ride", 1), ("Adult day pass", 1)), method=PaymentMethod.CARD),
)


@dataclass(slots=True)
class Step:
    """A finished step: what was done, what came of it, how long it took."""

    name: str
    outcome: str
    seconds: float


@dataclass(slots=True)
class Story:
    """The demo's state. `tell` gets each step when it is done."""

    url: str
    folder: Path
    tell: Callable[[Step], None]
    total: int = 0
    cash: int = 0
    sold: int = 0
    papers: list[Image.Image] = field(default_factory=list)
    """The printed tickets, as the paper shows them."""

    @contextlib.asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Callable[[str], None]]:
        """Time a step; what it calls with a sentence is its outcome."""
        outcome = ["done"]
        began = time.perf_counter()
        yield lambda sentence: outcome.__setitem__(0, sentence)
        self.tell(Step(name, outcome[0], time.perf_counter() - began))

    async def run(self) -> None:
        """Raises PlayParkError for the first thing that is not as it must be."""
        clock = SystemClock()
        # A machine that is slow today sells all the same: its till prints by itself then (R22).
        os.environ.setdefault(SECRET_VARIABLE, KEY_FOR_TRYING_OUT)
        with PaperRoll() as roll:
            target = PrinterTarget.parse(roll.address)
            store = DeviceStore.open(self.folder / "till" / "device.db", clock)
            client = ApiClient(self.url)
            printer = PaperPrinter(target, store)
            till = Till(store, client, clock, printer)
            printing = asyncio.create_task(till.papers.run())
            try:
                await self._open(till)
                await self._sell(till)
                await self._print(till, roll)
                await self._scan()
                await self._close(till)
            finally:
                printing.cancel()
                await client.close()
                store.close()

    async def _open(self, till: Till) -> None:
        async with self.step("Pair a till, log in, open the shift") as done:
            await till.pair(SITE_KEY, "Demo till")
            await till.log_in(*CASHIER)
            await till.open_shift(FLOAT)
            await till.renew_certificate()
            identity = till.store.identity
            code = identity.device_code if identity else "?"
            done(f"till {code}, float {format_satang(FLOAT)}")

    async def _sell(self, till: Till) -> None:
        packages = {package.name: package.package_id for package in till.packages}
        async with self.step(f"Sell {len(CARTS)} carts") as done:
            for cart in CARTS:
                for name, quantity in cart.lines:
                    till.add(packages[name], quantity)
                due = till.priced.grand_total if till.priced else 0
                if cart.tendered is not None:
                    op = await till.pay_cash(cart.tendered)
                else:
                    op = await till.pay(cart.method)
                await till.deliver(op)
                self.total += due
                self.sold += sum(len(ids) for ids in op.body["ticket_ids"])
                if cart.method is PaymentMethod.CASH:
                    self.cash += due
            done(f"{self.sold} tickets for {format_satang(self.total)} baht")

    async def _print(self, till: Till, roll: PaperRoll) -> None:
        async with self.step("Print receipts and tickets over TCP") as done:
            # Each paper is a job of its own: a receipt, then its tickets (R23).
            await _until(lambda: not till.papers.due)
            folder = self.folder / "papers"
            folder.mkdir(parents=True, exist_ok=True)
            size = 0
            papers = iter(roll.jobs)
            sales = reversed(till.store.recent([OpKind.SALE], len(CARTS)))
            for number, sale in enumerate(sales, start=1):
                tickets = sum(len(ids) for ids in sale.body["ticket_ids"])
                for count, job in enumerate(itertools.islice(papers, tickets + 1)):
                    printed = interpret(job)
                    if printed.unknown:
                        what = printed.unknown
                        raise _wrong(f"the paper has commands that no printer reads: {what}")
                    [page] = printed.pages
                    name = f"ticket-{count}" if count else "receipt"
                    page.save(folder / f"sale-{number}-{name}.png")
                    self.papers += [page] if count else []
                    size += len(job)
            _same("printed tickets", len(self.papers), self.sold)
            done(f"{len(CARTS)} receipts, {len(self.papers)} tickets, {size // 1024} KiB")

    async def _scan(self) -> None:
        video = self.folder / "film.avi"
        async with self.step("Film the tickets in a moving hand") as done:
            plan = await asyncio.to_thread(film, self.papers, video, seed=2026)
            done(f"{plan.frames} frames, {plan.frames / plan.fps:.0f} s of video")
        async with self.step("Scan the film at the gate: admit") as done:
            answers = await self._at_the_gate(video)
            _same("scanned tickets", len(answers), self.sold)
            passed = [scan for scan in answers if scan.answer.level is Level.PASS]
            _same("admitted tickets", len(passed), self.sold)
            done(f"{len(passed)} × PASS")
        async with self.step("Show the same tickets again: refuse") as done:
            answers = await self._at_the_gate(video)
            reasons = Counter(
                scan.answer.redemption.reason if scan.answer.redemption else None
                for scan in answers
            )
            _same("second showings", reasons, Counter({FailReason.DUPLICATE_USE: self.sold}))
            done(f"{self.sold} × FAIL {FailReason.DUPLICATE_USE.value}")

    async def _at_the_gate(self, video: Path) -> list[Scan]:
        """The last answer to each showing, from the gate's own pipeline."""
        clock = SystemClock()
        store = DeviceStore.open(self.folder / "gate" / "device.db", clock)
        source = open_source(str(video))
        station = Station(store, clock, source, api_url=self.url, deadline=PATIENCE)
        answers: dict[int, Scan] = {}
        async with station:
            await station.connect(site_key=SITE_KEY, name="Demo gate")
            async for scan in station.scans(live=False):
                answers[scan.number] = scan
        return list(answers.values())

    async def _close(self, till: Till) -> None:
        async with self.step("Close the shift, count blind") as done:
            await till.close_shift(_in_notes(FLOAT + self.cash))
            closed = till.closing.closed if till.closing else None
            if closed is None:
                raise _wrong(f"the shift is not closed: {till.closing}")
            _same("cash difference", closed.cash_diff, 0)
            _same("cash expected", closed.cash_expected, FLOAT + self.cash)
            _same("sales on the Z report", closed.z.sales.amount, self.total)
            _same("tickets on the Z report", closed.z.tickets_issued, self.sold)
            done(f"Z {closed.z.z_no}: {format_satang(closed.z.sales.amount)}, difference 0.00")
        async with self.step("Compare sales, tickets and admissions") as done:
            await self._reconcile()
            done(f"sold = printed = scanned = admitted = {self.sold}")

    async def _reconcile(self) -> None:
        """Look into the back office's lists, as a supervisor would."""
        async with ApiClient(self.url) as client:
            office = DeviceRegisterIn(site_key=SITE_KEY, type=DeviceType.ADMIN, name="Demo office")
            device = await client.register_device(office)
            await client.login_device(device.device_id, device.device_token)
            email, pin = SUPERVISOR
            await client.login_employee(EmployeeLoginIn(email=email, pin=pin))
            sales = await client.page("/sales", SaleSummary, limit=200)
            rows = await client.page("/redemptions", RedemptionSummary, limit=200)
        _same("sales in the books", sum(sale.grand_total for sale in sales.items), self.total)
        _same("flagged sales", [sale.flags for sale in sales.items if sale.flags], [])
        results = Counter(row.result for row in rows.items)
        expected = {RedemptionResult.PASS: self.sold, RedemptionResult.FAIL: self.sold}
        _same("redemptions in the books", dict(results), expected)


def _in_notes(amount: int) -> dict[int, int]:
    """The notes and coins that make up `amount`, satang."""
    counted = {}
    for face in NOTES:
        counted[face], amount = divmod(amount, face)
    return counted


async def _until(ready: Callable[[], bool], seconds: float = 20) -> None:
    ends_at = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > ends_at:
            raise _wrong("the printer did not get all papers in time")
        await asyncio.sleep(0.02)


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise _wrong(f"{what}: {found} instead of {expected}")


def _wrong(what: str) -> PlayParkError:
    return PlayParkError(ErrorCode.CONFLICT, f"The demo found a mismatch: {what}.")


def total_seconds(steps: Sequence[Step]) -> float:
    """How long the steps took together."""
    return sum(step.seconds for step in steps)
