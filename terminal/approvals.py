"""A supervisor's yes, in place: what, whose, how much, why; then a PIN (R42, SCREENS).

The approval is bound to the action, to an entity and to an amount; its token travels once, in the
operation that it allows.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from playpark.contracts.approvals import ApprovalAction, ApprovalGranted, VerifyPinIn
from playpark.device import RecentEmployee
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from terminal.counter import Counter


@dataclass(frozen=True, slots=True)
class Question:
    """What a supervisor is asked: the four words stand on the screen as they are.

    `amount` in satang; None where no money moves. `worth` is what stands on the screen where
    more is at stake than the amount that the server binds the approval to.
    """

    action: ApprovalAction
    entity_id: str
    amount: int | None
    what: str
    whose: str
    why: str
    worth: int | None = None

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The four words and what they are here."""
        shown = self.amount if self.worth is None else self.worth
        much = [] if shown is None else [("How much", f"{format_satang(shown)} baht")]
        return [("What", self.what), ("Whose", self.whose), *much, ("Why", self.why)]


class Approvals:
    """Asks the server for approvals."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._approvers: list[RecentEmployee] = []
        """Who approved something in this run, the latest first."""

    def approvers(self) -> list[RecentEmployee]:
        """Who may be asked: who approved here before, then who worked on this till lately and is
        not who asks; the server knows who may."""
        asking = self._counter.employee
        known = [*self._approvers, *self._counter.store.recent_employees()]
        people = {each.employee_id: each for each in reversed(known) if each.email}
        if asking is not None:
            people.pop(asking.employee_id, None)
        return list(reversed(people.values()))

    async def ask(self, question: Question, email: str, pin: str) -> ApprovalGranted:
        """The yes of the employee with this address and PIN.

        Raises PlayParkError: wrong PIN, locked, may not approve this, offline.
        """
        self._counter.need_server()
        amount = {} if question.amount is None else {"amount": question.amount}
        try:
            body = VerifyPinIn(
                email=email.strip(),
                pin=pin,
                action=question.action,
                entity_id=question.entity_id,
                **amount,
            )
        except ValidationError as wrong:
            message = "Type the supervisor's email address and a PIN of 4 to 8 digits."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        granted = await self._counter.ask(lambda server: server.verify_pin(body))
        who = granted.approved_by
        now = self._counter.clock.now()
        seen = RecentEmployee(
            employee_id=who.employee_id, name=who.name, email=body.email, seen_at=now
        )
        others = [each for each in self._approvers if each.employee_id != who.employee_id]
        self._approvers = [seen, *others]
        return granted
