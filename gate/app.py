"""The gate as a Textual app: pairing on the first start, then the scan screen."""

from pathlib import Path
from typing import ClassVar

from textual.worker import Worker, WorkerState

from gate.answers import Level, Scan
from gate.desk import Desk
from gate.screens.annul import AnnulQuestion
from gate.screens.overlay import ReadOnly
from gate.screens.scan import ScanScreen
from gate.screens.views import AllFigures, Help, LastScans
from gate.screens.zone import Choice, ZoneQuestion
from gate.slips import Slips
from gate.sounds import SoundMode, Sounds
from gate.station import Station
from playpark.contracts.tickets import Direction
from playpark.errors import PlayParkError
from playpark.printing.transport import PrinterTarget, TargetKind
from playpark.tui import PairingDetails, PairingScreen, ParkApp, Status

NO_PRINTER = PrinterTarget(TargetKind.NONE)


class GateApp(ParkApp):
    """Runs a station. `site_key` pairs it without questions on the first start."""

    TITLE = "PlayPark gate"
    CSS_PATH: ClassVar[Path] = Path(__file__).parent / "gate.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        station: Station,
        *,
        site_key: str | None,
        name: str,
        sound: SoundMode = SoundMode.BELL,
        printer: PrinterTarget = NO_PRINTER,
    ) -> None:
        super().__init__()
        self._station = station
        self._site_key = site_key
        self._device_name = name
        sounds = Sounds(sound, station.store.folder / "sounds", self.bell)
        slips = Slips(printer, station.store, monotonic=station.monotonic)
        station.printer = lambda: slips.state
        self.desk = Desk(station, sounds, slips)

    def status(self) -> Status:
        if self._station.store.identity is None:
            return Status("GATE · not paired yet", self.desk.now)
        return Status("GATE", self.desk.now, self._station.engine.state)

    async def on_mount(self) -> None:
        if self._station.store.identity is None and not self._site_key:
            self._ask_to_pair()
        else:
            self.run_worker(self._start(), group="start", exclusive=True)

    async def on_unmount(self) -> None:
        await self.desk.close()
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
        await self._open()

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
        await self._open()

    # --- at work ------------------------------------------------------------------------

    async def _open(self) -> None:
        await self.desk.restore()
        self._scan_screen = screen = ScanScreen(self.desk)
        if isinstance(self.screen, PairingScreen):
            self.switch_screen(screen)
        else:
            self.push_screen(screen)
        self.run_worker(self._follow(screen), group="scans", exclusive=True, exit_on_error=False)

    async def _follow(self, screen: ScanScreen) -> None:
        async for scan in self._station.scans(live=True):
            self.desk.take(scan)
            if scan.answer.level is Level.CHECKING and isinstance(self.screen, ReadOnly):
                self.screen.go()  # somebody stands there: the answer comes first
            if screen.is_mounted:
                screen.renew()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "scans" and event.state is WorkerState.ERROR:
            problem = f"Scanning has stopped ({event.worker.error}): start the gate again."
            self.desk.stopped = problem

    # --- keys ---------------------------------------------------------------------------

    async def on_scan_screen_asked(self, event: ScanScreen.Asked) -> None:
        entry = self._scan_screen.entry
        match event.what:
            case "help":
                keys = list(self._scan_screen.keys_now())
                self.push_screen(Help(self.desk, entry, keys))
            case "scans":
                self.push_screen(LastScans(self.desk, entry))
            case "figures":
                self.push_screen(AllFigures(self.desk, entry))
            case "zone":
                self.push_screen(ZoneQuestion(self.desk, entry), self._stand_at)
            case "annul":
                self.push_screen(AnnulQuestion(self.desk, entry), self._annul)
            case _:
                admission = self._station.admission
                entering = admission.direction is Direction.ENTRY
                other = Direction.EXIT if entering else Direction.ENTRY
                self._stand_at((admission.zone_id, other))

    def _stand_at(self, chosen: Choice | None) -> None:
        if chosen is not None:
            self.run_worker(self._station.stand_at(*chosen), group="place")

    def _annul(self, scan: Scan | None) -> None:
        if scan is not None:
            self.run_worker(self._take_back(scan), group="annul")

    async def _take_back(self, scan: Scan) -> None:
        self._scan_screen.say("The entry is being taken back …")
        answer = await self.desk.annul(scan)
        self._scan_screen.say(f"{scan.code}: {answer.detail_en}")
        self._scan_screen.renew()
