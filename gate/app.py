"""The gate as a Textual app: pairing on the first start, then the scan screen."""

from pathlib import Path
from typing import ClassVar

from textual.worker import Worker, WorkerState

from gate.board import Board
from gate.screens.scan import ScanScreen
from gate.screens.zone import ZoneDialog
from gate.station import Station
from playpark.clock import park_zone
from playpark.errors import PlayParkError
from playpark.tui import PairingDetails, PairingScreen, ParkApp, Status


class GateApp(ParkApp):
    """Runs a station. `site_key` pairs it without questions on the first start."""

    TITLE = "PlayPark gate"
    CSS_PATH: ClassVar[Path] = Path(__file__).parent / "gate.tcss"

    def __init__(self, station: Station, *, site_key: str | None, name: str) -> None:
        super().__init__()
        self._station = station
        self._site_key = site_key
        self._device_name = name
        self._board = Board()
        self._stopped: str | None = None

    def status(self) -> Status:
        station = self._station
        store = station.store.identity.store if station.store.identity else None
        now = station.clock.now().astimezone(park_zone(store.tz if store else None))
        if station.store.identity is None:
            return Status("GATE · not paired yet", now)
        title = f"GATE {station.zone_name} · {station.admission.direction.value}"
        return Status(title, now, station.engine.state)

    async def on_mount(self) -> None:
        if self._station.store.identity is None and not self._site_key:
            self._ask_to_pair()
        else:
            self.run_worker(self._start(), group="start", exclusive=True)

    async def on_unmount(self) -> None:
        await self._station.close()

    # --- first start --------------------------------------------------------------------

    async def _start(self) -> None:
        try:
            await self._station.connect(site_key=self._site_key, name=self._device_name)
        except PlayParkError as refusal:
            if self._station.store.identity is None:
                self._ask_to_pair(refusal.message)
            else:  # such as a zone that is not there
                self.exit(return_code=1, message=f"playpark: {refusal.message}")
            return
        self._open()

    def _ask_to_pair(self, notice: str | None = None) -> None:
        known = PairingDetails(
            self._station.client.base_url, self._site_key or "", self._device_name
        )
        screen = PairingScreen(self._pair, known)
        self.push_screen(screen)
        if notice:
            self.call_after_refresh(screen.say, notice, refused=True)

    async def _pair(self, details: PairingDetails) -> None:
        await self._station.move(details.api_url)
        await self._station.connect(site_key=details.site_key, name=details.name)
        self._open()

    # --- at work ------------------------------------------------------------------------

    def _open(self) -> None:
        screen = ScanScreen(self._station, self._board, lambda: self._stopped)
        if isinstance(self.screen, PairingScreen):
            self.switch_screen(screen)
        else:
            self.push_screen(screen)
        self.run_worker(self._follow(screen), group="scans", exclusive=True, exit_on_error=False)

    async def _follow(self, screen: ScanScreen) -> None:
        async for scan in self._station.scans(live=True):
            self._board.take(scan, self._station.monotonic())
            if screen.is_mounted:
                screen.renew()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "scans" and event.state is WorkerState.ERROR:
            self._stopped = f"Scanning has stopped ({event.worker.error}): start the gate again."

    async def on_scan_screen_zone_asked(self) -> None:
        admission = self._station.admission

        def take(chosen: str | None) -> None:
            if chosen is not None:
                admission.zone_id = chosen or None

        self.push_screen(ZoneDialog(self._station.zones, admission.zone_id), take)
