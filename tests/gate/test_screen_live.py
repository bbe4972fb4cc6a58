"""The gate's screen against the real server: in, taken back, in again (R20, R50, R51)."""

from pathlib import Path

import httpx
from textual import events
from textual.pilot import Pilot

from gate.app import GateApp
from gate.screens.annul import AnnulQuestion
from gate.sounds import SoundMode
from gate.station import Station
from playpark.clock import SystemClock
from playpark.device import DeviceStore
from playpark.ids import new_ulid
from tests.gate.screen import says, until
from tests.outside import Outsider

SITE_KEY = "DEMO-MAIN-GATE"


async def show(pilot: Pilot[None], text: str) -> None:
    for char in text:
        pilot.app.post_message(events.Key(char, char))
    pilot.app.post_message(events.Key("enter", "\r"))


async def test_R50_an_entry_is_taken_back_at_the_gate_and_the_ticket_admits_again(
    api_url: str, tmp_path: Path
) -> None:
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        pos = await Outsider(http).pair("POS")
        await pos.staff()
        await pos.open_shift()
        sale = await pos.sell(("Adult day pass", 1), key=new_ulid())
    token = sale["tickets"][0]["qr_token"]
    clock = SystemClock()
    store = DeviceStore.open(tmp_path / "device.db", clock)
    station = Station(store, clock, None, api_url=api_url, zone="Ball Pit", deadline=5.0)
    app = GateApp(station, site_key=SITE_KEY, name="Gate 1", sound=SoundMode.OFF)

    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until(pilot, says(pilot, "ready", "GATE Ball Pit · entry"))
        await show(pilot, token)
        await until(pilot, says(pilot, "pass", "today 1 in"))

        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, AnnulQuestion))
        await pilot.press("f8")
        await until(pilot, says(pilot, "annulled", "today 0 in"))

        await pilot.press(*sale["tickets"][0]["short_code"], "enter")
        await until(pilot, says(pilot, "pass", "today 1 in"))
        assert "annulled" in "".join(str(row) for row in app.desk.board.rows())
