"""Appending to the audit chain of a device (R45)."""

from typing import Any

from api.audit.links import row_hash, row_id
from api.audit.models import AuditHead, AuditRow
from api.audit.repository import AuditHeadRepository, AuditRepository
from api.platform.documents import scoped_id
from api.platform.envelope import client, request_id
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.cash import FIRST_HASH
from playpark.contracts.audit import AuditMark


async def append(
    work: Work, scope: Scope, event_type: str, entity_id: str, payload: dict[str, Any]
) -> None:
    """Add one row to the device's chain. Call it last in a transaction, queued by
    `UnitOfWork.one_at_a_time(chain_key(scope))`. Payloads hold no secrets and no tokens."""
    heads = AuditHeadRepository.of(work, scope)
    chain = chain_key(scope)
    head = await heads.find_one(_id=chain)
    seq, prev_hash = (head.seq + 1, head.hash) if head else (1, FIRST_HASH)
    asking = client.get()
    row = AuditRow(
        id=row_id(chain, seq),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        chain=chain,
        seq=seq,
        ts=work.now,
        actor_id=scope.actor_id,
        device_id=scope.device.device_id,
        event_type=event_type,
        entity_id=entity_id,
        ip=asking.ip or None,
        fingerprint=asking.fingerprint or None,
        request_id=request_id.get() or None,
        payload=payload,
        prev_hash=prev_hash,
        hash="",
    )
    row.hash = row_hash(prev_hash, row.model_dump())
    await AuditRepository.of(work, scope).insert(row)
    # Two processes that read the same head collide here; the later transaction starts again.
    if head is None:
        first = AuditHead(
            id=chain, tenant_id=scope.tenant_id, store_id=scope.store_id, seq=seq, hash=row.hash
        )
        await heads.insert(first)
    else:
        await heads.update_one({"$set": {"seq": seq, "hash": row.hash}}, _id=chain, seq=head.seq)


async def mark(work: Work, scope: Scope, device_id: str) -> AuditMark | None:
    """The last row of a device's chain as of now, None where it has none: what a Z report keeps
    of it (R45)."""
    chain = scoped_id(scope.tenant_id, scope.store_id, device_id)
    head = await AuditHeadRepository.of(work, scope).find_one(_id=chain)
    return AuditMark(seq=head.seq, hash=head.hash) if head else None
