"""A person decides about what was kept: it is booked under its device, or settled by hand (R35,
R38, decision 0024)."""

import json
from dataclasses import dataclass, replace
from typing import Any

from api.approvals import service as approvals
from api.catalog import service as catalog
from api.platform.documents import scoped_id
from api.platform.operations import Kind, Operation, chain_key, perform
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.sync import keeping, reviewing
from api.sync.clocks import Timeline
from api.sync.keeping import Arrived, without_tokens
from api.sync.models import DeadLetter
from api.sync.repository import Chosen, DeadLetterRepository, PlaceRepository
from api.sync.service import acting_for, body_of, kinds_of, operation_of
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.base import Page
from playpark.contracts.sync import (
    OP_SCHEMA_VERSION,
    DeadLetterStatus,
    DeadLetterView,
    OpIn,
    OpKind,
    Resolve,
    ResolveIn,
)
from playpark.errors import ErrorCode, PlayParkError

FROM_LETTER = "dead_letter"
"""The flag of what was booked from a letter."""


async def page(
    work: Work, scope: Scope, limit: int, cursor: str | None, chosen: Chosen
) -> Page[DeadLetterView]:
    """The store's letters, newest first, without their bodies."""
    letters = DeadLetterRepository.of(work, scope)
    found, more = await letters.page(limit, cursor, **chosen.conditions())
    return Page(items=[view(letter) for letter in found], next_cursor=more)


async def one(platform: Platform, scope: Scope, letter_id: str) -> DeadLetterView:
    """A letter with its body. Raises E_NOT_FOUND."""
    letter = await _found(platform.uow.reading(), scope, letter_id)
    body, _ = _opened(platform, letter)
    return view(letter).model_copy(update={"body": without_tokens(body)})


def view(letter: DeadLetter) -> DeadLetterView:
    """A letter as it is listed."""
    return DeadLetterView(dead_letter_id=letter.id, **letter.model_dump(exclude={"id"}))


async def resolve(
    platform: Platform, scope: Scope, letter_id: str, body: ResolveIn, approval: str | None
) -> DeadLetterView:
    """Book a letter, or settle it by hand; an approval for this very letter is spent with it.

    What is resolved that way already is answered as it stands. Raises E_NOT_FOUND, E_CONFLICT for
    what is resolved the other way, E_VALIDATION for a reason that the store does not have,
    E_PERMISSION without an approval, and what the operation is refused for: it waits on then.
    """
    letter = await _found(platform.uow.reading(), scope, letter_id)
    asking = _Asking(platform, scope, letter, body, approval)
    if letter.status is DeadLetterStatus.OPEN:
        await asking.check_reason()
        if body.action is Resolve.APPLY:
            await asking.apply()
        else:
            await asking.dismiss()
        letter = await _found(platform.uow.reading(), scope, letter_id)
    if letter.status is not _BECOMES[body.action]:
        message = "This was settled in another way meanwhile: see what has become of it."
        details = {"status": letter.status.value}
        raise PlayParkError(ErrorCode.CONFLICT, message, details=details)
    return view(letter)


_BECOMES = {
    Resolve.APPLY: DeadLetterStatus.APPLIED,
    Resolve.DISMISS: DeadLetterStatus.DISMISSED,
}


