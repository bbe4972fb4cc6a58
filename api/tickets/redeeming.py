"""Redeeming tickets: one transaction, one decision (R19–R21, R50–R53)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Kind, NotApartError, Operation, OpRecord, clamp
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.tickets import annulling, merging, occupancy, pending
from api.tickets.models import Redemption
from api.tickets.pending import Offline
from api.tickets.repository import COUNTED, RedemptionRepository, Seen, TicketRepository
from playpark.clock import business_date, business_day_start
from playpark.contracts.catalog import PackageKind, PendingPolicy, ZoneView
from playpark.contracts.employees import Permission
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import Feature
from playpark.contracts.tickets import (
    Direction,
    FailReason,
    RedeemIn,
    RedemptionResult,
    RedemptionSummary,
    RedemptionView,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.guest_text import guest_message
from playpark.ids import new_ulid, normalise_short_code
from playpark.offline_tickets import PP2_PREFIX
from playpark.redemption import Decision, Scan, SigningKey, decide, is_inside, refuse
from playpark.tokens import parse_pp1, verify_pp1

TRAINING_PREFIX = "PPT."
ZONE_UNKNOWN = "zone_unknown"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a guest showed: a ticket's id under a key that is ours, or a typed short code."""

    ticket_id: str = ""
    short_code: str | None = None
    key: SigningKey | None = None
    offline: Offline | None = None
    """Of a PP2 token: its till's claims, verified (R22)."""

    def lookup(self, tickets: TicketRepository) -> dict[str, Any]:
        """The ticket in the database's words: tickets are found by their compound id (R21)."""
        if self.short_code is not None:
            return {"short_code": self.short_code}
        return {"_id": tickets.key(self.ticket_id)}


@dataclass(frozen=True, slots=True)
class Redeeming:
    """The redeem operation, bound to the platform for its keys."""

    platform: Platform
    rights: ClassVar = Rights((Permission.REDEEM,))

    @property
    def kind(self) -> Kind[RedeemIn, RedemptionView]:
        how = (self.apply, self.rebuild, self.rights)
        return Kind(OpKind.REDEMPTION, RedeemIn, *how, audited=False, apart=_is_plain, told=_heard)

    async def apply(
        self, work: Work, scope: Scope, op: Operation[RedeemIn], result_id: str
    ) -> RedemptionView:
        """Decide and write one row, PASS or FAIL. Raises E_VALIDATION (simulate
        in an operation, another device's id), E_NOT_FOUND (zone: what a gate has decided by
        itself is flagged instead, R17)."""
        if op.body.simulate:
            message = "A simulation writes nothing: send it to /tickets/redeem."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        scan = _scan(scope, op.body, op.occurred_at)
        zone = await _zone(work, scope, scan)
        if scan.zone_id is not None and zone is None:
            if not op.committed:
                raise _no_zone()
            op = replace(op, flags=(*op.flags, ZONE_UNKNOWN))
        scan = _in_zone(scan, zone)
        shown = await self._kept(work, scope, await self.find(scope, op.body))
        if merging.settled(op):
            return await _record(work, scope, op, shown, scan, result_id)
        scan, counts = await _with_room(work, scope, zone, scan)
        seen, decision = await _decide(work, scope, shown, scan)
        row = _row(scope, op, scan, seen, decision, result_id)
        if decision.passed:
            row |= await _counted(work, scope, scan, counts)
        await RedemptionRepository.of(work, scope).insert_plain(row)
        await _emit(work, scope, row)
        if _turned_away(op):
            await annulling.not_admitted(work, scope, result_id)
        return _answer(row, scope)

    async def rebuild(self, work: Work, scope: Scope, record: OpRecord) -> RedemptionView:
        rows = RedemptionRepository.of(work, scope)
        row = await rows.find_one(_id=record.result_id)
        if row is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such redemption.")
        return _answer_of(row, scope)

    async def simulate(self, scope: Scope, body: RedeemIn) -> RedemptionView:
        """The answer that a redemption would get now; writes nothing (R52)."""
        work = self.platform.uow.reading()
        self.rights.require(scope)
        at, _ = clamp(body.occurred_at, work.now)
        scan = _scan(scope, body, at)
        zone = await _zone(work, scope, scan)
        if scan.zone_id is not None and zone is None:
            raise _no_zone()
        scan = _in_zone(scan, zone)
        shown = await as_asked(work, scope, await self.find(scope, body))
        scan, _ = await _with_room(work, scope, zone, scan)
        seen, decision = await _look_and_decide(work, scope, shown, scan)
        op = Operation(new_ulid(), OpKind.REDEMPTION, {}, body, at)
        return _answer(_row(scope, op, scan, seen, decision, ""), scope).model_copy(
            update={"redemption_id": None}
        )

    async def find(self, scope: Scope, body: RedeemIn) -> Shown | FailReason:
        """How to look the ticket up, or why not to: tokens are verified before any ticket is read
        (R21)."""
        if body.short_code is not None:
            code = normalise_short_code(body.short_code)
            return FailReason.UNKNOWN_TICKET if code is None else Shown(short_code=code)
        text = body.qr_token or ""
        if text.startswith(TRAINING_PREFIX):
            return FailReason.TRAINING
        if text.startswith(PP2_PREFIX):
            return await self._find_offline(scope, text)
        token = parse_pp1(text)
        keys = await self.platform.ticket_keys(scope)
        if token is None or not verify_pp1(keys.by_kid, scope.tenant_id, token):
            return FailReason.INVALID_SIG
        return Shown(ticket_id=token.ticket_id, key=keys.signing_key(token.kid))

    async def _find_offline(self, scope: Scope, text: str) -> Shown | FailReason:
        """A token that a till has signed by itself, under a certificate of this store (R22)."""
        offline = await pending.verified(self.platform.uow.reading(), scope, text)
        if offline is None:
            return FailReason.INVALID_SIG
        return Shown(ticket_id=offline.ticket.ticket_id, key=offline.key, offline=offline)

    async def _kept(
        self, work: Work, scope: Scope, shown: Shown | FailReason
    ) -> Shown | FailReason:
        """What is shown, with a row of its own where its sale has not arrived yet (R22)."""
        if isinstance(shown, FailReason) or shown.offline is None:
            return shown
        vault = self.platform.vault
        return await pending.admit_unknown(work, scope, vault, shown.offline) or shown


