"""What a supervisor's yes to a refund or a reprint may name (R42)."""

from collections.abc import Collection, Sequence


def entities(sale_id: str, ticket_ids: Sequence[str]) -> Collection[str]:
    """What an approval may name: the sale, or the ticket where it is one alone. A yes to one
    ticket is no yes to others of its sale."""
    return {sale_id, *ticket_ids} if len(ticket_ids) == 1 else {sale_id}
