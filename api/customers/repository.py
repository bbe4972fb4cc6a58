"""Queries on customers and their points."""

import unicodedata
from typing import Any

from api.customers.models import Customer, PointsEntry
from api.platform.repository import Repository

_LAST = "\U0010ffff"


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
        word of `q` that begins with it. The longest word comes first: it narrows the most."""
        conditions: dict[str, Any] = {}
        if q is not None:
            longest = sorted(words(q), key=len, reverse=True)
            each = [{"words": {"$elemMatch": begins(word)}} for word in longest]
            conditions = {"$and": each} if each else {}
        if phone is not None:
            conditions["phone"] = begins(phone)
        return await self.page(limit, cursor, **conditions)


class PointsRepository(Repository[PointsEntry]):
    model = PointsEntry


def words(text: str) -> list[str]:
    """The words of a name as they are stored and searched: case and width do not matter."""
    return sorted(set(unicodedata.normalize("NFKC", text).casefold().split()))


def begins(prefix: str) -> dict[str, Any]:
    """A condition on text that begins with `prefix`: two bounds of an index, and no regular
    expression, which a client could make expensive."""
    return {"$gte": prefix, "$lt": prefix + _LAST}
