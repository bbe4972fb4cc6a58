"""Tickets that a till has signed, shown before the till has told that it printed them: their sale
has not arrived yet, or was answered with another token (R22, R23, decisions 0020, 0028)."""

from dataclasses import dataclass
from typing import Any

from api.catalog import service as catalog
from api.certificates import service as certificates
from api.certificates.models import Certificate
from api.platform.documents import scoped_id
from api.platform.operations import OpRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from api.platform.vault import Vault
from api.tickets.models import Ticket
from api.tickets.repository import TicketRepository
from playpark.contracts.catalog import PackageView
from playpark.contracts.pricing import Slice
from playpark.contracts.tickets import FailReason, TicketStatus
from playpark.offline_tickets import (
    OfflineTicket,
    SignedTicket,
    join_pp2,
    parse_pp2,
)
from playpark.redemption import SigningKey

NO_SALE = ""
NO_MONEY = Slice(gross=0, line_discount=0, cart_discount=0, payable=0, vat=0, vat_rate=0)


@dataclass(frozen=True, slots=True)
class Offline:
    """An offline till's ticket whose signature and bounds are verified, and by what."""

    signed: SignedTicket
    certificate: Certificate

    @property
    def ticket(self) -> OfflineTicket:
        return self.signed.ticket

    @property
    def key(self) -> SigningKey:
        """What a stored ticket is judged by that has this id (R21)."""
        return SigningKey(self.ticket.key_id)


async def verified(work: Work, scope: Scope, text: str) -> Offline | None:
    """What stands in a PP2 token that is good in this store; None for a forged one, one beyond its
    certificate, and any other text. Reads a certificate and no ticket (R21)."""
    signed = parse_pp2(text)
    if signed is None:
        return None
    certificate = await certificates.covering(work, scope, signed)
    return None if certificate is None else Offline(signed, certificate)


async def admit_unknown(
    work: Work, scope: Scope, vault: Vault, offline: Offline
) -> FailReason | None:
    """Insert the row of a verified ticket where the store has none of that id, or book the one that
    it has under this token where it is the one that was printed; first of all in the transaction
    that redeems it. None where there is a row now, whosever it is.

    Two gates that do this at once collide in the database: the later one starts again and finds
    the row.
    """
    tickets = TicketRepository.of(work, scope)
    found = await tickets.find_one(_id=tickets.key(offline.ticket.ticket_id))
    if found is not None:
        if await stands_for(work, scope, found, offline):
            booked = booked_as(vault, offline.signed)
            await tickets.update_one({"$set": booked}, _id=found.id, kid=found.kid)
        return None
    row = await unsaved(work, scope, offline)
    if isinstance(row, FailReason):
        return row
    sealed = row.model_copy(update={"sealed_signature": seal(vault, offline.signed)})
    await tickets.insert(sealed)
    return None


async def unsaved(work: Work, scope: Scope, offline: Offline) -> Ticket | FailReason:
    """The row that a verified ticket gets which nobody has seen yet, or why it gets none."""
    package = await _objection(work, scope, offline)
    if isinstance(package, FailReason):
        return package
    return _row(scope, offline, package)


async def stands_for(work: Work, scope: Scope, found: Ticket, offline: Offline) -> bool:
    """Whether a ticket under the server's own key is the one that its till has printed as
    `offline`: the answer was lost on the way, and the till has not told yet (R23).

    Only by the till that sold it in a batch, for what was sold, once for each serial, and while
    nothing has happened with the ticket: the other token is in a guest's hand then.
    """
    said = offline.ticket
    if found.op_id is None or not found.untouched:
        return False
    the_same = (found.device_id, found.package_id, found.valid_from, found.valid_to) == (
        offline.certificate.device_id,
        said.package_id,
        said.valid_from,
        said.valid_to,
    )
    if not the_same or await _serial_taken(work, scope, said):
        return False
    key = scoped_id(scope.tenant_id, scope.store_id, found.device_id, found.op_id)
    record = await OpRepository.of(work, scope).find_one(_id=key)
    return record is not None and record.local is None


async def key_of(work: Work, scope: Scope, offline: Offline) -> SigningKey:
    """What a stored ticket is judged by that is shown as `offline`; writes nothing."""
    tickets = TicketRepository.of(work, scope)
    found = await tickets.find_one(_id=tickets.key(offline.ticket.ticket_id))
    if found is not None and await stands_for(work, scope, found, offline):
        return SigningKey(found.kid)
    return offline.key


def booked_as(vault: Vault, signed: SignedTicket) -> dict[str, Any]:
    """What a ticket has of the token that its till has printed."""
    said = signed.ticket
    return {
        "kid": said.key_id,
        "token_hash": signed.hash,
        "issued_at": said.issued_at,
        "serial": said.serial,
        "sealed_signature": seal(vault, signed),
        "valid_from": said.valid_from,
        "valid_to": said.valid_to,
    }


def token(ticket: Ticket, vault: Vault) -> str | None:
    """The PP2 of a stored ticket as its till has printed it; None for any other ticket."""
    if ticket.sealed_signature is None or ticket.serial is None or ticket.issued_at is None:
        return None
    claims = OfflineTicket(
        ticket_id=ticket.ticket_id,
        package_id=ticket.package_id,
        valid_from=ticket.valid_from,
        valid_to=ticket.valid_to,
        issued_at=ticket.issued_at,
        serial=ticket.serial,
        key_id=ticket.kid,
    )
    return join_pp2(claims, bytes.fromhex(vault.open(ticket.sealed_signature)))


def seal(vault: Vault, signed: SignedTicket) -> str:
    """The signature of a ticket as it may be stored."""
    return vault.seal(signed.signature.hex())


async def _objection(work: Work, scope: Scope, offline: Offline) -> PackageView | FailReason:
    """Why there can be no row of it, else its package."""
    ticket = offline.ticket
    if await _serial_taken(work, scope, ticket):
        return FailReason.INVALID_SIG
    known, _ = await catalog.snapshot_with(work, scope, None, [ticket.package_id])
    for package in known.packages:
        if package.package_id == ticket.package_id:
            return package
    return FailReason.UNKNOWN_TICKET


async def _serial_taken(work: Work, scope: Scope, ticket: OfflineTicket) -> bool:
    """A serial stands once under its certificate: the till's key has signed another ticket with
    it."""
    tickets = TicketRepository.of(work, scope)
    return await tickets.find_one(kid=ticket.key_id, serial=ticket.serial) is not None


def _row(scope: Scope, offline: Offline, package: PackageView) -> Ticket:
    ticket = offline.ticket
    return Ticket(
        id=scoped_id(scope.tenant_id, scope.store_id, ticket.ticket_id),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        ticket_id=ticket.ticket_id,
        sale_id=NO_SALE,
        position=0,
        shift_id=None,
        device_id=offline.certificate.device_id,
        issued_by=None,
        package_id=package.package_id,
        package_name=package.name,
        package_name_th=package.name_th,
        kind=package.kind,
        quota_or_minutes=package.quota_or_minutes,
        # Until the sale comes it has none. Nobody can type this, and no other ticket has it.
        short_code=ticket.ticket_id,
        kid=ticket.key_id,
        token_hash=offline.signed.hash,
        status=TicketStatus.PENDING,
        issued_at=ticket.issued_at,
        serial=ticket.serial,
        valid_from=ticket.valid_from,
        valid_to=ticket.valid_to,
        zones=package.zones,
        allowed_devices=package.allowed_devices,
        slice=NO_MONEY.model_dump(),
    )
