"""Annulments: an entry that did not happen gives back its use, its clock and its place (R50)."""

from datetime import timedelta

from api.audit import service as audit
from api.events import service as events
from api.platform.documents import scoped_id
from api.platform.operations import Kind, Operation, OpRecord, OpRepository, chain_key
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.tickets import merging, occupancy
from api.tickets.models import Annulment, Redemption
from api.tickets.repository import AnnulmentRepository, RedemptionRepository, TicketRepository
from playpark.contracts.employees import Permission
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import AnnulIn, AnnulView, Direction, RedemptionResult
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from playpark.redemption import remaining

IN_TIME = timedelta(minutes=15)
NOT_ADMITTED, AT_THE_GATE = "not_admitted", "at_the_gate"
LATE = "annulled_late"


async def _annul(work: Work, scope: Scope, op: Operation[AnnulIn], annulment_id: str) -> AnnulView:
    """Annul an entry of this gate. Raises E_NOT_FOUND (another device's, one that never arrived),
    E_CONFLICT (a refusal, an exit, annulled already, too late)."""
    row = await _entry(work, scope, op.body)
    if row.annulled_at is not None:
        message = "This entry is annulled already: scan the ticket again to let the guest in."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    if not row.walked_in or row.ticket_id is None:
        message = "Nobody went in with this scan: only an entry that passed is annulled."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    flags = [*op.flags, *_late(work, op, row)]
    annulment = Annulment(
        id=annulment_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        redemption_id=row.id,
        ticket_id=row.ticket_id,
        device_id=scope.device.device_id,
        employee_id=scope.actor_id,
        because=AT_THE_GATE,
        reason_text=op.body.reason_text,
        occurred_at=op.occurred_at,
        annulled_at=work.now,
        remaining=0,
        flags=flags,
    )
    return _view(await _take_back(work, scope, row, annulment))


async def _annulled_answer(work: Work, scope: Scope, record: OpRecord) -> AnnulView:
    annulment = await AnnulmentRepository.of(work, scope).find_one(_id=record.result_id)
    if annulment is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such annulment.")
    return _view(annulment)


ANNUL = Kind(OpKind.ANNUL, AnnulIn, _annul, _annulled_answer, Rights((Permission.REDEEM,)))


async def not_admitted(work: Work, scope: Scope, redemption_id: str) -> None:
    """Annul a PASS that let nobody in; its audit row is the last statement.

    A gate tells this once, and nothing else before: what the row says of it, where other entries
    had it judged anew, was only what a PASS means as a rule (R33).
    """
    row = await RedemptionRepository.of(work, scope).find_one(
        _id=redemption_id, device_id=scope.device.device_id
    )
    if row is None or row.ticket_id is None or not row.walked_in:
        return
    annulment = Annulment(
        id=new_ulid(),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=row.op_id,
        redemption_id=row.id,
        ticket_id=row.ticket_id,
        device_id=scope.device.device_id,
        employee_id=scope.actor_id,
        because=NOT_ADMITTED,
        reason_text=None,
        occurred_at=work.now,
        annulled_at=work.now,
        remaining=0,
    )
    await _take_back(work, scope, row, annulment)


async def _entry(work: Work, scope: Scope, body: AnnulIn) -> Redemption:
    """The redemption that is meant, of this device. Raises E_NOT_FOUND."""
    redemption_id = body.redemption_id
    if body.op_id is not None:
        key = scoped_id(chain_key(scope), body.op_id)
        record = await OpRepository.of(work, scope).find_one(_id=key, kind=OpKind.REDEMPTION.value)
        redemption_id = record.result_id if record else None
    row = await RedemptionRepository.of(work, scope).find_one(
        _id=redemption_id, device_id=scope.device.device_id
    )
    if row is None:
        message = "This gate has no such scan: only the gate that let the guest in can annul it."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    return row


def _late(work: Work, op: Operation[AnnulIn], row: Redemption) -> list[str]:
    """Flags of an annulment that comes after its quarter of an hour. Raises E_CONFLICT where it
    has not happened yet: what a gate has done by itself is judged by its own two moments."""
    passed = op.occurred_at - row.occurred_at if op.committed else work.now - row.created_at
    if passed <= IN_TIME:
        return []
    if op.committed:
        return [LATE]
    minutes = int(IN_TIME.total_seconds()) // 60
    message = f"This entry is more than {minutes} minutes old: send the guest to the counter."
    raise PlayParkError(ErrorCode.CONFLICT, message)


async def _take_back(work: Work, scope: Scope, row: Redemption, annulment: Annulment) -> Annulment:
    """Mark the row, give back what it took, write the annulment; the audit rows last."""
    tickets = TicketRepository.of(work, scope)
    told = {"annulled_at": annulment.annulled_at, "annulled_because": annulment.because}
    if annulment.because == NOT_ADMITTED:
        told["gate_result"] = RedemptionResult.FAIL.value
    await RedemptionRepository.of(work, scope).update_one(
        {"$set": told}, _id=row.id, direction=Direction.ENTRY.value, annulled_at=None
    )
    await occupancy.give_back(work, scope, row)
    conflicts = []
    holder: str | None = annulment.ticket_id
    while holder is not None:
        # A ticket that was given for this one has carried the use on: it gets it back too (R25).
        await tickets.give_back(row.model_copy(update={"ticket_id": holder}))
        conflicts += await merging.after_annulment(work, scope, holder, row)
        ticket = await tickets.find_one(_id=tickets.key(holder))
        if ticket is not None:
            annulment.remaining = remaining(ticket.state, work.now)
        holder = ticket.replaced_by if ticket is not None else None
    await AnnulmentRepository.of(work, scope).insert(annulment)
    facts = {
        "ticket_id": row.ticket_id,
        "because": annulment.because,
        "reason_text": annulment.reason_text,
        "flags": annulment.flags,
    }
    event = {"redemption_id": row.id, "ticket_id": row.ticket_id, "zone_id": row.zone_id}
    await events.emit(work, scope, ("ticket.redeemed.annulled", event))
    await merging.tell(work, scope, conflicts)
    await audit.append(work, scope, "redemption.annulled", row.id, facts)
    return annulment


def _view(annulment: Annulment) -> AnnulView:
    return AnnulView(
        redemption_id=annulment.redemption_id,
        ticket_id=annulment.ticket_id,
        annulled_at=annulment.annulled_at,
        remaining=annulment.remaining,
    )
