"""A gate's own list as a test wants it, and tickets to stand on it."""

from datetime import datetime, timedelta
from typing import Any

from gate.allowlist import AllowList
from playpark.clock import Clock
from playpark.contracts.catalog import PackageKind
from playpark.contracts.gate import AllowedTicket, GateBootstrap, GatePolicy
from playpark.contracts.settings import Features
from playpark.tokens import parse_pp1, token_hash
from tests.gate.park import IDENTITY, NOW, SNAPSHOT

DAY = timedelta(hours=24)


def allowed(token: str, **changes: Any) -> AllowedTicket:
    """A single ticket that is good all day, by its PP1 token."""
    parsed = parse_pp1(token)
    assert parsed is not None
    facts: dict[str, Any] = {
        "ticket_id": parsed.ticket_id,
        "hash": token_hash(token),
        "kind": PackageKind.SINGLE,
        "remaining": 1,
        "valid_from": NOW - timedelta(hours=8),
        "valid_to": NOW + timedelta(hours=8),
    }
    return AllowedTicket(**facts | changes)


def told(*allow: AllowedTicket, **changes: Any) -> GateBootstrap:
    """What the server says: the whole list, as of the park's morning."""
    facts: dict[str, Any] = {
        "version": 1,
        "server_time": NOW,
        "store_id": "st1",
        "zones": SNAPSHOT.zones,
        "policy": GatePolicy(anti_passback_s=5, features=Features()),
        "allow": list(allow),
    }
    return GateBootstrap(**facts | changes)


def fill(own: AllowList, answer: GateBootstrap, clock: Clock | None = None, **changes: Any) -> None:
    """Put an answer on the gate's disk, as one of its own that came at once."""
    now: datetime = clock.now() if clock is not None else answer.server_time
    facts: dict[str, Any] = {"owner": IDENTITY.device_id, "window": 1_440, "now": now}
    own.apply(answer, **facts | changes)
