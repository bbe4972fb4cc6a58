"""What the tests of offline tickets share: a till with a key and a certificate of its own, which
signs whatever it is told (R22)."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from playpark.clock import business_date, business_day_start, park_zone
from playpark.contracts.gate import CertificateView
from playpark.ids import new_ulid
from playpark.offline_tickets import OfflineTicket, mint_pp2, public_key_text
from tests.api.drawers import applied, op, tell
from tests.api.selling import Park
from tests.outside import Outsider

CERTIFICATE = "/devices/me/certificate"
ZONE = park_zone(None)
PRINTED = object()
"""What the till has signed of the tickets of a sale."""


def day_of(at: datetime) -> date:
    return business_date(at, ZONE)


@dataclass
class OfflineTill:
    """A till of a park, its key, and what the server allows it."""

    park: Park
    till: Outsider
    key: Ed25519PrivateKey
    certificate: CertificateView

    @classmethod
    async def of(cls, park: Park) -> "OfflineTill":
        till, key = await park.till(), Ed25519PrivateKey.generate()
        return cls(park, till, key, await asked(till, key))

    @property
    def now(self) -> datetime:
        return self.park.inside.clock.now()

    def ticket(self, package: str = "Adult day pass", **claims: Any) -> OfflineTicket:
        """What the till would say of a ticket of this package that it sells now."""
        at = self.now.replace(microsecond=0)
        day = day_of(at)
        told = OfflineTicket(
            ticket_id=new_ulid(),
            package_id=self.park.ids.get(package, package),
            valid_from=business_day_start(day, ZONE),
            valid_to=business_day_start(day + timedelta(days=1), ZONE),
            issued_at=at,
            serial=next(_serials),
            key_id=self.certificate.key_id,
        )
        return replace(told, **claims)

    def token(self, ticket: OfflineTicket) -> str:
        return mint_pp2(self.key, ticket)

    async def op(
        self, *tickets: OfflineTicket, tokens: Any = PRINTED, **body: Any
    ) -> dict[str, Any]:
        """The operation of the cash sale of these tickets, all day passes, and what the till tells
        of their `tokens`; None where it has printed nothing."""
        sale = {
            **self.park.adult(len(tickets)),
            "ticket_ids": [[each.ticket_id for each in tickets]],
            **body,
        }
        operation = await self.park.op(self.till, sale)
        if tokens is None:
            return operation
        printed = [[self.token(each) for each in tickets]] if tokens is PRINTED else tokens
        return operation | {"local": {"printed": True, "tokens": printed}}

    async def arrives(
        self, *tickets: OfflineTicket, tokens: Any = PRINTED, **body: Any
    ) -> dict[str, Any]:
        """Send that sale; the answer."""
        operation = await self.op(*tickets, tokens=tokens, **body)
        (answer,) = await applied(self.till, operation)
        return answer


_serials = count(1)


async def asked(till: Outsider, key: Ed25519PrivateKey, **body: Any) -> CertificateView:
    """The certificate that the server gives a till for this key."""
    body = {"public_key": public_key_text(key), **body}
    return CertificateView.model_validate(await tell(till, "POST", CERTIFICATE, body))


async def shown(gate: Outsider, token: str, **more: Any) -> tuple[str, str | None]:
    """(result, reason) of showing a token at a gate."""
    answer = await tell(gate, "POST", "/redemptions", {"qr_token": token, **more})
    return answer["result"], answer["reason"]


async def row_of(park: Park, ticket: OfflineTicket) -> dict[str, Any] | None:
    """The ticket as it is stored."""
    found: dict[str, Any] | None = await park.db["tickets"].find_one(
        {"ticket_id": ticket.ticket_id}
    )
    return found


def scan(token: str, at: datetime, **more: Any) -> dict[str, Any]:
    """What a gate has let in by itself, as an operation."""
    local = {"result": "pass", "reason": None, "at": at.isoformat()}
    return op("redemption", {"qr_token": token}, occurred_at=at.isoformat(), local=local, **more)
