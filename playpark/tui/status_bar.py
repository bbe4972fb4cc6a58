"""The first row of every screen: where, who, connected or not, what time it is (SCREENS)."""

from datetime import datetime
from math import ceil

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from playpark.device.sync import LineMode, SyncState
from playpark.printing.wording import display_width
from playpark.tui.app import ParkApp, Status
from playpark.tui.text import fit, safe
from playpark.tui.theme import BRIGHT, MUTED, WARN

REFRESH_S = 0.5


def connection_text(sync: SyncState, now: datetime) -> Text:
    """A sign, a word and how long: `● ONLINE`, `▲ SENDING 120/400` while the queue of an outage is
    sent, `◐ SLOW 1 queued ↻4s`, `○ OFFLINE 3 queued 00:42 ↻7s`: seconds until it is tried again."""
    queued = f" {sync.queued} queued" if sync.queued else ""
    if sync.progress is not None:
        return Text(f"▲ SENDING {sync.progress.done:,}/{sync.progress.total:,}", style=BRIGHT)
    if sync.online:
        return Text(f"● ONLINE{queued}", style=BRIGHT)
    again = "" if sync.back_in is None else f" ↻{max(ceil(sync.back_in), 1)}s"
    if sync.mode is LineMode.SLOW:
        return Text(f"◐ SLOW{queued}{again}", style=f"bold {WARN}")
    if sync.last_error is None:
        return Text(f"○ CONNECTING{queued}", style=MUTED)
    return Text(f"○ OFFLINE{queued} {_lasted(sync, now)}{again}", style=f"bold {WARN}")


def _lasted(sync: SyncState, now: datetime) -> str:
    seconds = max(int((now - sync.since).total_seconds()), 0)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


class StatusBar(Widget):
    """Draws the app's status; it asks for it by itself."""

    DEFAULT_CSS = """
    StatusBar { dock: top; height: 1; background: $panel; color: $foreground; }
    """

    shown: reactive[Status | None] = reactive(None)

    def on_mount(self) -> None:
        self.renew()
        self.set_interval(REFRESH_S, self.renew)

    def renew(self) -> None:
        """Ask the app now instead of at the next tick."""
        if isinstance(self.app, ParkApp):
            self.shown = self.app.status()

    def render(self) -> Text:
        status = self.shown
        if status is None:
            return Text()
        right = Text()
        if status.sync is not None:
            right.append_text(connection_text(status.sync, status.now))
        for note in status.notes:
            right.append(f"   {safe(note)}" if right else safe(note), style=MUTED)
        right.append(f"   {status.now:%H:%M} ")
        room = max(self.size.width - display_width(right.plain) - 2, 0)
        return Text.assemble(" ", fit(status.title, room), " ", right, no_wrap=True)
