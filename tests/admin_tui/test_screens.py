"""Keys, pages and bad days, against a park that always answers the same."""

import pytest
from textual.widgets import DataTable

from admin_tui.app import AdminApp
from playpark.device import DeviceStore
from tests.admin_tui.canned import ALL, DEVICES, CannedPark, canned_app, sale
from tests.admin_tui.conftest import (
    enter_office,
    rows,
    screen_text,
    shows,
    tiles,
    type_login,
    until,
)

SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_dashboard_counts_this_business_day(app: AdminApp, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        await enter_office(pilot)
        assert tiles(pilot) == {
            "Sales today": "4",
            "Amount today": "13,453.00",
            "Passed today": "2",
            "Refused today": "3",
            "Open shifts": "1",
            "Active devices": "3",
        }
        assert "ONLINE" in screen_text(pilot).splitlines()[0]


async def test_a_day_with_more_sales_than_are_read_says_at_least(
    app: AdminApp, park: CannedPark
) -> None:
    park.lists["/sales"] = [sale(number, 100) for number in range(1200, 0, -1)]
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        assert tiles(pilot)["Sales today"] == "≥ 1,000"
        assert tiles(pilot)["Amount today"] == "≥ 1,000.00"


async def test_counting_stops_at_the_day_before(app: AdminApp, park: CannedPark) -> None:
    yesterday = [sale(n, 100, business_date="2026-11-20") for n in range(1000, 0, -1)]
    park.lists["/sales"] = [sale(1001, 100), *yesterday]
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        assert tiles(pilot)["Sales today"] == "1"
        assert park.asked.count("GET /sales") == 1


async def test_a_table_holds_one_page_and_turns_it(app: AdminApp, park: CannedPark) -> None:
    park.lists["/sales"] = [sale(number, 100) for number in range(250, 0, -1)]
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        await pilot.press("2")
        await shows(pilot, "page 1 · 100 rows")
        assert "previous" not in screen_text(pilot)
        await pilot.press("n")
        await shows(pilot, "page 2 · 100 rows")
        await pilot.press("n")
        await shows(pilot, "page 3 · 50 rows")
        assert len(rows(pilot)) == 50
        assert "n next" not in screen_text(pilot)
        await pilot.press("n", "p")
        await shows(pilot, "page 2 · 100 rows")
        assert "M01-S000150" in rows(pilot)[0]
        await pilot.press("r")
        await shows(pilot, "page 2 · 100 rows")


async def test_the_filter_narrows_while_it_is_typed(app: AdminApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        await pilot.press("2")
        await shows(pilot, "5 rows")
        await pilot.press("slash", *"plo")
        await shows(pilot, "1 of 5 rows")
        assert "Enter to the rows" in screen_text(pilot)
        await pilot.press("enter", "enter")
        await shows(pilot, "There is no")  # the canned park knows one sale in detail
        await pilot.press("escape", "slash", "escape")
        await shows(pilot, "5 rows")
        assert len(rows(pilot)) == 5


async def test_what_a_column_without_room_says_is_found_too(app: AdminApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        await pilot.press("2", "slash", *"cla")
        await shows(pilot, "1 of 5 rows")


async def test_text_of_the_server_is_no_markup(app: AdminApp, park: CannedPark) -> None:
    park.lists["/devices"] = [DEVICES[0] | {"name": "[/x] [red]till\x1b[2J"}]
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await enter_office(pilot)
        await pilot.press("5")
        await shows(pilot, "[/x] [red]")
        await pilot.press("enter")
        await shows(pilot, "Device [/x] [red]till[2J")


async def test_an_empty_list_says_what_to_do_first(app: AdminApp, park: CannedPark) -> None:
    park.lists = {path: [] for path in park.lists}
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        for key, words in (
            ("2", "No sales yet. Open a shift"),
            ("3", "No shifts yet. A cashier opens one"),
            ("4", "Nobody was scanned yet. Start a gate"),
            ("5", "No devices yet. Start a till"),
        ):
            await pilot.press(key)
            await shows(pilot, words)
            assert "Enter detail" not in screen_text(pilot)


async def test_a_server_that_is_down_is_told_and_read_again_when_it_is_back(
    app: AdminApp, park: CannedPark
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        await pilot.press("2")
        await shows(pilot, "M01-S000041")
        park.down = True
        await pilot.press("r")
        await shows(pilot, "does not answer")
        await shows(pilot, "OFFLINE")
        assert "M01-S000041" in screen_text(pilot)  # what was there stays, and says so
        assert "from before" in screen_text(pilot)
        park.down = False
        app._watch()
        await until(pilot, lambda: "does not answer" not in screen_text(pilot), "the rows again")
        await shows(pilot, "● ONLINE")


async def test_a_dashboard_without_server_says_so_and_r_tries_again(
    app: AdminApp, park: CannedPark
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        park.down = True
        await pilot.press("2")
        await shows(pilot, "does not answer")
        await pilot.press("1")
        await shows(pilot, "What stands here is from before")
        park.down = False
        await pilot.press("r")
        await until(pilot, lambda: "from before" not in screen_text(pilot), "figures again")


async def test_a_login_without_server_stays_at_the_login(app: AdminApp, park: CannedPark) -> None:
    park.down = True
    async with app.run_test(size=(80, 24)) as pilot:
        await type_login(pilot, "supervisor@demo.playpark", "9999")
        await shows(pilot, "does not answer")
        park.down = False
        await enter_office(pilot)


async def test_a_login_that_ran_out_is_renewed_once_for_all_questions(
    app: AdminApp, park: CannedPark
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        park.expired = True
        await pilot.press("r")
        await until(pilot, lambda: park.refreshes == 1 and not park.expired, "the renewal")
        await pilot.press("2")
        await shows(pilot, "M01-S000041")
        assert park.refreshes == 1


async def test_R43_a_login_that_the_server_ended_leads_back_to_the_login(
    app: AdminApp, park: CannedPark
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        park.suspended = True
        await pilot.press("2")
        await shows(pilot, "This employee is suspended")
        assert pilot.app.screen.query("#pin")
        assert app._office.client.employee_token is None


async def test_the_palette_has_every_action_that_works_now(app: AdminApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await enter_office(pilot)
        await pilot.press("3")
        await shows(pilot, "21 Nov 09:00")
        named = {command.title for command in app.get_system_commands(app.screen)}
        assert named == {
            "Show detail",
            "Filter this page",
            "Refresh",
            "Go to Dashboard",
            "Go to Sales",
            "Go to Shifts",
            "Go to Redemptions",
            "Go to Devices",
            "Go to Unsettled",
            "Log out",
            "Quit",
        }
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(app.screen_stack) == 3, "the palette")
        await pilot.press(*"red")
        await shows(pilot, "Go to Redemptions")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await shows(pilot, "duplicate use")


async def test_the_sidebar_can_be_used_without_knowing_its_keys(app: AdminApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        await pilot.press("tab")
        assert "↑↓ Enter go" in screen_text(pilot)
        await pilot.press("down", "enter")
        await shows(pilot, "M01-S000041")
        assert isinstance(app.focused, DataTable)


async def test_without_the_right_to_see_devices_the_rest_still_works(
    app: AdminApp, park: CannedPark
) -> None:
    park.permissions = ALL[:1]
    async with app.run_test(size=(80, 24)) as pilot:
        await enter_office(pilot)
        assert tiles(pilot)["Active devices"] == "–"
        assert tiles(pilot)["Sales today"] == "4"
        await pilot.press("3")
        await shows(pilot, "…dev1")


async def test_a_server_that_cannot_be_reached_keeps_the_pairing_form(
    park: CannedPark, unpaired: DeviceStore
) -> None:
    park.down = True
    async with canned_app(park, unpaired).run_test(size=(80, 24)) as pilot:
        await shows(pilot, "does not answer")
        assert "Pair this device" in screen_text(pilot)
