"""How the back office looks: compared with the pictures in __snapshots__."""

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from admin_tui.app import AdminApp
from tests.admin_tui.canned import CannedPark
from tests.admin_tui.conftest import enter_office, shows

Compare = Callable[..., bool]
SMALL, LARGE = (80, 24), (120, 40)


@pytest.mark.parametrize(
    ("size", "keys", "text"),
    [
        (SMALL, [], "Amount today"),
        (LARGE, [], "Amount today"),
        (SMALL, ["2", "slash", "c", "a"], "4 of 5"),
        (LARGE, ["2"], "clock clamped"),
        (SMALL, ["2", "enter"], "Sale M01-S000041"),
        (LARGE, ["2", "enter"], "Sale M01-S000041"),
        (SMALL, ["3"], "10.00 short"),
        (LARGE, ["4"], "Water gate 1"),
        (SMALL, ["5"], "pending"),
        (SMALL, ["6"], "M01-S000012"),
        (LARGE, ["6", "enter"], "Why it is here"),
    ],
)
def test_a_page(
    snap_compare: Compare, app: AdminApp, size: tuple[int, int], keys: list[str], text: str
) -> None:
    async def walk(pilot: Pilot[None]) -> None:
        await enter_office(pilot)
        if keys:
            await pilot.press(keys[0])
            await shows(pilot, "page 1")
            await pilot.press(*keys[1:])
        await shows(pilot, text)

    assert snap_compare(app, terminal_size=size, run_before=walk)


def test_a_server_that_is_away(snap_compare: Compare, app: AdminApp, park: CannedPark) -> None:
    async def walk(pilot: Pilot[None]) -> None:
        await enter_office(pilot)
        park.down = True
        await pilot.press("2")
        await shows(pilot, "does not answer")
        await shows(pilot, "OFFLINE")

    assert snap_compare(app, terminal_size=SMALL, run_before=walk)


def test_a_page_without_permission(snap_compare: Compare, app: AdminApp, park: CannedPark) -> None:
    async def walk(pilot: Pilot[None]) -> None:
        park.permissions = []
        await enter_office(pilot)
        await pilot.press("2")
        await shows(pilot, "people who may view reports")

    assert snap_compare(app, terminal_size=SMALL, run_before=walk)
