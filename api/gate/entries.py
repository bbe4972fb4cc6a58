"""Tickets as a gate's list has them: an entry of text each, or only their ids (R21, R22)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.platform.keyring import TicketKeys
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import TicketStatus

ADMITTING = {TicketStatus.ACTIVE.value, TicketStatus.PENDING.value}
FIELDS = (
    *("ticket_id", "token_hash", "kind", "quota_or_minutes", "used", "status", "kid"),
    *("valid_from", "valid_to", "ends_at", "last_pass_at", "zones", "allowed_devices", "inside"),
    *("issued_at", "created_at", "updated_at"),
)
"""What is read of a ticket."""
_ENTRY, _ID = b'{"ticket_id":"', b'"'
_VALID_TO = b'"valid_to":"'
_ID_LENGTH, _TIME_LENGTH = 26, 24


@dataclass(frozen=True, slots=True)
class Listed:
    """A ticket on the list. `text` is its entry, or its id in quotes where it is `denied`."""

    ticket_id: str
    text: bytes
    denied: bool
    valid_from: datetime
    valid_to: datetime

    def tells(self, now: datetime, until: datetime) -> bool:
        """Whether a gate has to hear of it: valid now, or from some time before `until` on."""
        return self.valid_to > now and (self.denied or self.valid_from <= until)


def listed(found: Mapping[str, Any], keys: TicketKeys) -> Listed | None:
    """How a stored ticket stands on the list; None for one that nobody's token opens (R21)."""
    if not _signed(found, keys):
        return None
    ticket_id, denied = found["ticket_id"], not _admits(found)
    text = f'"{ticket_id}"' if denied else _entry(found)
    return Listed(ticket_id, text.encode(), denied, found["valid_from"], found["valid_to"])


def ticket_id_of(text: bytes) -> str:
    """The ticket that an entry, or an id in quotes, is of."""
    start = len(_ENTRY) if text.startswith(_ENTRY) else len(_ID)
    return text[start : start + _ID_LENGTH].decode()


def valid_to_of(text: bytes) -> bytes:
    """Until when an entry is good, as `told` writes it."""
    start = text.index(_VALID_TO) + len(_VALID_TO)
    return text[start : start + _TIME_LENGTH]


def told(moment: datetime) -> bytes:
    """A moment as entries have it: these texts are in the order of time."""
    return _time(moment).encode()


def _signed(found: Mapping[str, Any], keys: TicketKeys) -> bool:
    """Whether the ticket's key is known and still signed when it was issued, as
    `redemption.authentic` has it. A till's own tickets are opened by certificates."""
    kid, not_after = found["kid"], keys.not_after.get(found["kid"])
    ours = kid in keys.by_kid or len(kid) > 2
    return ours and (not_after is None or _issued_at(found) <= not_after)


def _admits(found: Mapping[str, Any]) -> bool:
    """Whether any gate may still let somebody in with it, at any time of its validity."""
    kind = found["kind"]
    if found["status"] not in ADMITTING or kind == PackageKind.BUNDLE.value:
        return False
    # A timepass runs by its clock, and an empty credit still opens a zone that takes nothing.
    by_count = kind in {PackageKind.SINGLE.value, PackageKind.MULTI.value}
    return not by_count or found["used"] < found["quota_or_minutes"]


def _entry(found: Mapping[str, Any]) -> str:
    timepass = found["kind"] == PackageKind.TIMEPASS.value
    entry: dict[str, Any] = {
        "ticket_id": found["ticket_id"],
        "hash": found["token_hash"],
        "kind": found["kind"],
        "remaining": found["quota_or_minutes"] - (0 if timepass else found["used"]),
        "valid_from": _time(found["valid_from"]),
        "valid_to": _time(found["valid_to"]),
    }
    for name in ("ends_at", "last_pass_at"):
        if (moment := found.get(name)) is not None:
            entry[name] = _time(moment)
    for name in ("zones", "allowed_devices", "inside"):
        if some := found.get(name):
            entry[name] = some
    if found["status"] == TicketStatus.PENDING.value:
        entry["status"] = found["status"]
        entry["issued_at"] = _time(_issued_at(found))
    return json.dumps(entry, separators=(",", ":"))


def _issued_at(found: Mapping[str, Any]) -> datetime:
    moment: datetime = found.get("issued_at") or found["created_at"]
    return moment


def _time(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"
