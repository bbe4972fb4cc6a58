"""The first document that fails each check, and how many more do (R49)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from playpark.contracts.reports import BookCheck, Discrepancy
from playpark.money import format_satang

SALES, PAYMENTS, TICKETS, REFUNDS, VOIDS = "sales", "payments", "tickets", "refunds", "voids"
SHIFTS, MOVEMENTS, Z_REPORTS, Z_HEADS = "shifts", "cash_movements", "z_reports", "z_counters"
LEDGER, REPRINTS = "receipt_ledger", "reprints"
NOTHING = "nothing"


class Findings:
    """Collects what does not agree; small, however much is broken."""

    def __init__(self) -> None:
        self._first: dict[BookCheck, Discrepancy] = {}
        self._count: dict[BookCheck, int] = {}

    def add(self, *found: Discrepancy) -> None:
        for each in found:
            self._first.setdefault(each.check, each)
            self._count[each.check] = self._count.get(each.check, 0) + 1

    def extend(self, found: Iterable[Discrepancy]) -> None:
        self.add(*found)

    @contextmanager
    def reading(self, collection: str, row_id: str) -> Iterator[None]:
        """For what is done with one document: one that cannot be read is a break of its own and
        stops nothing."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as bad:
            self.unreadable(collection, row_id, f"{type(bad).__name__}: {bad}")

    def unreadable(self, collection: str, row_id: str, problem: str) -> None:
        why = f"This document of {collection} cannot be read as one: {problem}."
        self.add(broken(BookCheck.READABLE, collection, row_id, "its fields", problem, why))

    def told(self) -> list[Discrepancy]:
        """The first of each check, in the order of the checks."""
        return [
            self._first[check].model_copy(update={"others": self._count[check] - 1})
            for check in BookCheck
            if check in self._first
        ]


def broken(
    check: BookCheck, collection: str, row_id: str, expected: Any, found: Any, why: str
) -> Discrepancy:
    return Discrepancy(
        check=check,
        collection=collection,
        document_id=row_id,
        expected=str(expected),
        found=str(found),
        why=why,
    )


def baht(satang: int) -> str:
    """For sentences."""
    return f"{format_satang(satang)} baht"
