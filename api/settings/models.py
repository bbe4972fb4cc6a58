"""Settings and feature flags as stored: only what differs from the defaults (R40, R46)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class Overrides(Model):
    """What a tenant (`store_id` null) or a store has set, by section and name. `id` is compound."""

    model_config = ODMConfigDict(
        collection="settings", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    sections: dict[str, dict[str, Any]] = {}
    version: int = 0
    """Counts the changes."""


class FeatureFlags(Model):
    """What a tenant (`store_id` null) or a store has switched, by feature. `id` is compound."""

    model_config = ODMConfigDict(
        collection="feature_flags", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    features: dict[str, bool] = {}
    version: int = 0
    """Counts the changes."""
