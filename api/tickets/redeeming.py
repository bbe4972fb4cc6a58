"""Redeeming tickets: one transaction, one decision (R19–R21, R50–R53)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord, chain_key, clamp
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.tickets.models import Redemption, Ticket
from api.tickets.repository import RedemptionRepository, TicketRepository
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
from playpark.redemption import Decision, Scan, SigningKey, decide, refuse
from playpark.tokens import parse_pp1, verify_pp1

TRAINING_PREFIX = "PPT."
NOT_ADMITTED, ZONE_UNKNOWN = "not_admitted", "zone_unknown"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a guest showed: a ticket's id under a key that is ours, or a typed short code."""

    ticket_id: str = ""
    short_code: str | None = None
    key: SigningKey | None = None

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
        return Kind(OpKind.REDEMPTION, RedeemIn, *how, audited=False)

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
        try:
            scan = await _in_its_zone(work, scope, scan)
        except PlayParkError:
            if not op.committed:
                raise
            op = replace(op, flags=(*op.flags, ZONE_UNKNOWN))
        shown = await self.find(scope, op.body)
        ticket, decision = await self._decide(work, scope, shown, scan)
        row = _row(scope, op, scan, ticket, decision, result_id)
        await RedemptionRepository.of(work, scope).insert(row)
        event = f"ticket.redeemed.{decision.result.value}"
        facts = {
            "redemption_id": row.id,
            "ticket_id": row.ticket_id,
            "zone_id": row.zone_id,
            "reason": decision.reason.value if decision.reason else None,
        }
        await events.emit(work, scope, (event, facts))
        return _answer(row, scope)

    async def rebuild(self, work: Work, scope: Scope, record: OpRecord) -> RedemptionView:
        rows = RedemptionRepository.of(work, scope)
        row = await rows.find_one(_id=record.result_id)
        if row is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such redemption.")
        return _answer(row, scope)

    async def not_admitted(self, scope: Scope, redemption_id: str) -> None:
        """Annul a PASS whose answer came too late to let the guest in (R50). Both rows stay, the
        quota and the clock come back; once."""

        async def annul(work: Work) -> None:
            row = await RedemptionRepository.of(work, scope).annul(redemption_id, NOT_ADMITTED)
            if row is None:
                return
            await TicketRepository.of(work, scope).give_back(row)
            facts = {"ticket_id": row.ticket_id, "because": NOT_ADMITTED}
            await audit.append(work, scope, "redemption.annulled", redemption_id, facts)

        await self.platform.uow.run(annul, queue=chain_key(scope))

    async def simulate(self, scope: Scope, body: RedeemIn) -> RedemptionView:
        """The answer that a redemption would get now; writes nothing (R52)."""
        work = self.platform.uow.reading()
        self.rights.require(scope)
        at, _ = clamp(body.occurred_at, work.now)
        scan = await _in_its_zone(work, scope, _scan(scope, body, at))
        shown = await self.find(scope, body)
        ticket, decision = await _read_and_decide(work, scope, shown, scan)
        op = Operation(new_ulid(), OpKind.REDEMPTION, {}, body, at)
        return _answer(_row(scope, op, scan, ticket, decision, ""), scope).model_copy(
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
        token = parse_pp1(text)
        keys = await self.platform.ticket_keys(scope)
        if token is None or not verify_pp1(keys.by_kid, scope.tenant_id, token):
            return FailReason.INVALID_SIG
        return Shown(ticket_id=token.ticket_id, key=keys.signing_key(token.kid))

    async def _decide(
        self, work: Work, scope: Scope, shown: Shown | FailReason, scan: Scan
    ) -> tuple[Ticket | None, Decision]:
        if not isinstance(shown, FailReason) and scan.direction is Direction.ENTRY:
            tickets = TicketRepository.of(work, scope)
            scan = replace(scan, key=shown.key)
            ticket = await tickets.spend(scan, **shown.lookup(tickets))
            if ticket is not None:
                decision = decide(ticket.state, scan)
                if not decision.passed:
                    # The database's condition and the pure rule must be one: give it all back.
                    msg = f"spent a ticket that the rule refuses: {decision.reason}"
                    raise RuntimeError(msg)
                return ticket, decision
        ticket, decision = await _read_and_decide(work, scope, shown, scan)
        if decision.passed and scan.direction is Direction.ENTRY:
            msg = "the rule admits what the database refused to spend"
            raise RuntimeError(msg)
        return ticket, decision


async def _read_and_decide(
    work: Work, scope: Scope, shown: Shown | FailReason, scan: Scan
) -> tuple[Ticket | None, Decision]:
    if isinstance(shown, FailReason):
        return None, refuse(shown)
    tickets = TicketRepository.of(work, scope)
    ticket = await tickets.find_one(**shown.lookup(tickets))
    decision = decide(ticket.state if ticket else None, replace(scan, key=shown.key))
    # A token that is not the ticket's learns nothing of the ticket.
    return None if decision.reason is FailReason.INVALID_SIG else ticket, decision


def _scan(scope: Scope, body: RedeemIn, at: datetime) -> Scan:
    if body.device_id not in {None, scope.device.device_id}:
        message = "device_id is another device's: leave it out, the token names the device."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return Scan(
        at=at,
        direction=body.direction,
        zone_id=body.zone_id,
        device_id=scope.device.device_id,
        binding=Feature.GATE_BINDING in scope.features,
    )


async def _in_its_zone(work: Work, scope: Scope, scan: Scan) -> Scan:
    """With what the zone takes from a credit ticket. Raises E_NOT_FOUND."""
    if scan.zone_id is None:
        return scan
    snapshot = await catalog.snapshot(work, scope)
    for zone in snapshot.zones:
        if zone.zone_id == scan.zone_id:
            return replace(scan, credit_price=zone.credit_price)
    raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such zone: see the catalogue.")


def _row(
    scope: Scope,
    op: Operation[RedeemIn],
    scan: Scan,
    ticket: Ticket | None,
    decision: Decision,
    redemption_id: str,
) -> Redemption:
    return Redemption(
        id=redemption_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        ticket_id=ticket.ticket_id if ticket else None,
        device_id=scope.device.device_id,
        employee_id=scope.actor_id,
        zone_id=scan.zone_id,
        direction=scan.direction,
        occurred_at=scan.at,
        result=decision.result,
        reason=decision.reason,
        remaining=decision.remaining,
        spend=decision.spend,
        kind=ticket.kind if ticket else None,
        package_name=ticket.package_name if ticket else None,
        package_name_th=ticket.package_name_th if ticket else None,
        used_at=ticket.last_pass_at if ticket else None,
        started_clock=bool(ticket and decision.ends_at and ticket.ends_at is None),
        flags=list(op.flags),
    )


def _answer(row: Redemption, scope: Scope) -> RedemptionView:
    decision = Decision(RedemptionResult(row.result), row.reason, row.remaining)
    english, thai = guest_message(
        decision, row.kind, zone=scope.zone, used_at=row.used_at, direction=row.direction
    )
    return RedemptionView(
        redemption_id=row.id,
        result=row.result,
        reason=row.reason,
        remaining=row.remaining,
        kind=row.kind,
        ticket_id=row.ticket_id,
        message=english,
        message_th=thai,
        package_name=row.package_name,
        package_name_th=row.package_name_th,
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
    )
