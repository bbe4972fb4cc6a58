"""The last rows: the code that is being typed, or the keys that work now (SCREENS, R24)."""

from collections.abc import Callable, Sequence

from rich.text import Text

from gate.entry import LONGEST_KEPT, Entry
from gate.typed import LENGTH
from gate.widgets.drawn import Drawn
from playpark.printing.wording import display_width
from playpark.tui import fit, keys_text, safe
from playpark.tui.theme import ACCENT, GOOD, MUTED, WARN

INVITES = ("Type the 8 characters below the QR code, then Enter. Esc: back", "พิมพ์รหัส 8 ตัวใต้ QR")
LEAST_NEEDED = ("Ctrl+Q", "F9", "F6", "F5", "F3", "F2", "F7", "F8", "F4")
"""F1 lists them all, so it stays."""
Key = tuple[str, str]


class EntryLine(Drawn):
    """`keys` are those that work now, `notice` a sentence that stands there for a moment."""

    def __init__(
        self, entry: Entry, keys: Callable[[], Sequence[Key]], notice: Callable[[], str | None]
    ) -> None:
        super().__init__(id="entry")
        self._entry = entry
        self._keys = keys
        self._notice = notice

    def renew(self) -> None:
        self.set_class(self._entry.is_open, "open")
        super().renew()

    def draw(self) -> Text:
        width = self.size.width
        if self._entry.text or self._entry.is_open:
            return self._typing(width)
        if notice := self._notice():
            return Text(fit(f" {notice}", width), style=f"bold {WARN}")
        return _keys_row(self._keys(), width)

    def _typing(self, width: int) -> Text:
        text = self._entry.text
        if len(text) > LONGEST_KEPT:
            return Text(f" ▸ {safe(text)[-max(1, width - 4) :]}", style="bold", no_wrap=True)
        typed = self._entry.typed
        shown = safe(typed.shown)
        empty = "____-____"[len(shown) :] if display_width(shown) <= LENGTH + 1 else ""
        english, thai = (typed.english, typed.thai) if text else INVITES
        colour = GOOD if typed.code else MUTED if typed.unfinished or not text else WARN
        row = Text.assemble((f" ▸ {shown}", f"bold {ACCENT}"), (f"{empty}  ", MUTED))
        room = max(width - display_width(row.plain), 0)
        if self._entry.is_open:
            row.append(fit(english, room), style=colour)
            below = " " * display_width(row.plain[: row.plain.index(english[:1])] if room else "")
            row.append(f"\n{fit(f'{below}{thai}', width)}", style=colour)
            return row
        row.append(fit(f"{english} {thai}", room), style=colour)
        return row


def _keys_row(keys: Sequence[Key], width: int) -> Text:
    """The keys in their order; where there is no room, the least needed ones are left out."""
    shown = list(keys)
    for least in LEAST_NEEDED:
        if display_width(keys_text(shown).plain) < width:
            break
        shown = [key for key in shown if key[0] != least]
    return Text.assemble(" ", keys_text(shown), no_wrap=True)
