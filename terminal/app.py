"""The register's program: which screen is shown, and what runs beside it (SCREENS, PLATFORM).

Payments, sync and printing are workers of the app, so no screen that closes can end them.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from playpark.clock import Clock, park_zone
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.provider import HeartbeatAnswer
from playpark.contracts.timecards import TimecardEvent
from playpark.device import StoredOp
from playpark.device.faults import Switches
from playpark.device.park_clock import ParkClock
from playpark.errors import PlayParkError
from playpark.tui import (
    Confirm,
    LoginScreen,
    PairingDetails,
    PairingScreen,
    ParkApp,
    Status,
)
from terminal.actions import available, named, of_server, waiting
from terminal.counter import TillState
from terminal.flows.basket import BasketFlow
from terminal.flows.flow import Flow, Left
from terminal.flows.service import ServiceFlow
from terminal.qa_keys import QaKeys
from terminal.screens.close_shift import CloseShiftDialog
from terminal.screens.dialogs import PapersInDoubt
from terminal.screens.open_shift import OpenShiftScreen
from terminal.screens.register import RegisterScreen
from terminal.selling import SALE_DEADLINE_S
from terminal.till import Till

CATALOG_EVERY_S = 300.0
NO_DIALOG = 2
"""Screens on the stack while no dialog is open: Textual's own empty one, and ours."""

MakeTill = Callable[[str], Till]
"""A till that speaks to the API at this address. Raises PlayParkError where it is no address."""


