"""Where scenarios play: a park, devices of their own, and the comparison with the books."""

import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from playpark.contracts.sales import SaleSummary
from playpark.contracts.tickets import TicketView
from playpark.device import OpState
from playpark.errors import PlayParkError
from qa.devices import Desk, Door, Paid, Wires
from qa.office import Office
from qa.verdict import Verdict

CASHIER = ("cashier@demo.playpark", "1111")
SUPERVISOR = ("supervisor@demo.playpark", "9999")
OWNER = ("owner@demo.playpark", "8888")
CLAMPED = "clock_clamped"
RIGHT = timedelta(seconds=2)
"""A till knows the time to half a round trip, which is long on a machine that is busy (R36)."""


@dataclass(frozen=True, slots=True)
class Park:
    """A park that is not in production: where it is, who looks at its books, who sells, who says
    yes to what the office does."""

    url: str
    site_key: str
    office: Office
    cashier: tuple[str, str] = CASHIER
    supervisor: tuple[str, str] = SUPERVISOR


@dataclass
class Stage:
    """One scenario at work. `rng` is seeded by the run and the scenario's name."""

    park: Park
    folder: Path
    rng: random.Random
    verdict: Verdict
    _open: list[Desk | Door] = field(default_factory=list)

    @property
    def office(self) -> Office:
        return self.park.office

    def did(self, sentence: str) -> None:
        self.verdict.did(sentence)

    def expect(self, what: str, found: object, expected: object) -> None:
        self.verdict.expect(what, found, expected)

    # --- devices --------------------------------------------------------------------------

    async def till(self, name: str = "till") -> Desk:
        """A till of this scenario's own, in a shift."""
        desk = Desk(self.folder / name, self._wires())
        self._open.append(desk)
        await desk.open(
            self.park.site_key, f"QA {self.verdict.name} {name}"[:60], *self.park.cashier
        )
        return desk

    async def gate(self, name: str = "gate") -> Door:
        """A gate of this scenario's own, for every zone, that knows the tickets of now."""
        door = Door(self.folder / name, self._wires())
        self._open.append(door)
        await door.open(self.park.site_key, f"QA {self.verdict.name} {name}"[:60])
        return door

    async def copy(self, desk: Desk, name: str) -> Path:
        """Switch a till off and copy its folder, as a disk image is made."""
        await self.put_away(desk)
        folder = self.folder / name
        shutil.copytree(desk.folder, folder, ignore=shutil.ignore_patterns("*.lock"))
        return folder

    async def take_up(self, folder: Path, before: Sequence[Paid] = ()) -> Desk:
        """A till that goes on with a folder that was put away; `before` is what was paid there
        and shall be compared too."""
        desk = Desk(folder, self._wires())
        self._open.append(desk)
        await desk.go_on(*self.park.cashier)
        desk.paid += before
        return desk

    async def put_away(self, device: Desk | Door) -> None:
        """Switch a device off; its folder stays."""
        self._open.remove(device)
        await device.close()

    async def close(self) -> None:
        while self._open:
            device = self._open.pop()
            with contextlib.suppress(PlayParkError):
                await device.close()

    def _wires(self) -> Wires:
        return Wires(self.park.url, random.Random(self.rng.random()).random)

    # --- the books ------------------------------------------------------------------------

    async def expect_books(
        self,
        *desks: Desk,
        flags: Sequence[str] = (),
        gapless: bool = True,
        papers: bool = True,
    ) -> None:
        """That the server's books of these tills are what their guests paid: each sale once, its
        payment, its tickets, its shift, and nothing that waits for anybody."""
        for desk in desks:
            sales = await self.office.sales(desk.device_id)
            payments = await self.office.payments(desk.device_id)
            paid = desk.paid
            self.expect(
                "every sale stands in the books once, for what the guest paid",
                Counter((each.receipt_no, each.grand_total) for each in sales),
                Counter((each.receipt_no, each.total) for each in paid),
            )
            self.expect(
                "every payment stands in the books once",
                Counter((each.receipt_no, each.method.value, each.amount) for each in payments),
                Counter((each.receipt_no, each.method.value, each.total) for each in paid),
            )
            issued = [
                ticket.ticket_id
                for sale in sales
                for ticket in await self.office.tickets(sale.sale_id)
            ]
            self.expect(
                "every ticket that was sold is in the books once",
                Counter(issued),
                Counter(each for sale in paid for each in sale.ticket_ids),
            )
            await self._expect_shifts(desk)
            self.expect(
                "flags on the sales",
                sorted({flag for sale in sales for flag in _flags(desk, sale)}),
                sorted(flags),
            )
            if gapless:
                numbers = sorted(each.receipt_no for each in sales)
                head = numbers[0].partition("-")[0] if numbers else ""
                self.expect(
                    "receipt numbers without a gap",
                    numbers,
                    [f"{head}-S{n:06d}" for n in range(1, len(paid) + 1)],
                )
            self.expect(
                "how the sales stand on the till's disk",
                Counter(desk.states()),
                Counter({OpState.APPLIED: len(paid)} if paid else {}),
            )
            if papers:
                self.expect(
                    "receipts on paper, each once",
                    Counter(desk.tray.receipts),
                    Counter(each.receipt_no for each in paid),
                )

    async def _expect_shifts(self, desk: Desk) -> None:
        shifts = await self.office.shifts(desk.device_id)
        totals = [each.totals for each in shifts if each.totals is not None]
        by_method: Counter[str] = Counter()
        for each in totals:
            by_method.update(each.sales.by_method)
        expected: Counter[str] = Counter()
        for sale in desk.paid:
            expected[sale.method.value] += sale.total
        self.expect("the shift's takings by payment method", dict(by_method), dict(expected))
        self.expect(
            "the shift's sales and tickets",
            (sum(each.sales.count for each in totals), sum(e.tickets_issued for e in totals)),
            (len(desk.paid), sum(len(each.ticket_ids) for each in desk.paid)),
        )

    async def expect_used(self, desk: Desk, *papers: TicketView) -> None:
        """That each of these tickets of a till was used once."""
        sales = await self.office.sales(desk.device_id)
        used = {t.ticket_id: t.used for s in sales for t in await self.office.tickets(s.sale_id)}
        self.expect(
            "how often each ticket was used",
            [used.get(each.ticket_id) for each in papers],
            [1] * len(papers),
        )

    async def expect_whole(self, *devices: Desk | Door, letters: int = 0) -> None:
        """That nothing waits or was refused, here or at the server, and that the trail is whole."""
        for device in devices:
            self.expect("operations that still wait", device.store.queued_count(), 0)
            self.expect(
                "operations in the device's quarantine",
                [f"{each.kind}: {each.code}" for each in device.quarantined],
                [],
            )
            found = await self.office.dead_letters(device.device_id)
            self.expect(
                "dead letters at the server",
                [f"{each.op_kind}: {each.code}" for each in found][letters:],
                [],
            )
        await self.expect_trail()

    async def expect_trail(self) -> None:
        """That nobody has tampered with the audit trail."""
        audit = await self.office.audit()
        self.expect("breaks in the audit trail", [str(each.why) for each in audit.breaks], [])


