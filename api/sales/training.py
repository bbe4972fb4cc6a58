"""Practice sales: priced and answered like real ones, kept apart from all books (R32)."""

from collections.abc import Sequence

from api.audit import service as audit
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.models import Payment, Sale, TrainingSale
from api.sales.repository import TrainingRepository
from api.sales.views import view
from api.tickets.issuing import TicketSpec
from api.tickets.redeeming import TRAINING_PREFIX
from playpark.clock import business_day_start
from playpark.contracts.sales import SaleAnswer, SaleIn
from playpark.contracts.tickets import TicketView

NO_CODE = "TRAINING"
"""Stands where a real ticket has its short code: its check character is wrong, so that nobody
can type it."""


async def record(
    work: Work,
    scope: Scope,
    op: Operation[SaleIn],
    sale: Sale,
    payments: list[Payment],
    specs: Sequence[TicketSpec],
) -> SaleAnswer:
    """Keep a practice sale and answer it. No shift, no events, no ticket that a gate knows."""
    answer = SaleAnswer(
        sale=view(sale, payments).model_copy(update={"training": True}),
        tickets=[_ticket(scope, sale, spec) for spec in specs],
    )
    kept = TrainingSale(
        id=sale.id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        device_id=scope.device.device_id,
        receipt_no=sale.receipt_no,
        answer=answer.model_dump(mode="json"),
    )
    await TrainingRepository.of(work, scope).insert(kept)
    facts = {"receipt_no": sale.receipt_no, "flags": sale.flags}
    await audit.append(work, scope, "training.sale", sale.id, facts)
    return answer


async def answer_again(work: Work, scope: Scope, sale_id: str) -> SaleAnswer | None:
    """The answer of a practice sale; None where there is no such one."""
    kept = await TrainingRepository.of(work, scope).find_one(_id=sale_id)
    return None if kept is None else SaleAnswer.model_validate(kept.answer)


def _ticket(scope: Scope, sale: Sale, spec: TicketSpec) -> TicketView:
    package = spec.package
    return TicketView(
        ticket_id=spec.ticket_id,
        short_code=spec.short_code,
        qr_token=f"{TRAINING_PREFIX}{spec.ticket_id}",
        kind=package.kind,
        package_id=package.package_id,
        package_name=package.name,
        package_name_th=package.name_th,
        quota_or_minutes=package.quota_or_minutes,
        valid_from=business_day_start(sale.day, scope.zone),
        valid_to=spec.valid_to,
        payable=spec.slice.payable,
        zones=package.zones,
    )
