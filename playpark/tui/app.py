"""The frame of every program's app: theme, and what its status bar says."""

import codecs
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from textual.app import App

from playpark.device.sync import SyncState
from playpark.tui.theme import PARK_THEME

if sys.platform != "win32":
    from textual.drivers import linux_driver


@dataclass(frozen=True, slots=True)
class Status:
    """One moment of the status bar. `now` is in park time; `notes` stand left of the clock."""

    title: str
    now: datetime
    sync: SyncState | None = None
    notes: tuple[str, ...] = ()


def _forgiving(encoding: str) -> partial[codecs.IncrementalDecoder]:
    """A decoder that reads bytes of another code page as �, where Textual's own would end the
    program: scanners and terminals send such bytes, and a till must not lose its basket."""
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


if sys.platform != "win32":
    # Textual has no setting for it; its input thread looks this name up when it starts.
    linux_driver.getincrementaldecoder = _forgiving  # type: ignore[attr-defined, assignment]


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
