"""What the hashes of rows and anchors cover, and whether one is as it was written (R45). Pure.

Rows are judged as they stand in the database, whatever somebody has made of them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeGuard

from api.audit.models import Anchor, AnchorHead, AuditHead, AuditRow, Checkpoint
from playpark.cash import chain_hash

Row = Mapping[str, Any]
COVERED = (
    *("chain", "seq", "ts", "actor_id", "device_id", "event_type", "entity_id"),
    *("ip", "fingerprint", "request_id", "payload"),
)
ANCHORED = ("tenant_id", "number", "day", "ends_at", "made_at", "removes", "heads")


def row_hash(prev_hash: str, row: Row) -> str:
    """The hash of a row behind `prev_hash`. Raises what odd contents raise: see `seals`."""
    return chain_hash(prev_hash, {name: _plain(row[name]) for name in COVERED})


def anchor_hash(prev_hash: str, anchor: Row) -> str:
    """The hash of an anchor behind `prev_hash`. Raises what odd contents raise."""
    return chain_hash(prev_hash, {name: _plain(anchor[name]) for name in ANCHORED})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def seals(row: Row, prev_hash: Any, **instead: Any) -> bool:
    """Whether the row's hash is right behind `prev_hash`, with some fields as in `instead`."""
    try:
        return bool(row["hash"] == row_hash(str(prev_hash), {**row, **instead}))
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def seals_anchor(anchor: Row, prev_hash: Any) -> bool:
    """Whether the anchor's hash is right behind `prev_hash`."""
    try:
        return bool(anchor["hash"] == anchor_hash(str(prev_hash), anchor))
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def _fields(model: Any) -> frozenset[str]:
    return frozenset("_id" if name == "id" else name for name in model.model_fields)


ROW, HEAD = _fields(AuditRow), _fields(AuditHead)
ANCHOR, ANCHOR_HEAD = _fields(Anchor), _fields(AnchorHead)
CHECKPOINT = _fields(Checkpoint)


def row_id(chain: str, seq: int) -> str:
    """The id of a chain's row."""
    return f"{chain}:{seq}"


def anchor_id(tenant_id: str, number: int) -> str:
    """The id of a tenant's anchor: rises with its number."""
    return f"{tenant_id}:{number:08d}"


def is_number(value: Any) -> TypeGuard[int]:
    """A whole number: what was one and is a float or a text now is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def odd_field(row: Row, chain: str) -> str | None:
    """A field of a sealed row that its hash does not cover and that is not what it has to be;
    None where all are."""
    for name in sorted(row.keys() ^ ROW):
        return name
    tenant_id, store_id = chain.split(":", 2)[:2]
    right = {
        "_id": row_id(chain, row["seq"]),
        "tenant_id": tenant_id,
        "store_id": store_id,
        "created_at": row["ts"],
        "updated_at": row["ts"],
    }
    return next((name for name, value in right.items() if row[name] != value), None)


def follows(row: Row, chain: str, seq: int, prev_hash: Any) -> bool:
    """Whether a row is as it was written behind the one numbered `seq`."""
    return (
        is_number(row.get("seq"))
        and row["seq"] == seq + 1
        and row.get("prev_hash") == prev_hash
        and seals(row, prev_hash)
        and odd_field(row, chain) is None
    )
