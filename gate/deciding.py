"""The gate's own decision, for as long as the server does not answer (R19, R22, R33, R51).

The same `decide` as on the server, on what the list says of a ticket and on what this gate has let
through since. A token of the server is known by its hash, one of a till by its signature; nothing
here could make one.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gate.allowlist import AllowList, Head
from gate.ledger import Ledger, Passage
from playpark.clock import business_date, business_day_start, park_zone
from playpark.contracts.catalog import PackageKind, PendingPolicy
from playpark.contracts.gate import AllowedTicket
from playpark.contracts.sync import OpResult
from playpark.contracts.tickets import Direction, FailReason, TicketStatus
from playpark.device import DeviceStore, StoredOp
from playpark.offline_tickets import OfflineTicket, parse_pp2, pending_state, verify_pp2
from playpark.redemption import NO_ZONE, Decision, Scan, TicketState, cost, decide, refuse
from playpark.tokens import parse_pp1

TRAINING_PREFIX = "PPT."
DENIED = "denied"
"""Written as the reason where the list names a ticket that admits no more, and not why: the server
knows it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a code was found to be: a ticket and its state, or why it is none. `missing`: it may be
    newer than the list; `denied`: it is known to admit no more."""

    ticket_id: str | None = None
    state: TicketState | None = None
    refusal: FailReason | None = None
    missing: bool = False
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision and what to say about it. `inside`: guests in the zone after it, as far as this
    gate knows."""

    decision: Decision
    known: Known
    at: datetime
    age: timedelta
    inside: int | None = None

    @property
    def reason(self) -> str | None:
        """Why not, as it is written into the operation."""
        if self.known.denied:
            return DENIED
        return self.decision.reason.value if self.decision.reason else None

    @property
    def kind(self) -> PackageKind | None:
        return self.known.state.kind if self.known.state else None

    @property
    def used_at(self) -> datetime | None:
        return self.known.state.last_pass_at if self.known.state else None


@dataclass(frozen=True, slots=True)
class Shown:
    """The text of a QR code at a zone, and which way its guest goes. `now` by the gate's clock."""

    text: str
    zone_id: str | None
    direction: Direction
    now: datetime


