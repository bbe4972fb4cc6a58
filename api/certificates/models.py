"""What tills may sign by themselves, as stored (R22)."""

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class Certificate(Model):
    """The bounds of one till's key. `id` is tenant:store:key_id; it is signed when it is handed
    out. `not_after` comes earlier where the till is revoked; nothing else ever changes."""

    model_config = ODMConfigDict(
        collection="certificates",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "not_after"),
            ascending("tenant_id", "store_id", "device_id", "not_after"),
            ascending("expires_at", expireAfterSeconds=0),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    key_id: str
    device_id: str
    public_key: str
    packages: list[str]
    not_before: StoredTime
    not_after: StoredTime
    max_tickets: int
    max_valid_to: StoredTime
    expires_at: StoredTime
    """When nobody needs it any more: sales that it covers have come or are lost."""


DOCUMENTS: tuple[type[Model], ...] = (Certificate,)
