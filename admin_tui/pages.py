"""The sidebar: every page in its order. A page that is added here has its key and its palette
entry."""

from dataclasses import dataclass
from typing import Any

from admin_tui.gates.redemptions import REDEMPTIONS
from admin_tui.house.devices import DEVICES
from admin_tui.house.letters import LETTERS
from admin_tui.listing import ListPage
from admin_tui.money.sales import SALES
from admin_tui.money.shifts import SHIFTS

DASHBOARD = "dashboard"
LISTS: dict[str, ListPage[Any]] = {
    page.name: page for page in (SALES, SHIFTS, REDEMPTIONS, DEVICES, LETTERS)
}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the sidebar: its key is its position."""

    key: str
    name: str
    title: str
    group: str


PLACES = (
    Place("1", DASHBOARD, "Dashboard", "Today"),
    *(
        Place(str(number), page.name, page.title, page.group)
        for number, page in enumerate(LISTS.values(), start=2)
    ),
)
