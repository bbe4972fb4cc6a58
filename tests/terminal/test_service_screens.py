"""Discounts, parts, members, parking, refunds and the drawer under real keys (SCREENS, R39)."""

import pytest

from playpark.contracts.settings import SalesSettings
from playpark.tui import ApprovalDialog, Ask, Choose, Field
from terminal.screens.drawer import AskAmount
from terminal.screens.found_sale import FoundSaleDialog, OutcomeDialog
from terminal.screens.guest import GuestDialog, NewGuestDialog
from terminal.screens.open_shift import OpenShiftScreen
from terminal.screens.register import BARCODE, REAL_SALES, RegisterScreen
from terminal.screens.split import SplitDialog
from tests.terminal.conftest import RICH, until
from tests.terminal.test_register_screen import (
    burst,
    running,
    screen_text,
    settled,
    text,
    till_of,
)

SIZES = [(80, 24), (120, 40)]


async def on(pilot, dialog) -> None:
    await settled(pilot, lambda: isinstance(pilot.app.screen, dialog))


async def back(pilot) -> None:
    """The register takes keys again."""
    await settled(
        pilot,
        lambda: isinstance(pilot.app.screen, RegisterScreen) and not pilot.app.screen.held,
    )


async def supervisor(pilot) -> None:
    await on(pilot, ApprovalDialog)
    await pilot.press(*"somchai@demo.playpark", "enter", *"9999", "enter")


# --- discounts --------------------------------------------------------------------------


async def test_a_discount_by_hand_from_the_entry_line_asks_the_supervisor_before_cash(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "2", "0", "ctrl+d")
        await back(pilot)
        assert till_of(pilot).priced.grand_total == 17900
        assert "Manual discount" in screen_text(pilot)

        await pilot.press("enter")
        await on(pilot, ApprovalDialog)
        shown = screen_text(pilot)
        for word in ("What", "Whose", "How much", "20.00", "Why"):
            assert word in shown
        await supervisor(pilot)
        await settled(pilot, lambda: rich_desk.paper.receipts)
        assert till_of(pilot).sold.total == 17900


async def test_a_supervisor_who_says_no_leaves_the_basket_as_it_is(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "1", "0", "ctrl+d")
        await back(pilot)
        await pilot.press("enter")
        await on(pilot, ApprovalDialog)
        await pilot.press(*"somchai@demo.playpark", "enter", *"1234", "enter")
        await settled(pilot, lambda: "Wrong email or PIN" in screen_text(pilot))
        await pilot.press("escape")
        await back(pilot)

        assert till_of(pilot).basket
        assert till_of(pilot).last_sales == []


async def test_the_discounts_of_the_store_are_a_list(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "ctrl+d")
        await on(pilot, Choose)
        assert "Staff family" in screen_text(pilot)
        await pilot.press("1")
        await back(pilot)

        assert till_of(pilot).priced.grand_total == 15920


@pytest.mark.parametrize("typed", ["abc", "150%", "8851234567890", "-5", "[/x]"])
async def test_letters_and_barcodes_are_no_discount(rich_desk, typed):
    async with running(rich_desk) as pilot:
        await pilot.press("f1")
        await pilot.press("ctrl+d")
        await on(pilot, Choose)
        await pilot.press("3")
        await on(pilot, Ask)
        pilot.app.screen.query_one(Field).value = typed
        await pilot.press("enter")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, RegisterScreen)
        await pilot.press("escape")
        await back(pilot)
        assert till_of(pilot).priced.grand_total == 19900


