"""How the screens of discounts, parts, refunds and the drawer look at 80x24 and 120x40."""

import pytest
from textual.pilot import Pilot

from playpark.contracts.settings import SalesSettings
from playpark.tui import ApprovalDialog, Choose
from terminal.screens.drawer import XReportDialog
from terminal.screens.found_sale import FoundSaleDialog, OutcomeDialog
from terminal.screens.guest import GuestDialog
from terminal.screens.open_shift import OpenShiftScreen
from terminal.screens.register import RegisterScreen
from terminal.screens.split import SplitDialog
from tests.terminal.conftest import RICH, until
from tests.terminal.test_register_snapshots import _in_a_shift, _renewed, steady

__all__ = ["steady"]
SIZES = [(80, 24), (120, 40)]
pytestmark = pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])


async def _on(pilot: Pilot[None], dialog: type) -> None:
    await until(lambda: isinstance(pilot.app.screen, dialog))
    await pilot.pause()


async def _back(pilot: Pilot[None]) -> None:
    await until(lambda: isinstance(pilot.app.screen, RegisterScreen) and not pilot.app.screen.held)
    await pilot.pause()


async def _member(pilot: Pilot[None]) -> None:
    await pilot.press("f1", "f1", "f2", "ctrl+u")
    await _on(pilot, GuestDialog)
    await pilot.press(*"ploy", "enter")
    await until(lambda: "120 points" in str(pilot.app.screen.query_one("Rows").render()))
    await pilot.pause()


async def _sold(pilot: Pilot[None], desk) -> None:
    await pilot.press("3", "f1", "enter")
    await until(lambda: len(desk.paper.out) == 4)
    await until(lambda: not pilot.app.till.papers.due)
    await pilot.press("ctrl+f")
    await _on(pilot, Choose)
    await pilot.press("1")
    await _on(pilot, FoundSaleDialog)


def test_basket_with_discounts(rich_desk, snap_compare, size):
    async def ring(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _member(pilot)
        await pilot.press("enter")
        await _back(pilot)
        await pilot.press(*"family10", "enter")
        await _back(pilot)
        await pilot.press("1", "0", "ctrl+d")
        await _back(pilot)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=ring)


def test_member_dialog(rich_desk, snap_compare, size):
    async def find(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _member(pilot)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=find)


def test_discount_list(rich_desk, snap_compare, size):
    async def choose(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("f1", "ctrl+d")
        await _on(pilot, Choose)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=choose)


def test_why_this_price(rich_desk, snap_compare, size):
    async def ask(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("f2", "f1", *"family10", "enter")
        await _back(pilot)
        await pilot.press("up", "question_mark")
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=ask)


def test_split(rich_desk, snap_compare, size):
    async def pay(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("f2", "f1", "ctrl+s")
        await _on(pilot, SplitDialog)
        await pilot.press("down", *"102", "enter", *"A7", "enter", "down")
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=pay)


def test_approval(rich_desk, snap_compare, size):
    async def ask(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("f1", *"50", "ctrl+d")
        await _back(pilot)
        await pilot.press("enter")
        await _on(pilot, ApprovalDialog)
        await pilot.press(*"somchai@demo.playpark", "enter", *"12")
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=ask)


