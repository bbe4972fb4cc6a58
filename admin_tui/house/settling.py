"""Settling what waits: a reason, a second person's yes, then it is booked or closed (R35, R42)."""

from typing import TypeVar

from textual.app import App

from admin_tui.house.letters import amount, what
from admin_tui.office import Office
from playpark.contracts.approvals import ApprovalAction, VerifyPinIn
from playpark.contracts.sync import DeadLetterView, Resolve, ResolveIn
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui import ApprovalDialog, Ask, Choose, Dialog
from playpark.tui.reasons import reason_label, reason_words

R = TypeVar("R")
_ASKED = {
    Resolve.APPLY: "Book it under its device, as it happened",
    Resolve.DISMISS: "Close it: it is settled by hand",
}
_DONE = {
    Resolve.APPLY: "{} is booked.",
    Resolve.DISMISS: "{} is closed: it is settled by hand.",
}


class Left(Exception):  # noqa: N818 - no error: somebody pressed Esc
    """A dialog was left: nothing is settled."""


class Settling:
    """Runs in a worker of the app: it waits for dialogs."""

    def __init__(self, app: App[None], office: Office) -> None:
        self._app = app
        self._office = office

    async def settle(self, letter: DeadLetterView, action: Resolve) -> str:
        """Ask for a reason and an approval, then do it; the sentence to show.

        Raises Left, and PlayParkError where the server refuses it: the letter waits on then.
        """
        body = ResolveIn.model_validate({"action": action, **await self._why()})
        rows = [("What", what(letter)), ("How much", amount(letter)), ("Why", _ASKED[action])]

        async def ask(email: str, pin: str) -> str:
            return await self._office.approve(_question(letter, email, pin))

        others = self._office.colleagues()
        token = await self._ask(ApprovalDialog([row for row in rows if row[1]], ask, others))
        await self._office.resolve(letter.dead_letter_id, body, token)
        return _DONE[action].format(what(letter).capitalize())

    async def _why(self) -> dict[str, str]:
        reasons = await self._office.reasons()
        if not reasons:
            message = "The store has no reasons for this: somebody who may adds one first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        chosen = await self._ask(
            Choose("Why?", [(reason_label(each), "", each) for each in reasons])
        )
        told = {"reason_code": chosen.code}
        if chosen.text_required:
            told["reason_text"] = await self._ask(
                Ask(chosen.label, "Say in a few words what happened", reason_words)
            )
        return told

    async def _ask(self, dialog: Dialog[R]) -> R:
        answer = await self._app.push_screen_wait(dialog)
        if answer is None:
            raise Left
        return answer


def _question(letter: DeadLetterView, email: str, pin: str) -> VerifyPinIn:
    told = {"email": email.strip(), "pin": pin, "entity_id": letter.dead_letter_id}
    try:
        return VerifyPinIn.model_validate({"action": ApprovalAction.DEAD_LETTER, **told})
    except ValueError as wrong:
        message = "Type the supervisor's email address and a PIN of 4 to 8 digits."
        raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
