"""The entry line: what a person types, what a hand scanner sends, and what becomes of it (R24).

A code that cannot be right never leaves it: it stays to be mended, with what is wrong about it.
"""

import asyncio
from collections.abc import Callable

from gate.admission import Code
from gate.typed import Typed, look_at
from gate.wedge import Wedge
from playpark.ids import normalise_short_code

LONGEST_KEPT = 12
"""A longer text is no mistyped code, and nobody mends it."""


class Entry:
    """Collects keys for `codes`. `refused` is told why a code was not sent. Times are monotonic
    seconds."""

    def __init__(self, codes: asyncio.Queue[Code], refused: Callable[[Typed], None]) -> None:
        self.is_open = False
        """Whether somebody asked for it with a key, so that it invites to type."""
        self._codes = codes
        self._refused = refused
        self._wedge = Wedge()
        self._to_mend = False

    @property
    def text(self) -> str:
        return self._wedge.text

    @property
    def typed(self) -> Typed:
        return look_at(self.text)

    def open(self) -> None:
        self.is_open = True

    def key(self, char: str, at: float) -> None:
        """A printable key. The first one after a refusal begins a new code."""
        if self._to_mend:
            self._wedge.clear()
            self._to_mend = False
        self._wedge.key(char, at)

    def paste(self, text: str, at: float) -> None:
        """A text as a terminal's paste delivers it; a line end at its end is Enter."""
        self._wedge.clear()
        self._wedge.paste(text.rstrip("\r\n"), at)
        if text.endswith(("\r", "\n")):
            self.enter(at)

    def backspace(self) -> None:
        self._wedge.backspace()
        self._to_mend = False

    def clear(self) -> None:
        """Drop what was typed, and stop inviting."""
        self._wedge.clear()
        self._to_mend = self.is_open = False

    def enter(self, at: float) -> bool:
        """End the entry; whether a code was sent."""
        keyed = self._wedge.enter(at)
        if keyed is None:
            return False
        is_code = normalise_short_code(keyed.text) is not None
        if not keyed.scanned and not is_code:
            self._refuse(keyed.text, at)
            return False
        # A short code that arrives in a burst was pasted, or printed as a barcode.
        typed = not keyed.scanned or is_code
        self._codes.put_nowait(Code(keyed.text, typed=typed, keyed=keyed.scanned))
        self._to_mend = self.is_open = False
        return True

    def _refuse(self, text: str, at: float) -> None:
        self._refused(look_at(text))
        if len(text) <= LONGEST_KEPT:
            self._wedge.put_back(text, at)
            self._to_mend = True
