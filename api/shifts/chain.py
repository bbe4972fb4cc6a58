"""The Z chain of a device: every link over the hash of the one before (R28, decision 0009).

The Z report that closes a shift is a link; so is each supplement for what comes later and each
adjustment. Links hold only their own figures: those of a shift add up to all that happened in it.
"""

from dataclasses import dataclass, field
from typing import Any

from api.audit import service as audit
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts.figures import Figures
from api.shifts.models import Shift, ZLink
from api.shifts.repository import ZCounterRepository, ZRepository
from playpark.cash import FIRST_HASH, chain_hash
from playpark.contracts.shifts import ZKind, ZReport
from playpark.ids import new_ulid

Z_NO_USED = "z_no_used"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the next link is to say. `z_no` is the number that the device took for this Z, None
    for the next one of its series; supplements and adjustments stand under their shift's."""

    kind: ZKind
    op_id: str
    figures: Figures = field(default_factory=Figures)
    link_id: str | None = None
    z_no: int | None = None
    receipt_no: str | None = None
    cash_counted: int | None = None
    because: str | None = None
    flags: tuple[str, ...] = ()


async def append(work: Work, scope: Scope, shift: Shift, entry: Entry) -> ZLink:
    """Add a link to the chain of the shift's device, in the transaction that causes it.

    A number that is not beyond the last known one is kept, for it stands on paper, and flagged.
    """
    counters = ZCounterRepository.of(work, scope)
    links = ZRepository.of(work, scope)
    head = await counters.advance(shift.device_id)
    seq = head.chain_seq + 1
    last = None if entry.kind is ZKind.CLOSE else await links.last_of(shift.shift_id)
    supplement = last.supplement + 1 if last else 0
    z_no, flags = _number(head.z_no, shift, entry)
    figures, grand_sales = entry.figures, head.grand_sales + entry.figures.sales_amount
    grand_refunds = head.grand_refunds + figures.refunds_amount
    drawer = figures.drawer(shift.cash_open if entry.kind is ZKind.CLOSE else 0)
    report = ZReport(
        **figures.totals().model_dump(),
        z_no=z_no,
        supplement=supplement,
        number=f"{z_no}/{supplement}" if supplement else str(z_no),
        kind=entry.kind,
        shift_id=shift.shift_id,
        receipt_no=entry.receipt_no,
        drawer=drawer,
        cash_counted=entry.cash_counted,
        because=entry.because,
        made_at=work.now,
        grand_sales=grand_sales,
        grand_refunds=grand_refunds,
        grand_total=grand_sales - grand_refunds,
        audit=await audit.mark(work, scope, shift.device_id),
        prev_hash=head.last_hash,
        hash="",
    )
    content = report.model_dump(mode="json")
    content["hash"] = report_hash(content)
    link = ZLink(
        id=entry.link_id or new_ulid(),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        device_id=shift.device_id,
        chain_seq=seq,
        shift_id=shift.shift_id,
        kind=entry.kind,
        z_no=z_no,
        supplement=supplement,
        op_id=entry.op_id,
        report=content,
        cash_expected=(last.cash_expected if last else 0) + drawer.cash_expected,
        flags=[*entry.flags, *flags],
    )
    await links.insert(link)
    totals = {"grand_sales": grand_sales, "grand_refunds": grand_refunds}
    changes = {"z_no": max(head.z_no, z_no), "last_hash": content["hash"], **totals}
    await counters.settle(shift.device_id, seq, changes)
    return link


def _number(last_z_no: int, shift: Shift, entry: Entry) -> tuple[int, list[str]]:
    if entry.kind is not ZKind.CLOSE:
        return shift.z_no or 0, []
    if entry.z_no is None:
        return last_z_no + 1, []
    return entry.z_no, [Z_NO_USED] if entry.z_no <= last_z_no else []


def report_hash(report: dict[str, Any]) -> str:
    """The hash of a ZReport in JSON: over the one before it and all fields but itself."""
    content = {name: value for name, value in report.items() if name != "hash"}
    return chain_hash(report["prev_hash"], content)


def report_of(link: ZLink) -> ZReport:
    return ZReport.model_validate(link.report)


async def first_broken_link(
    work: Work, tenant_id: str, store_id: str, device_id: str
) -> str | None:
    """The number (12, 12/1) of the first edited, missing or reordered link of a device's chain;
    None for a sound one. A truncated tail is named by the last number that is left."""
    links = ZRepository(work, tenant_id, store_id)
    prev_hash, seq, number = FIRST_HASH, 0, "0"
    while page := await links.find(sort="chain_seq", device_id=device_id, chain_seq={"$gt": seq}):
        for link in page:
            report, number = link.report, str(link.report["number"])
            follows = link.chain_seq == seq + 1 and report["prev_hash"] == prev_hash
            if not follows or report["hash"] != report_hash(report):
                return number
            prev_hash, seq = str(report["hash"]), link.chain_seq
    head = await ZCounterRepository(work, tenant_id, store_id).head(device_id)
    sound = head is None if seq == 0 else head is not None and head.last_hash == prev_hash
    return None if sound else number
