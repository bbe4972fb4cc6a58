"""The back office's app: pairing, login, the office; a server that is away is asked again."""

from collections.abc import Iterable

from textual import on
from textual.app import SystemCommand
from textual.screen import Screen

from admin_tui.office import Office
from admin_tui.screens.office import OfficeScreen
from admin_tui.widgets.pane import Pane
from playpark.tui import LoginScreen, PairingDetails, PairingScreen, ParkApp, Status

WATCH_S = 3.0


class AdminApp(ParkApp):
    """`known` fills the pairing form."""

    TITLE = "PlayPark back office"
    CSS_PATH = "office.tcss"

    def __init__(self, office: Office, known: PairingDetails) -> None:
        super().__init__()
        self._office = office
        self._known = known
        self._probing = False

    def on_mount(self) -> None:
        self.push_screen(self._login() if self._office.paired else self._pairing())
        self.set_interval(WATCH_S, self._watch)
        self._watch()

    async def on_unmount(self) -> None:
        await self._office.close()

    def status(self) -> Status:
        office, employee = self._office, self._office.employee
        parts = [office.park.name, "back office"]
        if employee is not None:
            roles = f" ({', '.join(employee.roles)})" if employee.roles else ""
            parts.append(f"{employee.name}{roles}")
        return Status(
            title=" · ".join(part for part in parts if part),
            now=office.park.local(office.now()),
            sync=office.connection,
        )

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        if not isinstance(screen, OfficeScreen):
            yield SystemCommand("Quit", "Leave the back office", self.action_quit)
            return
        for command in screen.available():
            action = command.action
            yield SystemCommand(
                command.title, command.help, lambda action=action: self._run(screen, action)
            )

    async def _run(self, screen: OfficeScreen, action: str) -> None:
        await screen.run_action(action)

    # --- the way in and out -------------------------------------------------------------

    def _pairing(self) -> PairingScreen:
        return PairingScreen(self._pair, self._known)

    def _login(self, notice: str = "") -> LoginScreen:
        return LoginScreen(self._log_in, self._office.recent_employees(), notice=notice)

    async def _pair(self, details: PairingDetails) -> None:
        await self._office.pair(details)
        self.switch_screen(self._login("Paired. Log in with your email address and PIN."))

    async def _log_in(self, email: str, pin: str, code: str | None) -> None:
        await self._office.log_in(email, pin, code)
        self.switch_screen(OfficeScreen(self._office))

    def action_log_out(self) -> None:
        if isinstance(self.screen, OfficeScreen):
            self.switch_screen(self._login("Logged out."))
            self.run_worker(self._office.log_out(), group="log out", exclusive=True)

    @on(Pane.LoginOver)
    def _login_over(self, event: Pane.LoginOver) -> None:
        # Two questions may end the same login: the first to come says it.
        if self._office.employee is not None:
            self._office.forget_login()
            self.switch_screen(self._login(event.sentence))

    # --- the server ---------------------------------------------------------------------

    def _watch(self) -> None:
        if self._office.idle and not self._probing:
            self._probing = True
            self.run_worker(self._probe(), group="watch")

    async def _probe(self) -> None:
        try:
            await self._office.probe()
        finally:
            self._probing = False
        connection = self._office.connection
        if connection is not None and connection.online:
            for screen in self.screen_stack:
                if isinstance(screen, OfficeScreen):
                    screen.retry()
