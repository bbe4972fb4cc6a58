"""Flows with a supervisor beside: refunds, voids, copies, cash movements, X, differences."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.shifts import MovementType
from playpark.device.bundle import SHORTEST_PASSPHRASE
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from playpark.tui import Ask, Choose
from terminal.drawer import MOVEMENTS
from terminal.finding import FoundSale
from terminal.flows.flow import Flow
from terminal.refund_amount import Back
from terminal.screens.drawer import AskAmount, XReportDialog
from terminal.screens.found_sale import FoundSaleDialog, OutcomeDialog, Wanted, Wish
from terminal.screens.quarantine import Deed, QuarantineDialog

Settle = Callable[[], Awaitable[None]]
_TYPED = ""
_ORIGINAL = "original"


class ServiceFlow(Flow):
    """One flow a key."""

    async def find(self, typed: str = "") -> None:
        """Find a sale: one of the last, a receipt number, a code, a scanned ticket."""
        if not typed:
            options = [
                (f"{sold.occurred_at.astimezone(self.till.counter.zone):%H:%M} {sold.receipt_no}",
                 format_satang(sold.total), sold.receipt_no)
                for sold in self.till.last_sales
                if not sold.training
            ]  # fmt: skip
            options.append(("Another: type its number, or scan a ticket", "", _TYPED))
            typed = await self.ask(Choose("Which sale?", options))
        if not typed:
            label = "Receipt number, or the code of a ticket; scanning works too"
            typed = await self.ask(Ask("Find a sale", label, str.strip, max_length=500))
        found = await self.till.finding.find(typed)
        why_not = self.till.giving_back.why_not_void(found)
        by_amount = self.till.giving_back.by_amount
        zone = self.till.counter.zone
        wanted = await self.ask(FoundSaleDialog(found, zone, why_not, by_amount=by_amount))
        await self._do(found, wanted)

    async def quarantine(self) -> None:
        """What the server has refused, one after the other, until the dialog is left (R35)."""
        refused, said = self.till.refused, ""
        deeds = {Deed.RETRY: refused.retry, Deed.HAND_OVER: refused.hand_over}
        while refusals := await refused.all():
            zone = self.till.counter.zone
            decided = await self.ask(QuarantineDialog(refusals, zone, said))
            try:
                if decided.deed is Deed.EXPORT:
                    said = await refused.export(await self._passphrase())
                else:
                    said = await deeds[decided.deed](decided.op_id)
            except PlayParkError as problem:
                said = problem.message
        self.till.tell(said)

    async def export(self) -> None:
        """What only this till has, in a file for the office (R37)."""
        self.till.tell(await self.till.refused.export(await self._passphrase()))

    async def _passphrase(self) -> str:
        label = f"A passphrase of {SHORTEST_PASSPHRASE} letters or more; the office needs it"
        return await self.ask(Ask("Export to a file", label, _passphrase, max_length=120))

    async def _do(self, found: FoundSale, wanted: Wanted) -> None:
        giving, ids = self.till.giving_back, wanted.ticket_ids
        receipt = found.sale.receipt_no
        match wanted.wish:
            case Wish.REFUND:
                await self._refund(found, Back(ticket_ids=ids))
            case Wish.AMOUNT:
                label = f"How much, in baht: {format_satang(found.left)} at most"
                amount = await self.ask(
                    AskAmount(f"Refund an amount of {receipt}", label, most=found.left)
                )
                await self._refund(found, Back(amount=amount))
            case Wish.VOID:
                why = await self.why(ReasonKind.VOID)
                question = giving.question(ApprovalAction.VOID, found, why, found.left)
                token = await self.approve(question)
                await self.show(
                    OutcomeDialog(f"Void of {receipt}", lambda: giving.void(found, why, token))
                )
            case Wish.REPRINT:
                why = await self.why(ReasonKind.REPRINT)
                question = giving.question(ApprovalAction.REPRINT, found, why, None)
                token = await self.approve(question)
                await self.show(
                    OutcomeDialog(
                        f"Copies of {receipt}", lambda: giving.reprint(found, ids, why, token)
                    )
                )

            case Wish.EXCHANGE:
                (lost,) = (each for each in found.tickets if each.ticket.ticket_id in (ids or ()))
                why = await self.why(ReasonKind.REPRINT)
                token = await self.approve(giving.exchange_question(lost, why))
                await self.show(
                    OutcomeDialog(
                        f"New ticket of {receipt}",
                        lambda: giving.exchange(found, lost, why, token),
                    )
                )

    async def _refund(self, found: FoundSale, wanted: Back) -> None:
        giving = self.till.giving_back
        giving.expected(found, wanted)  # what cannot be had is said before a reason is asked for
        why = await self.why(ReasonKind.REFUND)
        back = replace(wanted, method=await self._method(found))
        question = giving.question(ApprovalAction.REFUND, found, why, giving.expected(found, back))
        token = await self.approve(question)
        await self.show(
            OutcomeDialog(
                f"Refund of {found.sale.receipt_no}",
                lambda: giving.refund(found, back, why, token),
            )
        )

    async def _method(self, found: FoundSale) -> PaymentMethod | None:
        """How the money goes back; None for the way it came."""
        paid = ", ".join(method.value for method in found.methods)
        options = [(f"As it was paid: {paid}", "", _ORIGINAL)]
        if found.methods != [PaymentMethod.CASH]:
            options.append(("In cash", "", PaymentMethod.CASH.value))
        if len(options) == 1:
            return None
        chosen = await self.ask(Choose("How does the money go back?", options))
        return None if chosen == _ORIGINAL else PaymentMethod(chosen)

    # --- the drawer -----------------------------------------------------------------------

    async def move_cash(self) -> None:
        """Cash in, out, or to the safe."""
        options = [(words, "", kind) for kind, words in MOVEMENTS.items()]
        kind: MovementType = await self.ask(Choose("Cash in or out", options))
        amount = await self.ask(AskAmount(MOVEMENTS[kind], "How much, in baht"))
        why = None
        if self.till.counter.reasons(ReasonKind.CASH_MOVEMENT):
            why = await self.why(ReasonKind.CASH_MOVEMENT)
        await self.till.drawer.move_cash(kind, amount, why)

    async def x_report(self) -> None:
        """A look at the open shift, on screen and on paper."""
        question = self.till.drawer.x_question()
        token = await self.approve(question) if question else None
        report = await self.till.drawer.x_report(token)
        await self.show(XReportDialog(report, self.till.counter.zone))

    async def difference(self) -> None:
        """A difference that was left or came late: accepted, or counted again."""
        closing = await self.till.drawer.look_at_difference()
        options = [("Accept it", "", self.accept_difference), ("Count again", "", self.recount)]
        settle: Settle = await self.ask(Choose(closing.difference, options))
        await settle()

    async def accept_difference(self) -> None:
        """A supervisor accepts the difference of the shift closed last."""
        why = await self.why(ReasonKind.CASH_VARIANCE)
        token = await self.approve(self.till.drawer.variance_question(why))
        self.till.tell(await self.till.drawer.adjust(why, token))

    async def recount(self) -> None:
        """A new count of the shift closed last, approved."""
        counted = await self.ask(AskAmount("Count again", "All that was in the drawer", least=0))
        why = await self.why(ReasonKind.CASH_VARIANCE)
        token = await self.approve(self.till.drawer.variance_question(why, counted))
        self.till.tell(await self.till.drawer.adjust(why, token, counted))


def _passphrase(text: str) -> str:
    if len(text) < SHORTEST_PASSPHRASE:
        message = f"Choose a passphrase of {SHORTEST_PASSPHRASE} letters or more."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return text
