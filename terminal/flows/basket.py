"""Flows of a sale that is rung: discounts, codes, members, parts, parking (R7, R13, R42)."""

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.rules import DiscountLevel, DiscountView
from playpark.device import StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from playpark.tui import Ask, Choose
from terminal.flows.flow import Flow
from terminal.parking import guest_of
from terminal.screens.dialogs import TakePayment
from terminal.screens.guest import GuestDialog, NewGuest, NewGuestDialog
from terminal.screens.split import SplitDialog
from terminal.widgets.money_field import amount_of

_BY_HAND = "by hand"
_NOBODY = "nobody"
_SOMEBODY = "somebody"


class BasketFlow(Flow):
    """One flow a key. What is typed on the entry line comes along."""

    async def discount(self, line: int, typed: str = "") -> None:
        """A discount of the store, or one by hand, on the marked line."""
        selling = self.till.selling
        if not selling.basket.lines:
            return None
        if typed:
            return self._by_hand(line, typed)
        rung = selling.basket.lines[line]
        chosen = {*rung.discount_ids, *selling.basket.rung.discount_ids}
        options: list[tuple[str, str, DiscountView | str]] = [
            (f"{'✓ ' if each.discount_id in chosen else ''}{each.name}", _off(each), each)
            for each in selling.discounts(line)
        ]
        by_hand = format_satang(rung.manual_discount) if rung.manual_discount else ""
        options.append(("By hand: an amount or a percentage", by_hand, _BY_HAND))
        name = selling.priced.lines[line].name if selling.priced else ""
        picked: DiscountView | str = await self.ask(Choose(f"Discount on {name}", options))
        if isinstance(picked, DiscountView):
            selling.choose(picked, line)
            return None
        label = "Baht off the line, such as 20, or 10%; 0 takes it away"
        text = await self.ask(Ask("Discount by hand", label, _valid_discount, max_length=20))
        return self._by_hand(line, text)

    def _by_hand(self, line: int, typed: str) -> None:
        text = _valid_discount(typed)
        if text.endswith("%"):
            self.till.selling.discount_by_hand(line, percent=amount_of(text[:-1].strip()))
        else:
            self.till.selling.discount_by_hand(line, amount=amount_of(text))

    async def promo(self, typed: str = "") -> None:
        """A promotion code; the same one again takes it off."""
        selling = self.till.selling
        if not typed:
            entered = ", ".join(selling.basket.rung.promo_codes)
            label = f"Entered: {entered}. The same again takes it off." if entered else "The code"
            typed = await self.ask(Ask("Promotion code", label, str.strip, max_length=40))
        selling.enter_promo(typed)

    async def guest(self, typed: str = "") -> None:
        """Whose sale it is."""
        selling, guests = self.till.selling, self.till.guests
        if (now := selling.basket.rung.guest) is not None and not typed:
            options = [("Take the member off", "", _NOBODY), ("Somebody else", "", _SOMEBODY)]
            if await self.ask(Choose(now.name, options)) is _NOBODY:
                selling.attach(None)
                return
        found = await self.ask(GuestDialog(guests.find, typed))
        if isinstance(found, NewGuest):
            found = await self.ask(NewGuestDialog(guests.create, found.wanted))
        selling.attach(guest_of(found))

    async def park(self, typed: str = "") -> None:
        """Put the basket aside."""
        known = self.till.basket.rung.parked
        guest = self.till.basket.rung.guest
        name = typed or (known.name if known else guest.name if guest else "")
        if not typed:
            label = "A name to find it by, such as: family in red"
            name = await self.ask(
                Ask("Park this sale", label, str.strip, value=name, max_length=120)
            )
        await self.till.parking.park(name)

    async def resume(self) -> None:
        """Take a parked sale up again."""
        parked = await self.till.parking.parked()
        zone = self.till.counter.zone
        options = [
            (
                f"{each.parked_at.astimezone(zone):%H:%M} {each.name} · {_pieces(each.pieces)}",
                format_satang(each.grand_total),
                each.open_ticket_id,
            )
            for each in parked
        ]
        empty = "Nothing is parked. F12 parks what is in the basket."
        chosen: str = await self.ask(Choose("Parked sales", options, empty=empty))
        await self.till.parking.resume(chosen)

    # --- money ----------------------------------------------------------------------------

    async def allow(self) -> None:
        """Have the basket's discount approved where it needs that, before money is taken."""
        if (question := self.till.selling.question()) is not None:
            token = await self.approve(question)
            self.till.selling.approved(question, token)

    async def cash(self, tendered: int | None) -> StoredOp:
        """Cash, after the approval that the basket needs."""
        await self.allow()
        if tendered is None:
            return await self.till.pay_exact_cash()
        return await self.till.pay_cash(tendered, confirmed=True)

    async def take(self, method: PaymentMethod) -> StoredOp:
        """All of it on the card terminal or in a bank's app."""
        await self.allow()
        selling = self.till.selling
        await selling.ready()
        at = selling.quote()
        way, due, shown = selling.way(method), selling.due(method, at), selling.priced
        reference = await self.ask(TakePayment(way, due))
        # What the guest paid is what was shown: nothing else is booked for it.
        if selling.priced is not shown:
            raise PlayParkError(ErrorCode.CONFLICT, "The basket has changed: pay again.")
        return await self.till.pay(method, reference=reference, at=at)

    async def split(self) -> StoredOp:
        """Money in parts."""
        await self.allow()
        selling = self.till.selling
        await selling.ready()
        at = selling.quote()
        total = selling.priced.grand_total if selling.priced else 0
        payments = await self.ask(SplitDialog(selling.split(at), selling.ways(), total))
        return await selling.pay_by(payments, at)


def _pieces(count: int) -> str:
    return "1 piece" if count == 1 else f"{count} pieces"


def _off(discount: DiscountView) -> str:
    value = (
        f"{discount.percent / 100:g} %"
        if discount.percent is not None
        else format_satang(discount.amount or 0)
    )
    whole = " of all" if discount.level is DiscountLevel.CART else ""
    return f"−{value}{whole}{' · supervisor' if discount.needs_approval else ''}"


def _valid_discount(text: str) -> str:
    """Raises E_VALIDATION for what is neither an amount nor a percentage up to 100."""
    text = text.strip()
    if text.endswith("%"):
        if amount_of(text[:-1].strip()) > 10_000:
            raise PlayParkError(ErrorCode.VALIDATION, "100 % is the most: type less.")
    else:
        amount_of(text)
    return text
