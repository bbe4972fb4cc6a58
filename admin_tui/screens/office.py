"""The screen: sidebar, the page that is shown, the keys that work now."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import ContentSwitcher, OptionList, Static

from admin_tui.commands import (
    CHOOSE_KEY,
    COMMANDS,
    FILTER_KEYS,
    PAGES_KEY,
    PALETTE_KEY,
    Command,
)
from admin_tui.house.settling import Left, Settling
from admin_tui.office import Office
from admin_tui.pages import DASHBOARD, LISTS
from admin_tui.widgets.dashboard import Dashboard
from admin_tui.widgets.detail import DetailPane
from admin_tui.widgets.list_pane import FilterInput, ListPane
from admin_tui.widgets.pane import Pane
from admin_tui.widgets.sidebar import Sidebar
from playpark.contracts.sync import DeadLetterView, Resolve
from playpark.errors import PlayParkError
from playpark.tui import StatusBar, keys_text


class OfficeScreen(Screen[None]):
    """Holds the dashboard and the one list; `place` names the page that is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(command.key, command.action, command.title)
        for command in COMMANDS
        if not command.action.startswith("app.")
    ]

    def __init__(self, office: Office) -> None:
        super().__init__()
        self._office = office
        self.place = DASHBOARD

    def compose(self) -> ComposeResult:
        yield StatusBar()
        with Horizontal(id="office"):
            yield Sidebar()
            with ContentSwitcher(initial=DASHBOARD):
                yield Dashboard(self._office, id=DASHBOARD)
                yield ListPane(self._office, next(iter(LISTS.values())), id="list")
        yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        self.action_go(DASHBOARD)

    @property
    def pane(self) -> Pane:
        """What is shown beside the sidebar."""
        return self.query_one(Dashboard) if self.place == DASHBOARD else self._list

    @property
    def _list(self) -> ListPane:
        return self.query_one(ListPane)

    def retry(self) -> None:
        """The server answers again: read what could not be read."""
        if self.pane.failed:
            self.pane.refresh_rows()

    # --- keys ---------------------------------------------------------------------------

    def available(self) -> list[Command]:
        """The commands that do something now."""
        return [command for command in COMMANDS if self._works(command.action)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return self._works(action)

    def _works(self, action: str) -> bool:
        on_list = self.place != DASHBOARD
        listed = on_list and bool(self._list.table.display)
        detail_open = on_list and self._list.detail.is_open
        conditions = {
            "filter": listed and self._list.can_filter,
            "next_page": listed and self._list.can_go_on,
            "settle": listed and self._list.waiting is not None,
            "previous_page": listed and self._list.can_go_back,
            "open_detail": listed
            and self._list.has_rows
            and not (self._choosing or isinstance(self.focused, DetailPane)),
            "close_detail": detail_open or self._filtering,
        }
        return conditions.get(action.partition("(")[0], True)

    @property
    def _filtering(self) -> bool:
        return isinstance(self.focused, FilterInput)

    @property
    def _choosing(self) -> bool:
        return isinstance(self.focused, Sidebar)

    @on(Pane.Changed)
    def show_keys(self) -> None:
        """Name the keys that work now, and the connection as it is now."""
        self.query_one(StatusBar).renew()
        if self._filtering:
            keys = [*FILTER_KEYS, PALETTE_KEY]
        else:
            keys = [CHOOSE_KEY] if self._choosing else [PAGES_KEY]
            row = [(command.shown, command.label) for command in self.available()]
            keys += [(shown, label) for shown, label in row if shown]
            keys.insert(-1, PALETTE_KEY)
        self.query_one("#keys", Static).update(keys_text(keys))
        self.refresh_bindings()

    def on_descendant_focus(self) -> None:
        self.show_keys()

    # --- actions ------------------------------------------------------------------------

    def action_go(self, name: str) -> None:
        self.place = name
        self.query_one(Sidebar).mark(name)
        self.query_one(ContentSwitcher).current = DASHBOARD if name == DASHBOARD else "list"
        if name == DASHBOARD:
            self.pane.refresh_rows()
        else:
            self._list.show(LISTS[name])
        self.pane.take_focus()
        self.show_keys()

    @on(OptionList.OptionSelected, "#sidebar")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option_id:
            self.action_go(event.option_id)

    def action_refresh(self) -> None:
        self.pane.refresh_rows()

    def action_next_page(self) -> None:
        self._list.next_page()

    def action_previous_page(self) -> None:
        self._list.previous_page()

    def action_filter(self) -> None:
        self._list.start_filter()

    def action_open_detail(self) -> None:
        self._list.open_detail()

    def action_settle(self, action: str) -> None:
        letter = self._list.waiting
        if letter is not None:
            doing = self._settle(letter, Resolve(action))
            self.app.run_worker(doing, group="settle", exclusive=True)

    async def _settle(self, letter: DeadLetterView, action: Resolve) -> None:
        try:
            done = await Settling(self.app, self._office).settle(letter, action)
        except Left:
            return
        except PlayParkError as refused:
            self._list.notice(refused.message, warn=True)
            return
        self.notify(done, markup=False)
        self._list.refresh_rows()

    def action_close_detail(self) -> None:
        if self._filtering:
            self._list.clear_filter()
        else:
            self._list.close_detail()

    async def action_log_out(self) -> None:
        await self.run_action("app.log_out")