@dataclass(frozen=True, slots=True)
class _Asking:
    """Somebody who resolves a letter. `scope` is theirs; the operation is its device's."""

    platform: Platform
    scope: Scope
    letter: DeadLetter
    body: ResolveIn
    approval: str | None

    async def check_reason(self) -> None:
        """Raises E_VALIDATION for a reason that does not fit."""
        known = await catalog.snapshot(self.platform.uow.reading(), self.scope)
        code, text = self.body.reason_code, self.body.reason_text
        approvals.check_reason(known.reason_codes, ReasonKind.ANY, code, text)

    async def dismiss(self) -> None:
        """Close it without an effect. Raises E_CONFLICT where it is booked already."""

        async def transaction(work: Work) -> None:
            key = _record_key(self.letter)
            if await PlaceRepository.of(work, self.scope).find_one(_id=key) is not None:
                message = "This operation is booked already: apply it to close its letter."
                raise PlayParkError(ErrorCode.CONFLICT, message)
            await self._close(work, "dismissed", None)

        await self.platform.uow.run(transaction, queue=chain_key(self.scope))

    async def apply(self) -> None:
        """Book it as what its device has done, by whom and when it was done there."""
        platform, letter = self.platform, self.letter
        origin = await reviewing.origin_scope(platform.uow.reading(), self.scope, letter.device_id)
        came = _arrived(platform, letter)
        kind = kinds_of(platform)[came.op.kind]
        read = body_of(kind, came.raw)
        if isinstance(read, PlayParkError):
            raise read
        timeline = Timeline(platform.uow, origin)
        moment, clock_flags = await timeline.corrected(
            came.place, came.op.occurred_at, letter.arrived_at
        )
        acting, flags = await acting_for(platform, origin, came.op, moment)
        op = operation_of(came, read, moment)
        op = replace(op, flags=(*flags, *clock_flags, FROM_LETTER))
        outcome = await self._perform(acting, op, self._closing(kind))
        if outcome is not None:  # its device has sent it again: it is booked
            result = without_tokens(outcome)
            run, queue = platform.uow.run, chain_key(self.scope)
            await run(lambda work: self._close(work, "applied", result), queue=queue)

    async def _perform(
        self, acting: Scope, op: Operation[Any], kind: Kind[Any, Any]
    ) -> dict[str, Any] | None:
        """None where it was applied now, else its first answer."""
        try:
            outcome = await perform(self.platform, acting, op, kind)
        except PlayParkError as refusal:
            if refusal.code is not ErrorCode.OUTBOX_REWOUND or op.seq is None:
                raise
            # Its place is another operation's by now: it is booked without one.
            placeless = replace(op, epoch=None, seq=None, prev_hash=None)
            return await self._perform(acting, placeless, kind)
        told: dict[str, Any] = outcome.answer.model_dump(mode="json")
        return told if outcome.replayed else None

    def _closing(self, kind: Kind[Any, Any]) -> Kind[Any, Any]:
        """The operation's effect and the end of its letter in one transaction."""

        async def apply(work: Work, scope: Scope, op: Operation[Any], result_id: str) -> Any:
            answer = await kind.apply(work, scope, op, result_id)
            await self._close(work, "applied", without_tokens(answer.model_dump(mode="json")))
            return answer

        return replace(kind, apply=apply, apart=None)

    async def _close(self, work: Work, what: str, result: dict[str, Any] | None) -> None:
        """Spend the approval, close the letter, tell. Raises E_PERMISSION, and E_CONFLICT where
        somebody else has just closed it."""
        who = await self._approved(work)
        told = {
            "status": what,
            "resolved_by": self.scope.actor_id,
            "resolved_at": work.now,
            "resolution": self.body.reason_code,
            "resolution_text": self.body.reason_text,
            "approved_by": who,
            "result": result,
        }
        closed = await DeadLetterRepository.of(work, self.scope).close(self.letter.id, told)
        if closed is None:
            message = "Somebody has just settled this: see what has become of it."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        more = {"resolution": self.body.reason_code, "approved_by": who}
        await keeping.tell(work, self.scope, closed, what, **more)

    async def _approved(self, work: Work) -> str | None:
        # What carries the approval is the deciding, which is never recorded as an operation; the
        # same decision may come again.
        op: Operation[Any] = Operation(
            op_id=self.letter.id,
            kind=self.letter.op_kind,
            raw=self.body.model_dump(mode="json"),
            body=None,
            occurred_at=work.now,
            approval=self.approval,
        )
        who, _ = await approvals.require(
            work, self.scope, op, ApprovalAction.DEAD_LETTER, entities=[self.letter.id]
        )
        return who.employee_id if who else None


async def _found(work: Work, scope: Scope, letter_id: str) -> DeadLetter:
    letter = await DeadLetterRepository.of(work, scope).find_one(_id=letter_id)
    if letter is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such dead letter in this store.")
    return letter


def _record_key(letter: DeadLetter) -> str:
    return scoped_id(letter.tenant_id, letter.store_id, letter.device_id, letter.op_id)


def _opened(platform: Platform, letter: DeadLetter) -> tuple[dict[str, Any], dict[str, Any] | None]:
    held = json.loads(platform.vault.open(letter.sealed))
    return held["body"], held["local"]


def _arrived(platform: Platform, letter: DeadLetter) -> Arrived:
    """The operation as it came, as something that has happened: that is what a person says who
    books it."""
    body, local = _opened(platform, letter)
    op = OpIn(
        op_id=letter.op_id,
        kind=OpKind(letter.op_kind),
        seq=letter.seq,
        prev_hash=letter.prev_hash,
        schema_version=OP_SCHEMA_VERSION,
        employee_id=letter.employee_id,
        shift_id=letter.shift_id,
        committed=True,
        local=local,
        occurred_at=letter.occurred_at,
        body=body,
    )
    return Arrived(op, letter.epoch, body)
