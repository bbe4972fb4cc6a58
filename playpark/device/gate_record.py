"""What a gate keeps about itself: where it stands, and what happened at it (R20, R50, R51)."""

import json
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row
from typing import Any

from pydantic import BaseModel, ConfigDict

from playpark.contracts.sync import LocalOutcome, OpKind
from playpark.contracts.tickets import Direction
from playpark.device.database import Database
from playpark.device.records import REFUSED, OpState

_PLACE = "gate-place"


class Place(BaseModel):
    """The zone that a gate lets people into (None: the park as a whole) and which way they go."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    zone_id: str | None = None
    direction: Direction = Direction.ENTRY


@dataclass(frozen=True, slots=True)
class Passage:
    """One redemption operation of this gate. `local` is what happened at it, where that was
    written; `result` the server's answer; `refusal` its sentence where it rejected the operation.
    """

    op_id: str
    at: datetime
    body: dict[str, Any]
    state: OpState
    local: LocalOutcome | None
    result: dict[str, Any] | None
    refusal: str | None
    annulled: bool


class GateRecord:
    """Facts and operations of a gate. Blocks on the disk, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self) -> Place | None:
        """Where it stood when it was last told; None before that."""
        row = self._database.row("SELECT value FROM facts WHERE name = ?", _PLACE)
        return Place.model_validate_json(row["value"]) if row else None

    def keep_place(self, place: Place) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (_PLACE, place.model_dump_json())
            )

    def since(self, moment: datetime) -> list[Passage]:
        """The redemptions at or after `moment`, the newest first: one read along the index of
        kinds, which stops at the first older one."""
        taken_back = {
            body.get("op_id") or body.get("redemption_id")
            for _, body, row in self._newest(OpKind.ANNUL, moment)
            if row["state"] not in REFUSED
        }
        return [
            _passage(envelope, body, row, taken_back)
            for envelope, body, row in self._newest(OpKind.REDEMPTION, moment)
        ]

    def _newest(
        self, kind: OpKind, moment: datetime
    ) -> list[tuple[dict[str, Any], dict[str, Any], Row]]:
        found = []
        with self._database.transaction() as connection:
            for row in connection.execute(
                "SELECT envelope, body, state, result, message FROM ops WHERE kind = ? "
                "ORDER BY epoch DESC, seq DESC",
                (kind,),
            ):
                envelope = json.loads(row["envelope"])
                if datetime.fromisoformat(envelope["occurred_at"]) < moment:
                    break
                found.append((envelope, json.loads(row["body"]), row))
        return found


def _passage(
    envelope: dict[str, Any], body: dict[str, Any], row: Row, taken_back: set[str | None]
) -> Passage:
    result = json.loads(row["result"]) if row["result"] else None
    names = {envelope["op_id"], (result or {}).get("redemption_id")} - {None}
    local = envelope.get("local")
    return Passage(
        op_id=envelope["op_id"],
        at=datetime.fromisoformat(envelope["occurred_at"]),
        body=body,
        state=OpState(row["state"]),
        local=LocalOutcome.model_validate(local) if local else None,
        result=result,
        refusal=row["message"] if row["state"] in REFUSED else None,
        annulled=bool(names & taken_back),
    )
