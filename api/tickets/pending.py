"""Tickets that a till has signed and whose sale has not arrived yet (R22, decision 0020)."""

from dataclasses import dataclass

from api.catalog import service as catalog
from api.certificates import service as certificates
from api.certificates.models import Certificate
from api.platform.documents import scoped_id
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
    """Insert the row of a verified ticket where the store has none of that id, first of all in the
    transaction that redeems it; None where there is a row now, whosever it is.

    Two gates that do this at once collide in the database: the later one starts again and finds
    the row.
    """
    tickets = TicketRepository.of(work, scope)
    if await tickets.find_one(_id=tickets.key(offline.ticket.ticket_id)) is not None:
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
    tickets = TicketRepository.of(work, scope)
    # A serial stands once under its certificate: this till's key has signed another ticket with it.
    if await tickets.find_one(kid=ticket.key_id, serial=ticket.serial) is not None:
        return FailReason.INVALID_SIG
    known, _ = await catalog.snapshot_with(work, scope, None, [ticket.package_id])
    for package in known.packages:
        if package.package_id == ticket.package_id:
            return package
    return FailReason.UNKNOWN_TICKET


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
