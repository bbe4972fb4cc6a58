"""Customers, their groups and their points (API.md: customers)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.customers.models import Customer, PointsEntry
from api.customers.repository import CustomerRepository, PointsRepository, words
from api.platform.operations import Kind, Operation, OpRecord, chain_key
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.customers import (
    MEMBER,
    CustomerIn,
    CustomerPatch,
    CustomerView,
    PointsIn,
    PointsReason,
    PointsRow,
    phone_digits,
)
from playpark.contracts.employees import Permission
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid


async def group_of(work: Work, scope: Scope, customer_id: str | None) -> str | None:
    """The group that member prices target; None for nobody.

    Raises E_NOT_FOUND for a customer who is unknown or no longer active.
    """
    if customer_id is None:
        return None
    customer = await CustomerRepository.of(work, scope).find_one(_id=customer_id, active=True)
    if customer is None:
        raise _unknown()
    return customer.group


async def earn(
    work: Work, scope: Scope, customer_id: str, points: int, *, sale_id: str, reason: PointsReason
) -> None:
    """Add points in the transaction of the sale or refund. Raises E_NOT_FOUND."""
    if not points:
        return
    customer = await CustomerRepository.of(work, scope).add_points(customer_id, points)
    if customer is None:
        raise _unknown()
    await _write(work, scope, customer, points, reason=reason, sale_id=sale_id)


async def burn(
    work: Work, scope: Scope, customer_id: str, points: int, *, sale_id: str, reason: PointsReason
) -> bool:
    """Take points in the transaction of the sale or refund; False where the balance is too
    small, and nothing has changed. Raises E_NOT_FOUND."""
    if not points:
        return True
    customers = CustomerRepository.of(work, scope)
    customer = await customers.add_points(customer_id, -points)
    if customer is None:
        if await customers.find_one(_id=customer_id) is None:
            raise _unknown()
        return False
    await _write(work, scope, customer, -points, reason=reason, sale_id=sale_id)
    return True


async def _write(
    work: Work,
    scope: Scope,
    customer: Customer,
    points: int,
    *,
    reason: PointsReason,
    sale_id: str | None = None,
    row_id: str | None = None,
    reason_text: str | None = None,
    at: datetime | None = None,
    flags: Sequence[str] = (),
) -> PointsEntry:
    """The ledger's row of a change that the balance has taken already."""
    entry = PointsEntry(
        id=row_id or new_ulid(),
        tenant_id=scope.tenant_id,
        customer_id=customer.id,
        points=points,
        balance=customer.points,
        reason=reason,
        reason_text=reason_text,
        sale_id=sale_id,
        at=at or work.now,
        employee_id=scope.actor_id,
        employee_name=scope.actor_name,
        flags=list(flags),
    )
    return await PointsRepository.of(work, scope).insert(entry)


async def _adjust(work: Work, scope: Scope, op: Operation[PointsIn], result_id: str) -> PointsRow:
    """Give or take points by hand. More than there is cannot be taken: E_CONFLICT, or what there
    is, flagged, where it is committed (R17).

    Raises E_NOT_FOUND.
    """
    flags = [*op.flags]
    customers = CustomerRepository.of(work, scope)
    points = op.body.points
    customer = await customers.add_points(op.body.customer_id, points)
    if customer is None:
        known = await customers.find_one(_id=op.body.customer_id)
        if known is None:
            raise _unknown()
        if not op.committed:
            message = "The customer does not have that many points: take fewer."
            raise PlayParkError(ErrorCode.CONFLICT, message, details={"points": known.points})
        flags.append("points_short")
        points = -known.points
        customer = await customers.add_points(known.id, points) or known
    entry = await _write(
        work,
        scope,
        customer,
        points,
        reason=PointsReason.ADJUSTED,
        reason_text=op.body.reason_text,
        row_id=result_id,
        at=op.occurred_at,
        flags=flags,
    )
    payload = {"points_id": entry.id, "points": points, "balance": entry.balance, "flags": flags}
    await audit.append(work, scope, "customer.points_adjusted", customer.id, payload)
    return row(entry)


async def _adjusted_answer(work: Work, scope: Scope, record: OpRecord) -> PointsRow:
    entry = await PointsRepository.of(work, scope).find_one(_id=record.result_id)
    if entry is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such row of points.")
    return row(entry)


