"""Receipt numbers against the ledger (R29). Pure."""

from api.reports.findings import LEDGER, NOTHING, broken
from api.reports.repository import Row
from playpark.contracts.reports import BookCheck, Discrepancy


def receipt(document: Row, collection: str, row: Row | None, row_id: str) -> Discrepancy | None:
    """The ledger's row of a sale's or refund's number; `row_id` is where it has to stand (R29)."""
    check, number = BookCheck.RECEIPTS, document["receipt_no"]
    if row is None:
        why = f"Receipt number {number} was given out and has no row in the ledger."
        return broken(check, LEDGER, row_id, document["op_id"], NOTHING, why)
    if "receipt_no_duplicate" in document["flags"]:
        return None  # known when it was booked: the row is the other one's
    if row["device_id"] != document["device_id"] or row["op_id"] != document["op_id"]:
        why = f"The row of {number} is another operation's than that of {collection}."
        return broken(check, LEDGER, row_id, document["op_id"], row["op_id"], why)
    if row["state"] != "applied":
        why = f"Receipt number {number} stands on paper: it cannot be {row['state']}."
        return broken(check, LEDGER, row_id, "applied", row["state"], why)
    return None
