"""What a price depends on beside the cart and the catalogue (docs/decisions/0007)."""

from dataclasses import dataclass, field

from playpark.contracts.catalog import SalesChannel


@dataclass(frozen=True, slots=True)
class Context:
    """Where and for whom a cart is priced. Nothing of it is looked up here.

    `channel` is the device's, `customer_group` the guest's (None for anybody), `used_up` holds the
    ids of capped rules that are used up. `committed`: money is taken already, so nothing but an
    unknown package is refused; what does not fit is left out, with the reason in the trace (R17).
    """

    channel: SalesChannel = SalesChannel.POS
    customer_group: str | None = None
    used_up: frozenset[str] = field(default_factory=frozenset)
    committed: bool = False
