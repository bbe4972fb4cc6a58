"""Is the trail whole? All chains against their rows, heads, checkpoints, anchors (R45)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo

from api.audit.anchor_check import AnchorCheck
from api.audit.checking import ChainCheck
from api.audit.models import AuditRow
from api.audit.trail import Row, Trail, name_of
from api.platform.uow import UnitOfWork, Work
from playpark.contracts.audit import AuditBreak, AuditVerification, BreakKind

MOST_SECONDS = 240
"""For one chain. A moment is kept for five minutes."""
TRIES = 3


async def verify(uow: UnitOfWork, tenant_id: str, store_id: str | None = None) -> AuditVerification:
    """Check a tenant's trail, or with `store_id` one store's chains and the tenant's anchors.

    Memory does not grow with the rows: they are read in pages, each chain at one moment. Raises
    what the driver raises where the database is away or a chain takes longer than four minutes.
    """
    for _ in range(TRIES):
        checked = _Verifying(uow, tenant_id, store_id)
        result = await checked.run()
        # An anchor that was made meanwhile lets rows go that the earlier ones did not.
        if result.whole or await checked.anchors_now() == checked.anchors_before:
            break
    return result


@dataclass(slots=True)
class _Verifying:
    uow: UnitOfWork
    tenant_id: str
    store_id: str | None
    anchors_before: Any = None
    chains: int = 0
    rows: int = 0
    removed: int = 0
    breaks: dict[tuple[str, str], AuditBreak] = field(default_factory=dict)

    async def run(self) -> AuditVerification:
        checked_at = self.uow.clock.now()
        self.anchors_before = await self.anchors_now()
        async with self._moment() as trail:
            anchors = AnchorCheck(trail, await trail.removed())
            await anchors.run()
            chains = {chain async for chain in self._chains(trail)}
        for chain in sorted(chains | anchors.marks.keys()):
            async with self._moment() as trail:
                check = ChainCheck(trail, chain, anchors.known(chain))
                self._tell(await check.run())
            self.chains += 1
            self.rows += check.rows
            self.removed += check.removed
        self._tell(anchors.broken)
        return AuditVerification(
            tenant_id=self.tenant_id,
            store_id=self.store_id,
            checked_at=checked_at,
            chains=self.chains,
            rows=self.rows,
            removed=self.removed,
            anchors=anchors.count,
            anchored_until=anchors.until,
            breaks=list(self.breaks.values()),
        )

    async def anchors_now(self) -> Any:
        """The number of the tenant's last anchor."""
        trail = Trail(self.uow.reading(), self.tenant_id)
        head = await trail.anchor_head()
        return head and head.get("number")

    @asynccontextmanager
    async def _moment(self) -> AsyncIterator[Trail]:
        with pymongo.timeout(MOST_SECONDS):
            async with self.uow.at_one_moment() as work:
                yield self._trail(work)

    def _trail(self, work: Work) -> Trail:
        return Trail(work, self.tenant_id, self.store_id)

    async def _chains(self, trail: Trail) -> AsyncIterator[str]:
        """The chains of all stores. Rows under a key that can be none of them are told."""
        for store_id in await trail.stores():
            for chain in await trail.chains(store_id):
                if _is_chain(chain, self.tenant_id, store_id):
                    yield chain
                elif row := await trail.stray(store_id, chain):
                    self._tell(_stray(row))

    def _tell(self, found: AuditBreak | None) -> None:
        """A row that left one chain for another is told once, by the chain that misses it."""
        if found is not None:
            key = (found.collection, found.document_id)
            known = self.breaks.get(key)
            if known is None or f"{known.chain}:" not in found.document_id:
                self.breaks[key] = found


def _is_chain(chain: Any, tenant_id: str, store_id: Any) -> bool:
    parts = chain.split(":") if isinstance(chain, str) else []
    return parts[:2] == [tenant_id, store_id] and len(parts) == 3


def _stray(row: Row) -> AuditBreak:
    return AuditBreak(
        kind=BreakKind.EDITED,
        collection=name_of(AuditRow),
        document_id=str(row["_id"]),
        chain=str(row.get("chain")),
        seq=None,
        why="Its tenant, store or chain was changed.",
    )
