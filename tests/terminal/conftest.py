"""A till on a real file, a printer of paper in memory, and a small park that can fail on purpose.

The park stands in for the server only where an answer has to be lost or a screen has to look
the same every time; the way of a sale on the real server is in test_till_on_server.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from playpark.clock import FixedClock
from playpark.contracts.sales import SaleView
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tickets import TicketView
from playpark.device import DeviceStore
from playpark.device.safe import SECRET_VARIABLE
from playpark.errors import PlayParkError
from playpark.printing.letterhead import Letterhead
from playpark.printing.text import to_text
from playpark.tui import PairingDetails
from terminal.app import PosApp
from terminal.printer import Paper
from terminal.till import Till
from tests.terminal.park import CATALOG, IDENTITY, NOW, RICH, STORE, Park

__all__ = ["CATALOG", "NOW", "RICH"]


PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def no_safe_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A till here has a secret for its key only where a test gives it one."""
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


class PaperTray:
    """A printer: `fails` is raised instead of printing, after `good` more papers."""

    name = "printer ok"

    def __init__(self) -> None:
        self.out: list[tuple[Paper, bool]] = []
        self.fails: PlayParkError | None = None
        self.good = 0

    def put_out(self, paper: Paper, *, copy: bool = False) -> None:
        if self.fails is not None:
            if not self.good:
                raise self.fails
            self.good -= 1
        self.out.append((paper, copy or paper.always_copy))

    @property
    def names(self) -> list[str]:
        return [paper.name for paper, _ in self.out]

    @property
    def printed(self) -> list[tuple[SaleView, bool]]:
        """The receipts, and whether each was a copy."""
        return [
            (paper.content, copy) for paper, copy in self.out if isinstance(paper.content, SaleView)
        ]

    @property
    def receipts(self) -> list[str]:
        return [sale.receipt_no for sale, _ in self.printed]

    @property
    def tickets(self) -> list[TicketView]:
        return [paper.content for paper, _ in self.out if isinstance(paper.content, TicketView)]

    def text(self, name: str) -> str:
        """What the last paper of this name says."""
        [paper, copy] = [each for each in self.out if each[0].name == name][-1]
        return to_text(paper.draw(Letterhead.of(STORE), copy))


class Desk:
    """A till with everything around it. `reopen` is what happens after a crash."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "till.db"
        self.clock = FixedClock(NOW)
        self.park = Park()
        self.paper = PaperTray()
        self.store = DeviceStore.open(self.path, self.clock)
        self.store.save_identity(IDENTITY)
        self.store.save_catalog(CATALOG)

    def sells(self, catalog: CatalogSnapshot) -> None:
        """Another catalogue, at the park and on the disk."""
        self.park.catalog = catalog
        self.store.save_catalog(catalog)

    def till(self, _url: str = "") -> Till:
        till = Till(self.store, self.park.client(), self.clock, self.paper)
        # This park answers at once: late is only the machine that the tests share.
        till.engine._standing._line.deadline = PATIENCE_S
        return till

    def app(self) -> PosApp:
        return PosApp(self.till, self.clock, PairingDetails("http://park", "", "Till"))

    def reopen(self) -> None:
        self.store.close()
        self.store = DeviceStore.open(self.path, self.clock)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def rich_desk(desk: Desk) -> Desk:
    """A park with rules, discounts, surcharges, reasons, and cash in whole baht."""
    desk.sells(RICH)
    return desk


@pytest.fixture
async def till(desk: Desk) -> AsyncIterator[Till]:
    """A till in the middle of a shift, its printer running."""
    made = desk.till()
    await made.log_in("cashier@demo.playpark", "1111")
    await made.open_shift(200000)
    printing = asyncio.create_task(made.papers.run())
    yield made
    printing.cancel()
    await made.close()


@pytest.fixture
async def rich(rich_desk: Desk) -> AsyncIterator[Till]:
    """A till of that park in the middle of a shift."""
    made = rich_desk.till()
    await made.log_in("cashier@demo.playpark", "1111")
    await made.open_shift(200000)
    printing = asyncio.create_task(made.papers.run())
    yield made
    printing.cancel()
    await made.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks do."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.005)
