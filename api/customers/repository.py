"""Queries on customers and their points."""

import unicodedata
from typing import Any

from api.customers.models import Customer, PointsEntry
from api.platform.repository import Index, Repository

_LAST = "\U0010ffff"
_BY_WORD: Index = [("tenant_id", 1), ("words", 1)]
_NARROW = 2
"""Letters from which a beginning narrows a name down enough to go by the index of words."""


class CustomerRepository(Repository[Customer]):
    model = Customer

    async def add_points(self, customer_id: str, points: int) -> Customer | None:
        """Change the balance unless it fell below zero; the customer afterwards."""
        enough: dict[str, Any] = {"points": {"$gte": -points}} if points < 0 else {}
        return await self.change({"$inc": {"points": points}}, _id=customer_id, **enough)

    async def search(
        self, limit: int, cursor: str | None, *, q: str | None, phone: str | None
    ) -> tuple[list[Customer], str | None]:
        """A page of those whose number begins with `phone`, and whose name has a word for each
        word of `q` that begins with it. The longest word comes first: it narrows the most.

        The index is named, because MongoDB keeps the plan of one search for the next: after a
        common word it would read all customers, newest first, to find a rare one.
        """
        longest = sorted(words(q or ""), key=len, reverse=True)
        conditions: dict[str, Any] = {}
        if longest:
            conditions["$and"] = [{"words": {"$elemMatch": begins(word)}} for word in longest]
        if phone is not None:
            conditions["phone"] = begins(phone)
        by_word = phone is None and bool(longest) and len(longest[0]) >= _NARROW
        return await self.page(limit, cursor, hint=_BY_WORD if by_word else None, **conditions)


class PointsRepository(Repository[PointsEntry]):
    model = PointsEntry


def words(text: str) -> list[str]:
    """The words of a name as they are stored and searched: case and width do not matter."""
    return sorted(set(unicodedata.normalize("NFKC", text).casefold().split()))


def begins(prefix: str) -> dict[str, Any]:
    """A condition on text that begins with `prefix`: two bounds of an index, and no regular
    expression, which a client could make expensive."""
    return {"$gte": prefix, "$lt": prefix + _LAST}
