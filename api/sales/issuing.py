"""The tickets of a sale under the ids, codes and tokens that its till chose (R22, R23, R24)."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.audit import service as audit
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.platform.vault import Vault
from api.sales.repository import SaleRepository
from api.tickets import arriving
from api.tickets import issuing as tickets
from api.tickets.issuing import TicketSpec
from playpark.contracts.pricing import PricedCart
from playpark.contracts.sales import SaleIn
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.issuing import planned


def given(lists: list[list[str]] | None, counts: Sequence[int], name: str) -> list[str] | None:
    """What the till chose, in one list; None where it left the choice to the server.

    Raises E_VALIDATION where it sent another number of them, or one twice.
    """
    if lists is None:
        return None
    flat = [item for line in lists for item in line]
    if [len(line) for line in lists] != [*counts] or len(set(flat)) != len(flat):
        message = f"`{name}` needs one list for each line and one entry for each ticket, all new."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return flat


async def printed(
    work: Work,
    scope: Scope,
    op: Operation[SaleIn],
    counts: Sequence[int],
    specs: Sequence[TicketSpec],
    valid_from: datetime,
) -> tuple[arriving.Printed | None, list[str]]:
    """What the till has signed and printed of these tickets by itself, told in the envelope or seen
    at a gate already; None for nothing. And flags.

    Raises E_VALIDATION for another number of tokens, or where nothing can be printed yet, and
    E_CONFLICT for an id of another ticket (R16).
    """
    texts = _told(op, counts)
    if texts is None and op.body.ticket_ids is None:
        return None, []
    expected = [
        arriving.Expected(each.ticket_id, each.package.package_id, valid_from, each.valid_to)
        for each in specs
    ]
    return await arriving.read(work, scope, expected, texts)


async def printed_after_all(
    work: Work, scope: Scope, vault: Vault, op: Operation[Any], sale_id: str
) -> None:
    """The till tells after the answer what it has printed by itself: these are the tickets (R23).
    Its audit row is the last statement. Raises E_VALIDATION as `printed`."""
    sale = await SaleRepository.of(work, scope).find_one(_id=sale_id)
    if sale is None:  # practice: its tickets are no tickets (R32)
        return
    sold = await tickets.first_of_sale(work, scope, sale_id)
    by_line = Counter(each.unit.partition(":")[0] for each in sold)
    texts = _told(op, [*by_line.values()])
    if texts is None:
        return
    switched, flags = await arriving.switch(work, scope, vault, sold, texts)
    facts = {"receipt_no": sale.receipt_no, "tickets": switched, "flags": flags}
    await audit.append(work, scope, "sale.tickets_printed", sale_id, facts)


def _told(op: Operation[Any], counts: Sequence[int]) -> list[str] | None:
    """The tokens in the envelope, in one list."""
    texts = given(op.local.tokens if op.local else None, counts, "local.tokens")
    if texts is not None and not op.committed:
        message = "Tickets that are printed belong to a sale that has happened: send it committed."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return texts


def specs(
    priced: PricedCart,
    catalog: CatalogSnapshot,
    *,
    ids: Sequence[str],
    codes: Sequence[str],
    day: date,
    zone: ZoneInfo,
) -> list[TicketSpec]:
    """The tickets of a sale in their order, with as many ids and short codes."""
    return [
        TicketSpec(
            ticket_id=ticket_id,
            short_code=code,
            package=ticket.package,
            slice=ticket.slice,
            valid_to=ticket.valid_to,
            unit=ticket.unit,
        )
        for ticket, ticket_id, code in zip(
            planned(priced, catalog, day=day, zone=zone), ids, codes, strict=True
        )
    ]