class Judge:
    """Decides by the gate's own list. Blocks on the disk; may be called from any thread."""

    def __init__(self, store: DeviceStore, allow_list: AllowList, ledger: Ledger) -> None:
        self._store = store
        self._list = allow_list
        self.ledger = ledger
        self._told: dict[str, tuple[int, datetime]] = {}
        """By zone: entries less exits as the server has told them last, and when."""

    def load(self, now: datetime) -> None:
        """Read what this gate did before it was started again."""
        self.ledger.load(self._store.gate, now, self._list.contained())
        if head := self._list.head:
            self.refreshed(head.at - head.offset)

    def forget(self) -> None:
        """Decide nothing any more, until there is a list again."""
        self._list.throw_away()

    def ready(self, now: datetime) -> bool:
        """Whether there is a list by which to decide. `now` by the gate's clock."""
        head, age = self._list.head, self._list.age(now)
        young = head is not None and age is not None and age <= head.longest
        return young and head is not None and head.owner == self._device_id

    def judge(self, shown: Shown) -> Judgement | None:
        """The decision, or None where only the server can tell: without a list that is young
        enough, for credit beyond the zone's limit, for what this gate has not heard of."""
        head, age = self._list.head, self._list.age(shown.now)
        if head is None or age is None or not self.ready(shown.now):
            return None
        zone = head.zone(shown.zone_id)
        if shown.zone_id is not None and zone is None:
            return None
        scan = self._scan(head, shown)
        known = self._known(head, shown.text, scan)
        if known is None:
            return None
        if known.refusal is not None:
            return Judgement(refuse(known.refusal), known, scan.at, age)
        decision = decide(known.state, scan)
        if decision.passed and self._beyond_credit(head, known, scan):
            return None
        balance = self._balance(shown.zone_id, shown.now)
        if decision.passed and balance is not None:
            balance += -1 if scan.direction is Direction.EXIT else 1
        inside = None if balance is None else max(0, balance)
        return Judgement(decision, known, scan.at, age, inside)

    @property
    def park_zone(self) -> ZoneInfo:
        """The zone of the park's clocks (R30)."""
        identity = self._store.identity
        return park_zone(identity.store.tz if identity and identity.store else None)

    # --- how many are inside ------------------------------------------------------------

    def heard(self, op: StoredOp, result: OpResult, now: datetime) -> None:
        """The server has answered a redemption, and may have said how many are inside."""
        self.ledger.note(op)
        inside = (result.result or {}).get("inside")
        if isinstance(inside, int):
            self._told[op.body.get("zone_id") or NO_ZONE] = (inside, now)

    def refreshed(self, now: datetime) -> None:
        """The list is new: so are its counts."""
        if head := self._list.head:
            self._told |= {
                (each.zone_id or NO_ZONE): (each.entries - each.exits, now)
                for each in head.told.occupancy
            }

    def inside(self, zone_id: str | None, now: datetime) -> int | None:
        """How many guests are in a zone: what was told last, and who went through here since.
        None where nothing was told (R51)."""
        balance = self._balance(zone_id, now)
        return None if balance is None else max(0, balance)

    def _balance(self, zone_id: str | None, now: datetime) -> int | None:
        """Entries less exits: below zero where guests left whom nobody saw come."""
        place = zone_id or NO_ZONE
        found = self._told.get(place)
        if found is None:
            return None
        told, told_at = found
        begun = self._day_start(now)
        return (told if told_at >= begun else 0) + self.ledger.uncounted(place, begun)

    # --- what is shown ------------------------------------------------------------------

    def _scan(self, head: Head, shown: Shown) -> Scan:
        zone, policy = head.zone(shown.zone_id), head.told.policy
        inside = self.inside(shown.zone_id, shown.now)
        capacity = zone.capacity if zone else None
        return Scan(
            at=shown.now + head.offset,
            direction=shown.direction,
            zone_id=shown.zone_id,
            device_id=self._device_id,
            credit_price=zone.credit_price if zone else None,
            anti_passback=timedelta(seconds=policy.anti_passback_s),
            binding=policy.features.gate_binding,
            reentry_needs_exit=zone is not None and zone.reentry_needs_exit,
            pending_admits=zone is None or zone.pending is PendingPolicy.ADMIT,
            full=capacity is not None and inside is not None and inside >= capacity,
            day_start=self._day_start(shown.now + head.offset),
        )

    def _known(self, head: Head, text: str, scan: Scan) -> Known | None:
        if text.startswith(TRAINING_PREFIX):
            return Known(refusal=FailReason.TRAINING)
        if token := parse_pp1(text):
            entry = self._list.by_hash(token.hash)
            if entry is not None and entry.ticket_id == token.ticket_id:
                return self._listed(head, entry, scan)
            return self._unlisted(token.ticket_id, forged=self._list.by_id(token.ticket_id))
        signed = parse_pp2(text)
        if signed is None:
            return Known(refusal=FailReason.INVALID_SIG)
        # Certificates are here as long as sales may be missing; the list knows the others' tickets.
        if entry := self._list.by_hash(signed.hash):
            return self._listed(head, entry, scan)
        certificate = head.certificate(signed.ticket.key_id)
        if certificate is None:
            return Known(refusal=FailReason.UNKNOWN_TICKET, missing=True)
        if (forged := verify_pp2(signed, certificate)) is not None:
            return Known(refusal=forged)
        return self._by_signature(head, signed.ticket, scan)

    def _by_signature(self, head: Head, ticket: OfflineTicket, scan: Scan) -> Known | None:
        """A till's own ticket that the list has not under this token: by its claims where the list
        has nothing of it (R22), by what the list says where the till has not told it yet (R23)."""
        if entry := self._list.by_id(ticket.ticket_id):
            if not _may_be_printed(entry, ticket):
                return Known(refusal=FailReason.INVALID_SIG)
            return self._listed(head, entry, scan)
        if self._list.denies(ticket.ticket_id):
            return Known(ticket.ticket_id, refusal=FailReason.UNKNOWN_TICKET, denied=True)
        snapshot = self._store.catalog()
        packages = snapshot.packages if snapshot else []
        package = next((each for each in packages if each.package_id == ticket.package_id), None)
        if package is None:
            return None
        state = pending_state(ticket, package)
        return Known(ticket.ticket_id, self._as_of_now(head, ticket.ticket_id, state, scan))

    def _unlisted(self, ticket_id: str, *, forged: AllowedTicket | None) -> Known:
        if forged is not None:
            return Known(refusal=FailReason.INVALID_SIG)
        denied = self._list.denies(ticket_id)
        return Known(
            ticket_id, refusal=FailReason.UNKNOWN_TICKET, missing=not denied, denied=denied
        )

    def _listed(self, head: Head, entry: AllowedTicket, scan: Scan) -> Known:
        state = self._as_of_now(head, entry.ticket_id, state_of(entry), scan)
        return Known(entry.ticket_id, state)

    def _as_of_now(self, head: Head, ticket_id: str, state: TicketState, scan: Scan) -> TicketState:
        """With what this gate has let through itself and the list does not know yet."""
        for each in self.ledger.of(ticket_id):
            state = after(state, each, self._there(head, each, scan))
        return state

    def _there(self, head: Head, passage: Passage, scan: Scan) -> Scan:
        """The scan that a passage was."""
        zone, at = head.zone(passage.zone_id), passage.at + head.offset
        return replace(
            scan,
            at=at,
            direction=passage.direction,
            zone_id=passage.zone_id,
            credit_price=zone.credit_price if zone else None,
            day_start=self._day_start(at),
        )

    def _beyond_credit(self, head: Head, known: Known, scan: Scan) -> bool:
        """Whether an entry by credit takes more than this zone lets a gate take by itself, together
        with what this gate took of the ticket alone (R33)."""
        state, zone = known.state, head.zone(scan.zone_id)
        if state is None or known.ticket_id is None or zone is None:
            return False
        if state.kind is not PackageKind.CREDIT or scan.direction is Direction.EXIT:
            return False
        alone = [
            self._price(head, each.zone_id)
            for each in self.ledger.of(known.ticket_id)
            if each.alone and each.direction is Direction.ENTRY
        ]
        return sum(alone) + cost(state, scan) > zone.offline_credit_limit

    @staticmethod
    def _price(head: Head, zone_id: str | None) -> int:
        zone = head.zone(zone_id)
        return (zone.credit_price or 0) if zone else 0

    @property
    def _device_id(self) -> str | None:
        identity = self._store.identity
        return identity.device_id if identity else None

    def _day_start(self, at: datetime) -> datetime:
        return business_day_start(business_date(at, self.park_zone), self.park_zone)


