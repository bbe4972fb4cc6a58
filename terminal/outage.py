"""What a till may sell while the server does not answer, and its own tickets (R22, R36, R39).

What cannot be sold is refused before money is taken, with a sentence. No Textual here.
"""

import asyncio
from datetime import datetime
from typing import Any

from playpark.contracts.pricing import PricedCart
from playpark.contracts.sync import LocalOutcome
from playpark.contracts.tenancy import OfflineCap
from playpark.device import Allocator, OfflineTickets
from playpark.device.park_clock import ParkClock
from playpark.device.till_key import Wanted
from playpark.errors import ErrorCode, PlayParkError
from playpark.issuing import by_line, planned
from playpark.money import format_satang
from terminal.alone import SoldHere, wanted
from terminal.basket import Rung
from terminal.counter import Counter

# The register has one row of 78 columns for a sentence.
NO_CERTIFICATE = "No server, and this till may not print tickets alone: use another till."
RAN_OUT = "No server for too long: this till may print no more tickets. Connect it."
ENOUGH = "No server, and this till may print no more tickets alone: connect it."
PARKED = "A parked sale needs the server: void it and ring it anew."
WRONG_CLOCK = "This till's clock is wrong by more than a day: set it, then sell."


class Outage:
    """What holds while the line is not online."""

    def __init__(self, counter: Counter, signing: OfflineTickets) -> None:
        self._counter = counter
        self._signing = signing

    async def allow(self, priced: PricedCart, rung: Rung) -> None:
        """Raises PlayParkError where this may not be sold now; call it before money is taken.

        Online only the clock can forbid it.
        """
        counter = self._counter
        clock = counter.clock
        if isinstance(clock, ParkClock) and clock.blocks_selling:
            raise PlayParkError(ErrorCode.CONFLICT, WRONG_CLOCK)
        if counter.engine.turned_away:
            reason = counter.engine.state.last_error or "The server does not take this till."
            raise PlayParkError(ErrorCode.CONFLICT, f"{reason} Nothing may be sold until then.")
        if counter.engine.online:
            return
        if rung.parked is not None:
            raise PlayParkError(ErrorCode.UNAVAILABLE, PARKED)
        if counter.training:
            return
        self._refuse_beyond_cap(priced.grand_total)
        if counter.engine.reachable:
            return  # a slow server gives the tickets that the till cannot sign
        await asyncio.to_thread(self._refuse_uncovered, priced, counter.clock.now())

    def sign(
        self, allocator: Allocator, body: dict[str, Any], known: SoldHere, at: datetime
    ) -> LocalOutcome:
        """The sale's tickets, signed within its transaction. Raises E_CONFLICT where the
        certificate does not cover them: what is refused takes no number."""
        tickets = wanted(body, known, self._counter.zone)
        try:
            tokens = self._signing.sign(allocator, tickets, at)
        except ValueError as odd:  # an id or a time that does not fit into a token
            raise PlayParkError(ErrorCode.CONFLICT, NO_CERTIFICATE) from odd
        counts = [len(line) for line in body["ticket_ids"]]
        return LocalOutcome(printed=True, at=at, tokens=by_line(tokens, counts))

    # --- why not --------------------------------------------------------------------------

    def _refuse_beyond_cap(self, total: int) -> None:
        cap, unsent = self._cap, self._counter.store.unsynced_sales()
        if cap is None:
            return
        if cap.sales is not None and unsent.count >= cap.sales:
            made = f"{cap.sales} sales" if cap.sales != 1 else "one sale"
            message = f"This till may make {made} without the server, and has: connect it."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)
        if cap.satang is not None and unsent.satang + total > cap.satang:
            left = format_satang(max(cap.satang - unsent.satang, 0))
            message = f"Without the server it may sell for {left} baht more: connect it."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)

    @property
    def _cap(self) -> OfflineCap | None:
        identity = self._counter.store.identity
        return identity.device.caps.offline_cap if identity and identity.device else None

    def _refuse_uncovered(self, priced: PricedCart, now: datetime) -> None:
        """Blocks on the disk and the safe."""
        counter = self._counter
        if counter.catalog is None:
            raise PlayParkError(ErrorCode.CONFLICT, NO_CERTIFICATE)
        tickets = [
            Wanted("", each.package.package_id, each.valid_from, each.valid_to)
            for each in planned(
                priced, counter.catalog, day=counter.business_date(now), zone=counter.zone
            )
        ]
        certificate = counter.store.signing.certificate
        if not tickets:
            return
        if certificate is None or certificate.public_key != self._signing.public_key():
            raise PlayParkError(ErrorCode.UNAVAILABLE, NO_CERTIFICATE)
        if not certificate.not_before <= now <= certificate.not_after:
            raise PlayParkError(ErrorCode.UNAVAILABLE, RAN_OUT)
        taken = counter.store.signing.serials_taken(certificate.key_id)
        if taken + len(tickets) > certificate.max_tickets:
            raise PlayParkError(ErrorCode.UNAVAILABLE, ENOUGH)
        names = {each.package_id: each.name for each in counter.catalog.packages}
        for ticket in tickets:
            covered = ticket.package_id in certificate.packages
            if not covered or ticket.valid_to > certificate.max_valid_to:
                name = names[ticket.package_id]
                message = f"{name} cannot be sold without the server: take it out."
                raise PlayParkError(ErrorCode.UNAVAILABLE, message)