# No money that has changed hands: it takes a person, or a device could make its own guests rich.
MAY_ADJUST = Rights((Permission.MANUAL_DISCOUNT,), person=True)
POINTS = Kind(OpKind.POINTS, PointsIn, _adjust, _adjusted_answer, MAY_ADJUST)


async def points_rows(work: Work, scope: Scope, customer_id: str, *, limit: int) -> list[PointsRow]:
    """The latest rows of a customer's ledger, newest first."""
    entries = PointsRepository.of(work, scope)
    found = await entries.find(sort="_id", descending=True, limit=limit, customer_id=customer_id)
    return [row(entry) for entry in found]


# --- people -----------------------------------------------------------------------------


def phone_prefix(text: str) -> str:
    """A telephone number or its beginning, as numbers are stored.

    Raises E_VALIDATION for fewer than four digits: that would be browsing, not a search.
    """
    digits = phone_digits(text)
    if digits is None or not 4 <= len(digits) <= 15:
        message = "Search with at least the first four digits of the telephone number."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return digits


async def customer(work: Work, scope: Scope, customer_id: str) -> CustomerView:
    """A customer of the tenant, active or not. Raises E_NOT_FOUND."""
    found = await CustomerRepository.of(work, scope).find_one(_id=customer_id)
    if found is None:
        raise _unknown()
    return view(found)


async def create(platform: Platform, scope: Scope, body: CustomerIn) -> CustomerView:
    """Add a customer. A group other than the ordinary one sets prices: it needs
    `manual_discount`. Raises E_CONFLICT for a telephone number in use, E_PERMISSION."""
    if body.group != MEMBER:
        scope.require(Permission.MANUAL_DISCOUNT)
    added = Customer(
        id=new_ulid(), tenant_id=scope.tenant_id, words=words(body.name), **body.model_dump()
    )

    async def insert(work: Work) -> Customer:
        await CustomerRepository.of(work, scope).insert(added)
        told = {"fields": _told(body)}
        await audit.append(work, scope, "customer.created", added.id, told)
        return added.model_copy(update={"created_at": work.now})

    try:
        return view(await platform.uow.run(insert, queue=chain_key(scope)))
    except DuplicateKeyError:
        raise _number_in_use() from None


async def change(
    platform: Platform, scope: Scope, customer_id: str, body: CustomerPatch
) -> CustomerView:
    """Change what was sent; null takes phone, email or note away and says nothing elsewhere.

    Group and active need `manual_discount`. Raises E_NOT_FOUND, E_CONFLICT, E_PERMISSION.
    """
    clearable = {"phone", "email", "note"}
    changes: dict[str, Any] = {
        name: value
        for name, value in body.model_dump(exclude_unset=True).items()
        if value is not None or name in clearable
    }
    if changes.keys() & {"group", "active"}:
        scope.require(Permission.MANUAL_DISCOUNT)
    if "name" in changes:
        changes["words"] = words(changes["name"])

    async def update(work: Work) -> Customer:
        found = await CustomerRepository.of(work, scope).change({"$set": changes}, _id=customer_id)
        if found is None:
            raise _unknown()
        if changes:
            told = {"fields": sorted(changes.keys() - {"words"})}
            await audit.append(work, scope, "customer.changed", customer_id, told)
        return found

    try:
        return view(await platform.uow.run(update, queue=chain_key(scope)))
    except DuplicateKeyError:
        raise _number_in_use() from None


def _told(body: CustomerIn) -> list[str]:
    """What an audit row says about a person: names of fields, never what stands in them."""
    return sorted(body.model_dump(exclude_none=True))


def view(customer: Customer) -> CustomerView:
    return CustomerView(
        customer_id=customer.id,
        name=customer.name,
        phone=customer.phone,
        email=customer.email,
        group=customer.group,
        note=customer.note,
        points=customer.points,
        active=customer.active,
        created_at=customer.created_at,
    )


def row(entry: PointsEntry) -> PointsRow:
    return PointsRow(
        points_id=entry.id,
        customer_id=entry.customer_id,
        points=entry.points,
        balance=entry.balance,
        reason=entry.reason,
        reason_text=entry.reason_text,
        sale_id=entry.sale_id,
        at=entry.at,
        employee_name=entry.employee_name,
    )


def _unknown() -> PlayParkError:
    return PlayParkError(ErrorCode.NOT_FOUND, "There is no such customer.")


def _number_in_use() -> PlayParkError:
    message = "A customer with this telephone number exists: search for it."
    return PlayParkError(ErrorCode.CONFLICT, message)