def _may_be_printed(entry: AllowedTicket, ticket: OfflineTicket) -> bool:
    """Whether a ticket that the list has under the server's token may be the one that its till has
    printed: nothing has happened with it, and both say the same of it. The server looks closer
    when it hears of the entry."""
    never = entry.last_pass_at is None and entry.ends_at is None
    sold = entry.status == TicketStatus.ACTIVE
    same = (entry.valid_from, entry.valid_to) == (ticket.valid_from, ticket.valid_to)
    return never and sold and same


def state_of(entry: AllowedTicket) -> TicketState:
    """A ticket of the list as the decision needs it: what remains is its quota."""
    return TicketState(
        kind=entry.kind,
        quota=entry.remaining,
        used=0,
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        status=TicketStatus(entry.status),
        zones=tuple(entry.zones),
        allowed_devices=tuple(entry.allowed_devices),
        last_pass_at=entry.last_pass_at,
        ends_at=entry.ends_at,
        issued_at=entry.issued_at,
        inside=tuple(entry.inside),
    )


def after(state: TicketState, passage: Passage, scan: Scan) -> TicketState:
    """The ticket after somebody went through with it, whatever it says: they are there."""
    today = state.last_pass_at is not None and (
        scan.day_start is None or state.last_pass_at >= scan.day_start
    )
    inside = set(state.inside) if today else set()
    if passage.direction is Direction.EXIT:
        return replace(state, inside=tuple(sorted(inside - {scan.place})))
    ends_at = state.ends_at
    if state.kind is PackageKind.TIMEPASS and ends_at is None:
        ends_at = scan.at + timedelta(minutes=state.quota)
    spent = 0 if state.kind is PackageKind.TIMEPASS else cost(state, scan)
    return replace(
        state,
        used=state.used + spent,
        ends_at=ends_at,
        last_pass_at=max(scan.at, state.last_pass_at or scan.at),
        inside=tuple(sorted(inside | {scan.place})),
    )
