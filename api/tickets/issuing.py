"""Issuing tickets into a sale, and showing them (R6, R18, R21, R23)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.platform.keyring import TicketKeys
from api.platform.scope import Scope
from api.platform.uow import Work
from api.platform.vault import Vault
from api.tickets import arriving, pending
from api.tickets.arriving import Printed
from api.tickets.models import Ticket
from api.tickets.repository import TicketRepository
from playpark.contracts.catalog import PackageView
from playpark.contracts.pricing import Slice
from playpark.contracts.tickets import TicketView
from playpark.tokens import mint_pp1, token_hash


@dataclass(frozen=True, slots=True)
class TicketSpec:
    """A ticket to be issued: its ids (chosen by the till or the server), package and money.
    `unit` is `line:unit` of the sale, the same for all components of a bundle."""

    ticket_id: str
    short_code: str
    package: PackageView
    slice: Slice
    valid_to: datetime
    unit: str = ""


@dataclass(frozen=True, slots=True)
class IssueContext:
    """What all tickets of one sale share. `op_id`: of a sale that came in a batch."""

    sale_id: str
    shift_id: str | None
    valid_from: datetime
    op_id: str | None = None


async def issue(
    work: Work,
    scope: Scope,
    keys: TicketKeys,
    context: IssueContext,
    specs: Sequence[TicketSpec],
    *,
    vault: Vault,
    printed: Printed | None = None,
) -> list[Ticket]:
    """Insert the tickets of a sale, signed with the tenant's current key (R21), or as its till has
    signed and `printed` them (R22).

    Raises DuplicateKeyError for an id or short code in use."""
    tickets = TicketRepository.of(work, scope)
    documents = [
        Ticket(
            id=tickets.key(spec.ticket_id),
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            ticket_id=spec.ticket_id,
            sale_id=context.sale_id,
            position=position,
            unit=spec.unit,
            shift_id=context.shift_id,
            device_id=scope.device.device_id,
            op_id=context.op_id,
            issued_by=scope.actor_id,
            package_id=spec.package.package_id,
            package_name=spec.package.name,
            package_name_th=spec.package.name_th,
            kind=spec.package.kind,
            quota_or_minutes=spec.package.quota_or_minutes,
            short_code=spec.short_code,
            kid=keys.current,
            token_hash=hash_of(keys, scope.tenant_id, spec.ticket_id),
            valid_from=context.valid_from,
            valid_to=spec.valid_to,
            zones=spec.package.zones,
            allowed_devices=spec.package.allowed_devices,
            slice=spec.slice.model_dump(),
        )
        for position, spec in enumerate(specs)
    ]
    if printed is not None:
        return await arriving.insert(work, scope, vault, documents, printed)
    await tickets.insert_many(documents)
    return documents


async def short_codes_in_use(work: Work, scope: Scope, codes: Sequence[str]) -> set[str]:
    """Which of these short codes the store's tickets have already."""
    tickets = TicketRepository.of(work, scope)
    return await tickets.codes_in_use(codes)


def hash_of(keys: TicketKeys, tenant_id: str, ticket_id: str) -> str:
    """What is stored of a ticket's token, signed with the current key (R21)."""
    return token_hash(mint_pp1(keys.by_kid, keys.current, tenant_id, ticket_id))


async def of_sale(work: Work, scope: Scope, sale_id: str, **conditions: Any) -> list[Ticket]:
    """The tickets of a sale, in the order in which they were issued: of one that was exchanged
    only the last that was given for it (R25)."""
    return await _of_sale(work, scope, sale_id, replaced_by=None, **conditions)


async def first_of_sale(work: Work, scope: Scope, sale_id: str) -> list[Ticket]:
    """The tickets that were issued with a sale, in their order, exchanged since or not."""
    return await _of_sale(work, scope, sale_id, replaces=None)


async def _of_sale(work: Work, scope: Scope, sale_id: str, **conditions: Any) -> list[Ticket]:
    tickets = TicketRepository.of(work, scope)
    return await tickets.find(sort="position", limit=500, sale_id=sale_id, **conditions)


def view(ticket: Ticket, keys: TicketKeys | None, vault: Vault | None = None) -> TicketView:
    """A ticket as the API shows it; with its token where `keys` are given (R15), and with `vault`
    one that its till has signed too (R23)."""
    token = pending.token(ticket, vault) if vault else None
    if keys and ticket.kid in keys.by_kid:  # a retired key leaves the ticket without a token
        token = mint_pp1(keys.by_kid, ticket.kid, ticket.tenant_id, ticket.ticket_id)
    return TicketView(
        ticket_id=ticket.ticket_id,
        short_code=ticket.short_code,
        qr_token=token,
        kind=ticket.kind,
        package_id=ticket.package_id,
        package_name=ticket.package_name,
        package_name_th=ticket.package_name_th,
        quota_or_minutes=ticket.quota_or_minutes,
        valid_from=ticket.valid_from,
        valid_to=ticket.valid_to,
        payable=ticket.slice["payable"],
        zones=ticket.zones,
        used=ticket.used,
        status=ticket.status,
    )
