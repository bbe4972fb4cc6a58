"""The gate's screens with real keys, before a park that can fail (SCREENS, ATTACKS 36)."""

from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from playpark.contracts.tickets import Direction
from playpark.tui import PairingScreen
from tests.gate.pictures import token
from tests.gate.screen import CODE, Gate, burst, read, says, until


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


# --- keys -------------------------------------------------------------------------------


async def test_a_hand_scanner_needs_no_focus(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await burst(pilot, token(1))
        await until(pilot, says(pilot, "pass"))

    assert gate.park.ops[0]["body"]["qr_token"] == token(1)
    assert gate.park.ops[0]["body"]["zone_id"] == "z-water"


async def test_a_pasted_ticket_is_a_scan(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        pilot.app.post_message(events.Paste(f"{token(1)}\n"))
        await until(pilot, says(pilot, "pass"))


async def test_a_typed_code_can_be_mended_and_dropped(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(*"7K3", "backspace")
        assert "▸ 7K" in read(pilot)

        await pilot.press("escape")
        assert "F4 type code" in read(pilot)

        await pilot.press("enter")
    assert gate.park.ops == []


async def test_R24_a_person_may_type_the_code_below_the_qr(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(*"0000-0000", "enter")
        await until(pilot, says(pilot, "pass"))

    assert gate.park.ops[0]["body"]["short_code"] == CODE


async def test_F3_turns_the_gate_round(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("f3")
        await burst(pilot, CODE)
        await until(pilot, says(pilot, "pass", "1 out"))

    assert gate.station.admission.direction is Direction.EXIT
    assert gate.park.ops[0]["body"]["direction"] == "exit"


async def test_F2_moves_the_gate_to_another_zone(gate: Gate) -> None:
    app = gate.app()
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("f2")
        await pilot.pause()
        await pilot.press("up", "enter")
        await until(pilot, says(pilot, "ready", "GATE Ball Pit · entry"))

    assert gate.station.admission.zone_id == "z-ball"


async def test_attack_36_foreign_text_is_neither_markup_nor_control(gate: Gate) -> None:
    gate.park.message = "[bold red]Welcome[/x] \x1b[2J"
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("[", "/", "x", "]", "enter")
        await until(pilot, says(pilot, "fail", "[/X]"))
        gate.now += 5.0
        await burst(pilot, CODE)
        await until(pilot, says(pilot, "pass", "[bold red]Welcome[/x] \\x1b[2J"))


# --- states -----------------------------------------------------------------------------


async def test_an_unplugged_camera_comes_back_by_itself(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        gate.plug.plugged = False
        await until(pilot, says(pilot, "offline", "plug it in"))
        gate.plug.plugged = True
        await until(pilot, says(pilot, "ready"))


async def test_without_a_camera_the_hand_scanner_works(tmp_path: Path) -> None:
    gate = Gate(tmp_path, camera=False)
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready", "hand scanner"))
        await burst(pilot, token(1))
        await until(pilot, says(pilot, "pass"))


async def test_a_paired_gate_starts_without_the_server(gate: Gate) -> None:
    gate.zone = None
    gate.park.away = True
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "offline", "check the network"))


async def test_a_suspended_gate_shows_why(gate: Gate) -> None:
    gate.zone = None
    gate.park.error = (403, "E_DEVICE_SUSPENDED", "This device is suspended.")
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "offline", "This device is suspended."))


async def test_an_unknown_zone_ends_the_start_with_a_sentence(gate: Gate) -> None:
    gate.zone = "Moon Base"
    app = gate.app()
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.return_code is not None)

    assert app.return_code == 1


async def test_scanning_that_stops_is_said(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr("gate.station.Decoder.read", broken)
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "offline", "start the gate again"))


# --- first start ------------------------------------------------------------------------


async def test_the_first_start_asks_for_the_site_key(tmp_path: Path) -> None:
    gate = Gate(tmp_path, paired=False)
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PairingScreen))
        pilot.app.screen.query_one("#site-key", Input).value = "WRONG-KEY"
        pilot.app.screen.query_one("#name", Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: "site key is not known" in read(pilot))

        pilot.app.screen.query_one("#site-key", Input).value = "DEMO-MAIN-GATE"
        pilot.app.screen.query_one("#name", Input).focus()
        await pilot.press("enter")
        await until(pilot, says(pilot, "ready"))

    assert gate.park.paired_with == ["WRONG-KEY", "DEMO-MAIN-GATE"]


async def test_a_site_key_pairs_without_questions(tmp_path: Path) -> None:
    gate = Gate(tmp_path, paired=False)
    gate.site_key = "DEMO-MAIN-GATE"
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))


async def test_a_wrong_site_key_leads_to_the_pairing_screen(tmp_path: Path) -> None:
    gate = Gate(tmp_path, paired=False)
    gate.site_key = "WRONG-KEY"
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, lambda: "site key is not known" in read(pilot))
        assert isinstance(pilot.app.screen, PairingScreen)
