"""Which zone this gate lets people into."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from playpark.contracts.catalog import ZoneView
from playpark.tui import Dialog, safe


class ZoneDialog(Dialog[str | None]):
    """The chosen zone's id, `""` for every zone, None where nothing was chosen."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("↑↓ Enter", "choose"), ("Esc", "back"))

    def __init__(self, zones: Sequence[ZoneView], current: str | None) -> None:
        super().__init__("Which zone is this gate at?")
        self._zones = zones
        self._current = current

    def fields(self) -> ComposeResult:
        choices = [("", "Every zone (park entrance)")]
        choices += [(zone.zone_id, f"{zone.name} / {zone.name_th}") for zone in self._zones]
        self._ids = [zone_id for zone_id, _ in choices]
        chooser = OptionList(*(Option(Text(safe(name))) for _, name in choices))
        chooser.highlighted = self._ids.index(self._current) if self._current in self._ids else 0
        yield chooser

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._ids[event.option_index])
