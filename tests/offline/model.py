"""What physically happened in a park, and what the books ought to say of it.

Money is what the tills rang and took, entries are who walked through a gate. Nothing here is asked
of the server, and nothing of its code is used: the rules stand here a second time (R4, R18, R26,
R27, R29, R33, R50, R51).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Fate(StrEnum):
    """What an entry that walked in is in the end."""

    PASS = "pass"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Issued:
    """A ticket that was sold. `quota`: uses, minutes or satang by `kind`."""

    ticket_id: str
    short_code: str
    package: str
    kind: str
    quota: int
    sale: str


@dataclass
class Sale:
    """What the guest saw and paid, satang. `methods`: by tender, in their order."""

    op_id: str
    device: str
    receipt_no: str
    shift: str
    total: int
    methods: list[tuple[str, int]]
    tickets: list[Issued]
    day: str
    when: datetime
    promo: tuple[str, ...] = ()


@dataclass
class Shift:
    """A drawer, satang. `counted` once it is closed."""

    op_id: str
    device: str
    cash_open: int
    movements: dict[str, int] = field(default_factory=lambda: {"in": 0, "out": 0, "drop": 0})
    counted: int | None = None
    close: str | None = None
    z_number: str | None = None


@dataclass
class Showing:
    """One code at one gate. `at` by the device, `when` it was in truth. `walked`: somebody went
    through. `cost`: the zone's price, satang."""

    op_id: str
    device: str
    zone: str
    ticket: str | None
    at: datetime
    when: datetime
    leaving: bool = False
    walked: bool = False
    annulled: bool = False
    cost: int = 0

    @property
    def entered(self) -> bool:
        """Somebody is, or was, inside by it."""
        return self.walked and not self.annulled and not self.leaving


@dataclass(frozen=True)
class Judged:
    """An entry in the light of all others: what it takes of the ticket."""

    fate: Fate
    spend: int = 0
    shortfall: int = 0


@dataclass
class Facts:
    """A run."""

    sales: dict[str, Sale] = field(default_factory=dict)
    shifts: dict[str, Shift] = field(default_factory=dict)
    showings: dict[str, Showing] = field(default_factory=dict)
    punches: dict[str, str] = field(default_factory=dict)
    """Device by the op_id of a timecard event."""
    movements: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """(shift, kind, satang) by op_id."""
    annulments: dict[str, str] = field(default_factory=dict)
    """The entry that was taken back, by the op_id of the annulment."""

    # --- money ------------------------------------------------------------------------------

    def of_shift(self, shift: str) -> list[Sale]:
        return [sale for sale in self.sales.values() if sale.shift == shift]

    def by_method(self, shift: str) -> dict[str, int]:
        """Satang that were taken in a shift."""
        taken: Counter[str] = Counter()
        for sale in self.of_shift(shift):
            for method, amount in sale.methods:
                taken[method] += amount
        return dict(taken)

    def in_drawer(self, shift: str) -> int:
        """What ought to lie there, satang (R27)."""
        drawer = self.shifts[shift]
        moved = drawer.movements["in"] - drawer.movements["out"] - drawer.movements["drop"]
        return drawer.cash_open + self.by_method(shift).get("cash", 0) + moved

    def correct(self, op_id: str, at: datetime) -> None:
        """When a showing was, by the clock of the park."""
        self.showings[op_id].at = at

    # --- tickets ----------------------------------------------------------------------------

    @property
    def tickets(self) -> dict[str, Issued]:
        return {ticket.ticket_id: ticket for sale in self.sales.values() for ticket in sale.tickets}

    def entries(self, ticket_id: str) -> list[Showing]:
        """Who went in with a ticket, in the order of (time, op_id)."""
        found = (each for each in self.showings.values() if each.ticket == ticket_id)
        return sorted((each for each in found if each.entered), key=_order)

    def judged(self, ticket: Issued) -> dict[str, Judged]:
        """What becomes of every entry of a ticket (R33)."""
        entries = self.entries(ticket.ticket_id)
        if ticket.kind == "timepass":
            return _by_the_clock(ticket, entries)
        left, found = ticket.quota, {}
        for entry in entries:
            if ticket.kind == "credit":
                spend = min(left, entry.cost)
                short = entry.cost - spend
                found[entry.op_id] = Judged(Fate.PASS, spend, short)
            else:
                spend = min(left, 1)
                found[entry.op_id] = Judged(Fate.PASS if spend else Fate.CONFLICT, spend)
            left -= spend
        return found

    def used(self, ticket: Issued) -> int:
        return sum(each.spend for each in self.judged(ticket).values())

    def ends_at(self, ticket: Issued) -> datetime | None:
        """When a timepass that somebody began runs out."""
        entries = self.entries(ticket.ticket_id)
        if ticket.kind != "timepass" or not entries:
            return None
        return entries[0].at + timedelta(minutes=ticket.quota)

    def inside(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(entries, exits) by (device, zone) (R51)."""
        found: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for each in self.showings.values():
            came, left = found[each.device, each.zone]
            if each.entered:
                found[each.device, each.zone] = (came + 1, left)
            elif each.walked and each.leaving:
                found[each.device, each.zone] = (came, left + 1)
        return {where: counts for where, counts in found.items() if any(counts)}


def _order(showing: Showing) -> tuple[datetime, str]:
    return showing.at, showing.op_id


def _by_the_clock(ticket: Issued, entries: Iterable[Showing]) -> dict[str, Judged]:
    end: datetime | None = None
    found = {}
    for entry in entries:
        end = end or entry.at + timedelta(minutes=ticket.quota)
        found[entry.op_id] = Judged(Fate.PASS if entry.at < end else Fate.CONFLICT)
    return found
