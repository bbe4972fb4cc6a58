"""Parked carts and guests: put aside, found again on any till, priced anew (R13)."""

from pydantic import ValidationError

from playpark.contracts.customers import CustomerIn, CustomerView
from playpark.contracts.open_tickets import OpenTicketIn, OpenTicketSummary, OpenTicketView
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from playpark.money import format_satang
from terminal.basket import Guest, Parked
from terminal.counter import Counter
from terminal.selling import Selling


class Parking:
    """Parks the basket, and takes a parked one up again; online only."""

    def __init__(self, counter: Counter, selling: Selling) -> None:
        self._counter = counter
        self._selling = selling
        self._sent: tuple[OpenTicketIn, str] | None = None
        """What was sent last without an answer, and its op_id: sent again, it is parked once."""

    async def park(self, name: str) -> OpenTicketView:
        """Put the basket aside under a name that another cashier recognises.

        A cart that was resumed before is parked anew, its old place is given up.
        Raises PlayParkError: no name, empty basket, offline; then the basket stays.
        """
        counter, basket = self._counter, self._selling.basket
        counter.need_server()
        counter.selling()
        if not basket:
            raise PlayParkError(ErrorCode.VALIDATION, "The basket is empty: nothing to park.")
        if counter.training:
            message = "Training sales are not parked: finish it, or empty the basket."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        try:
            body = OpenTicketIn(name=name, cart=basket.cart())
        except ValidationError as wrong:
            message = "Type a name to find it by, such as: family in red."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        before = basket.rung
        op_id = self._sent[1] if self._sent and self._sent[0] == body else new_ulid()
        self._sent = (body, op_id)
        view = await counter.ask(lambda server: server.park(op_id, body))
        self._sent = None
        # Parked it is: whatever becomes of its old place, it must not be parked once more.
        if basket.rung is before:
            self._selling.empty()
        counter.tell(f"Parked as {view.name}.")
        if before.parked is not None:
            await self._give_up(before.parked)
        return view

    async def _give_up(self, old: Parked) -> None:
        """Take the old place of a cart away; it may be gone already: expired, or sold."""
        try:
            await self._counter.ask(lambda server: server.delete_open_ticket(old.open_ticket_id))
        except PlayParkError as refused:
            if refused.code is ErrorCode.UNAVAILABLE:
                message = f"Parked; it may stand there twice: take the old {old.name} only once."
                self._counter.tell(message, refused=True)

    async def parked(self) -> list[OpenTicketSummary]:
        """What is parked in the store, the latest first."""
        self._counter.need_server()
        return (await self._counter.ask(lambda server: server.open_tickets())).items

    async def resume(self, open_ticket_id: str) -> OpenTicketView:
        """Take a parked cart up again, priced as of now; the notice tells the difference.

        Raises PlayParkError: the basket is not empty, it cannot be sold any more, offline.
        """
        counter = self._counter
        counter.need_server()
        view = await counter.ask(lambda server: server.open_ticket(open_ticket_id))
        if self._selling.basket:
            message = "Finish or park what is in the basket first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        guest = None
        if customer_id := view.cart.customer_id:
            guest = guest_of(await counter.ask(lambda server: server.customer(customer_id)))
        parked = Parked(view.open_ticket_id, view.name, view.grand_total)
        self._selling.replace_basket(lambda: self._selling.basket.resume(view.cart, parked, guest))
        counter.tell(self._difference(parked, view.problem))
        return view

    def _difference(self, parked: Parked, problem: str | None) -> str:
        priced = self._selling.priced
        if problem or priced is None:
            return f"{parked.name}: {problem or 'it has no price now.'}"
        change = priced.grand_total - parked.grand_total
        if not change:
            return f"{parked.name}: {format_satang(priced.grand_total)}, as when it was parked."
        word = "more" if change > 0 else "less"
        was, now = format_satang(parked.grand_total), format_satang(priced.grand_total)
        return f"{parked.name}: {now} now, {was} then: {format_satang(abs(change))} {word}."


class Guests:
    """Customers of the park: looked up by name or telephone, or written down anew; online only."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def find(self, text: str) -> list[CustomerView]:
        """Customers by a part of their name or telephone number."""
        self._counter.need_server()
        wanted = text.strip()
        if not wanted:
            message = "Type a part of the name or the telephone number."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        page = await self._counter.ask(lambda server: server.customers(wanted))
        return [each for each in page.items if each.active]

    async def create(self, name: str, phone: str) -> CustomerView:
        """A new customer. Raises PlayParkError: no name, no telephone number, known already."""
        self._counter.need_server()
        more = {"phone": phone.strip()} if phone.strip() else {}
        try:
            body = CustomerIn(name=name, **more)
        except ValidationError as wrong:
            message = "Type a name, and a telephone number such as 0812345678 or none."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        return await self._counter.ask(lambda server: server.create_customer(body))


def guest_of(customer: CustomerView) -> Guest:
    return Guest(customer.customer_id, customer.name, customer.group, customer.points)
