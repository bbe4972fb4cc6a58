"""The dashboard's figures, counted from the newest rows of the lists (R30: business day)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from admin_tui.office import Office, Walk
from playpark.clock import BUSINESS_DAY_CUTOFF, business_date
from playpark.contracts.sales import SaleSummary
from playpark.contracts.shifts import ShiftSummary
from playpark.contracts.tenancy import DeviceStatus, DeviceView
from playpark.contracts.tickets import RedemptionResult, RedemptionSummary
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from playpark.tui.theme import BAD, BRIGHT, GOOD, MUTED


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure: what it counts, the figure, a line about it, its colour."""

    title: str
    figure: str
    note: str
    colour: str = BRIGHT


Reader = Callable[[Office], Awaitable[tuple[Tile, ...]]]


async def read_tiles(office: Office) -> tuple[Tile, ...]:
    """All tiles, in their order; a figure that this employee may not see says who may.

    Raises PlayParkError where the server does not answer or the login is over.
    """
    found = await asyncio.gather(*(_guarded(office, group) for group in _GROUPS))
    return tuple(tile for tiles in found for tile in tiles)


async def _sales(office: Office) -> tuple[Tile, ...]:
    today = office.today()
    walk = await office.newest("/sales", SaleSummary, older=lambda sale: sale.business_date < today)
    rows = [sale for sale in walk.rows if sale.business_date == today]
    amount = sum(sale.grand_total for sale in rows)
    at_least = _at_least(walk)
    return (
        Tile("Sales today", f"{at_least}{len(rows):,}", _since(walk)),
        Tile("Amount today", f"{at_least}{format_satang(amount)}", "baht", GOOD),
    )


async def _redemptions(office: Office) -> tuple[Tile, ...]:
    today, zone = office.today(), office.park.zone
    walk = await office.newest(
        "/redemptions",
        RedemptionSummary,
        older=lambda row: business_date(row.occurred_at, zone) < today,
    )
    rows = [row for row in walk.rows if business_date(row.occurred_at, zone) == today]
    passed = sum(row.result is RedemptionResult.PASS for row in rows)
    reasons = Counter(row.reason for row in rows if row.reason)
    often = f"mostly {reasons.most_common(1)[0][0].replace('_', ' ')}" if reasons else "none"
    at_least, refused = _at_least(walk), len(rows) - passed
    return (
        Tile("Passed today", f"{at_least}{passed:,}", _since(walk), GOOD),
        Tile("Refused today", f"{at_least}{refused:,}", often, BAD if refused else BRIGHT),
    )


async def _shifts(office: Office) -> tuple[Tile, ...]:
    walk = await office.newest("/shifts", ShiftSummary)
    open_now = [shift for shift in walk.rows if shift.status == "open"]
    note = f"oldest since {office.park.time(open_now[-1].open_at)}" if open_now else "none"
    return (Tile("Open shifts", f"{_at_least(walk)}{len(open_now):,}", note),)


async def _devices(office: Office) -> tuple[Tile, ...]:
    walk = await office.newest("/devices", DeviceView)
    states = Counter(device.status for device in walk.rows)
    others = [
        f"{states[state]} {state}"
        for state in DeviceStatus
        if states[state] and state is not DeviceStatus.ACTIVE
    ]
    note = " · ".join(others) or "all of them active"
    return (Tile("Active devices", f"{_at_least(walk)}{states[DeviceStatus.ACTIVE]:,}", note),)


@dataclass(frozen=True, slots=True)
class _Group:
    """Tiles of one question, and what stands there for those who may not ask it."""

    read: Reader
    titles: tuple[str, ...]
    readers: str


_GROUPS = (
    _Group(_sales, ("Sales today", "Amount today"), "view reports"),
    _Group(_redemptions, ("Passed today", "Refused today"), "view reports"),
    _Group(_shifts, ("Open shifts",), "view reports"),
    _Group(_devices, ("Active devices",), "manage devices"),
)


async def _guarded(office: Office, group: _Group) -> tuple[Tile, ...]:
    try:
        return await group.read(office)
    except PlayParkError as refusal:
        if refusal.code is not ErrorCode.PERMISSION:
            raise
    note = f"needs: {group.readers}"
    return tuple(Tile(title, "–", note, MUTED) for title in group.titles)


def _at_least(
    walk: Walk[SaleSummary] | Walk[RedemptionSummary] | Walk[ShiftSummary] | Walk[DeviceView],
) -> str:
    return "" if walk.complete else "≥ "


def _since(walk: Walk[SaleSummary] | Walk[RedemptionSummary]) -> str:
    return f"since {BUSINESS_DAY_CUTOFF:%H:%M}" if walk.complete else "of the newest 1,000"
