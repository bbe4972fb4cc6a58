"""The register under real keys: bursts, scanners, dialogs, hostile names (SCREENS, attack 36)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.drivers import linux_driver
from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Static

from playpark.printing.transport import PrinterError
from playpark.tui import LoginScreen, PairingDetails
from terminal.app import PosApp
from terminal.counter import TillState
from terminal.screens.close_shift import CloseShiftDialog
from terminal.screens.dialogs import PapersInDoubt, TakePayment, WhyThisPrice
from terminal.screens.open_shift import OpenShiftScreen
from terminal.screens.register import RING_FIRST, RegisterScreen
from terminal.widgets.basket_view import BasketView
from terminal.widgets.entry_line import EntryLine
from terminal.widgets.tickets_panel import TicketsPanel
from tests.terminal.conftest import Desk, until

SIZES = [(80, 24), (120, 40)]


@asynccontextmanager
async def running(desk: Desk, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
    """A program in the middle of a shift."""
    app = desk.app()
    async with app.run_test(size=size, notifications=True) as pilot:
        await app.till.log_in("cashier@demo.playpark", "1111")
        await app.till.open_shift(200000)
        await settled(pilot, lambda: isinstance(app.screen, RegisterScreen))
        yield pilot


async def settled(pilot: Pilot[None], condition) -> None:
    await until(condition)
    await pilot.pause()


def text(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).visual)


def screen_text(pilot: Pilot[None]) -> str:
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


def burst(pilot: Pilot[None], characters: str) -> None:
    """Keys that arrive at once, as from a scanner or after a hiccup of the line."""
    for character in characters:
        key = "enter" if character == "\r" else _character_to_key(character)
        pilot.app.post_message(Key(key, character))


def till_of(pilot: Pilot[None]):
    assert isinstance(pilot.app, PosApp)
    return pilot.app.till


async def test_two_tickets_exact_cash_is_three_keys(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "f1", "enter")
        await settled(pilot, lambda: desk.paper.printed)

        assert till_of(pilot).sold.total == 39800


async def test_a_burst_of_keys_keeps_its_order(desk):
    """Over a slow line keys arrive together: F1 2 F2 1000 Enter F3 are two sales in the making."""
    async with running(desk) as pilot:
        entry = pilot.app.screen.query_one(EntryLine)
        for key in ["f1", "2", "f2", "1", "0", "0", "0", "enter", "f3"]:
            pilot.app.simulate_key(key)  # all of them before the first is looked at
        assert entry.has_focus
        await settled(pilot, lambda: till_of(pilot).basket and till_of(pilot).last_sales)

        sold = till_of(pilot).last_sales[0]
        assert (sold.total, sold.change) == (49700, 50300)
        assert till_of(pilot).basket.quantities == (("family", 1),)


async def test_enter_behind_f10_does_not_take_cash(desk):
    async with running(desk) as pilot:
        for key in ["f1", "f10", "enter"]:
            pilot.app.simulate_key(key)
        await settled(pilot, lambda: isinstance(pilot.app.screen, TakePayment))

        assert till_of(pilot).last_sales == []


async def test_tender_shows_its_change_before_enter_and_keeps_it_after(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "5", "0", "0")
        assert "CHANGE" in text(pilot, "#change .label")
        await pilot.press("enter")
        await settled(pilot, lambda: till_of(pilot).sold)
        assert text(pilot, "#total .label") == "PAID CASH"
        assert till_of(pilot).sold.change == 30100

        await pilot.press("2")
        assert till_of(pilot).sold is None
        assert "change 301.00" in text(pilot, "#last")


async def test_too_little_says_what_is_missing(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "1", "0", "0")
        assert text(pilot, "#change .label") == "MISSING"
        await pilot.press("enter")
        await pilot.pause()

        assert "฿99.00 is missing" in text(pilot, "#notice")
        assert till_of(pilot).basket


async def test_an_unusual_tender_is_asked_about_and_enter_means_no(desk):
    async with running(desk) as pilot:
        await pilot.press("f7", *"1000", "enter")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert till_of(pilot).last_sales == []

        await pilot.press(*"1000", "enter")
        await pilot.pause()
        await pilot.press("y")
        await settled(pilot, lambda: till_of(pilot).last_sales)
        assert till_of(pilot).last_sales[0].change == 96000


async def test_letters_find_and_enter_adds(desk):
    async with running(desk) as pilot:
        await pilot.press(*"pa")
        panel = pilot.app.screen.query_one(TicketsPanel)
        assert [package.package_id for package in panel.found] == ["adult", "child", "two-hours"]
        await pilot.press("down", "enter")
        await pilot.pause()

        assert till_of(pilot).basket.quantities == (("child", 1),)
        assert panel.found is None


async def test_thai_finds_too(desk):
    async with running(desk) as pilot:
        pilot.app.screen.query_one(EntryLine).value = "ถุงเท้า"
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()

        assert till_of(pilot).basket.quantities == (("socks", 1),)


async def test_f8_lists_everything_and_escape_leaves(desk):
    async with running(desk) as pilot:
        await pilot.press("f8", "up", "up", "enter")
        await pilot.pause()
        assert till_of(pilot).basket.quantities == (("socks", 1),)

        await pilot.press("f8")
        await pilot.pause()
        assert "Found" in screen_text(pilot)
        assert "add" in text(pilot, "#keys")
        assert "exact" not in text(pilot, "#keys")
        await pilot.press("escape")
        await pilot.pause()
        assert "F1" in screen_text(pilot)


@pytest.mark.parametrize("code", ["PP1.01.01J9Z3NDEKTSV4RRFFQ69G5FAV.ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
async def test_a_scanned_ticket_is_no_tender_and_no_package(desk, code):
    async with running(desk) as pilot:
        await pilot.press("f1")
        burst(pilot, f"{code}\r")
        await settled(pilot, lambda: till_of(pilot).notice.refused)

        assert text(pilot, "#notice") == RING_FIRST
        assert till_of(pilot).basket.quantities == (("adult", 1),)
        assert till_of(pilot).last_sales == []


@pytest.mark.parametrize("digits", ["8851234567890", "1234567"])
async def test_a_scanned_barcode_is_no_tender(desk, digits):
    async with running(desk) as pilot:
        await pilot.press("f1")
        burst(pilot, f"{digits}\r")
        await settled(pilot, lambda: till_of(pilot).notice.refused)

        assert text(pilot, "#notice") == RING_FIRST


async def test_arrows_mark_a_line_f9_voids_it_and_backspace_undoes(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "f2", "f7", "up", "f9")
        await pilot.pause()
        assert [each for each, _ in till_of(pilot).basket.quantities] == ["adult", "carousel"]

        await pilot.press("backspace")
        await pilot.pause()
        assert len(till_of(pilot).basket.lines) == 3


async def test_question_mark_says_why(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "question_mark")
        await pilot.pause()

        assert isinstance(pilot.app.screen, WhyThisPrice)
        assert "1 × 199.00" in screen_text(pilot)
        assert "VAT 7 %" in screen_text(pilot)


async def test_card_takes_a_reference_and_escape_goes_back(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "f10")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert till_of(pilot).last_sales == []

        await pilot.press("ctrl+k")
        await pilot.pause()
        await pilot.press("a", "7", "enter")
        await settled(pilot, lambda: till_of(pilot).last_sales)
        assert desk.store.recent(["sale"], 1)[0].body["payments"][0]["reference"] == "a7"


async def test_the_key_row_shows_only_what_works_now(desk):
    async with running(desk) as pilot:
        row = text(pilot, "#keys")
        assert "close shift" in row
        assert "exact" not in row
        await pilot.press("f1")
        await pilot.pause()
        row = text(pilot, "#keys")
        assert "exact" in row
        assert "close shift" not in row
        assert len(row) < 80
        await pilot.press("ctrl+e")
        await pilot.pause()
        assert isinstance(pilot.app.screen, RegisterScreen)


async def test_the_palette_offers_the_same_actions(desk):
    async with running(desk) as pilot:
        commands = [each.title for each in pilot.app.get_system_commands(pilot.app.screen)]

        assert "Close the shift (^E)" in commands
        assert "Pay by card (F10)" not in commands


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_names_are_only_text(desk, size):
    """[/x] is no markup and ESC no command (attack 36)."""
    async with running(desk, size) as pilot:
        await pilot.press(*"evil")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        shown = screen_text(pilot)

        assert "[/x][31mEvil" in shown
        assert "\x1b" not in shown
        await pilot.press("question_mark")
        await pilot.pause()
        assert "[/x]" in screen_text(pilot)


async def test_the_basket_scrolls_to_the_marked_line(desk):
    async with running(desk) as pilot:
        for package in till_of(pilot).packages:
            till_of(pilot).add(package.package_id)
        basket = pilot.app.screen.query_one(BasketView)
        basket.marked = 8
        basket.styles.height = 6
        await pilot.pause()

        assert "Evil" in screen_text(pilot)
        assert "Adult day pass / " not in screen_text(pilot)
        assert "9 pieces" in screen_text(pilot)


async def test_closing_is_blind_and_shows_the_difference_after_it(desk):
    async with running(desk) as pilot:
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: desk.paper.printed)
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("2", "enter", "enter", "2")
        await pilot.pause()
        assert "2,199.00" not in screen_text(pilot)
        assert "2,200.00" in screen_text(pilot)

        await pilot.press("ctrl+e")
        await settled(pilot, lambda: till_of(pilot).closing and till_of(pilot).closing.closed)
        assert "2,199.00" in screen_text(pilot)
        assert "1.00  over" in screen_text(pilot)
        await pilot.press("enter")
        await settled(pilot, lambda: isinstance(pilot.app.screen, OpenShiftScreen))


async def test_escape_goes_on_selling(desk):
    async with running(desk) as pilot:
        await pilot.press("ctrl+e")
        await pilot.pause()
        assert isinstance(pilot.app.screen, CloseShiftDialog)
        await pilot.press("escape")
        await pilot.pause()

        assert till_of(pilot).state is TillState.SELLING


async def test_papers_in_doubt_are_asked_about(desk):
    async with running(desk) as pilot:
        desk.paper.fails = PrinterError("broke the connection", maybe_printed=True)
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: till_of(pilot).papers.doubtful)
        assert "not printed" in text(pilot, "#notice")
        desk.paper.fails = None

        await pilot.press("ctrl+r")
        await pilot.pause()
        assert isinstance(pilot.app.screen, PapersInDoubt)
        await pilot.press("p")
        await settled(pilot, lambda: desk.paper.printed)
        assert desk.paper.printed[0][1]


async def test_log_out_and_in_again_with_the_pin_masked(desk):
    async with running(desk) as pilot:
        await pilot.press("ctrl+l")
        await settled(pilot, lambda: isinstance(pilot.app.screen, LoginScreen))
        assert "cashier@demo.playpark" in screen_text(pilot)
        await pilot.press(*"1111")
        await pilot.pause()
        assert "1111" not in screen_text(pilot)
        assert "••••" in screen_text(pilot)
        await pilot.press("enter")
        await settled(pilot, lambda: isinstance(pilot.app.screen, RegisterScreen))


async def test_a_burst_of_name_and_pin_keeps_the_pin_secret(desk):
    app = desk.app()
    async with app.run_test() as pilot:
        burst(pilot, "nok@demo.playpark\r1111\r")
        await settled(pilot, lambda: isinstance(app.screen, OpenShiftScreen))


async def test_offline_is_a_word_a_count_and_a_time(desk):
    from datetime import timedelta

    async with running(desk) as pilot:
        desk.park.down = True
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: till_of(pilot).notice.text)
        desk.clock.advance(timedelta(seconds=42))
        till_of(pilot).tell(till_of(pilot).notice.text)
        await pilot.pause()

        assert "○ OFFLINE 1 queued 00:42" in screen_text(pilot)
        assert "Tickets print when the server answers." in screen_text(pilot)


async def test_a_till_starts_while_the_server_is_away(desk):
    desk.park.down = True
    app = desk.app()
    async with app.run_test() as pilot:
        await settled(pilot, lambda: app.till.engine.state.last_error)
        await pilot.pause(0.6)
        assert "OFFLINE" in screen_text(pilot)
        assert isinstance(app.screen, LoginScreen)


async def test_an_unpaired_till_asks_for_its_pairing(tmp_path):
    from playpark.device import DeviceStore

    desk = Desk(tmp_path)
    with DeviceStore.open(tmp_path / "fresh.db", desk.clock) as store:
        desk.store.close()
        desk.store = store
        desk.park.down = True
        app = PosApp(desk.till, desk.clock, PairingDetails("http://park", "KEY-1", "Till"))
        async with app.run_test() as pilot:
            await settled(pilot, lambda: "does not answer" in screen_text(pilot))
            assert "KEY-1" in screen_text(pilot)


def test_a_byte_of_another_code_page_does_not_end_the_program() -> None:
    decoder = linux_driver.getincrementaldecoder("utf-8")()
    assert decoder.decode(b"\xe9a", final=True) == "\ufffda"