async def test_a_promo_code_is_simply_typed(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", *"family10", "enter")
        await back(pilot)
        assert till_of(pilot).priced.grand_total == 17910
        assert "FAMILY10" in screen_text(pilot)

        await pilot.press("ctrl+o")
        await pilot.pause()
        await pilot.press(*"nope", "enter")
        await back(pilot)
        assert "no such promotion code" in text(pilot, "#notice")


async def test_another_price_for_the_time_stands_in_its_line(rich_desk):
    async with running(rich_desk, (120, 40)) as pilot:
        await pilot.press("f2")
        await pilot.pause()

        assert "Child day pass · Happy" in screen_text(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Happy hour: 10 % off each" in screen_text(pilot)


# --- members ----------------------------------------------------------------------------


async def test_a_member_is_found_attached_and_taken_off(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "ctrl+u")
        await on(pilot, GuestDialog)
        await pilot.press(*"0812", "enter")
        await settled(pilot, lambda: "Ploy [b]" in screen_text(pilot))
        await pilot.press("enter")
        await back(pilot)
        assert "Ploy [b] (member, 120 points)" in screen_text(pilot)
        assert till_of(pilot).priced.grand_total == 18905

        await pilot.press("ctrl+u")
        await on(pilot, Choose)
        await pilot.press("1")
        await back(pilot)
        assert till_of(pilot).priced.grand_total == 19900


async def test_a_new_member_is_written_down(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "ctrl+u")
        await on(pilot, GuestDialog)
        await pilot.press(*"mali", "enter")
        await settled(pilot, lambda: "Nobody by that name" in screen_text(pilot))
        await pilot.press("f2")
        await on(pilot, NewGuestDialog)
        await pilot.press(*"0819998888", "enter")
        await back(pilot)

        assert till_of(pilot).basket.rung.guest.customer_id == "c2"


# --- parts ------------------------------------------------------------------------------


async def test_half_by_card_and_the_rest_in_cash(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "ctrl+s")
        await on(pilot, SplitDialog)
        await pilot.press("down", *"102", "enter", *"A7", "enter")
        await settled(pilot, lambda: "given: Card A7" in screen_text(pilot))
        await pilot.press("enter")
        await settled(pilot, lambda: rich_desk.paper.receipts)

        payments = rich_desk.store.recent(["sale"], 1)[0].body["payments"]
        assert [(each["method"], each["amount"]) for each in payments] == [
            ("card", 10200),
            ("cash", 9900),
        ]
        assert text(pilot, "#total .label") == "PAID SPLIT"


async def test_a_scan_letters_and_huge_amounts_are_no_part(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "ctrl+s")
        await on(pilot, SplitDialog)
        for typed in ("8851234567890", "1234567"):
            burst(pilot, f"{typed}\r")
            await settled(pilot, lambda: "no amount" in screen_text(pilot))
        await pilot.press(*"abc", "enter")
        await settled(pilot, lambda: "Type an amount" in screen_text(pilot))
        await pilot.press(*"9999", "enter")
        await settled(pilot, lambda: "ten times" in screen_text(pilot))
        assert till_of(pilot).last_sales == []
        await pilot.press("escape")
        await back(pilot)
        assert till_of(pilot).basket


async def test_money_that_is_given_is_taken_back_before_it_is_left(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "ctrl+s")
        await on(pilot, SplitDialog)
        await pilot.press(*"100", "enter")
        await settled(pilot, lambda: "given: Cash" in screen_text(pilot))
        await pilot.press("escape")
        await settled(pilot, lambda: "take it back first" in screen_text(pilot))
        await pilot.press("backspace")
        await settled(pilot, lambda: "Give 100.00 back to the guest." in screen_text(pilot))
        await pilot.press("escape")
        await back(pilot)

        assert till_of(pilot).last_sales == []


async def test_enter_behind_a_flow_key_does_not_take_cash(rich_desk):
    for key in ("ctrl+s", "ctrl+d", "f12", "ctrl+u"):
        async with running(rich_desk) as pilot:
            for each in ("f1", key, "enter"):
                pilot.app.simulate_key(each)
            await settled(pilot, lambda: not isinstance(pilot.app.screen, RegisterScreen))
            assert till_of(pilot).last_sales == []
            till_of(pilot).selling.empty()
            await till_of(pilot).close_shift(0)
        rich_desk.reopen()


# --- parking ----------------------------------------------------------------------------


async def test_f12_parks_by_name_and_resumes(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "f1", *"red", "f12")
        await back(pilot)
        assert "Parked as red." in text(pilot, "#notice")
        assert not till_of(pilot).basket

        await pilot.press("f12")
        await on(pilot, Choose)
        assert "red · 2 pieces" in screen_text(pilot)
        await pilot.press("enter")
        await back(pilot)
        assert till_of(pilot).basket.quantities == (("adult", 2),)
        assert "as when it was parked" in text(pilot, "#notice")


# --- giving back ------------------------------------------------------------------------


async def test_a_refund_from_the_last_sale_to_the_slip(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "f1", "enter")
        await settled(pilot, lambda: len(rich_desk.paper.out) == 3)
        await pilot.press("ctrl+f")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, FoundSaleDialog)
        assert "not used" in screen_text(pilot)
        await pilot.press("space", "r")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, ApprovalDialog)
        assert "199.00 baht" in screen_text(pilot)
        await supervisor(pilot)
        await on(pilot, OutcomeDialog)
        await settled(pilot, lambda: "give back 199.00 cash" in screen_text(pilot))
        assert rich_desk.park.approvals[0]["amount"] == 19900
        await pilot.press("enter")
        await back(pilot)
        await until(lambda: "refund" in rich_desk.paper.names)


