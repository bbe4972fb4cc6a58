"""What every key of the gate does, while guests go on showing tickets (SCREENS, R24, R50, R51)."""

from datetime import timedelta
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from gate.admission import Code
from gate.answers import Answer, annulled
from gate.app import GateApp
from gate.screens.annul import AnnulQuestion
from gate.screens.views import AllFigures, Help, LastScans
from gate.screens.zone import ZoneQuestion
from gate.sounds import SoundMode
from gate.typed import look_at
from playpark.contracts.catalog import SlipPolicy
from playpark.contracts.tickets import Direction
from playpark.ids import CROCKFORD, short_code
from playpark.printing.transport import PrinterTarget
from tests.gate.pictures import token
from tests.gate.screen import CODE, Gate, burst, passed, read, row, says, until

KEYS = {
    "f1": Help,
    "f2": ZoneQuestion,
    "f5": LastScans,
    "f6": AllFigures,
    "f8": AnnulQuestion,
}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def scanner(pilot: Pilot[None], text: str) -> None:
    """A hand scanner that is used whatever the screen shows."""
    for char in text:
        pilot.app.post_message(events.Key(char, char))
    pilot.app.post_message(events.Key("enter", "\r"))


# --- what stands over the panel ---------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_opens_and_Esc_closes(gate: Gate, key: str) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, KEYS[key]))

        await pilot.press("escape")
        await until(pilot, says(pilot, "ready"))


@pytest.mark.parametrize("key", KEYS)
async def test_a_hand_scanner_works_whatever_is_open(gate: Gate, key: str) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        pilot.app.desk.take(passed())
        gate.now += 5.0
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, KEYS[key]))

        scanner(pilot, token(7))
        await until(pilot, lambda: gate.park.ops)
        await until(pilot, lambda: "…ZZZZ0007" in str(pilot.app.desk.board.rows()))

    assert [op["kind"] for op in gate.park.ops] == ["redemption"]
    assert gate.park.ops[0]["body"]["qr_token"] == token(7)
    assert gate.park.ops[0]["body"]["zone_id"] == "z-water"


@pytest.mark.parametrize("key", ["f1", "f5", "f6"])
async def test_a_ticket_before_the_camera_closes_what_was_to_read(gate: Gate, key: str) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, KEYS[key]))

        gate.station.keyed.put_nowait(Code(token(3)))
        await until(pilot, says(pilot, "pass"))


@pytest.mark.parametrize("key", ["f2", "f8"])
async def test_an_open_question_stays_with_the_answer_above_it(gate: Gate, key: str) -> None:
    async with gate.app().run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, KEYS[key]))
        assert "█" not in row(pilot, 1)

        gate.station.keyed.put_nowait(Code(token(3)))
        await until(pilot, lambda: "█" in row(pilot, 1))

        assert isinstance(pilot.app.screen, KEYS[key])


async def test_help_shows_only_the_keys_that_work_now(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True, size=(120, 40)) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("f1")
        await until(pilot, lambda: "Keys that work now" in read(pilot))
        assert "annul" not in read(pilot).split("Words")[0]
        await pilot.press("f1")
        await until(pilot, says(pilot, "ready"))

        pilot.app.desk.take(passed())
        await until(pilot, says(pilot, "pass", "F8 annul"))
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(pilot.app.screen, Help))

        assert "annul" in read(pilot).split("Words")[0]


# --- annul ------------------------------------------------------------------------------


class Taken:
    """Stands in for the admission's annul, which has tests of its own."""

    def __init__(self) -> None:
        self.back: list[str] = []

    async def annul(self, op_id: str) -> Answer:
        self.back.append(op_id)
        return annulled()


async def test_R50_the_second_F8_takes_the_newest_entry_back(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Taken()
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        monkeypatch.setattr(gate.station.admission, "annul", taken.annul)
        for number in (1, 2):
            pilot.app.desk.take(passed(number))
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnulQuestion))
        await pilot.press("f8")
        await until(pilot, says(pilot, "annulled", "annulled · 2 LEFT"))

    assert taken.back == ["op-2"]


