"""Taking a receipt number: the device's own, or the server's next one (R29)."""

from typing import Any

from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.receipts.repository import CounterRepository, LedgerRepository
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptNumber, ReceiptSeries

DUPLICATE = "receipt_no_duplicate"


async def take(
    work: Work, scope: Scope, op: Operation[Any], series: ReceiptSeries, given: str | None
) -> tuple[str, list[str]]:
    """The number of this operation's paper, entered in the ledger, and its flags.

    `given` is what the device took, of its own code and `series`; without it the device's next
    `W` number. Raises E_VALIDATION for a number of another device or series; E_CONFLICT for one
    that is in use, where the operation is not committed: else it is flagged.
    """
    receipt_no = given
    if receipt_no is None:
        counters = CounterRepository.of(work, scope)
        number = await counters.advance(f"W:{scope.device.device_id}")
        receipt_no = str(ReceiptNumber(scope.device.code, ReceiptSeries.SERVER, number))
    elif not receipt_no.startswith(f"{scope.device.code}-{series}"):
        message = "receipt_no must be of this device's own series: see R29 of the rules."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    ledger = LedgerRepository.of(work, scope)
    if await ledger.take(receipt_no, scope.device.device_id, op.op_id):
        return receipt_no, []
    if not op.committed:
        message = "This receipt number was used already: take the next one."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    return receipt_no, [DUPLICATE]
