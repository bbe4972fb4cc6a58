"""Rows of other domains' books, as the checks read them."""

from collections.abc import Iterable

from api.reports.repository import Row

MONEY = ("gross", "line_discount", "cart_discount", "payable", "vat")
"""The amounts of a slice, satang."""


def nonsense(part: Row) -> str | None:
    """Why a slice cannot be (R6), None for a good one."""
    if any(part[name] < 0 for name in MONEY):
        return "an amount below 0"
    if part["payable"] not in {net(part), net(part) + part["vat"]}:
        return "payable is not the price less its discounts"
    if part["vat"] > part["payable"]:
        return "more VAT than price"
    return None


def net(part: Row) -> int:
    return int(part["gross"] - part["line_discount"] - part["cart_discount"])


def out_of_turn(rows: Iterable[Row]) -> Row | None:
    """The first row whose position is another's already; later rows come after in `rows`."""
    seen: set[int] = set()
    for row in rows:
        if row["position"] in seen:
            return row
        seen.add(row["position"])
    return None


def skipped(rows: Iterable[Row]) -> int | None:
    """The first position that nobody has though a later one is taken."""
    for expected, row in enumerate(rows):
        if row["position"] != expected:
            return expected
    return None
