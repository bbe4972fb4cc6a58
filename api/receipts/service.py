"""Receipt numbers: taken from the device or from the server, given up where they came to
nothing (R29)."""

from typing import Any

from api.audit import service as audit
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.receipts.models import LedgerEntry, LedgerState
from api.receipts.repository import CounterRepository, LedgerRepository
from playpark.contracts.refunds import Abandoned, AbandonIn
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptNumber, ReceiptSeries

DUPLICATE, REVIVED = "receipt_no_duplicate", "receipt_no_abandoned"


async def take(
    work: Work, scope: Scope, op: Operation[Any], series: ReceiptSeries, given: str | None
) -> tuple[str, list[str]]:
    """The number of this operation's paper, entered in the ledger, and its flags.

    `given` is what the device took, of its own code and `series`; without it the device's next
    `W` number, or in training the next `T` number, for practice must not touch the books (R32).
    Raises E_VALIDATION for a number of another device or series; E_CONFLICT for one that is in
    use or given up, where the operation is not committed: else it is flagged.
    """
    if given is None:
        return await _made(work, scope, op, series), []
    device, receipt_no = scope.device, given
    ledger = LedgerRepository.of(work, scope)
    if not receipt_no.startswith(f"{device.code}-{series}"):
        message = "receipt_no must be of this device's own series: see R29 of the rules."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    entry = await ledger.enter(receipt_no, device.device_id, op.op_id)
    own = entry.op_id == op.op_id
    if own and entry.state is LedgerState.APPLIED:
        return receipt_no, []
    if own and entry.state is LedgerState.DEAD_LETTERED:
        await ledger.revive(receipt_no, op.op_id)
        return receipt_no, [REVIVED] if entry.abandoned_by else []
    if not op.committed:
        message = "This receipt number was used already: take the next one."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    if own:
        await ledger.revive(receipt_no, op.op_id)
        return receipt_no, [REVIVED]
    return receipt_no, [DUPLICATE]


async def dead_letter(
    work: Work, scope: Scope, receipt_no: str, op_id: str, *, device_id: str, device_code: str
) -> None:
    """Enter the number of an operation that had happened and was refused, where it is of its
    device's own series."""
    number = ReceiptNumber.parse(receipt_no)
    if number.device_code == device_code and number.series is not ReceiptSeries.SERVER:
        await LedgerRepository.of(work, scope).dead_letter(receipt_no, device_id, op_id)


async def highest(work: Work, scope: Scope, device_code: str) -> dict[str, int]:
    """{series: number} of the highest numbers that are known of a device, whatever became of them;
    those that the server makes are left out (R38)."""
    ledger = LedgerRepository.of(work, scope)
    own = [each for each in ReceiptSeries if each is not ReceiptSeries.SERVER]
    found = {each.value: await ledger.highest(f"{device_code}-{each}") for each in own}
    return {series: number for series, number in found.items() if number}


async def _made(work: Work, scope: Scope, op: Operation[Any], series: ReceiptSeries) -> str:
    """The next number of the server's own making, entered."""
    ledger, device_id = LedgerRepository.of(work, scope), scope.device.device_id
    if series is not ReceiptSeries.TRAINING:
        receipt_no = await _next(work, scope, ReceiptSeries.SERVER)
        await ledger.add(receipt_no, device_id, op.op_id)
        return receipt_no
    while True:  # past the numbers that the device has taken itself
        receipt_no = await _next(work, scope, series)
        entry = await ledger.enter(receipt_no, device_id, op.op_id)
        if entry.op_id == op.op_id:
            return receipt_no


async def _next(work: Work, scope: Scope, series: ReceiptSeries) -> str:
    number = await CounterRepository.of(work, scope).advance(f"{series}:{scope.device.device_id}")
    return str(ReceiptNumber(scope.device.code, series, number))


async def _abandon(work: Work, scope: Scope, op: Operation[AbandonIn], result_id: str) -> Abandoned:
    """Give up the number of an operation that was refused for good, so that the series has no
    gap without a reason.

    Raises E_VALIDATION for a number that this device does not take itself, E_CONFLICT for one
    under which something stands.
    """
    body, device = op.body, scope.device
    number = ReceiptNumber.parse(body.receipt_no)
    if number.device_code != device.code or number.series is ReceiptSeries.SERVER:
        message = "receipt_no must be of this device's own series: see R29 of the rules."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    entry = await LedgerRepository.of(work, scope).abandon(
        body.receipt_no, device.device_id, body.op_id, by=result_id
    )
    if not _may_be_given_up(entry, body.op_id):
        message = "Something stands under this receipt number: it cannot be given up."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    facts = {"receipt_no": body.receipt_no, "flags": list(op.flags)}
    await audit.append(work, scope, "receipt.abandoned", body.op_id, facts)
    return Abandoned(receipt_no=body.receipt_no)


def _may_be_given_up(entry: LedgerEntry, op_id: str) -> bool:
    """Where its operation waits for a person, that stays its fate."""
    return entry.op_id == op_id and entry.state is not LedgerState.APPLIED


async def _abandoned(work: Work, scope: Scope, record: OpRecord) -> Abandoned:
    found = await LedgerRepository.of(work, scope).find_one(abandoned_by=record.result_id)
    if found is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such receipt number.")
    return Abandoned(receipt_no=found.receipt_no)


ABANDON = Kind(OpKind.ABANDON, AbandonIn, _abandon, _abandoned, Rights())
