"""Stored audit rows, what vouches for them, and what is left of them (R43, R45, decision 0013)."""

from typing import Any

from pymongo import DESCENDING, IndexModel

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


def _newest(*fields: str) -> IndexModel:
    """For a list of the rows with equal `fields`, newest first."""
    newest = [("ts", DESCENDING), ("_id", DESCENDING)]
    return IndexModel([*((name, 1) for name in ("tenant_id", "store_id", *fields)), *newest])


class AuditRow(Model):
    """One link. `hash` covers everything from `chain` to `payload`, and `prev_hash`; `id` is
    chain:seq. Where no request asked, `ip`, `fingerprint` and `request_id` are null."""

    model_config = ODMConfigDict(
        collection="audits",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "chain", "seq", unique=True),
            _newest(),
            _newest("event_type"),
            _newest("actor_id"),
            _newest("device_id"),
            _newest("entity_id"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    chain: str
    seq: int
    ts: StoredTime
    actor_id: str | None
    device_id: str | None
    event_type: str
    entity_id: str
    ip: str | None
    fingerprint: str | None
    request_id: str | None
    payload: dict[str, Any]
    prev_hash: str
    hash: str


class AuditHead(Model):
    """The last link of a chain; changed as the last statement of a transaction."""

    model_config = ODMConfigDict(
        collection="audit_heads", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    seq: int
    hash: str


class Anchor(Model):
    """The heads of all of a tenant's chains, {chain, seq, hash}, at the end of a trading day.

    `hash` covers everything from `number` to `prev_hash`. Rows up to the heads of the anchor
    numbered `removes` may go (0: none). `id` is tenant:number, which rises with time.
    """

    model_config = ODMConfigDict(
        collection="audit_anchors",
        indexes=lambda: [ascending("tenant_id", "number", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    number: int
    day: str
    ends_at: StoredTime
    made_at: StoredTime
    removes: int
    heads: list[dict[str, Any]]
    prev_hash: str
    hash: str


class AnchorHead(Model):
    """A tenant's last anchor. `id` is the tenant's."""

    model_config = ODMConfigDict(collection="audit_anchor_heads")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    number: int
    hash: str


class Checkpoint(Model):
    """What is left of a chain's removed rows: the last one's number and hash, how many there were,
    and the end of the first anchored day that holds them all. `id` is the chain's."""

    model_config = ODMConfigDict(
        collection="audit_checkpoints", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    seq: int
    hash: str
    count: int
    until: StoredTime


class Summary(Model):
    """How often something happened on an anchored day, and by whom. `id` is compound."""

    model_config = ODMConfigDict(
        collection="audit_summaries",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "day", "event_type", "actor_id", unique=True)
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    day: str
    event_type: str
    actor_id: str | None
    count: int


class RefusalCount(Model):
    """Refusals of one subject since the last audit row about them. `id` is compound."""

    model_config = ODMConfigDict(collection="audit_refusals")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    told_at: StoredTime
    count: int = 0


DOCUMENTS: tuple[type[Model], ...] = (
    *(AuditRow, AuditHead, Anchor, AnchorHead, Checkpoint, Summary, RefusalCount),
)
