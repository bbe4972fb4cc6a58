"""docs/redemption.md says what the decision says. With PLAYPARK_RECORD=1 it is written."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, TicketStatus
from playpark.redemption import (
    NO_ZONE,
    Decision,
    Scan,
    SigningKey,
    TicketState,
    decide,
    refuse,
)

PAGE = Path(__file__).parents[2] / "docs" / "redemption.md"
BEGIN, END = "<!-- tables -->\n", "<!-- end -->"
NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)
DAY_START = datetime(2026, 11, 20, 21, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEY = SigningKey("01")
ZONE, PRICE = "ball", 5_000
FRESH = {
    kind: TicketState(
        kind=kind,
        quota=quota,
        used=0,
        valid_from=DAY_START,
        valid_to=DAY_START + DAY,
        kid=KEY.kid,
        issued_at=NOW - 2 * HOUR,
    )
    for kind, quota in (
        (PackageKind.SINGLE, 1),
        (PackageKind.MULTI, 10),
        (PackageKind.TIMEPASS, 120),
        (PackageKind.CREDIT, 50_000),
        (PackageKind.BUNDLE, 0),
    )
}
NAMES = {
    PackageKind.SINGLE: "single",
    PackageKind.MULTI: "multi, 10 uses",
    PackageKind.TIMEPASS: "timepass, 120 min",
    PackageKind.CREDIT: "credit, ฿500; here ฿50",
    PackageKind.BUNDLE: "bundle",
}
SCAN = Scan(
    at=NOW,
    zone_id=ZONE,
    device_id="gate",
    credit_price=PRICE,
    key=KEY,
    day_start=DAY_START,
)


@dataclass(frozen=True)
class Situation:
    """`ticket` changes a fresh one; `scan` is what is different about the showing."""

    words: str
    ticket: Callable[[TicketState], TicketState] = lambda ticket: ticket
    scan: dict[str, Any] = field(default_factory=dict)

    def decided(self, kind: PackageKind) -> Decision:
        return decide(self.ticket(FRESH[kind]), replace(SCAN, **self.scan))


def entered(ago: timedelta, *, inside: bool) -> Callable[[TicketState], TicketState]:
    """One entry so long ago."""

    def change(ticket: TicketState) -> TicketState:
        at = NOW - ago
        passed = decide(ticket, replace(SCAN, at=at))
        return replace(
            ticket,
            used=ticket.used + passed.spend,
            ends_at=passed.ends_at,
            last_pass_at=at,
            inside=(ZONE,) if inside else (),
        )

    return change


def spent(ticket: TicketState) -> TicketState:
    """All of it, hours ago."""
    clock = NOW if ticket.kind is PackageKind.TIMEPASS else None
    used = 0 if clock else ticket.quota
    return replace(ticket, used=used, ends_at=clock, last_pass_at=NOW - 2 * HOUR)


def nearly_spent(ticket: TicketState) -> TicketState:
    """A satang less is left of a credit than an entry takes, one use of all else."""
    takes = PRICE if ticket.kind is PackageKind.CREDIT else 2
    return replace(ticket, used=max(0, ticket.quota - takes + 1))


def with_(**changes: Any) -> Callable[[TicketState], TicketState]:
    return lambda ticket: replace(ticket, **changes)


def yesterday(ticket: TicketState) -> TicketState:
    """Somebody went in yesterday and never out."""
    return replace(ticket, valid_from=NOW - 2 * DAY, last_pass_at=NOW - DAY, inside=(ZONE,))


PENDING = {"status": TicketStatus.PENDING}
USES = (
    Situation("shown for the first time"),
    Situation("again after 4 seconds", entered(timedelta(seconds=4), inside=False)),
    Situation("again after 5 seconds", entered(timedelta(seconds=5), inside=False)),
    Situation("again after an hour, the guest went out", entered(HOUR, inside=False)),
    Situation("again after an hour, the guest is inside", entered(HOUR, inside=True)),
    Situation("all used up", spent),
    Situation("less credit left than the zone takes", nearly_spent),
    Situation("leaving", entered(HOUR, inside=True), {"direction": Direction.EXIT}),
    Situation("leaving, all used up", spent, {"direction": Direction.EXIT}),
)
STANDING = (
    Situation("a token of another key than the ticket's", scan={"key": SigningKey("A0")}),
    Situation(
        "a token of a key that had ended when the ticket was issued",
        scan={"key": SigningKey("01", NOW - DAY)},
    ),
    Situation("a training ticket", with_(training=True)),
    Situation("before its first day", with_(valid_from=NOW + DAY, valid_to=NOW + 2 * DAY)),
    Situation("at the end of its last day", with_(valid_to=NOW)),
    Situation("cancelled, or exchanged for another", with_(status=TicketStatus.CANCELLED)),
    Situation("refunded", with_(status=TicketStatus.REFUNDED)),
    Situation("for other zones", with_(zones=("water",))),
    Situation("for other gates", with_(allowed_devices=("another",))),
    Situation(
        "for other zones, the park binds no tickets", with_(zones=("water",)), {"binding": False}
    ),
    Situation(
        "refunded, for other zones, and all used up",
        lambda ticket: replace(spent(ticket), status=TicketStatus.REFUNDED, zones=("water",)),
    ),
    Situation(
        "leaving, refunded", with_(status=TicketStatus.REFUNDED), {"direction": Direction.EXIT}
    ),
)
ZONES = (
    Situation("the zone takes no credit", scan={"credit_price": None}),
    Situation("a gate without a zone", scan={"credit_price": None, "zone_id": None}),
    Situation(
        "re-entry needs an exit: the guest is inside",
        entered(HOUR, inside=True),
        {"reentry_needs_exit": True},
    ),
    Situation(
        "re-entry needs an exit: the guest went out",
        entered(HOUR, inside=False),
        {"reentry_needs_exit": True},
    ),
    Situation(
        "re-entry needs an exit: the guest is in another zone",
        lambda ticket: replace(entered(HOUR, inside=True)(ticket), inside=("water",)),
        {"reentry_needs_exit": True},
    ),
    Situation(
        "re-entry needs an exit: went in yesterday and never out",
        yesterday,
        {"reentry_needs_exit": True},
    ),
    Situation("the zone is full", scan={"full": True}),
    Situation("the zone is full, the ticket used up", spent, {"full": True}),
    Situation("leaving a full zone", scan={"full": True, "direction": Direction.EXIT}),
    Situation("the sale has not arrived, the zone waits", with_(**PENDING)),
    Situation(
        "the sale has not arrived for 72 hours",
        with_(**PENDING, issued_at=NOW - timedelta(hours=72)),
    ),
    Situation(
        "the sale has not arrived, the zone does not wait",
        with_(**PENDING),
        {"pending_admits": False},
    ),
)
TABLES = (
    ("Uses", "What a ticket has left, and what its guest did before.", USES),
    ("Standing", "What was sold, and where and when it is for.", STANDING),
    ("The zone", "What a zone insists on, in its settings in the catalogue.", ZONES),
)


def cell(kind: PackageKind, decision: Decision) -> str:
    if decision.reason is not None:
        return f"**no**, `{decision.reason}`"
    left = decision.remaining
    assert left is not None
    words = {
        PackageKind.TIMEPASS: f"{left} min left",
        PackageKind.CREDIT: f"฿{left // 100:,} left",
    }
    return f"pass, {words.get(kind, f'{left} left')}"


def tables() -> str:
    """The generated part of the page."""
    kinds = list(NAMES)
    lines: list[str] = []
    for title, words, situations in TABLES:
        lines += [f"## {title}", "", words, ""]
        lines.append(f"| The ticket is … | {' | '.join(NAMES[kind] for kind in kinds)} |")
        lines.append("|---" * (len(kinds) + 1) + "|")
        for each in situations:
            cells = [cell(kind, each.decided(kind)) for kind in kinds]
            lines.append(f"| {each.words} | {' | '.join(cells)} |")
        lines.append("")
    unknown = decide(None, SCAN)
    lines.append(
        f"A ticket that nobody knows is **no**, `{unknown.reason}`, whatever the zone says."
    )
    return "\n".join(lines) + "\n"


def test_the_page_says_what_the_decision_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    written = f"{before}{BEGIN}{tables()}{END}{after}"
    if os.environ.get("PLAYPARK_RECORD"):
        PAGE.write_text(written, encoding="utf-8")
        return
    assert page == written, "run it with PLAYPARK_RECORD=1 and read what has changed"


def test_R19_the_page_has_every_reason() -> None:
    # The token is verified before a ticket is found, and a training ticket is told by its token.
    text = tables()
    assert {reason for reason in FailReason if f"`{reason}`" not in text} == set()


def test_R19_reasons_are_told_in_their_order() -> None:
    """Whatever two things speak against a ticket, the earlier reason is told."""
    against: dict[FailReason, tuple[dict[str, Any], dict[str, Any]]] = {
        FailReason.INVALID_SIG: ({"kid": "A0"}, {}),
        FailReason.UNKNOWN_TICKET: (PENDING, {"pending_admits": False}),
        FailReason.TRAINING: ({"training": True}, {}),
        FailReason.NOT_STARTED: ({"valid_from": NOW + HOUR}, {}),
        FailReason.EXPIRED: ({"valid_to": NOW}, {}),
        FailReason.CANCELLED: ({"status": TicketStatus.CANCELLED}, {}),
        FailReason.REFUNDED: ({"status": TicketStatus.REFUNDED}, {}),
        FailReason.WRONG_DEVICE: ({"zones": ("water",)}, {}),
        FailReason.DUPLICATE_USE: (
            {"last_pass_at": NOW - HOUR, "inside": (ZONE,)},
            {"reentry_needs_exit": True},
        ),
        FailReason.EXHAUSTED: ({"used": 10}, {}),
        FailReason.ZONE_FULL: ({}, {"full": True}),
    }
    assert list(against) == list(FailReason)
    fresh = FRESH[PackageKind.MULTI]
    for number, (first, (ticket, scan)) in enumerate(against.items()):
        for ticket_too, scan_too in list(against.values())[number:]:
            if "status" in ticket and "status" in ticket_too and ticket != ticket_too:
                continue  # a ticket has one status
            both = decide(replace(fresh, **ticket_too | ticket), replace(SCAN, **scan_too | scan))
            assert both.reason is first
            assert both == refuse(first, both.remaining)


def test_a_gate_without_a_zone_is_a_place_too() -> None:
    nowhere = replace(SCAN, zone_id=None, reentry_needs_exit=True)
    inside = replace(FRESH[PackageKind.MULTI], last_pass_at=NOW - HOUR, inside=(NO_ZONE,))
    assert decide(inside, nowhere).reason is FailReason.DUPLICATE_USE
