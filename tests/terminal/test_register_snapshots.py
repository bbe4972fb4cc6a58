"""How the register looks at 80x24 and 120x40; `pytest --snapshot-update` accepts a new look."""

from datetime import timedelta

import pytest
from textual.pilot import Pilot

from playpark.device import LineMode, PrintState, SyncEngine
from terminal.screens.quarantine import QuarantineDialog
from terminal.screens.register import RegisterScreen
from tests.terminal.alone import PLAIN, certify
from tests.terminal.conftest import until

_COUNTDOWN = {LineMode.OFFLINE: 7.0, LineMode.SLOW: 4.0}
SIZES = [(80, 24), (120, 40)]
pytestmark = pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])


async def _in_a_shift(pilot: Pilot[None]) -> None:
    till = pilot.app.till
    await till.log_in("cashier@demo.playpark", "1111")
    await till.open_shift(200000)
    await until(lambda: isinstance(pilot.app.screen, RegisterScreen))
    await until(lambda: till.engine.online)
    await pilot.pause()


async def _renewed(pilot: Pilot[None]) -> None:
    pilot.app.till.tell(pilot.app.till.notice.text, pilot.app.till.notice.refused)
    await pilot.pause()


async def _sell(pilot: Pilot[None], *keys: str) -> None:
    till = pilot.app.till
    await pilot.press(*keys, "enter")
    await until(lambda: till.last_sales and till.last_sales[0].printing is PrintState.PRINTED)
    await _renewed(pilot)


def test_basket(desk, snap_compare, size):
    async def ring(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sell(pilot, "f1", "5", "0", "0")
        await pilot.press("f1", "2", "f2", "f3", "f4", "up", "1", "0", "0", "0")
        await pilot.pause()

    assert snap_compare(desk.app(), terminal_size=size, run_before=ring)


def test_change_stays(desk, snap_compare, size):
    async def sell(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await _sell(pilot, "f1", "f2", "5", "0", "0")

    assert snap_compare(desk.app(), terminal_size=size, run_before=sell)


@pytest.fixture
def steady(monkeypatch):
    """The countdown to the next try stands still."""
    monkeypatch.setattr(SyncEngine, "_back_in", lambda _engine, mode: _COUNTDOWN.get(mode))


def test_offline(desk, snap_compare, size, steady, monkeypatch):
    desk.sells(PLAIN)
    certify(desk, monkeypatch)

    async def go_offline(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        till = pilot.app.till
        desk.park.down = True
        await till.engine.drain()
        await _sell(pilot, "f1", "5", "0", "0")
        await _sell(pilot, "f1", "f1")
        await until(lambda: till.engine.mode is LineMode.OFFLINE)
        desk.clock.advance(timedelta(seconds=42))
        await _renewed(pilot)

    assert snap_compare(desk.app(), terminal_size=size, run_before=go_offline)


def test_quarantine(desk, snap_compare, size):
    async def refuse(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        desk.park.refuse = "Two lines of this sale have the same ticket: call support."
        for key in ("f1", "f3"):
            await pilot.press(key, "enter")
            await until(lambda: not pilot.app.till.engine.queued)
        await pilot.press("ctrl+k")
        await until(lambda: isinstance(pilot.app.screen, QuarantineDialog))
        await pilot.press("down")
        await pilot.pause()

    assert snap_compare(desk.app(), terminal_size=size, run_before=refuse)


def test_find_list(desk, snap_compare, size):
    async def find(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("f7", *"pa", "down")
        await pilot.pause()

    assert snap_compare(desk.app(), terminal_size=size, run_before=find)


def test_close_shift_count(desk, snap_compare, size):
    async def count(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("2", "enter", "enter", "1", "5", "enter")
        await pilot.pause()

    assert snap_compare(desk.app(), terminal_size=size, run_before=count)


def test_close_shift_result(desk, snap_compare, size):
    async def close(pilot: Pilot[None]) -> None:
        await _in_a_shift(pilot)
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("2", "ctrl+e")
        await until(lambda: pilot.app.till.closing and pilot.app.till.closing.closed)
        await pilot.pause()

    assert snap_compare(desk.app(), terminal_size=size, run_before=close)


def test_login(desk, snap_compare, size):
    async def wait(pilot: Pilot[None]) -> None:
        await until(lambda: pilot.app.till.engine.online)
        await pilot.pause(0.6)

    assert snap_compare(desk.app(), terminal_size=size, run_before=wait)