async def as_asked(work: Work, scope: Scope, shown: Shown | FailReason) -> Shown | FailReason:
    """What is shown, for who only asks: a ticket that a redemption would book under this token is
    judged as if it had."""
    if isinstance(shown, FailReason) or shown.offline is None:
        return shown
    return replace(shown, key=await pending.key_of(work, scope, shown.offline))


def _is_plain(op: Operation[RedeemIn]) -> bool:
    """It takes the ticket and nothing else, and a guest waits for the decision; or a gate has let
    the guest in, as most are with a ticket that nobody has used."""
    waits = not op.committed and op.local is None
    signed = (op.body.qr_token or "").startswith(PP2_PREFIX)
    return (waits or merging.let_in(op)) and not signed


def _turned_away(op: Operation[RedeemIn]) -> bool:
    return op.local is not None and op.local.result is RedemptionResult.FAIL


async def _heard(work: Work, scope: Scope, record: OpRecord, op: Operation[RedeemIn]) -> None:
    """What physically happened may speak against what was answered (R14, R50)."""
    if _turned_away(op):
        await annulling.not_admitted(work, scope, record.result_id)
    elif op.committed and op.local is not None and op.local.result is RedemptionResult.PASS:
        await merging.let_in_after_all(work, scope, record.result_id)


async def _decide(
    work: Work, scope: Scope, shown: Shown | FailReason, scan: Scan
) -> tuple[Seen | None, Decision]:
    """Change the ticket where nothing speaks against it; where something does, say what (R20)."""
    if not isinstance(shown, FailReason):
        tickets = TicketRepository.of(work, scope)
        scan = replace(scan, key=shown.key)
        change = tickets.leave if scan.direction is Direction.EXIT else tickets.spend
        seen = await change(scan, **shown.lookup(tickets))
        if seen is not None:
            return seen, _agreed(seen, scan)
    seen, decision = await _look_and_decide(work, scope, shown, scan)
    if decision.passed:
        msg = "the rule admits what the database refused to change"
        raise RuntimeError(msg)
    return seen, decision


