"""What can be sold, as stored; and the immutable snapshots that tills sell from (R12)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime
from playpark.contracts.catalog import PackageKind, SalesChannel, TaxMode


class Zone(Model):
    model_config = ODMConfigDict(collection="zones")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    credit_price: int | None = None
    active: bool = True


class Tax(Model):
    model_config = ODMConfigDict(collection="taxes")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    rate: int
    mode: TaxMode


class Package(Model):
    """Field meanings as in the contract's PackageView."""

    model_config = ODMConfigDict(collection="packages")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    kind: PackageKind
    price: int
    tax_id: str
    quota_or_minutes: int
    valid_days: int = 1
    zones: list[str] = []
    visible_on: list[SalesChannel]
    components: list[dict[str, Any]] = []
    sort: int = 0
    active: bool = True


class StoredSnapshot(Model):
    """One version of a store's catalogue, never changed, never deleted. `id` is store:version."""

    model_config = ODMConfigDict(collection="catalog_snapshots")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    version: int
    hash: str
    content: dict[str, Any]
