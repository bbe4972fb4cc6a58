"""What a gate keeps, so that it can decide without the server (API.md: gate; R21, R22, R33).

A gate holds hashes of tokens and the tills' certificates, never a key that could make a ticket.
"""

from typing import Annotated

from pydantic import Field

from playpark.clock import UtcDatetime
from playpark.contracts.auth import PublicKey
from playpark.contracts.base import Request, View
from playpark.contracts.catalog import PackageKind, ZoneView
from playpark.contracts.settings import Features
from playpark.contracts.tickets import OccupancyView, TicketStatus
from playpark.money import MAX_INT


class AllowedTicket(View):
    """A ticket that admits as far as the server knew. `hash`: SHA-256 of its token, in hex.

    `remaining`: uses, minutes of a timepass that has not started, or satang. Fields that do not
    apply are left out. The token's key signs it still: others are not listed. A timepass is listed
    to the end of its validity, and says by `ends_at` when its clock has run out.
    """

    ticket_id: str
    hash: str
    kind: PackageKind
    remaining: int
    valid_from: UtcDatetime
    valid_to: UtcDatetime
    ends_at: UtcDatetime | None = None
    """When a timepass that has started runs out."""
    last_pass_at: UtcDatetime | None = None
    zones: list[str] = []
    allowed_devices: list[str] = []
    inside: list[str] = []
    """The zones where its guest is, "" for none in particular; of the day of last_pass_at (R51)."""
    status: TicketStatus = TicketStatus.ACTIVE
    issued_at: UtcDatetime | None = None
    """Of a pending ticket: how long its zone's policy holds is reckoned from it (R22)."""


class CertificateIn(Request):
    """The till's own key, where it is another than the one of its pairing. `serials_taken`: how
    many tickets it has signed under the certificate that it has."""

    public_key: PublicKey | None = None
    serials_taken: Annotated[int, Field(strict=True, ge=0, le=MAX_INT)] = 0


class CertificateView(View):
    """What one till may sign by itself (R22): the server's word on a till's key.

    `public_key`, `signature`: Ed25519, Base64. `key_id` stands in each ticket that the key signs.
    The tickets' own validity ends by `max_valid_to`, and no serial is above `max_tickets`.
    """

    key_id: str
    public_key: str
    device_id: str
    store_id: str
    packages: list[str]
    not_before: UtcDatetime
    not_after: UtcDatetime
    max_tickets: int
    max_valid_to: UtcDatetime
    signature: str


class GatePolicy(View):
    """How the store's gates decide by themselves. `anti_passback_s`: seconds between two entries
    with one ticket. `allow_list_hours`: how old a list may be that still admits."""

    anti_passback_s: int
    allow_list_hours: int = 24
    features: Features
    certificate_key: str | None = None
    """The server's Ed25519 public key, Base64: it signed the certificates."""


class GateBootstrap(View):
    """The whole list, or what has changed since `since` (the `version` of an earlier answer);
    `since` null is the whole list, also where a delta was asked for.

    `version` is opaque and rises. A delta may repeat what was told before. `deny`: tickets that
    were on the list, or may be in a guest's hand, and admit no more.
    """

    version: int
    since: int | None = None
    server_time: UtcDatetime
    store_id: str
    zones: list[ZoneView]
    policy: GatePolicy
    allow: list[AllowedTicket]
    deny: list[str] = Field(default=[], description="ticket ids")
    certificates: list[CertificateView] = []
    occupancy: list[OccupancyView] = []
    """Of the zones and the park as a whole: from here a gate counts on by itself (R51)."""