class PosApp(ParkApp):
    """The register. `known` is what the command line tells of pairing."""

    CSS_PATH = "pos.tcss"
    TITLE = "PlayPark till"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("ctrl+q", "quit", "Quit"),
        ("ctrl+l", "log_out", "Log out"),
        ("ctrl+t", "settle_difference", "Difference"),
    ]

    def __init__(
        self, make_till: MakeTill, clock: Clock, known: PairingDetails, qa: QaKeys | None = None
    ) -> None:
        super().__init__()
        self._qa = qa or QaKeys(Switches(), enabled=False)
        self._make_till = make_till
        self._clock = clock
        self._known = known
        self._address = known.api_url
        self.till = make_till(known.api_url)
        self._heard: Till | None = None
        self._shown = self._stage

    def on_mount(self) -> None:
        self.push_screen(self._screen())
        self._start()
        self.set_interval(CATALOG_EVERY_S, self._refresh_catalog)

    def _start(self) -> None:
        """Begin what runs beside the screens, for the till of now."""
        if self._heard is not self.till:
            self._heard = self.till
            self.till.listen(self._changed)
            self.run_worker(self.till.papers.run(), group="papers", exclusive=True)
        if self.till.store.identity is not None:
            self.run_worker(self.till.engine.run_forever(), group="sync", exclusive=True)
            self.run_worker(
                self.till.heart(self._hear).run_forever(),
                group="heart",
                exclusive=True,
                exit_on_error=False,
            )

    # --- what is shown ------------------------------------------------------------------

    def status(self) -> Status:
        till, identity = self.till, self.till.store.identity
        store = identity.store if identity else None
        zone = park_zone(store.tz if store else None)
        parts = [store.name if store else "PlayPark"]
        if identity:
            parts.append(f"till {identity.device_code}")
        if till.employee:
            if till.counter.needs_pin:  # in front, where no narrow screen cuts it off
                parts.insert(0, f"{till.employee.name} (offline)")
            else:
                parts.append(till.employee.name)
        if till.shift:
            parts.append(f"shift {till.shift.occurred_at.astimezone(zone):%H:%M}")
        notes = (till.papers.printer_state,) if store else ()
        if unanswered := len(till.giving_back.waiting):
            notes = (f"{unanswered} NOT ANSWERED", *notes)
        if refused := till.store.quarantined_count():
            notes = (f"{refused} REFUSED", *notes)
        if isinstance(self._clock, ParkClock) and self._clock.warns:
            notes = ("CLOCK WRONG", *notes)
        if banner := self._qa.banner:
            notes = (banner, *notes)
        return Status(
            title=" · ".join(parts),
            now=self._clock.now().astimezone(zone),
            sync=till.engine.state if identity else None,
            notes=notes,
        )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: every action by name; what needs the server says so while it is away."""
        for key in self._qa.keys:
            yield SystemCommand(key.title, key.help, partial(self._qa.press, key))
        if isinstance(screen, RegisterScreen):
            for action in available(self.till):
                yield SystemCommand(
                    f"{action.title} ({action.label})",
                    action.help,
                    partial(screen.post_message, RegisterScreen.Chosen(action.name)),
                )
            for action in waiting(self.till):
                yield SystemCommand(
                    f"{action.title} ({action.label}): needs the server",
                    "It does not answer now.",
                    partial(screen.post_message, RegisterScreen.Chosen(action.name)),
                )
        else:
            if isinstance(screen, OpenShiftScreen) and self.till.drawer.unsettled:
                settle = named("difference")
                yield SystemCommand(
                    f"{settle.title} ({settle.label})", settle.help, self.action_settle_difference
                )
            yield SystemCommand("Quit (^Q)", "Close the program.", self.action_quit)

    @property
    def _stage(self) -> TillState:
        """The till's state as far as it decides on the screen."""
        return TillState.SELLING if self.till.state is TillState.PAYING else self.till.state

    def _screen(self) -> Screen[Any]:
        match self._stage:
            case TillState.UNPAIRED:
                return PairingScreen(self._pair, self._known)
            case TillState.LOGGED_OUT:
                return LoginScreen(self._log_in, self.till.store.recent_employees())
            case TillState.NO_SHIFT:
                return OpenShiftScreen(self.till)
            case _:
                return RegisterScreen(self.till)

    def _changed(self) -> None:
        """The till says that something is new."""
        self._route()
        for screen in self.screen_stack:
            if not screen.is_running:
                continue
            if isinstance(screen, RegisterScreen):
                screen.renew()
            elif isinstance(screen, CloseShiftDialog):
                screen.show(self.till.closing)
            elif isinstance(screen, OpenShiftScreen):
                screen.renew()

    def _route(self, _answer: object = None) -> None:
        """Show the screen that the till's state asks for; no dialog is taken away."""
        if len(self.screen_stack) == NO_DIALOG and self._shown is not self._stage:
            self._shown = self._stage
            self.switch_screen(self._screen())

    # --- device and people --------------------------------------------------------------

    async def _pair(self, details: PairingDetails) -> None:
        if details.api_url != self._address:
            fresh = self._make_till(details.api_url)
            await self.till.close()
            self._address, self.till = details.api_url, fresh
        try:
            await self.till.pair(details.site_key, details.name)
        finally:
            # Also where it waits for its approval: it comes while the screen is looked at.
            self._start()
            self._route()

    async def _log_in(self, email: str, pin: str, code: str | None) -> None:
        await self.till.log_in(email, pin, code)
        self.run_worker(self.till.papers.resume(self.till.papers.due, SALE_DEADLINE_S))

    def action_log_out(self) -> None:
        if self._stage is TillState.NO_SHIFT:
            self.run_worker(self.till.log_out(), group="log_out")

    def action_settle_difference(self) -> None:
        """Between two shifts; in one it is a key of the register."""
        if isinstance(self.screen, OpenShiftScreen):
            flow = ServiceFlow(self, self.till)
            self.run_worker(self._told(flow.difference()), group="flow", exclusive=True)

    def _hear(self, answer: HeartbeatAnswer) -> None:
        """The server answers a heartbeat: newer prices are fetched at once (R46), and the
        certificate for offline tickets is renewed in time (R22). QA may have set its switches."""
        self._qa.switches.heard(answer)
        self.run_worker(self.till.renew_certificate(), group="certificate", exclusive=True)
        catalog = self.till.counter.catalog
        if catalog is not None and answer.catalog_version > catalog.catalog_version:
            self._refresh_catalog()

    def _refresh_catalog(self) -> None:
        if self._stage is TillState.SELLING and self.till.engine.online:
            self.run_worker(self.till.refresh_catalog(), group="catalog", exclusive=True)

    # --- what the register asks for -----------------------------------------------------

    def on_register_screen_recorded(self, event: RegisterScreen.Recorded) -> None:
        # Never exclusive: the next sale must not end the one before.
        self.run_worker(self.till.deliver(event.op), group="pay")

    def on_register_screen_wanted(self, event: RegisterScreen.Wanted) -> None:
        match event.name:
            case "print":
                self._print_waiting()
            case "close_shift":
                self.push_screen(CloseShiftDialog(self.till.close_shift), self._route)
            case "log_out":
                self.run_worker(self.till.log_out(), group="log_out")
            case "quit":
                self.run_worker(self.action_quit(), group="quit")
            case name if name in set(TimecardEvent):
                self.run_worker(self._told(self.till.drawer.clock(TimecardEvent(name))))
            case _:
                self._flow(event)

    def on_close_shift_dialog_settle(self, event: CloseShiftDialog.Settle) -> None:
        flow = ServiceFlow(self, self.till)
        settle = flow.accept_difference if event.name == "accept_difference" else flow.recount
        self.run_worker(self._told(settle()), group="flow", exclusive=True)

    def _flow(self, event: RegisterScreen.Wanted) -> None:
        """Dialogs in a row, in a worker of the app; the register takes no keys meanwhile."""
        self.run_worker(self._run_flow(event), group="flow", exclusive=True)

    async def _run_flow(self, event: RegisterScreen.Wanted) -> None:
        basket, service = BasketFlow(self, self.till), ServiceFlow(self, self.till)
        flows: dict[str, Callable[[], Awaitable[object]]] = {
            "discount": lambda: basket.discount(event.line, event.text),
            "promo": lambda: basket.promo(event.text),
            "guest": lambda: basket.guest(event.text),
            "park": lambda: basket.park(event.text),
            "resume": basket.resume,
            "exact": lambda: basket.cash(None),
            "tender": lambda: basket.cash(event.satang),
            "card": lambda: basket.take(PaymentMethod.CARD),
            "qr": lambda: basket.take(PaymentMethod.QR),
            "split": basket.split,
            "find": lambda: service.find(event.text),
            "move_cash": service.move_cash,
            "x_report": service.x_report,
            "quarantine": service.quarantine,
            "export": service.export,
            "difference": service.difference,
        }
        try:
            done = await self._told(self._with_server(basket, event.name, flows[event.name]))
            if isinstance(done, StoredOp):
                self.run_worker(self.till.deliver(done), group="pay")
        finally:
            for screen in self.screen_stack:
                if isinstance(screen, RegisterScreen):
                    screen.held = False
                    screen.renew()

    async def _with_server(
        self, flow: Flow, name: str, begin: Callable[[], Awaitable[object]]
    ) -> object:
        """Begin a flow; what needs the server sees to it first that it can be asked (R39)."""
        if (action := of_server(name)) is not None:
            await flow.server(action.needed_for)
        return await begin()

    async def _told(self, doing: Awaitable[object]) -> object:
        """What was done; a refusal is told, and a dialog that was left is no refusal."""
        try:
            return await doing
        except Left:
            return None
        except PlayParkError as refused:
            self.till.tell(refused.message, refused=True)
            return None

    async def action_quit(self) -> None:
        """Quit; a sale that is being rung is asked about first."""
        if not self.till.basket:
            self.exit()
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self.exit()

        self.push_screen(Confirm("Quit now?", "The basket is not sold and will be lost."), answered)

    def _print_waiting(self) -> None:
        papers = self.till.papers
        if papers.due:
            self.run_worker(self.till.print_due(), group="print")
        if not (doubtful := papers.doubtful):
            return

        def answered(again: bool | None) -> None:
            if again:
                self.run_worker(papers.resume(doubtful, SALE_DEADLINE_S), group="print")
            elif again is False:
                self.run_worker(papers.are_on_paper(doubtful, SALE_DEADLINE_S), group="print")

        self.push_screen(PapersInDoubt(papers.describe(doubtful)), answered)
