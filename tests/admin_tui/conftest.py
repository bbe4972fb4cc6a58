"""Back offices on a pilot, and how to wait for what they show."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from admin_tui.app import AdminApp
from playpark.clock import FixedClock
from playpark.device import DeviceStore
from tests.admin_tui.canned import NOW, CannedPark, canned_app, open_store

Key = Pilot[None]


@pytest.fixture(autouse=True)
def calm_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def park() -> CannedPark:
    return CannedPark()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def unpaired(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore.open(tmp_path / "device.db", FixedClock(NOW)) as store:
        yield store


@pytest.fixture
def app(park: CannedPark, store: DeviceStore) -> AdminApp:
    return canned_app(park, store)


async def until(pilot: Key, condition: Callable[[], bool], what: str) -> None:
    """Wait at most ten seconds for a condition of the screen."""
    for _ in range(500):
        await asyncio.sleep(0.02)
        if condition():
            return
    pytest.fail(f"never came: {what}\n{screen_text(pilot)}")


def screen_text(pilot: Key) -> str:
    """What stands on the screen, line by line."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def shows(pilot: Key, text: str) -> None:
    await until(pilot, lambda: text in screen_text(pilot), text)


async def type_login(pilot: Key, email: str, pin: str) -> None:
    """Fill the login form and send it."""
    await until(pilot, lambda: bool(pilot.app.screen.query("#pin")), "the login form")
    screen = pilot.app.screen
    screen.query_one("#who", Input).value = email
    field = screen.query_one("#pin", Input)
    field.value = pin
    field.focus()
    await pilot.press("enter")


async def enter_office(
    pilot: Key, email: str = "supervisor@demo.playpark", pin: str = "9999"
) -> None:
    """Log in and wait until the dashboard has been read."""
    await type_login(pilot, email, pin)
    await shows(pilot, "read at")
    await shows(pilot, "Active devices")


def tiles(pilot: Key) -> dict[str, str]:
    """The dashboard's figures by their titles."""
    cards = [
        str(card.render()).split("\n") for card in pilot.app.screen.query(".tile").results(Static)
    ]
    return {title: figure for title, figure, _ in cards}


def rows(pilot: Key) -> list[str]:
    """The rows of the table as text."""
    table = pilot.app.screen.query_one(DataTable)
    return [
        " ".join(str(cell).strip() for cell in table.get_row_at(index))
        for index in range(table.row_count)
    ]
