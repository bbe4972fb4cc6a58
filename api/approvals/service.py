"""Granting approvals by PIN, spending them inside the effect they allow, and the reasons (R42)."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from api.approvals.models import Approval, ReasonCode
from api.approvals.repository import (
    ApprovalRepository,
    ReasonCodeRepository,
    ReasonCodesInStores,
)
from api.audit import service as audit
from api.identity import proving
from api.identity.proving import Told
from api.identity.standing import standings
from api.platform.documents import scoped_id
from api.platform.operations import Operation, chain_key
from api.platform.scope import Actor, Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.approvals import (
    ApprovalAction,
    ApprovalGranted,
    ApprovalView,
    EmployeeRef,
    ReasonCodeIn,
    ReasonCodePatch,
    ReasonCodeView,
    ReasonKind,
    VerifyPinIn,
)
from playpark.contracts.employees import Permission
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

UNAPPROVED, REASON_UNKNOWN = "unapproved", "reason_unknown"
LIFETIME = timedelta(minutes=2)
NO_LIMIT = 10_000
ACTION_PERMISSION: dict[ApprovalAction, Permission | None] = {
    ApprovalAction.REFUND: Permission.REFUND,
    ApprovalAction.VOID: Permission.REFUND,
    ApprovalAction.REPRINT: Permission.REPRINT,
    ApprovalAction.EXCHANGE: Permission.REPRINT,
    ApprovalAction.TICKET_CANCEL: Permission.REFUND,
    ApprovalAction.MANUAL_DISCOUNT: Permission.MANUAL_DISCOUNT,
    ApprovalAction.PRICE_OVERRIDE: Permission.MANUAL_DISCOUNT,
    ApprovalAction.CASH_VARIANCE: None,
    ApprovalAction.SHIFT_ADJUSTMENT: None,
    ApprovalAction.X_REPORT: Permission.REPORTS_VIEW,
    ApprovalAction.DEAD_LETTER: None,
}
"""What the approver must be allowed to do themselves, besides `approve`."""


def token_hash(token: str) -> str:
    """SHA-256 in hex, as approval tokens are stored."""
    return hashlib.sha256(token.encode()).hexdigest()


async def verify_pin(platform: Platform, scope: Scope, body: VerifyPinIn) -> ApprovalGranted:
    """A single-use token for one action, from the PIN of who may approve it.

    Raises E_PERMISSION where the approver may not approve this or is who asks, and what
    `proving.prove` raises; wrong PINs count as at the login.
    """
    told = Told(body.employee_id, body.email, body.pin)
    proof = await proving.prove(platform, scope, told, failure="approval.pin_failed", codes=False)
    approver = proof.actor
    refusal = _refusal(scope, approver, body.action)
    token, approval_id = secrets.token_urlsafe(32), new_ulid()
    what = {"action": body.action.value, "amount": body.amount, "approver_id": approver.employee_id}

    async def decide(work: Work) -> None:
        await proof.stands(work)
        await proof.settle(work)
        if refusal is not None:
            await audit.append(work, scope, "approval.refused", body.entity_id, what)
            return
        approval = Approval(
            id=approval_id,
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            token_hash=token_hash(token),
            action=body.action,
            entity_id=body.entity_id,
            amount=body.amount,
            approver_id=approver.employee_id,
            approver_name=approver.name,
            permissions=sorted(approver.permissions),
            requester_id=scope.actor_id,
            requester_name=scope.actor_name,
            device_id=scope.device.device_id,
            granted_at=work.now,
            expires_at=work.now + LIFETIME,
        )
        await ApprovalRepository.of(work, scope).insert(approval)
        payload = {**what, "approval_id": approval_id}
        await audit.append(work, scope, "approval.granted", body.entity_id, payload)

    await platform.uow.run(decide, queue=chain_key(scope))
    if refusal is not None:
        raise refusal
    return ApprovalGranted(
        approval_token=token,
        expires_in=int(LIFETIME.total_seconds()),
        approved_by=EmployeeRef(employee_id=approver.employee_id, name=approver.name),
    )


def _refusal(scope: Scope, approver: Actor, action: ApprovalAction) -> PlayParkError | None:
    if scope.actor is not None and scope.actor.employee_id == approver.employee_id:
        message = "You asked for this yourself: another supervisor has to approve it."
        return PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "permission"})
    missing = _needed(action) - approver.permissions
    if missing:
        message = "Your roles do not allow you to approve this: ask another supervisor."
        details = {"reason": "permission", "permission": min(missing).value}
        return PlayParkError(ErrorCode.PERMISSION, message, details=details)
    return None


def _needed(action: ApprovalAction) -> frozenset[Permission]:
    own = ACTION_PERMISSION[action]
    return frozenset({Permission.APPROVE, *([own] if own else [])})


async def require(
    work: Work,
    scope: Scope,
    op: Operation[Any],
    action: ApprovalAction,
    *,
    entities: Collection[str],
    amount: int | None = None,
    permissions: Collection[Permission] = (),
) -> tuple[EmployeeRef | None, list[str]]:
    """Spend the operation's approval in its transaction, before the effect.

    It must be for this `action`, one of the `entities` (the op_id is always one) and, where it
    names an amount, exactly `amount` satang, given on this device. The approver holds `approve`,
    the action's own permission and the `permissions`, and still does where nothing has happened
    yet. It is spent in the name of who asked for it, who is not the approver; where nobody was
    named then, in that of somebody who is logged in now. Returns who approved, and flags. Raises
    E_PERMISSION with reason `approval_required`; what is committed is flagged instead, and an
    approval that does not fit is left unspent.

    Its two minutes are judged when the operation first arrives with it. One that was answered
    with a refusal or a 503 has spent nothing: the same op_id with the same body may come again at
    any time later, another one only within the two minutes. An arrival that could not be written
    down, because the database was away, does not count.
    """
    if op.approval is not None and scope.actor is not None:
        approvals = ApprovalRepository.of(work, scope)
        hashed, who = token_hash(op.approval), scope.actor.employee_id
        op_key = scoped_id(scope.device.device_id, op.op_id, op.body_hash)
        fits = {
            "action": action,
            "entity_id": {"$in": sorted({*entities, op.op_id})},
            "device_id": scope.device.device_id,
        }
        wanted = _needed(action) | set(permissions)
        await approvals.receive(hashed, op_key, **fits)
        approval = await approvals.spend(
            hashed,
            op_key,
            amount=amount,
            permissions=wanted,
            requester_id=who,
            # In the name of somebody who need not be here, only what they asked for themselves.
            asked_by={who} if op.committed else {who, None},
            **fits,
        )
        if approval is not None and (op.committed or await _may(work, scope, approval, wanted)):
            return EmployeeRef(employee_id=approval.approver_id, name=approval.approver_name), []
    if op.committed:
        return None, [UNAPPROVED]
    message = "A supervisor has to approve this: ask for their PIN."
    if scope.actor is None:
        message = "Log in first: a supervisor approves what a person asks for."
    details = {"reason": "approval_required", "action": action.value}
    raise PlayParkError(ErrorCode.PERMISSION, message, details=details)


async def _may(
    work: Work, scope: Scope, approval: Approval, wanted: Collection[Permission]
) -> bool:
    """Whether the approver is still allowed what they approved."""
    who = approval.approver_id
    person = (await standings(work, scope.tenant_id, {who}, store_id=scope.store_id)).get(who)
    return person is not None and all(person.may(scope.store_id, each) for each in wanted)


def view(approval: Approval) -> ApprovalView:
    """An approval as supervisors see it: no token, not even its hash."""
    requester = None
    if approval.requester_id is not None:
        name = approval.requester_name or ""
        requester = EmployeeRef(employee_id=approval.requester_id, name=name)
    return ApprovalView(
        approval_id=approval.id,
        action=approval.action,
        entity_id=approval.entity_id,
        amount=approval.amount,
        approved_by=EmployeeRef(employee_id=approval.approver_id, name=approval.approver_name),
        requested_by=requester,
        device_id=approval.device_id,
        granted_at=approval.granted_at,
        expires_at=approval.expires_at,
        used_at=approval.used_at,
    )


# --- reasons ----------------------------------------------------------------------------


async def reason_codes(work: Work, tenant_id: str, store_id: str) -> list[ReasonCodeView]:
    """All reasons of a store by their code, those that are no longer active too."""
    codes = ReasonCodeRepository(work, tenant_id, store_id)
    return [reason_view(code) for code in await codes.find(sort="code", limit=NO_LIMIT)]


async def reason_codes_in(
    work: Work, tenant_id: str, store_ids: Sequence[str]
) -> dict[str, list[ReasonCodeView]]:
    """The same of each store."""
    found = await ReasonCodesInStores(work, tenant_id, store_ids).by_store(sort="code")
    return {store_id: [reason_view(code) for code in codes] for store_id, codes in found.items()}


def reason_flags(
    op: Operation[Any], known: Sequence[ReasonCodeView], kind: ReasonKind
) -> list[str]:
    """Flags of the reason in an operation's body, if it has one. Raises as `check_reason`, unless
    it is committed (R17)."""
    if op.body.reason_code is None:
        return []
    try:
        check_reason(known, kind, op.body.reason_code, op.body.reason_text)
    except PlayParkError:
        if not op.committed:
            raise
        return [REASON_UNKNOWN]
    return []


def check_reason(
    known: Sequence[ReasonCodeView], kind: ReasonKind, code: str, text: str | None
) -> None:
    """Raises E_VALIDATION for a reason that the store does not have for this, or without the
    words that it asks for."""
    fitting = {each.code: each for each in known if each.kind in {kind, ReasonKind.ANY}}
    reason = fitting.get(code)
    if reason is None or not reason.active:
        active = sorted(each.code for each in fitting.values() if each.active)
        message = "Choose one of the store's reasons for this: see the catalogue."
        raise PlayParkError(ErrorCode.VALIDATION, message, details={"reasons": active})
    if reason.text_required and not text:
        message = f"The reason `{code}` needs words too: say in reason_text what happened."
        raise PlayParkError(ErrorCode.VALIDATION, message)


async def create_reason(platform: Platform, scope: Scope, body: ReasonCodeIn) -> ReasonCodeView:
    """Add a reason to the store and publish it. Raises E_CONFLICT for a code in use."""
    code = ReasonCode(
        id=new_ulid(), tenant_id=scope.tenant_id, store_id=scope.store_id, **body.model_dump()
    )

    async def create(work: Work) -> None:
        await ReasonCodeRepository.of(work, scope).insert(code)
        await platform.publish(work, scope.tenant_id, scope.store_id)
        await audit.append(
            work, scope, "reason_code.created", code.code, body.model_dump(mode="json")
        )

    try:
        await platform.uow.run(create, queue=chain_key(scope))
    except DuplicateKeyError:
        message = "The store has a reason with this code: change that one, or take another code."
        raise PlayParkError(ErrorCode.CONFLICT, message) from None
    return reason_view(code)


async def change_reason(
    platform: Platform, scope: Scope, code: str, body: ReasonCodePatch
) -> ReasonCodeView:
    """Change a reason of the store and publish it; null says nothing. Raises E_NOT_FOUND."""
    changes = body.model_dump(exclude_none=True)

    async def change(work: Work) -> ReasonCode:
        codes = ReasonCodeRepository.of(work, scope)
        found = await codes.change({"$set": changes}, code=code)
        if found is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such reason.")
        if changes:
            await platform.publish(work, scope.tenant_id, scope.store_id)
            await audit.append(work, scope, "reason_code.changed", code, changes)
        return found

    return reason_view(await platform.uow.run(change, queue=chain_key(scope)))


def reason_view(code: ReasonCode) -> ReasonCodeView:
    return ReasonCodeView(
        code=code.code,
        kind=code.kind,
        label=code.label,
        label_th=code.label_th,
        text_required=code.text_required,
        active=code.active,
    )
