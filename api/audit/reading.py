"""Rows and anchors as the API shows them, also where somebody has made something else of them."""

from datetime import UTC, datetime
from typing import Any

from api.audit.trail import Row
from api.platform.scope import Scope
from playpark.contracts.audit import AnchoredHead, AnchorView, AuditView

UNREADABLE = "unreadable"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def row_view(row: Row) -> AuditView:
    """A row; of one that cannot be read any more where it stands."""
    try:
        return AuditView.model_validate({**row, "audit_id": row["_id"]})
    except ValueError:
        return AuditView(
            audit_id=str(row["_id"]),
            chain=str(row.get("chain")),
            seq=0,
            ts=row["ts"] if isinstance(row.get("ts"), datetime) else _NEVER,
            event_type=UNREADABLE,
            entity_id="",
            actor_id=None,
            device_id=None,
            ip=None,
            fingerprint=None,
            request_id=None,
            payload={},
            prev_hash="",
            hash="",
        )


def anchor_views(anchors: list[Row], scope: Scope) -> list[AnchorView]:
    """Anchors with the heads of the scope's store; those that cannot be read any more are left
    out, and told by the verifier."""
    found = []
    for anchor in anchors:
        try:
            heads = _heads(anchor["heads"], scope)
            told = {**anchor, "chains": len(anchor["heads"]), "heads": heads}
            found.append(AnchorView.model_validate(told))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def _heads(heads: list[dict[str, Any]], scope: Scope) -> list[AnchoredHead]:
    here = f"{scope.tenant_id}:{scope.store_id}:"
    return [
        AnchoredHead(device_id=head["chain"].removeprefix(here), seq=head["seq"], hash=head["hash"])
        for head in heads
        if head["chain"].startswith(here)
    ]
