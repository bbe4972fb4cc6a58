"""Operations that the server keeps without their effect, until a person decides (R35, R37, R38)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation, chain_key
from api.platform.scope import Device, Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.receipts import service as receipts
from api.sync.models import DeadLetter
from api.sync.repository import DeadLetterRepository, MarkRepository, Place
from playpark.canonical import operation_hash
from playpark.contracts.sales import ReceiptNo
from playpark.contracts.sync import DeadLetterKind, DeadLetterStatus, OpIn, OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from playpark.money import MAX_INT

_RECEIPT_NO: TypeAdapter[str] = TypeAdapter(ReceiptNo)
_PAYING = (OpKind.SALE, OpKind.CHECKOUT)


@dataclass(frozen=True, slots=True)
class Arrived:
    """An operation as it came: `raw` is its body, which need not be as the contract has it."""

    op: OpIn
    epoch: int
    raw: dict[str, Any]

    @property
    def place(self) -> Place:
        return self.epoch, self.op.seq

    @property
    def body_hash(self) -> str:
        return operation_hash(self.op.kind, self.raw)


async def keep(
    platform: Platform,
    by: Scope,
    origin: Device,
    came: Arrived,
    kind: DeadLetterKind,
    *,
    refusal: PlayParkError | None = None,
    handed_in: bool = False,
) -> DeadLetter:
    """The letter of an operation of `origin`: written now, or the one that there is. `by` is who
    brings it. Raises E_UNAVAILABLE; then it is not kept, and must come again."""
    letter = _letter(platform, by, origin, came, kind)
    if refusal is not None:
        letter.code, letter.message = refusal.code.value, refusal.message
    letter.handed_in_by = by.actor_id if handed_in else None

    async def write(work: Work) -> DeadLetter:
        letters = DeadLetterRepository.of(work, by)
        if known := await letters.find_one(**_same(letter)):
            return known
        await letters.insert(letter)
        if letter.receipt_no is not None and letter.committed:
            device = {"device_id": origin.device_id, "device_code": origin.code}
            await receipts.dead_letter(work, by, letter.receipt_no, letter.op_id, **device)
        await tell(work, by, letter, "kept")
        return letter

    try:
        return await platform.uow.run(write, queue=chain_key(by))
    except DuplicateKeyError:  # another batch has just written it
        known = await DeadLetterRepository.of(platform.uow.reading(), by).find_one(**_same(letter))
        if known is None:
            raise
        return known


async def mark(platform: Platform, scope: Scope, came: Arrived, code: str) -> None:
    """Leave a trace of a place whose operation has neither a record nor a letter there."""
    told = {
        "epoch": came.epoch,
        "seq": came.op.seq,
        "body_hash": came.body_hash,
        "prev_hash": came.op.prev_hash,
        "code": code,
    }
    marks = MarkRepository.of(platform.uow.reading(), scope)
    try:
        await marks.leave(scope.device.device_id, came.op.op_id, told)
    except DuplicateKeyError:  # two batches at once: the other one's is as good
        return


async def booked(
    platform: Platform, scope: Scope, letter: DeadLetter, result: dict[str, Any] | None
) -> None:
    """An operation that was kept turns out to be booked already: its device has sent it again."""

    async def close(work: Work) -> None:
        await _close_applied(work, scope, letter, result)

    await platform.uow.run(close, queue=chain_key(scope))


def closing(kind: Kind[Any, Any], letter: DeadLetter) -> Kind[Any, Any]:
    """The effect of an operation that waits for a person, whose device has sent it again, and the
    end of its letter in one transaction: whoever settles it by hand at the same moment meets this
    one at the letter. Raises E_CONFLICT where somebody has (R35)."""

    async def apply(work: Work, scope: Scope, op: Operation[Any], result_id: str) -> Any:
        answer = await kind.apply(work, scope, op, result_id)
        if not await _close_applied(work, scope, letter, answer.model_dump(mode="json")):
            raise settled_by_hand()
        return answer

    return replace(kind, apply=apply, audited=True, apart=None)


def settled_by_hand() -> PlayParkError:
    message = "This operation was settled by hand in the office: leave it with them."
    return PlayParkError(ErrorCode.CONFLICT, message)


async def _close_applied(
    work: Work, scope: Scope, letter: DeadLetter, result: dict[str, Any] | None
) -> bool:
    """Whether it was open still."""
    told = {
        "status": DeadLetterStatus.APPLIED.value,
        "resolved_at": work.now,
        "result": without_tokens(result),
    }
    closed = await DeadLetterRepository.of(work, scope).close(letter.id, told)
    if closed is not None:
        await tell(work, scope, closed, "applied")
    return closed is not None


async def tell(work: Work, scope: Scope, letter: DeadLetter, what: str, **more: str | None) -> None:
    """The event and, last of all statements, the audit row."""
    facts = {
        "op_id": letter.op_id,
        "op_kind": letter.op_kind.value,
        "device_id": letter.device_id,
        "receipt_no": letter.receipt_no,
        "amount": letter.amount,
        "code": letter.code,
        "kind": letter.kind.value,
        **more,
    }
    await events.emit(work, scope, (f"dead_letter.{what}", {"dead_letter_id": letter.id, **facts}))
    await audit.append(work, scope, f"dead_letter.{what}", letter.id, facts)


def without_tokens(told: Any) -> Any:
    """Any JSON without the texts that admit somebody or approve something (R15)."""
    if isinstance(told, Mapping):
        shown = {_sendable(name): value for name, value in told.items() if not _is_secret(name)}
        return {name: without_tokens(value) for name, value in shown.items()}
    if isinstance(told, list):
        return [without_tokens(value) for value in told if not _is_token(value)]
    if isinstance(told, str):
        return None if _is_token(told) else _sendable(told)
    return told


def _sendable(text: str) -> str:
    """Half of a character is good JSON, and cannot be written in UTF-8."""
    return text.encode(errors="replace").decode()


def _is_secret(name: str) -> bool:
    name = name.lower()
    return "token" in name or name in {"approval", "qr", "pin"}


def _is_token(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().upper().startswith(("PP1.", "PP2.", "PPT."))


def _same(letter: DeadLetter) -> dict[str, str]:
    return {
        "device_id": letter.device_id,
        "op_id": letter.op_id,
        "body_hash": letter.body_hash,
    }


def _letter(
    platform: Platform, by: Scope, origin: Device, came: Arrived, kind: DeadLetterKind
) -> DeadLetter:
    op, now = came.op, platform.clock.now()
    local = op.local.model_dump(mode="json", exclude_unset=True) if op.local else None
    return DeadLetter(
        id=new_ulid(),
        tenant_id=by.tenant_id,
        store_id=by.store_id,
        kind=kind,
        device_id=origin.device_id,
        device_code=origin.code,
        op_id=op.op_id,
        op_kind=op.kind,
        body_hash=came.body_hash,
        epoch=came.epoch,
        seq=op.seq,
        prev_hash=op.prev_hash,
        committed=op.committed,
        employee_id=op.employee_id,
        shift_id=op.shift_id,
        receipt_no=None if op.kind is OpKind.ABANDON else _receipt_no(came.raw),
        amount=_amount(op.kind, came.raw),
        occurred_at=op.occurred_at,
        arrived_at=now,
        code=None,
        message=None,
        sealed=platform.vault.seal(json.dumps({"body": came.raw, "local": local})),
    )


def _receipt_no(body: Mapping[str, Any]) -> str | None:
    try:
        return _RECEIPT_NO.validate_python(body.get("receipt_no"))
    except ValidationError:
        return None


def _amount(kind: OpKind, body: Mapping[str, Any]) -> int | None:
    """What the guest paid or got by the body's own word, which nobody has checked."""
    if kind not in _PAYING:
        return _satang(body.get("amount"))
    rung = body.get("rung")
    if isinstance(rung, Mapping) and (total := _satang(rung.get("grand_total"))) is not None:
        return total
    payments = body.get("payments")
    parts = [
        _satang(each.get("amount")) if isinstance(each, Mapping) else None
        for each in (payments if isinstance(payments, list) else [])
    ]
    known = [part for part in parts if part is not None]
    return _satang(sum(known)) if known and len(known) == len(parts) else None


def _satang(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) <= MAX_INT else None
