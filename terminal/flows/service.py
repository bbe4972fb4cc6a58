"""Flows with a supervisor beside: refunds, voids, copies, cash movements, X, differences."""

from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.shifts import MovementType
from playpark.money import format_satang
from playpark.tui import Ask, Choose
from terminal.drawer import MOVEMENTS
from terminal.finding import FoundSale
from terminal.flows.flow import Flow
from terminal.screens.drawer import AskAmount, XReportDialog
from terminal.screens.found_sale import FoundSaleDialog, OutcomeDialog, Wanted, Wish

_TYPED = ""
_ORIGINAL = "original"


class ServiceFlow(Flow):
    """One flow a key."""

    async def find(self, typed: str = "") -> None:
        """Find a sale: one of the last, a receipt number, a code, a scanned ticket."""
        self.till.counter.need_server()
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
        wanted = await self.ask(FoundSaleDialog(found, self.till.counter.zone, why_not))
        await self._do(found, wanted)

    async def _do(self, found: FoundSale, wanted: Wanted) -> None:
        giving, ids = self.till.giving_back, wanted.ticket_ids
        receipt = found.sale.receipt_no
        match wanted.wish:
            case Wish.REFUND:
                why = await self.why(ReasonKind.REFUND)
                method = await self._method(found)
                amount = giving.expected(found, ids, method)
                question = giving.question(ApprovalAction.REFUND, found, why, amount)
                token = await self.approve(question)
                await self.show(
                    OutcomeDialog(
                        f"Refund of {receipt}",
                        lambda: giving.refund(found, ids, why, token, method),
                    )
                )
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
        self.till.counter.need_server()
        question = self.till.drawer.x_question()
        token = await self.approve(question) if question else None
        report = await self.till.drawer.x_report(token)
        await self.show(XReportDialog(report, self.till.counter.zone))

    async def accept_difference(self) -> None:
        """A supervisor accepts the difference of the shift just closed."""
        why = await self.why(ReasonKind.CASH_VARIANCE)
        token = await self.approve(self.till.drawer.variance_question(why))
        self.till.tell(await self.till.drawer.adjust(why, token))

    async def recount(self) -> None:
        """A new count of the shift just closed, approved."""
        counted = await self.ask(AskAmount("Count again", "All that is in the drawer", least=0))
        why = await self.why(ReasonKind.CASH_VARIANCE)
        token = await self.approve(self.till.drawer.variance_question(why, counted))
        self.till.tell(await self.till.drawer.adjust(why, token, counted))
