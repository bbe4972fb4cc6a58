"""Tickets that their till has signed and printed by itself: what stands on the paper is what is
booked, whether the till tells it with the sale or after the answer (R22, R23, decision 0028)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.certificates import service as certificates
from api.platform.scope import Scope
from api.platform.uow import Work
from api.platform.vault import Vault
from api.tickets import pending
from api.tickets.models import Ticket
from api.tickets.repository import TicketRepository
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.offline_tickets import OfflineTicket, SignedTicket, parse_pp2

TOKEN_INVALID, CLAIMS_DIFFER = "offline_token_invalid", "offline_claims_differ"
_OF_THE_SALE = ("sale_id", "position", "unit", "shift_id", "issued_by", "short_code", "slice")
"""What a ticket did not have before its sale came."""
_OF_THE_ROW = (
    *("kid", "token_hash", "issued_at", "serial", "sealed_signature", "valid_from", "valid_to"),
    *("package_id", "package_name", "package_name_th", "kind", "quota_or_minutes"),
    *("zones", "allowed_devices"),
)
"""What a gate has admitted somebody by stays as it was."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A ticket as the sale has it."""

    ticket_id: str
    package_id: str
    valid_from: datetime
    valid_to: datetime


@dataclass(frozen=True, slots=True)
class Printed:
    """The tickets of one sale that its till printed by itself, by ticket id: the tokens that hold,
    and the rows that gates have made of them already."""

    tokens: dict[str, SignedTicket] = field(default_factory=dict)
    rows: dict[str, Ticket] = field(default_factory=dict)


async def read(
    work: Work, scope: Scope, expected: Sequence[Expected], texts: Sequence[str] | None
) -> tuple[Printed | None, list[str]]:
    """What the till has printed: `texts` in the order of the tickets, None where it has told
    nothing, and what gates have seen of it. None where there is nothing of either; and flags.

    A token that does not hold is no reason to refuse money that was taken (R17). Raises E_CONFLICT
    for a ticket id that another ticket has, or a pending one of another till (R16).
    """
    tickets = TicketRepository.of(work, scope)
    keys = [tickets.key(each.ticket_id) for each in expected]
    found = await tickets.find(limit=len(keys), _id={"$in": keys})
    rows = {row.ticket_id: row for row in found}
    for row in found:
        if row.status is not TicketStatus.PENDING or row.device_id != scope.device.device_id:
            message = "One of the ids is in use already: make fresh ones."
            raise PlayParkError(ErrorCode.CONFLICT, message)
    if texts is None and not rows:
        return None, []
    tokens = await _holding(work, scope, [each.ticket_id for each in expected], texts or ())
    flags = [] if texts is None or len(tokens) == len(expected) else [TOKEN_INVALID]
    said = {name: token.ticket for name, token in tokens.items()} | rows
    if any(_differs(each, said.get(each.ticket_id)) for each in expected):
        flags.append(CLAIMS_DIFFER)
    return Printed(tokens, rows), flags


async def insert(
    work: Work, scope: Scope, vault: Vault, documents: Sequence[Ticket], printed: Printed
) -> list[Ticket]:
    """Keep the tickets of a sale under what was printed of them: new rows, and those that are
    pending upgraded with `used`, clock and place as gates have left them. Returns them as they
    were sold: unused."""
    tickets = TicketRepository.of(work, scope)
    kept = [_as_printed(each, printed, vault) for each in documents]
    fresh = [each for each in kept if each.ticket_id not in printed.rows]
    await tickets.insert_many(fresh)
    for ticket in kept:
        if ticket.ticket_id in printed.rows:
            sold = {name: getattr(ticket, name) for name in _OF_THE_SALE}
            upgrade: dict[str, Any] = {"$set": {**sold, "status": TicketStatus.ACTIVE.value}}
            await tickets.update_one(upgrade, _id=ticket.id, status=TicketStatus.PENDING.value)
    return kept


async def switch(
    work: Work, scope: Scope, vault: Vault, sold: Sequence[Ticket], texts: Sequence[str]
) -> tuple[int, list[str]]:
    """Book tickets of a sale that was answered under the tokens that their till has printed
    instead: `texts` in their order. How many changed, and flags.

    Whatever has become of a ticket since, the paper is the one that its guest holds.
    """
    tickets = TicketRepository.of(work, scope)
    tokens = await _holding(work, scope, [each.ticket_id for each in sold], texts)
    others = [each for each in sold if each.serial is None and each.ticket_id in tokens]
    for ticket in others:
        booked = pending.booked_as(vault, tokens[ticket.ticket_id])
        await tickets.update_one({"$set": booked}, _id=ticket.id, kid=ticket.kid)
    booked_so = [
        each.ticket_id in tokens
        and (each.serial is None or each.token_hash == tokens[each.ticket_id].hash)
        for each in sold
    ]
    flags = [] if all(booked_so) else [TOKEN_INVALID]
    if any(_differs(each, tokens[each.ticket_id].ticket) for each in others):
        flags.append(CLAIMS_DIFFER)
    return len(others), flags


async def _holding(
    work: Work, scope: Scope, ticket_ids: Sequence[str], texts: Sequence[str]
) -> dict[str, SignedTicket]:
    """By ticket id the tokens that hold, each for the ticket in whose place it stands."""
    signed = [parse_pp2(text) for text in texts]
    held = await _held(work, scope, [each for each in signed if each is not None])
    return {
        ticket_id: token
        for ticket_id, token in zip(ticket_ids, signed, strict=False)
        if token is not None and token in held and token.ticket.ticket_id == ticket_id
    }


async def _held(work: Work, scope: Scope, signed: Sequence[SignedTicket]) -> list[SignedTicket]:
    """Those that this till has signed within its certificate, each under a serial of its own."""
    covered = await certificates.covering_all(work, scope, signed)
    till = scope.device.device_id
    by_serial = {
        (each.ticket.key_id, each.ticket.serial): each
        for each in signed
        if (found := covered.get(each.text)) is not None and found.device_id == till
    }
    taken = await TicketRepository.of(work, scope).find(
        limit=len(by_serial) ** 2 or 1,
        kid={"$in": sorted({key_id for key_id, _ in by_serial})},
        serial={"$in": sorted({serial for _, serial in by_serial})},
    )
    owners = {(str(each.kid), each.serial): each.ticket_id for each in taken}
    return [
        each
        for place, each in by_serial.items()
        if owners.get(place, each.ticket.ticket_id) == each.ticket.ticket_id
    ]


def _differs(expected: Expected | Ticket, said: OfflineTicket | Ticket | None) -> bool:
    """Whether the paper says something else than the sale: the paper stands (R30)."""
    if said is None:
        return False
    return (said.package_id, said.valid_from, said.valid_to) != (
        expected.package_id,
        expected.valid_from,
        expected.valid_to,
    )


def _as_printed(document: Ticket, printed: Printed, vault: Vault) -> Ticket:
    row = printed.rows.get(document.ticket_id)
    if row is not None:
        return document.model_copy(update={name: getattr(row, name) for name in _OF_THE_ROW})
    signed = printed.tokens.get(document.ticket_id)
    if signed is None:
        return document
    return document.model_copy(update=pending.booked_as(vault, signed))