async def test_R18_one_key_chooses_all_tickets_of_a_bundle(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f3", "f1", "enter")
        await settled(pilot, lambda: len(rich_desk.paper.out) == 6)
        await pilot.press("ctrl+f")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, FoundSaleDialog)
        await pilot.press("down", "space")
        await pilot.pause()
        assert "4 of 5 chosen" in screen_text(pilot)
        assert "590.00" in screen_text(pilot)
        await pilot.press("up", "space")
        await pilot.pause()
        assert "whole sale" in screen_text(pilot)


async def test_R31_an_amount_is_typed_where_the_store_allows_it(rich_desk):
    sales = SalesSettings(refund_by_amount=True)
    settings = RICH.settings.model_copy(update={"sales": sales})
    rich_desk.sells(RICH.model_copy(update={"settings": settings}))
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "f1", "enter")
        await settled(pilot, lambda: len(rich_desk.paper.out) == 3)
        await pilot.press("ctrl+f")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, FoundSaleDialog)
        await pilot.press("m")
        await on(pilot, AskAmount)
        await pilot.press(*"399", "enter")
        await settled(pilot, lambda: "398.00 is the most" in screen_text(pilot))
        await pilot.press("backspace", "backspace", "backspace", *"50", "enter")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, ApprovalDialog)
        assert "50.00 baht" in screen_text(pilot)
        await supervisor(pilot)
        await settled(pilot, lambda: "give back 50.00 cash" in screen_text(pilot))


async def test_an_amount_is_no_key_where_the_store_gives_back_tickets(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: len(rich_desk.paper.out) == 2)
        await pilot.press("ctrl+f")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, FoundSaleDialog)
        assert "M amount" not in screen_text(pilot)
        await pilot.press("m")
        await settled(pilot, lambda: "not amounts" in screen_text(pilot))


async def test_a_refund_whose_answer_comes_late_says_wait_and_then_stays(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: len(rich_desk.paper.out) == 2)
        await pilot.press("ctrl+f")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, FoundSaleDialog)
        await pilot.press("r")
        await on(pilot, Choose)
        await pilot.press("1")
        await on(pilot, ApprovalDialog)
        rich_desk.park.lose = rich_desk.park.gone = True
        await supervisor(pilot)
        await on(pilot, OutcomeDialog)
        await settled(pilot, lambda: "do not give money back" in screen_text(pilot))
        await settled(pilot, lambda: pilot.app.screen.finished)
        await pilot.press("enter")
        await back(pilot)
        rich_desk.park.down = False
        await till_of(pilot).engine.drain()
        await settled(pilot, lambda: till_of(pilot).giving_back.unseen)

        assert "give back 199.00 cash" in text(pilot, "#last")
        await pilot.press("ctrl+y")
        await pilot.pause()
        assert "give back" not in text(pilot, "#last")


async def test_a_scanned_ticket_finds_its_sale_and_a_barcode_does_not(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: rich_desk.paper.tickets)
        burst(pilot, "8851234567890\r")
        await settled(pilot, lambda: till_of(pilot).notice.text == BARCODE)
        burst(pilot, f"{rich_desk.paper.tickets[0].qr_token}\r")
        await on(pilot, FoundSaleDialog)

        assert "Sale 03-S000001" in screen_text(pilot)


async def test_R39_offline_the_keys_say_that_they_need_the_server(rich_desk):
    async with running(rich_desk, (120, 40)) as pilot:
        rich_desk.park.down = True
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: not till_of(pilot).engine.online)
        for key in ("ctrl+f", "f12", "ctrl+x"):
            await pilot.press(key)
            await pilot.pause()
            assert "needs the server" in text(pilot, "#notice")
            assert isinstance(pilot.app.screen, RegisterScreen)
        row = text(pilot, "#keys")
        assert "refund" not in row
        assert "needs the server: ^F F12 ^X" in row
        commands = [each.title for each in pilot.app.get_system_commands(pilot.app.screen)]
        assert "X report (^X): needs the server" in commands
        assert "^G cash" in row


