"""Appending to the audit chain of a device (R45)."""

from typing import Any

from api.audit.models import AuditHead, AuditRow
from api.audit.repository import AuditHeadRepository, AuditRepository
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.cash import FIRST_HASH, chain_hash


def row_content(row: AuditRow) -> dict[str, Any]:
    """What a row's hash covers."""
    return {
        "chain": row.chain,
        "seq": row.seq,
        "ts": row.ts.isoformat(),
        "actor_id": row.actor_id,
        "device_id": row.device_id,
        "event_type": row.event_type,
        "entity_id": row.entity_id,
        "payload": row.payload,
    }


async def append(
    work: Work, scope: Scope, event_type: str, entity_id: str, payload: dict[str, Any]
) -> None:
    """Add one row to the device's chain. Call it last in a transaction, queued by
    `UnitOfWork.one_at_a_time(chain_key(scope))`. Payloads hold no secrets and no tokens."""
    heads = AuditHeadRepository.of(work, scope)
    chain = chain_key(scope)
    head = await heads.find_one(_id=chain)
    seq, prev_hash = (head.seq + 1, head.hash) if head else (1, FIRST_HASH)
    row = AuditRow(
        id=f"{chain}:{seq}",
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        chain=chain,
        seq=seq,
        ts=work.now,
        actor_id=scope.actor_id,
        device_id=scope.device.device_id,
        event_type=event_type,
        entity_id=entity_id,
        payload=payload,
        prev_hash=prev_hash,
        hash="",
    )
    row.hash = chain_hash(prev_hash, row_content(row))
    await AuditRepository.of(work, scope).insert(row)
    # Two processes that read the same head collide here; the later transaction starts again.
    if head is None:
        first = AuditHead(
            id=chain, tenant_id=scope.tenant_id, store_id=scope.store_id, seq=seq, hash=row.hash
        )
        await heads.insert(first)
    else:
        await heads.update_one({"$set": {"seq": seq, "hash": row.hash}}, _id=chain, seq=head.seq)


async def first_broken_link(work: Work, tenant_id: str, store_id: str, chain: str) -> int | None:
    """The number of the first edited, missing or reordered row of a chain, None for a sound one.

    A truncated tail is named by the number that the head expects.
    """
    rows = AuditRepository(work, tenant_id, store_id)
    prev_hash, seq = FIRST_HASH, 0
    while page := await rows.find(sort="seq", chain=chain, seq={"$gt": seq}):
        for row in page:
            expected = chain_hash(prev_hash, row_content(row))
            if row.seq != seq + 1 or row.prev_hash != prev_hash or row.hash != expected:
                return seq + 1
            prev_hash, seq = row.hash, row.seq
    head = await AuditHeadRepository(work, tenant_id, store_id).find_one(_id=chain)
    sound = head is None if seq == 0 else head is not None and head.hash == prev_hash
    return None if sound else seq + 1
