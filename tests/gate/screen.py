"""The gate's app with what stands behind it, and what a test sees of its screen."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from textual import events
from textual.pilot import Pilot

from gate.answers import Answer, Scan, of_redemption
from gate.app import NO_PRINTER, GateApp
from gate.outages import Outages
from gate.screens.scan import ScanScreen
from gate.sounds import SoundMode
from gate.sources import Camera
from gate.station import Station
from playpark.contracts.catalog import PackageKind
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tickets import Direction, FailReason, RedemptionResult, RedemptionView
from playpark.device import DeviceStore
from playpark.printing.transport import PrinterTarget
from tests.gate.park import IDENTITY, NOW, SNAPSHOT, URL, Park, envelope
from tests.gate.pictures import Plug

SIZES = [(80, 24), (120, 40)]
CODE = "00000000"
Snap = Callable[..., bool]


class ZonePark(Park):
    """A park whose zones a test may set."""

    snapshot: CatalogSnapshot = SNAPSHOT

    def _answer(self, path: str, body: dict[str, Any]) -> httpx.Response:
        if path.endswith("/catalog/snapshot"):
            return envelope(self.snapshot.model_dump(mode="json"))
        return super()._answer(path, body)

    def zone(self, **changes: Any) -> None:
        """Change the zone at which the gate stands."""
        ball, water = self.snapshot.zones
        zones = [ball, water.model_copy(update=changes)]
        self.snapshot = self.snapshot.model_copy(update={"zones": zones})


class KnownStation(Station):
    """A station whose list and zone are as old and as full as a test says."""

    allow_list_age: timedelta | None = timedelta(seconds=7)  # type: ignore[assignment]
    occupancy: int | None = 642  # type: ignore[assignment]


class Gate:
    """An app with what stands behind it."""

    def __init__(self, folder: Path, *, paired: bool = True, camera: bool = True) -> None:
        self.folder = folder
        self.park = ZonePark()
        self.now = 100.0
        self.plug = Plug(pause=0.05)
        self.paired = paired
        self.camera = camera
        self.zone: str | None = "Water Park"
        self.direction: Direction | None = None
        self.site_key: str | None = None
        self.printer: PrinterTarget = NO_PRINTER
        self.sound = SoundMode.OFF
        self.outages = Outages()

    def app(self) -> GateApp:
        self.store = DeviceStore.open(self.folder / "device.db", self.park.clock)
        if self.paired and self.store.identity is None:
            self.store.save_identity(IDENTITY)
        source = Camera(0, opener=self.plug.open) if self.camera else None
        self.station = KnownStation(
            self.store,
            self.park.clock,
            source,
            api_url=URL,
            zone=self.zone,
            direction=self.direction,
            transport=self.park.transport,
            monotonic=lambda: self.now,
            outages=self.outages,
        )
        self.station.decoder.note = "pyzbar is off."  # also where it is installed
        return GateApp(
            self.station,
            site_key=self.site_key,
            name="Gate",
            sound=self.sound,
            printer=self.printer,
        )


def view(reason: FailReason | None = None, **changes: Any) -> RedemptionView:
    """What the server says to a ticket of ten entries, or why it refuses it."""
    fields: dict[str, Any] = {
        "redemption_id": "r1",
        "result": RedemptionResult.FAIL if reason else RedemptionResult.PASS,
        "reason": reason,
        "remaining": 2,
        "kind": PackageKind.MULTI,
        "ticket_id": "01K9ZZZZZZZZZZZZZZZZZZ0001",
        "message": "Welcome! 2 left.",
        "message_th": "ยินดีต้อนรับ เหลืออีก 2 ครั้ง",
        "package_name": "10 entries",
        "package_name_th": "บัตร 10 ครั้ง",
    }
    return RedemptionView(**fields | changes)


def scan(answer: Answer, number: int = 1, *, together: int | None = None, **changes: Any) -> Scan:
    """A scan that was recorded, answered at 15:42."""
    fields = {"code": f"…ZZZZ{number:04d}", "at": NOW, "op_id": f"op-{number}", "answer": answer}
    together = number if together is None else together
    return Scan(number=number, together=together, **fields | changes)


def passed(number: int = 1, **changes: Any) -> Scan:
    """An entry, as the server answered it."""
    return scan(of_redemption(view(), Direction.ENTRY), number, **changes)


async def until(pilot: Pilot[None], done: Callable[[], object]) -> None:
    async with asyncio.timeout(8):
        while not done():
            await pilot.pause(0.02)
    await pilot.pause()


def says(pilot: Pilot[None], level: str, text: str = "") -> Callable[[], bool]:
    """Whether the panel is in this state and something on the screen says `text`."""

    def look() -> bool:
        screen = pilot.app.screen
        if not isinstance(screen, ScanScreen) or not screen.query("#panel"):
            return False
        return screen.query_one("#panel").has_class(level) and text in read(pilot)

    return look


def read(pilot: Pilot[None]) -> str:
    """The text of the screen as it is drawn, row by row."""
    app = pilot.app
    width = app.size.width
    rows = [strip.crop(0, width).text for strip in app.screen._compositor.render_strips()]
    return "\n".join(rows)


def row(pilot: Pilot[None], number: int) -> str:
    """One row of it; nothing before it was drawn."""
    rows = read(pilot).splitlines()
    return rows[number] if number < len(rows) else ""


async def burst(pilot: Pilot[None], text: str) -> None:
    """Keys as a hand scanner sends them: `pilot.press` takes a tenth of a second for each."""
    await until(pilot, says(pilot, "ready"))
    for char in text:
        pilot.app.post_message(events.Key(char, char))
    pilot.app.post_message(events.Key("enter", "\r"))


async def settle(pilot: Pilot[None]) -> None:
    """Draw once more what is asked for at intervals only."""
    screen = pilot.app.screen
    assert isinstance(screen, ScanScreen)
    screen.renew()
    await pilot.pause()
