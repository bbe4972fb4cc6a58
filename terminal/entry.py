"""What the cashier typed: an amount, the name of a package, or a scanner's ticket (SCREENS).

The entry line decides by the shape of the text, so that no mode has to be remembered.
"""

import re
from dataclasses import dataclass

from playpark.contracts.catalog import PackageView
from playpark.ids import normalise_short_code
from playpark.money import parse_baht

_AMOUNT = re.compile(r"[0-9][0-9,]{0,10}(\.[0-9]{0,2})?")
_BARCODE = re.compile(r"[0-9]{10,}")
"""Nobody hands over a billion."""
_TICKET = re.compile(r"PP[12T]\..*", re.IGNORECASE)
_QUANTITY = re.compile(r"[0-9]{1,3}")
SCANNER_KEYS = 6
"""Fewer keys in a row are nobody's scanner."""
SCANNER_GAP_S = 0.035
"""The average pause of a scanner between two keys (PLATFORM: keyboard wedge)."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Enter on an empty line: exact cash."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Cash that the guest hands over, satang."""

    satang: int


@dataclass(frozen=True, slots=True)
class Search:
    """Part of a package's name."""

    text: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """A ticket or a barcode: not for the register, and never an amount."""


Entry = Nothing | Amount | Search | Scanned


def read(text: str, *, seconds: float | None = None) -> Entry:
    """What `text` means. `seconds` is how long it took to type, where that is known."""
    text = text.strip()
    if not text:
        return Nothing()
    if _TICKET.fullmatch(text) or _BARCODE.fullmatch(text) or normalise_short_code(text):
        return Scanned()
    if not _AMOUNT.fullmatch(text):
        return Search(text)
    if _is_burst(text, seconds):
        return Scanned()
    return Amount(parse_baht(text.rstrip(".")))


def quantity(text: str) -> int | None:
    """The number before a package key: 1 where nothing is typed, None where it is no number."""
    text = text.strip()
    if not text:
        return 1
    return int(text) if _QUANTITY.fullmatch(text) and int(text) else None


def find(text: str, packages: list[PackageView]) -> list[PackageView]:
    """Packages with `text` in their name, Thai or English; names that begin with it first."""
    wanted = text.strip().casefold()

    def rank(package: PackageView) -> int:
        names = (package.name.casefold(), package.name_th.casefold())
        if any(name.startswith(wanted) for name in names):
            return 0
        if any(f" {wanted}" in name for name in names):
            return 1
        return 2 if any(wanted in name for name in names) else 3

    return sorted((package for package in packages if rank(package) < 3), key=rank)


def _is_burst(text: str, seconds: float | None) -> bool:
    if seconds is None or len(text) < SCANNER_KEYS:
        return False
    return seconds / (len(text) - 1) <= SCANNER_GAP_S
