"""Text on a terminal: never markup, never control characters, measured in columns (attack 36).

Thai marks stand above and below and take no column; a cut never tears one from its consonant.
"""

from collections.abc import Iterable

from rich.text import Text

from playpark.printing.wording import clean_text, clusters, display_width
from playpark.tui.theme import ACCENT, MUTED


def safe(text: str) -> str:
    """Text of a server or a person without control characters and line breaks."""
    return clean_text(text)


def fit(text: str, columns: int, *, right: bool = False) -> str:
    """`text` cleaned and cut or padded to exactly `columns`; cut text ends in `…`."""
    cleaned = safe(text)
    if display_width(cleaned) > columns:
        cleaned = _cut(cleaned, columns - 1) + "…"
    blanks = " " * (columns - display_width(cleaned))
    return blanks + cleaned if right else cleaned + blanks


def keys_text(keys: Iterable[tuple[str, str]]) -> Text:
    """A row of keys: each key in the accent, what it does beside it."""
    row = Text()
    for key, label in keys:
        if row:
            row.append("  ")
        row.append(key, style=f"bold {ACCENT}")
        row.append(f" {label}", style=MUTED)
    return row


def _cut(text: str, columns: int) -> str:
    kept = ""
    for cluster in clusters(text):
        if display_width(kept + cluster) > columns:
            break
        kept += cluster
    return kept