def test_found_sale(rich_desk, snap_compare, size):
    async def find(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sold(pilot, rich_desk)
        await pilot.press("down", "space")
        await pilot.pause()

    assert snap_compare(
        rich_desk.app(),
        terminal_size=size,
        run_before=find,
    )


def test_refund_waits(rich_desk, snap_compare, size, steady):
    async def refund(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sold(pilot, rich_desk)
        await pilot.press("r")
        await _on(pilot, Choose)
        await pilot.press("1")
        await _on(pilot, ApprovalDialog)
        rich_desk.park.lose = rich_desk.park.gone = True
        await pilot.press(*"somchai@demo.playpark", "enter", *"9999", "enter")
        await _on(pilot, OutcomeDialog)
        await until(lambda: pilot.app.screen.finished)
        await _renewed(pilot)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=refund)


def test_refund_is_done(rich_desk, snap_compare, size):
    async def refund(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sold(pilot, rich_desk)
        await pilot.press("r")
        await _on(pilot, Choose)
        await pilot.press("1")
        await _on(pilot, ApprovalDialog)
        await pilot.press(*"somchai@demo.playpark", "enter", *"9999", "enter")
        await _on(pilot, OutcomeDialog)
        await until(lambda: pilot.app.screen.finished)
        await until(lambda: "refund" in rich_desk.paper.names)
        await until(lambda: not pilot.app.till.papers.due)
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=refund)


def test_parked_sales(rich_desk, snap_compare, size):
    async def resume(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("f1", "f1", *"red", "f12")
        await _back(pilot)
        await pilot.press("f3", *"blue", "f12")
        await _back(pilot)
        await pilot.press("f12")
        await _on(pilot, Choose)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=resume)


def test_x_report(rich_desk, snap_compare, size):
    async def look(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("ctrl+x")
        await _on(pilot, ApprovalDialog)
        await pilot.press(*"somchai@demo.playpark", "enter", *"9999", "enter")
        await _on(pilot, XReportDialog)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=look)


def test_training(rich_desk, snap_compare, size):
    async def train(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        pilot.app.till.train()
        await pilot.press("f1", "f7")
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=train)


def test_close_with_a_difference(rich_desk, snap_compare, size):
    async def close(pilot: Pilot[None]) -> None:
        rich_desk.park.tolerance = 2000
        await _in_a_shift(pilot)
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("1", "ctrl+e")
        await until(lambda: pilot.app.till.closing and pilot.app.till.closing.closed)
        await until(lambda: "z" in rich_desk.paper.names)
        await until(lambda: not pilot.app.till.papers.due)
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=close)


def test_found_bundle(rich_desk, snap_compare, size):
    async def find(pilot: Pilot[None]) -> None:
        sales = SalesSettings(refund_by_amount=True)
        settings = RICH.settings.model_copy(update={"sales": sales})
        rich_desk.sells(RICH.model_copy(update={"settings": settings}))
        await _in_a_shift(pilot)
        await pilot.press("f3", "f1", "enter")
        await until(lambda: len(rich_desk.paper.out) == 6)
        await until(lambda: not pilot.app.till.papers.due)
        await pilot.press("ctrl+f")
        await _on(pilot, Choose)
        await pilot.press("1")
        await _on(pilot, FoundSaleDialog)
        await pilot.press("space")
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=find)


def test_a_difference_waits(rich_desk, snap_compare, size):
    async def close(pilot: Pilot[None]) -> None:
        rich_desk.park.tolerance = 2000
        await _in_a_shift(pilot)
        await pilot.app.till.close_shift(150000)
        await until(lambda: isinstance(pilot.app.screen, OpenShiftScreen))
        await until(lambda: "z" in rich_desk.paper.names)
        await until(lambda: not pilot.app.till.papers.due)
        await _renewed(pilot)

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=close)


def test_lost_ticket_approval(rich_desk, snap_compare, size):
    async def ask(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sold(pilot, rich_desk)
        await pilot.press("down", "l")
        await _on(pilot, Choose)
        await pilot.press("1")
        await _on(pilot, ApprovalDialog)
        await pilot.press(*"somchai@demo.playpark", "enter", *"12")
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=ask)


def test_lost_ticket_is_exchanged(rich_desk, snap_compare, size):
    async def exchange(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sold(pilot, rich_desk)
        before = len(rich_desk.paper.out)
        await pilot.press("down", "l")
        await _on(pilot, Choose)
        await pilot.press("1")
        await _on(pilot, ApprovalDialog)
        await pilot.press(*"somchai@demo.playpark", "enter", *"9999", "enter")
        await _on(pilot, OutcomeDialog)
        await until(lambda: pilot.app.screen.finished)
        await until(lambda: len(rich_desk.paper.out) == before + 1)
        await until(lambda: not pilot.app.till.papers.due)
        await pilot.pause()

    assert snap_compare(rich_desk.app(), terminal_size=size, run_before=exchange)