def _flags(desk: Desk, sale: SaleSummary) -> set[str]:
    """What is flagged on a sale, but for a time that was moved by next to nothing."""
    op = desk.store.by_receipt(sale.receipt_no)
    close = op is not None and abs(op.occurred_at - sale.occurred_at) < RIGHT
    return {flag for flag in sale.flags if not (close and flag == CLAMPED)}


Play = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`what` it does, in a sentence."""

    name: str
    what: str
    play: Play


async def play(scenario: Scenario, park: Park, folder: Path, seed: int) -> Verdict:
    """Play one scenario; whatever goes wrong on the way is in its verdict."""
    verdict = Verdict(scenario.name, scenario.what)
    rng = random.Random(f"{seed} {scenario.name}")
    home = folder / scenario.name
    shutil.rmtree(home, ignore_errors=True)
    stage = Stage(park, home, rng, verdict)
    began = time.monotonic()
    try:
        await scenario.play(stage)
    except PlayParkError as refused:
        verdict.fault = f"{refused.code}: {refused.message}"
    except Exception as broken:  # noqa: BLE001 - a fault of the product is a verdict, not a crash
        verdict.fault = f"{type(broken).__name__}: {broken}"
    finally:
        with contextlib.suppress(Exception):
            await stage.close()
        verdict.seconds = time.monotonic() - began
    return verdict
