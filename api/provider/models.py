"""Operators, heartbeats and alerts as stored (R41, R44).

Operators belong to the tenant and store `provider`, which no token of a tenant can name: so locks,
audit chain and leases work for them as for everybody.
"""

from pymongo.errors import OperationFailure

from api.audit.models import AuditRow
from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from api.platform.mongo import Mongo
from api.platform.usage import UsageCounter
from playpark.contracts.provider import AlertKind, OperatorStatus, PartState

PROVIDER = "provider"
"""Tenant and store of what belongs to the operators."""
AREA = (PROVIDER, PROVIDER)
AUDITS_VIEW = "provider_audits"
NAMESPACE_EXISTS = 48
KEPT_SECONDS = 365 * 24 * 3600


class OperatorAccount(Model):
    """Somebody who serves all tenants; read once with every request of theirs.

    `ver` counts up with every logout, new password and suspension: tokens of before are dead.
    """

    model_config = ODMConfigDict(
        collection="operators",
        indexes=lambda: [ascending("tenant_id", "store_id", "email", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str = PROVIDER
    store_id: str = PROVIDER
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    email: str
    password_hash: str
    status: OperatorStatus = OperatorStatus.ACTIVE
    ver: int = 1
    last_login_at: StoredTime | None = None


class DeviceHeartbeat(Model):
    """The last heartbeat of a device, whose id it has. `seen_at` is the server's time; the rest is
    what the device told. `online` until its silence was noticed; `excused` where the alert of it
    ended because the device was not meant to be there: it is noticed anew when it is. `troubles`
    has the kinds of alerts that this heartbeat keeps open, sorted."""

    model_config = ODMConfigDict(
        collection="device_heartbeats", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    seen_at: StoredTime
    online: bool = True
    excused: bool = False
    troubles: list[AlertKind] = []
    app_version: str | None = None
    queued: int | None = None
    oldest_queued_at: StoredTime | None = None
    clock_offset_ms: int | None = None
    printer: PartState | None = None
    camera: PartState | None = None
    catalog_version: int | None = None
    free_disk: int | None = None


class ProviderAlert(Model):
    """Something about a device that a person should look at; `open` until it is resolved, and kept
    for a year after that."""

    model_config = ODMConfigDict(
        collection="provider_alerts",
        indexes=lambda: [
            ascending(
                "tenant_id",
                "store_id",
                "device_id",
                "kind",
                name="one_open_alert_a_device_and_kind",
                unique=True,
                partialFilterExpression={"open": True},
            ),
            ascending("resolved_at", expireAfterSeconds=KEPT_SECONDS),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    device_id: str
    device_name: str
    kind: AlertKind
    open: bool = True
    opened_at: StoredTime
    last_seen: StoredTime
    acknowledged_by: str | None = None
    acknowledged_at: StoredTime | None = None
    resolved_at: StoredTime | None = None


DOCUMENTS: tuple[type[Model], ...] = (OperatorAccount, DeviceHeartbeat, ProviderAlert, UsageCounter)


async def create_view(mongo: Mongo) -> None:
    """Make the view of the operators' trail; harmless where it exists. The rows are in `audits`
    with everybody's, so that one chain, one verifier and one retention are enough."""
    rows = [{"$match": {"tenant_id": PROVIDER, "store_id": PROVIDER}}]
    source = AuditRow.__collection__
    try:
        await mongo.db.command("create", AUDITS_VIEW, viewOn=source, pipeline=rows)
    except OperationFailure as failed:
        if failed.code != NAMESPACE_EXISTS:
            raise