async def _look_and_decide(
    work: Work, scope: Scope, shown: Shown | FailReason, scan: Scan
) -> tuple[Seen | None, Decision]:
    if isinstance(shown, FailReason):
        return None, refuse(shown)
    tickets = TicketRepository.of(work, scope)
    seen = await tickets.look(**shown.lookup(tickets))
    if seen is None and shown.offline is not None:  # somebody only asks
        row = await pending.unsaved(work, scope, shown.offline)
        if isinstance(row, FailReason):
            return None, refuse(row)
        seen = Seen.of(row.model_dump())
    decision = decide(seen.state if seen else None, replace(scan, key=shown.key))
    # A token that is not the ticket's learns nothing of the ticket.
    return None if decision.reason is FailReason.INVALID_SIG else seen, decision


async def _record(
    work: Work,
    scope: Scope,
    op: Operation[RedeemIn],
    shown: Shown | FailReason,
    scan: Scan,
    result_id: str,
) -> RedemptionView:
    """Write down what a gate has settled by itself (R33)."""
    if merging.let_in(op) and isinstance(shown, Shown):
        first = await _first_entry(work, scope, op, shown, scan, result_id)
        if first is not None:
            return first
    if work.apart:
        raise NotApartError
    seen, decision = await _look_and_decide(work, scope, shown, scan)
    told = _row(scope, op, scan, seen, decision, result_id)
    ticket = None
    if seen is not None:
        tickets = TicketRepository.of(work, scope)
        ticket = await tickets.find_one(_id=tickets.key(seen.ticket_id))
        if merging.let_in(op):
            # Before the entries are judged: that moves the day of the ticket's last PASS.
            await tickets.enter(scan, seen.ticket_id)
            told |= await _counted(work, scope, scan)
            told["came_in"] = not is_inside(seen.state, scan)
    row, conflicts = await merging.record(work, scope, op, Redemption(**told), ticket, scan)
    await _emit(work, scope, row.model_dump())
    await merging.tell(work, scope, conflicts)
    return _answer_of(row, scope)


async def _first_entry(
    work: Work,
    scope: Scope,
    op: Operation[RedeemIn],
    shown: Shown,
    scan: Scan,
    result_id: str,
) -> RedemptionView | None:
    """Book an entry that a gate has let through with a ticket that nobody has used, as most are:
    no other entry stands against it, so it is spent as at the gate of a server that answers. None
    where there is something to judge."""
    tickets, scan = TicketRepository.of(work, scope), replace(scan, key=shown.key)
    which = {**shown.lookup(tickets), "used": 0, "last_pass_at": None}
    seen = await tickets.spend(scan, **which, kind={"$in": [kind.value for kind in COUNTED]})
    if seen is None:
        return None
    row = _row(scope, op, scan, seen, _agreed(seen, scan), result_id)
    row |= await _counted(work, scope, scan)
    row["gate_result"] = RedemptionResult.PASS.value
    await RedemptionRepository.of(work, scope).insert_plain(row)
    await _emit(work, scope, row)
    return _answer(row, scope)


def _agreed(seen: Seen, scan: Scan) -> Decision:
    """What the rule says of a ticket that the database has changed as it was `seen`."""
    decision = decide(seen.state, scan)
    if not decision.passed:
        # The database's condition and the pure rule must be one: give it all back.
        msg = f"changed a ticket that the rule refuses: {decision.reason}"
        raise RuntimeError(msg)
    return decision


async def _counted(
    work: Work, scope: Scope, scan: Scan, counts: occupancy.Counts | None = None
) -> dict[str, Any]:
    """Count the guest in or out; what the row keeps of it (R51)."""
    where = (scan.zone_id, scan.direction, scan.at)
    day, inside = await occupancy.count(work, scope, *where, counts)
    return {"counted_on": day, "inside": inside}


async def _emit(work: Work, scope: Scope, row: Mapping[str, Any]) -> None:
    facts = {
        "redemption_id": row["id"],
        "ticket_id": row["ticket_id"],
        "zone_id": row["zone_id"],
        "reason": row["reason"],
    }
    await events.emit(work, scope, (f"ticket.redeemed.{row['result']}", facts))


def _scan(scope: Scope, body: RedeemIn, at: datetime) -> Scan:
    if body.device_id not in {None, scope.device.device_id}:
        message = "device_id is another device's: leave it out, the token names the device."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    day = business_date(at, scope.zone)
    return Scan(
        at=at,
        direction=body.direction,
        zone_id=body.zone_id,
        device_id=scope.device.device_id,
        binding=Feature.GATE_BINDING in scope.features,
        day_start=business_day_start(day, scope.zone),
    )