# --- the drawer -------------------------------------------------------------------------


async def test_cash_goes_to_the_safe_with_a_reason_and_a_slip(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("ctrl+g")
        await on(pilot, Choose)
        await pilot.press("3")
        await pilot.pause()
        await pilot.press(*"x", "enter")
        await settled(pilot, lambda: "Type an amount" in screen_text(pilot))
        await pilot.press("backspace", *"1500", "enter")
        await on(pilot, Choose)
        await pilot.press("1")
        await back(pilot)
        await until(lambda: "movement" in rich_desk.paper.names)

        assert "Drop to the safe of 1,500.00 is recorded." in text(pilot, "#notice")


async def test_the_x_report_asks_a_supervisor_and_shows_what_the_drawer_ought_to_hold(rich_desk):
    async with running(rich_desk) as pilot:
        await pilot.press("ctrl+x")
        await supervisor(pilot)
        await settled(pilot, lambda: "ought to hold" in screen_text(pilot))
        assert "2,000.00" in screen_text(pilot)
        await pilot.press("enter")
        await back(pilot)
        assert "x" in rich_desk.paper.names


async def test_a_difference_over_the_tolerance_is_accepted_in_place(rich_desk):
    rich_desk.park.tolerance = 2000
    async with running(rich_desk) as pilot:
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("1", "ctrl+e")
        await settled(pilot, lambda: "over the tolerance" in screen_text(pilot))
        await pilot.press("a")
        await on(pilot, Choose)
        await pilot.press("1")
        await supervisor(pilot)
        await settled(pilot, lambda: "The difference is accepted." in screen_text(pilot))
        await pilot.press("enter")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, RegisterScreen)


async def test_R27_a_difference_that_was_left_is_settled_between_two_shifts(rich_desk):
    rich_desk.park.tolerance = 2000
    async with running(rich_desk) as pilot:
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("1", "ctrl+e")
        await settled(pilot, lambda: "over the tolerance" in screen_text(pilot))
        await pilot.press("enter")
        await on(pilot, OpenShiftScreen)
        await settled(pilot, lambda: "waits for a supervisor" in text(pilot, "#hint"))
        assert "^T settle the difference" in text(pilot, "#keys")
        await pilot.press("ctrl+t")
        await on(pilot, Choose)
        await pilot.press("1")
        await settled(pilot, lambda: "Guest asked" in screen_text(pilot))
        await pilot.press("1")
        await supervisor(pilot)
        await on(pilot, OpenShiftScreen)
        await settled(pilot, lambda: "is accepted" in text(pilot, "#hint"))
        assert "^T" not in text(pilot, "#keys")


async def test_R27_a_difference_that_waits_is_a_key_of_the_next_shift(rich_desk):
    rich_desk.park.tolerance = 2000
    async with running(rich_desk) as pilot:
        await till_of(pilot).close_shift(0)
        await till_of(pilot).open_shift(200000)
        await settled(pilot, lambda: "^T difference" in text(pilot, "#keys"))
        await pilot.press("ctrl+t")
        await on(pilot, Choose)
        assert "Z 1: 2,000.00 too little cash" in screen_text(pilot)
        await pilot.press("escape")
        await back(pilot)


async def test_R32_training_is_a_banner_over_the_register(rich_desk):
    async with running(rich_desk) as pilot:
        titles = [each.title for each in pilot.app.get_system_commands(pilot.app.screen)]
        assert "Training on or off (training)" in titles
        assert "Clock in (timecard)" in titles
        pilot.app.screen.post_message(RegisterScreen.Chosen("train"))
        await settled(pilot, lambda: till_of(pilot).training)
        await pilot.press("f1", "enter")
        await settled(pilot, lambda: rich_desk.paper.receipts)

        assert "TRAINING" in text(pilot, "#last")
        assert rich_desk.paper.receipts == ["03-T000001"]
        await pilot.press(*"03-S000001", "enter")
        await settled(pilot, lambda: till_of(pilot).notice.text == REAL_SALES)
        assert isinstance(pilot.app.screen, RegisterScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_the_key_row_never_runs_over_the_edge(rich_desk, size):
    async with running(rich_desk, size) as pilot:
        for keys in ((), ("f1",), ("f8",)):
            await pilot.press(*keys)
            await pilot.pause()
            row = text(pilot, "#keys")
            assert len(row) <= size[0] - 2
            assert row.endswith("^P all")
