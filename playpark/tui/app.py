"""The frame of every program's app: theme, and what its status bar says."""

from dataclasses import dataclass
from datetime import datetime

from textual.app import App

from playpark.device.sync import SyncState
from playpark.tui.theme import PARK_THEME


@dataclass(frozen=True, slots=True)
class Status:
    """One moment of the status bar. `now` is in park time; `notes` stand left of the clock."""

    title: str
    now: datetime
    sync: SyncState | None = None
    notes: tuple[str, ...] = ()


class ParkApp(App[None]):
    """An app in the house's look. Subclasses tell their status."""

    TITLE = "PlayPark"

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(PARK_THEME)
        self.theme = PARK_THEME.name

    def status(self) -> Status:
        """What the status bar shows now; asked twice a second, so it must not block."""
        raise NotImplementedError
