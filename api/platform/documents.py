"""What stored documents are made of (R16, R55).

ODMantic models cannot inherit fields, so every document spells out the same four: tenant_id,
store_id (where it belongs to a store), created_at and updated_at, which are the server's.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from odmantic import Field, Model
from odmantic.config import ODMConfigDict
from pydantic import AfterValidator
from pymongo import ASCENDING, IndexModel

from playpark.clock import to_utc_ms

StoredTime = Annotated[datetime, AfterValidator(to_utc_ms)]
UNSTAMPED = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands until the repository inserts the document."""

__all__ = [
    "UNSTAMPED",
    "Field",
    "Model",
    "ODMConfigDict",
    "StoredTime",
    "ascending",
    "scoped_id",
]


def scoped_id(*parts: str) -> str:
    """A compound `_id`: a client's id is unique only inside its tenant, store, device (R16)."""
    return ":".join(parts)


def ascending(*fields: str, **options: Any) -> IndexModel:
    """An index on `fields` in rising order; `options` as pymongo has them."""
    return IndexModel([(field, ASCENDING) for field in fields], **options)
