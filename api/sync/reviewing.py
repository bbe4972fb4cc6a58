"""What is kept until somebody has looked at it: of a revoked device, or of an export that was
handed in (R37, R38)."""

from collections.abc import Sequence

from api.identity.repository import AuthorityRepository
from api.platform.documents import scoped_id
from api.platform.scope import Device, Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.sync import keeping
from api.sync.keeping import Arrived
from api.sync.repository import DeadLetterRepository, PlaceRepository
from playpark.contracts.sync import (
    BundleIn,
    BundleOut,
    DeadLetterKind,
    OpResult,
    OpStatus,
)
from playpark.errors import ErrorCode, PlayParkError

MOST_HANDED_IN = 500
REVIEWED = (
    "This device was revoked: the operation is kept for a review, and a supervisor decides on it."
)


async def keep_all(platform: Platform, scope: Scope, came: Sequence[Arrived]) -> list[OpResult]:
    """Keep what a revoked device brings, without any effect. For the device that is final: each is
    rejected with the id under which it waits, or a duplicate of what is booked already."""
    booked = await _booked(platform.uow.reading(), scope, scope.device.device_id, came)
    results = []
    for each in came:
        op_id = each.op.op_id
        if booked.get(op_id) == each.body_hash:
            results.append(OpResult(op_id=op_id, status=OpStatus.DUPLICATE))
            continue
        by, refusal = scope.acting_as(None), PlayParkError(ErrorCode.DEVICE_REVOKED, REVIEWED)
        letter = await keeping.keep(
            platform, by, scope.device, each, DeadLetterKind.REVIEW, refusal=refusal
        )
        results.append(
            OpResult(
                op_id=op_id,
                status=OpStatus.REJECTED,
                code=refusal.code,
                message=refusal.message,
                dead_letter_id=letter.id,
            )
        )
    return results


async def hand_in(
    platform: Platform, scope: Scope, bundle: BundleIn, came: Sequence[Arrived]
) -> BundleOut:
    """Keep what another device of the caller's store has exported. The same again changes nothing.

    Raises E_BATCH_TOO_LARGE, and E_NOT_FOUND for a device that is not of this store.
    """
    if len(came) > MOST_HANDED_IN:
        message = f"Hand in at most {MOST_HANDED_IN} operations at once: send the rest after them."
        raise PlayParkError(ErrorCode.BATCH_TOO_LARGE, message)
    work = platform.uow.reading()
    origin = await origin_of(work, scope, bundle.device_id)
    booked = await _booked(work, scope, origin.device_id, came)
    op_ids = {each.op.op_id for each in came}
    letters = await DeadLetterRepository.of(work, scope).of_ops(origin.device_id, op_ids)
    known = {(letter.op_id, letter.body_hash) for letter in letters} | set(booked.items())
    kept = 0
    for each in came:
        same = each.op.op_id, each.body_hash
        if same in known:
            continue
        await keeping.keep(platform, scope, origin, each, DeadLetterKind.REVIEW, handed_in=True)
        known.add(same)
        kept += 1
    return BundleOut(kept=kept, known=len(came) - kept)


async def origin_of(work: Work, scope: Scope, device_id: str) -> Device:
    """The device that made the operations, whatever has become of it since. Raises E_NOT_FOUND."""
    return (await origin_scope(work, scope, device_id)).device


async def origin_scope(work: Work, scope: Scope, device_id: str) -> Scope:
    """The scope of a device of the caller's store, with nobody on it. Raises E_NOT_FOUND."""
    found = await AuthorityRepository.of(work, scope).find_one(_id=device_id, paired=True)
    if found is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such device in this store.")
    return found.scope(None)


async def _booked(
    work: Work, scope: Scope, device_id: str, came: Sequence[Arrived]
) -> dict[str, str]:
    """{op_id: hash} of those that have their effect already."""
    chain = scoped_id(scope.tenant_id, scope.store_id, device_id)
    keys = {scoped_id(chain, each.op.op_id) for each in came}
    return await PlaceRepository.of(work, scope).known(keys)
