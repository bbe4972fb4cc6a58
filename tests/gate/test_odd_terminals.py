"""The status bar and every screen in terminals of any size, with names of any kind (SCREENS,
ATTACKS 36)."""

from datetime import timedelta
from pathlib import Path

import pytest

from gate.answers import CHECKING, of_redemption
from gate.screens.overlay import Overlay
from gate.screens.scan import ScanScreen
from playpark.contracts.tickets import Direction, FailReason
from playpark.printing.wording import display_width
from tests.gate.screen import Gate, KnownStation, passed, read, row, scan, until, view

KEYS = ("f1", "f2", "f5", "f6", "f8")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


# --- the status bar ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "says_"),
    [
        (timedelta(seconds=7), "allow-list 00:07 old"),
        (timedelta(hours=3, minutes=2, seconds=1), "allow-list 3:02:01 old"),
        (timedelta(hours=24), "allow-list 24:00:00 old"),
        (timedelta(hours=24, seconds=1), "allow-list OLD 24:00:01"),
        (timedelta(days=5), "allow-list OLD 5 days"),
        (None, "no list"),
    ],
    ids=["fresh", "hours", "limit", "old", "days", "none"],
)
async def test_the_age_of_the_list_is_always_there(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, age: timedelta | None, says_: str
) -> None:
    monkeypatch.setattr(KnownStation, "allow_list_age", age)
    async with gate.app().run_test(notifications=True) as pilot:
        await until(pilot, lambda: says_ in row(pilot, 0))


@pytest.mark.parametrize("size", [(40, 12), (60, 12), (80, 24), (120, 40)], ids=str)
async def test_a_name_of_200_letters_hides_nothing_of_the_status_bar(
    gate: Gate, size: tuple[int, int]
) -> None:
    gate.park.zone(name="ที่ปั๊มน้ำ [red]Zone[/x] " + "Z" * 200, name_th="ก" * 200)
    gate.zone = "z-water"
    async with gate.app().run_test(notifications=True, size=size) as pilot:
        parts = ("entry", "list 00:07", "ONLINE")
        await until(pilot, lambda: all(part in row(pilot, 0) for part in parts))

        assert display_width(row(pilot, 0)) == size[0]


# --- odd terminals ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 12), (20, 6), (200, 60)], ids=str)
async def test_every_screen_stands_in_any_terminal(gate: Gate, size: tuple[int, int]) -> None:
    evil = view(
        FailReason.EXPIRED, message="[x]\x1b[2J\u202e" + "ที่" * 300, package_name="[/b]" * 40
    )
    async with gate.app().run_test(notifications=True, size=size) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, ScanScreen))
        for number in range(1, 30):
            pilot.app.desk.take(scan(CHECKING, number, code="[blink]\x1b[5m"))
            answer = of_redemption(evil, Direction.ENTRY)
            pilot.app.desk.take(passed(number) if number % 2 else scan(answer, number))
        for key in (*KEYS, "f3", "f4", "f7", "f9"):
            await pilot.press(key)
            await pilot.pause()
            for line in read(pilot).splitlines():
                assert display_width(line) == size[0]
                assert "\x1b" not in line
            if isinstance(pilot.app.screen, Overlay):
                await pilot.press("escape")
        await pilot.resize_terminal(41, 11)
        await pilot.pause()
        assert isinstance(pilot.app.screen, ScanScreen)
