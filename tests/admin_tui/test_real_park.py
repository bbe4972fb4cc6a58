"""The back office on a real API with the demo park."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from textual.widgets import Input

from admin_tui.app import AdminApp
from admin_tui.office import Office
from playpark.clock import SystemClock
from playpark.contracts.sync import DeadLetterStatus, DeadLetterView
from playpark.device import DeviceStore
from playpark.ids import new_ulid
from playpark.money import format_satang, parse_baht
from playpark.tui import PairingDetails
from tests.admin_tui.conftest import Key, enter_office, screen_text, shows, tiles, type_login, until
from tests.api.drawers import op
from tests.outside import Outsider


@pytest.fixture
def real_app(api_url: str, unpaired: DeviceStore) -> AdminApp:
    known = PairingDetails(api_url, "DEMO-MAIN-GATE", "test back office")
    return AdminApp(Office(unpaired, SystemClock(), api_url=api_url), known)


async def pair(pilot: Key) -> None:
    """With a site key from the command line it pairs by itself."""
    await shows(pilot, "Paired.")


async def test_a_supervisor_pairs_logs_in_and_sees_what_was_sold_and_scanned(
    real_app: AdminApp, till: Outsider, gate: Outsider
) -> None:
    async with real_app.run_test(size=(120, 40), notifications=True) as pilot:
        await pair(pilot)
        await enter_office(pilot)
        before = tiles(pilot)

        sold = await till.sell(("Adult day pass", 2))
        await till.sell(("Carousel ride", 1))
        body = {"qr_token": sold["tickets"][0]["qr_token"]}
        for _ in range(3):
            await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())
        await pilot.press("r")
        await until(pilot, lambda: tiles(pilot) != before, "new figures")
        after = tiles(pilot)

        def risen(title: str) -> int:
            return int(after[title].replace(",", "")) - int(before[title].replace(",", ""))

        assert risen("Sales today") == 2
        assert risen("Passed today") == 1
        assert risen("Refused today") == 2
        amount = parse_baht(after["Amount today"]) - parse_baht(before["Amount today"])
        assert amount == 39_800 + 4_000

        await pilot.press("2")
        await shows(pilot, sold["sale"]["receipt_no"])
        await pilot.press("down", "enter")
        await shows(pilot, f"Sale {sold['sale']['receipt_no']}")
        text = screen_text(pilot)
        code = sold["tickets"][1]["short_code"]
        assert "2 × Adult day pass" in text
        assert f"{code[:4]}-{code[4:]}" in text
        assert format_satang(39_800) in text
        assert "test POS" in text


async def test_every_page_shows_the_park(
    real_app: AdminApp, till: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    body = {"qr_token": sold["tickets"][0]["qr_token"]}
    await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())
    await refused_sale(till)
    async with real_app.run_test(size=(80, 24), notifications=True) as pilot:
        await pair(pilot)
        await enter_office(pilot, "owner@demo.playpark", "8888")
        for key, row, detail in (
            ("2", sold["sale"]["receipt_no"], "TOTAL"),
            ("3", "open", "Float at the start"),
            ("4", "passed", "Ticket of"),
            ("5", "test back", "Code on receipts"),
            ("6", "sale", "Why it is here"),
        ):
            await pilot.press(key)
            await shows(pilot, row)
            await pilot.press("enter")
            await shows(pilot, detail)
            await pilot.press("escape")


async def test_a_wrong_pin_is_told_in_words_and_can_be_typed_again(real_app: AdminApp) -> None:
    async with real_app.run_test(size=(80, 24), notifications=True) as pilot:
        await pair(pilot)
        await type_login(pilot, "supervisor@demo.playpark", "0000")
        await shows(pilot, "That person and PIN do not belong together")
        await type_login(pilot, "supervisor", "12")
        await shows(pilot, "your PIN of 4 to 8 digits")
        await enter_office(pilot)


async def test_a_cashier_reads_who_may_see_the_pages(real_app: AdminApp) -> None:
    async with real_app.run_test(size=(80, 24), notifications=True) as pilot:
        await pair(pilot)
        await enter_office(pilot, "cashier@demo.playpark", "1111")
        assert set(tiles(pilot).values()) == {"–"}
        await shows(pilot, "needs: view reports")
        for key, words in (("2", "people who may view reports"), ("5", "may manage devices")):
            await pilot.press(key)
            await shows(pilot, words)
            assert "Nok (cashier)" in screen_text(pilot)


async def test_logging_out_ends_the_login_on_the_server(real_app: AdminApp, api_url: str) -> None:
    async with real_app.run_test(size=(80, 24), notifications=True) as pilot:
        await pair(pilot)
        await enter_office(pilot)
        token = real_app._office.client.employee_token
        await pilot.press("ctrl+l")
        await shows(pilot, "Logged out.")
        await until(pilot, lambda: real_app._office.client.employee_token is None, "the logout")
        async with httpx.AsyncClient(base_url=api_url) as http:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await http.get("/v1/employees/me", headers=headers)
        assert answer.status_code == 401
        assert "Somchai" in screen_text(pilot)  # offered at the next login


async def test_a_device_of_before_goes_on_to_the_login(
    api_url: str, unpaired: DeviceStore, tmp_path: Path
) -> None:
    office = Office(unpaired, SystemClock(), api_url=api_url)
    await office.pair(PairingDetails(api_url, "DEMO-MAIN-GATE", "kept"))
    await office.close()
    again = Office(unpaired, SystemClock())
    assert again.client.base_url == api_url
    async with AdminApp(again, PairingDetails(api_url, "", "")).run_test() as pilot:
        await enter_office(pilot)
        assert abs(again.now() - SystemClock().now()) < timedelta(seconds=5)


async def refused_sale(till: Outsider) -> str:
    """A sale that has happened and cannot be booked; where the server keeps it."""
    body = {"lines": [{"package_id": "gone", "qty": 1}], "payments": []}
    told = op("sale", body)
    answer = await till.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": [told]})
    return str(answer["results"][0]["dead_letter_id"])


async def test_R35_what_could_not_be_booked_is_settled_by_two_people(
    real_app: AdminApp, till: Outsider
) -> None:
    letter = await refused_sale(till)
    async with real_app.run_test(size=(120, 40), notifications=True) as pilot:
        await pair(pilot)
        await enter_office(pilot)
        await pilot.press("6")
        await shows(pilot, "waits")
        await pilot.press("c")
        await shows(pilot, "Why?")
        await pilot.press("1")
        await shows(pilot, "Ask a supervisor")
        await pilot.press(*"supervisor@demo.playpark", "enter", *"9999", "enter")
        await shows(pilot, "approve")
        await until(pilot, lambda: "You asked for this" in screen_text(pilot), "a second person")
        pilot.app.screen.query_one("#who", Input).value = "owner@demo.playpark"
        await pilot.press(*"8888", "enter")
        await shows(pilot, "settled by hand")
        office = real_app._office
        found = await office.page("/sync/dead_letters", DeadLetterView)
        settled = next(each for each in found.items if each.dead_letter_id == letter)
        assert settled.status is DeadLetterStatus.DISMISSED
        await until(pilot, lambda: "b" not in _keys(pilot), "nothing is left to settle")


def _keys(pilot: Key) -> set[str]:
    return {command.key for command in pilot.app.screen.available()}