async def test_R50_another_of_the_last_entries_may_be_chosen(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Taken()
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        monkeypatch.setattr(gate.station.admission, "annul", taken.annul)
        for number in (1, 2, 3):
            pilot.app.desk.take(passed(number))
        await pilot.press("f8", "down", "down", "up", "f8")
        await until(pilot, lambda: taken.back)

    assert taken.back == ["op-2"]


@pytest.mark.parametrize("keys", [("escape",), ("enter",), ("y",), ("f5",)], ids=str)
async def test_R50_nothing_but_F8_takes_an_entry_back(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    taken = Taken()
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        monkeypatch.setattr(gate.station.admission, "annul", taken.annul)
        pilot.app.desk.take(passed())
        await pilot.press("f8", *keys)
        await pilot.pause()

    assert taken.back == []


async def test_R50_without_an_entry_of_the_last_quarter_there_is_nothing_to_take_back(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Taken()
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        monkeypatch.setattr(gate.station.admission, "annul", taken.annul)
        pilot.app.desk.take(passed())
        gate.park.clock.advance(timedelta(minutes=15, seconds=1))
        await pilot.press("f8")
        await until(pilot, lambda: "No entry of the last 15 minutes" in read(pilot))
        await pilot.press("f8")
        await pilot.pause()

    assert taken.back == []


# --- place ------------------------------------------------------------------------------


async def test_R51_zone_and_direction_survive_a_restart(gate: Gate) -> None:
    gate.zone = None
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready", "GATE every zone · entry"))
        await pilot.press("f2", "down", "f3", "enter")
        await until(pilot, says(pilot, "ready", "GATE Ball Pit ·  EXIT "))

    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready", "GATE Ball Pit ·  EXIT "))
        assert gate.station.admission.zone_id == "z-ball"
        assert gate.station.admission.direction is Direction.EXIT


async def test_the_command_line_wins_and_is_kept(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready", "GATE Water Park · entry"))
    gate.zone = None

    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready", "GATE Water Park · entry"))
    gate.zone = "every zone"

    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready", "GATE every zone · entry"))
    assert gate.station.admission.zone_id is None


async def test_the_zone_question_moves_nothing_on_Esc(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("f2", "up", "f3", "escape")
        await until(pilot, says(pilot, "ready", "GATE Water Park · entry"))


# --- typing -----------------------------------------------------------------------------


async def test_R24_F4_invites_to_type(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("f4")
        await until(pilot, says(pilot, "ready", "▸ ____-____  Type the 8 characters"))
        await pilot.press(*"7k3x9")
        await until(pilot, says(pilot, "ready", "▸ 7K3X-9___  3 more characters."))
        await pilot.press("escape")
        await until(pilot, says(pilot, "ready", "F4 type code"))

    assert gate.park.ops == []


async def test_R24_a_wrong_code_is_not_sent_and_can_be_mended(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(*"00000001", "enter")
        await until(pilot, says(pilot, "fail", "▸ 0000-0001"))
        assert "One of the 8 characters is wrong" in read(pilot)

        await pilot.press("backspace", "0", "enter")
        await until(pilot, says(pilot, "pass"))

    assert [op["body"]["short_code"] for op in gate.park.ops] == [CODE]


async def test_R24_the_next_code_begins_anew_after_a_wrong_one(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(*"00000001", "enter", "enter")
        await until(pilot, says(pilot, "fail"))
        await pilot.press(*CODE, "enter")
        await until(pilot, says(pilot, "pass"))

    assert [op["body"]["short_code"] for op in gate.park.ops] == [CODE]


async def test_R24_the_place_of_a_mistake_is_named_on_the_panel(gate: Gate) -> None:
    code = "8" + short_code(b"k" * 32, 7, 0)[1:7]
    code = next(code + check for check in CROCKFORD if look_at(code + check).code)
    assert look_at(code.replace("8", "B")).english.startswith("Character 1 ")
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(*code.replace("8", "B").lower(), "enter")
        await until(pilot, says(pilot, "fail", "8 instead of B?"))


async def test_a_hand_scanner_is_heard_behind_a_wrong_code(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press(*"00000001", "enter")
        await until(pilot, says(pilot, "fail"))
        scanner(pilot, token(1))
        await until(pilot, says(pilot, "pass"))

    assert gate.park.ops[0]["body"]["qr_token"] == token(1)


async def test_typed_Thai_letters_are_explained(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        pilot.app.post_message(events.Paste("ๅ/-ภถ"))
        await until(pilot, says(pilot, "ready", "switch it to English"))


# --- slips, figures, camera, sound ------------------------------------------------------


async def test_R54_F7_prints_the_slip_of_the_last_entry(gate: Gate, tmp_path: Path) -> None:
    gate.park.zone(slip=SlipPolicy.ON_KEY)
    paper = tmp_path / "paper.bin"
    gate.printer = PrinterTarget.parse(f"file:{paper}")
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, says(pilot, "ready"))
        await burst(pilot, CODE)
        await until(pilot, says(pilot, "pass", "F7 slip"))
        assert not paper.exists()
        await pilot.press("f7")
        await until(pilot, lambda: paper.exists() and paper.stat().st_size > 1000)
        await until(pilot, says(pilot, "pass", "Printing 1 slip."))
        await pilot.press("f7")
        await until(pilot, says(pilot, "pass", "No entry of the last minute"))


async def test_R54_a_dead_printer_is_told_and_delays_nobody(gate: Gate) -> None:
    gate.park.zone(slip=SlipPolicy.ALWAYS)
    gate.printer = PrinterTarget.parse("file:/nowhere/at/all/paper.bin")
    async with gate.app().run_test(notifications=True) as pilot:
        await burst(pilot, CODE)
        await until(pilot, says(pilot, "pass", "PRINTER FAULT"))
        gate.now += 5.0
        await burst(pilot, token(2))
        await until(pilot, says(pilot, "pass", "PRINTER FAULT 2 wait"))
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(pilot.app.screen, Help))
        for _ in range(4):
            await pilot.press("pagedown")
        await until(pilot, lambda: "create it or choose another" in read(pilot))


async def test_the_camera_is_shown_on_F9_where_there_is_room(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True, size=(120, 40)) as pilot:
        await until(pilot, says(pilot, "ready", "F9 camera"))
        assert "▀▀▀▀" not in row(pilot, 35)
        await pilot.press("f9")
        await until(pilot, lambda: "▀" * 40 in row(pilot, 35))
        await pilot.press("f9")
        await until(pilot, lambda: "▀▀▀▀" not in row(pilot, 35))


async def test_without_room_F9_says_what_it_needs(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, says(pilot, "ready"))
        await pilot.press("f9")
        await until(pilot, says(pilot, "ready", "window of 120x40"))
        gate.now += 10
        await until(pilot, says(pilot, "ready", "F1 help"))


async def test_a_pass_rings_the_terminal_once(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[int] = []
    monkeypatch.setattr(GateApp, "bell", lambda _: rings.append(1))
    gate.sound = SoundMode.BELL
    async with gate.app().run_test(notifications=True) as pilot:
        await burst(pilot, CODE)
        await until(pilot, says(pilot, "pass"))
        await until(pilot, lambda: rings)

    assert rings == [1]


async def test_the_figures_of_the_day_stand_there_after_a_restart(gate: Gate) -> None:
    async with gate.app().run_test(notifications=True) as pilot:
        await burst(pilot, CODE)
        await until(pilot, says(pilot, "pass", "today 1 in"))

    async with gate.app().run_test(notifications=True, size=(120, 40)) as pilot:
        await until(pilot, says(pilot, "ready", "today 1 in"))
        assert "since start 0 in" in read(pilot)
        assert "PASS" in read(pilot)
