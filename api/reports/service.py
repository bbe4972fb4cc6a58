"""Reconciliations: computed, stored with how often they were made, told where they fail (R49)."""

from datetime import date, datetime, timedelta
from typing import Any

from api.audit import service as audit
from api.events import service as events
from api.platform.operations import chain_key
from api.platform.scope import Scope, server_scope
from api.platform.services import Platform
from api.platform.uow import UnitOfWork, Work
from api.reports import reconciling
from api.reports.models import StoredReconciliation
from api.reports.repository import ReconciliationRepository, StoreRef, own_store
from playpark.clock import business_date, business_day_start, park_zone
from playpark.contracts.reports import Reconciliation
from playpark.errors import ErrorCode, PlayParkError

FAILED = "reconciliation.failed"
AFTER_CUTOFF = timedelta(minutes=20)
"""From then on a day is over: what was sold in its last minutes has come."""


def due_at(store: StoreRef, day: date) -> datetime:
    """When a trading day may be proved for good."""
    return business_day_start(day + timedelta(days=1), park_zone(store.tz)) + AFTER_CUTOFF


def last_day(store: StoreRef, now: datetime) -> date:
    """Yesterday's trading day (R30)."""
    return business_date(now, park_zone(store.tz)) - timedelta(days=1)


async def report(
    platform: Platform, scope: Scope, day: date | None, *, fresh: bool
) -> Reconciliation:
    """The reconciliation of the scope's store: as it was stored, or computed now where it is
    asked for or nothing is stored.

    Raises E_VALIDATION for a day that has not begun, E_UNAVAILABLE while another
    one is being computed here.
    """
    work = platform.uow.reading()
    store = await own_store(work, scope)
    day = day or last_day(store, work.now)
    if day > business_date(work.now, park_zone(store.tz)):
        message = "This trading day has not begun: choose an earlier date."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    if not fresh:
        stored = await ReconciliationRepository.of(work, scope).of_day(day)
        if stored is not None:
            return Reconciliation.model_validate(stored.result)
    async with platform.uow.one_at_a_time(f"reconcile:{scope.tenant_id}:{scope.store_id}"):
        return await reconciling.reconcile(platform.uow, store, day)


async def run(uow: UnitOfWork, store: StoreRef, day: date) -> Reconciliation:
    """Check a day and keep the result in place of the last one, if the day is over."""
    result = await reconciling.reconcile(uow, store, day)
    if result.checked_at >= due_at(store, day):
        await keep(uow, store, result)
    return result


async def keep(uow: UnitOfWork, store: StoreRef, result: Reconciliation) -> None:
    """Store a result; a broken day is an event and an audit row of the same transaction."""
    scope = server_scope(store.tenant_id, store.store_id, store.tz)

    async def transaction(work: Work) -> None:
        results = ReconciliationRepository.of(work, scope)
        stored = StoredReconciliation(
            id=results.key(result.business_date),
            tenant_id=store.tenant_id,
            store_id=store.store_id,
            business_date=result.business_date.isoformat(),
            checked_at=result.checked_at,
            whole=result.whole,
            result=result.model_dump(mode="json"),
        )
        runs = await results.replace(stored)
        if not result.whole:
            facts = _facts(result)
            await events.emit(work, scope, (FAILED, facts))
            await audit.append(work, scope, FAILED, stored.id, facts | {"runs": runs})

    await uow.run(transaction, queue=chain_key(scope))


def _facts(result: Reconciliation) -> dict[str, Any]:
    """What an event and an audit row say of a broken day."""
    return {
        "business_date": result.business_date.isoformat(),
        "breaks": [
            {
                "check": each.check.value,
                "collection": each.collection,
                "document_id": each.document_id,
                "why": each.why,
            }
            for each in result.breaks
        ],
    }