async def _zone(work: Work, scope: Scope, scan: Scan) -> ZoneView | None:
    """The scan's zone as the present catalogue has it; None where it has none of that id."""
    if scan.zone_id is None:
        return None
    snapshot = await catalog.snapshot(work, scope)
    return next((zone for zone in snapshot.zones if zone.zone_id == scan.zone_id), None)


def _no_zone() -> PlayParkError:
    return PlayParkError(ErrorCode.NOT_FOUND, "There is no such zone: see the catalogue.")


def _in_zone(scan: Scan, zone: ZoneView | None) -> Scan:
    """With what the zone takes, waits for and insists on."""
    if zone is None:
        return scan
    return replace(
        scan,
        credit_price=zone.credit_price,
        reentry_needs_exit=zone.reentry_needs_exit,
        pending_admits=zone.pending is PendingPolicy.ADMIT,
    )


async def _with_room(
    work: Work, scope: Scope, zone: ZoneView | None, scan: Scan
) -> tuple[Scan, occupancy.Counts | None]:
    """With whether the zone is full, for who wants to enter; and the counts that say so."""
    if zone is None or scan.direction is Direction.EXIT:
        return scan, None
    full, counts = await occupancy.room(work, scope, zone, scan.at)
    return replace(scan, full=full), counts


def _row(
    scope: Scope,
    op: Operation[RedeemIn],
    scan: Scan,
    seen: Seen | None,
    decision: Decision,
    redemption_id: str,
) -> dict[str, Any]:
    """The fields of a `Redemption`, in its order: put together here, for a gate's answer waits for
    nothing that a model would check again."""
    state = seen.state if seen else None
    passed = decision.passed and state is not None and scan.direction is Direction.ENTRY
    return {
        "id": redemption_id,
        "tenant_id": scope.tenant_id,
        "store_id": scope.store_id,
        "op_id": op.op_id,
        "ticket_id": seen.ticket_id if seen else None,
        "device_id": scope.device.device_id,
        "employee_id": scope.actor_id,
        "zone_id": scan.zone_id,
        "direction": scan.direction.value,
        "occurred_at": scan.at,
        "result": decision.result.value,
        "reason": decision.reason.value if decision.reason else None,
        "remaining": decision.remaining,
        "spend": decision.spend,
        "kind": state.kind.value if state else None,
        "package_name": seen.package_name if seen else None,
        "package_name_th": seen.package_name_th if seen else None,
        "used_at": state.last_pass_at if state else None,
        "started_clock": bool(decision.ends_at and state and state.ends_at is None),
        "came_in": bool(passed and state and not is_inside(state, scan)),
        "counted_on": None,
        "inside": None,
        "ends_at": decision.ends_at,
        "credit_shortfall": 0,
        "gate_result": None,
        "answered": None,
        "annulled_at": None,
        "annulled_because": None,
        "flags": list(op.flags),
    }


def _answer_of(row: Redemption, scope: Scope) -> RedemptionView:
    """What was answered at first, whatever the row was judged to be since (R33)."""
    return _answer(row.as_answered.model_dump(), scope)


def _answer(row: Mapping[str, Any], scope: Scope) -> RedemptionView:
    kind = PackageKind(row["kind"]) if row["kind"] else None
    reason = FailReason(row["reason"]) if row["reason"] else None
    decision = Decision(RedemptionResult(row["result"]), reason, row["remaining"])
    direction = Direction(row["direction"])
    english, thai = guest_message(
        decision,
        kind,
        zone=scope.zone,
        used_at=row["used_at"],
        direction=direction,
        # Of a ticket that nobody knows the row has no kind; a bundle admits by its components.
        sale_missing=kind not in {None, PackageKind.BUNDLE},
    )
    return RedemptionView(
        redemption_id=row["id"],
        result=decision.result,
        reason=reason,
        remaining=decision.remaining,
        kind=kind,
        ticket_id=row["ticket_id"],
        message=english,
        message_th=thai,
        package_name=row["package_name"],
        package_name_th=row["package_name_th"],
        inside=row["inside"],
    )


def summary(row: Redemption) -> RedemptionSummary:
    """A redemption in a list."""
    return RedemptionSummary(
        redemption_id=row.id,
        occurred_at=row.occurred_at,
        device_id=row.device_id,
        zone_id=row.zone_id,
        direction=row.direction,
        result=row.result,
        reason=row.reason,
        ticket_id=row.ticket_id,
        package_name=row.package_name,
        remaining=row.remaining,
        annulled_at=row.annulled_at,
        gate_result=row.gate_result,
    )
