"""What all flows share: dialogs in a row, a reason, an approval; a refusal is a sentence."""

from typing import TypeVar

from textual.app import App

from playpark.contracts.approvals import ReasonKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui import ApprovalDialog, Ask, Choose, Dialog
from playpark.tui.reasons import reason_label, reason_words
from terminal.approvals import Question
from terminal.giving_back import Why
from terminal.screens.pin import PinDialog
from terminal.till import Till

R = TypeVar("R")


class Left(Exception):  # noqa: N818 - no error: somebody pressed Esc
    """A dialog was left without an answer: the flow ends."""


class Flow:
    """Runs in a worker of the app: it may wait for dialogs."""

    def __init__(self, app: App[None], till: Till) -> None:
        self.app = app
        self.till = till

    async def ask(self, dialog: Dialog[R]) -> R:
        """The dialog's answer. Raises Left where it was left without one."""
        answer = await self.app.push_screen_wait(dialog)
        if answer is None:
            raise Left
        return answer

    async def show(self, dialog: Dialog[None]) -> None:
        """A dialog that gives nothing back."""
        await self.app.push_screen_wait(dialog)

    async def server(self, what: str = "This") -> None:
        """See to it that the server can be asked in the employee's name: who logged in without it
        types the PIN once more (R39). Raises Left; E_UNAVAILABLE offline."""
        counter = self.till.counter
        counter.need_server(what)
        if counter.needs_pin and counter.employee is not None:
            await self.ask(PinDialog(counter.employee.name, self.till.prove))

    async def approve(self, question: Question) -> str:
        """A supervisor's token. Raises Left; E_UNAVAILABLE offline."""
        await self.server("A supervisor's approval")
        approvals = self.till.approvals

        async def ask(email: str, pin: str) -> str:
            return (await approvals.ask(question, email, pin)).approval_token

        return await self.ask(ApprovalDialog(question.rows, ask, approvals.approvers()))

    async def why(self, kind: ReasonKind) -> Why:
        """One of the store's reasons, with words where it needs them. Raises Left; E_CONFLICT
        where the store has none."""
        reasons = self.till.counter.reasons(kind)
        if not reasons:
            message = "The store has no reasons for this: the supervisor adds them in the office."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        options = [(reason_label(each), "", each) for each in reasons]
        chosen = await self.ask(Choose("Why?", options))
        text = None
        if chosen.text_required:
            text = await self.ask(
                Ask(chosen.label, "Say in a few words what happened", reason_words)
            )
        return Why(chosen.code, chosen.label, text)
