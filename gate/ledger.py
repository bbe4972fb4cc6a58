"""Who went through this gate and is not on its list yet (R33, R50, R51).

Nothing is kept here that the gate's operations do not say: after a restart they are read again, and
the list tells which of them it takes into account.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from playpark.contracts.sync import LocalOutcome
from playpark.contracts.tickets import Direction, RedemptionResult
from playpark.device import OpState, StoredOp
from playpark.device.gate_record import GateRecord
from playpark.device.gate_record import Passage as Recorded
from playpark.offline_tickets import parse_pp2
from playpark.redemption import NO_ZONE
from playpark.tokens import parse_pp1

REMEMBERED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody who went in or out. `ticket_id` None: an exit with something that is no ticket by
    its shape. `alone`: let in or out without the server."""

    op_id: str
    ticket_id: str | None
    at: datetime
    zone_id: str | None
    direction: Direction
    alone: bool
    answered: bool = False

    @property
    def place(self) -> str:
        return self.zone_id or NO_ZONE


class Ledger:
    """The passages of one gate; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._passages: dict[str, Passage] = {}
        self._taken_back: set[str] = set()

    def load(self, record: GateRecord, now: datetime, contained: set[str]) -> None:
        """Read what happened here; blocks on the disk."""
        for each in record.since(now - REMEMBERED):
            if each.op_id not in contained:
                self._add(_passage(each, each.at))
            if each.annulled:
                self.take_back(each.op_id)

    def note(self, op: StoredOp) -> None:
        """Note what came of an operation: a passage, that the server knows it, or none."""
        self._add(_passage(op, op.occurred_at))

    def take_back(self, op_id: str) -> Passage | None:
        """Forget a passage that did not happen after all, for good; it as it was."""
        with self._turn:
            self._taken_back.add(op_id)
            return self._passages.pop(op_id, None)

    def restore(self, passage: Passage) -> None:
        """It did happen: the server does not let it be taken back."""
        with self._turn:
            self._taken_back.discard(passage.op_id)
            self._passages[passage.op_id] = passage

    def _add(self, found: tuple[str, Passage | None]) -> None:
        op_id, passage = found
        with self._turn:
            if passage is None or op_id in self._taken_back:
                self._passages.pop(op_id, None)
            else:
                self._passages[op_id] = passage

    def of(self, ticket_id: str) -> list[Passage]:
        """What this gate knows of a ticket beside its list, in the order of time."""
        with self._turn:
            found = [each for each in self._passages.values() if each.ticket_id == ticket_id]
        return sorted(found, key=lambda each: (each.at, each.op_id))

    def uncounted(self, place: str, since: datetime) -> int:
        """Entries less exits in a zone that the server has not counted yet."""
        with self._turn:
            return sum(
                -1 if each.direction is Direction.EXIT else 1
                for each in self._passages.values()
                if not each.answered and each.place == place and each.at >= since
            )

    def answered(self) -> set[str]:
        """The operations that a list contains which is asked for now."""
        with self._turn:
            return {each.op_id for each in self._passages.values() if each.answered}

    def let_go(self, op_ids: set[str]) -> None:
        """They are on the list now."""
        with self._turn:
            for op_id in op_ids:
                self._passages.pop(op_id, None)


def ticket_id_of(text: str) -> str | None:
    """The ticket that a QR code names, nothing of it verified."""
    if token := parse_pp1(text):
        return token.ticket_id
    signed = parse_pp2(text)
    return signed.ticket.ticket_id if signed else None


def happened(local: LocalOutcome | None, result: dict[str, object] | None) -> bool:
    """Whether somebody went through: what was written down at the gate, else what the server
    said."""
    told = local.result if local is not None else (result or {}).get("result")
    return told == RedemptionResult.PASS


def _passage(op: Recorded | StoredOp, occurred_at: datetime) -> tuple[str, Passage | None]:
    """(op_id, who went through); None where nobody did."""
    if not happened(op.local, op.result):
        return op.op_id, None
    named = (op.result or {}).get("ticket_id") or ticket_id_of(op.body.get("qr_token", ""))
    passage = Passage(
        op_id=op.op_id,
        ticket_id=named,
        at=(op.local.at if op.local else None) or occurred_at,
        zone_id=op.body.get("zone_id"),
        direction=Direction(op.body.get("direction", Direction.ENTRY)),
        alone=op.local is not None,
        answered=op.state is not OpState.PENDING,
    )
    return op.op_id, passage
