"""Queries on the sequence of a device's operations and on what waits for a person."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.platform.documents import scoped_id
from api.platform.operations import OpRecord
from api.platform.repository import D, Repository
from api.sync.models import DeadLetter, SequenceMark
from playpark.contracts.sync import DeadLetterKind, DeadLetterStatus, OpKind

Place = tuple[int, int]
"""(epoch, seq): where an operation stands in the sequence of its device (R34)."""
MOST_TRACES = 20_000
"""Of one shift. A till that works day and night makes fewer."""
_FIELDS = dict.fromkeys(("epoch", "seq", "op_id", "body_hash", "prev_hash"), 1)


@dataclass(frozen=True, slots=True)
class Trace:
    """What stands at a place."""

    place: Place
    op_id: str
    body_hash: str
    prev_hash: str | None


@dataclass(frozen=True, slots=True)
class Head:
    """An applied operation's place, and its corrected time (R36)."""

    place: Place
    at: datetime


class _Sequenced(Repository[D]):
    """Documents that stand at places."""

    async def at(self, device_id: str, epoch: int, seqs: Collection[int]) -> dict[str, int]:
        """{op_id: seq} of those that stand at any of these places."""
        where = self.where(device_id=device_id, epoch=epoch, seq={"$in": sorted(seqs), "$gte": 0})
        found = self._collection.find(where, {"op_id": 1, "seq": 1}, session=self.work.session)
        return {row["op_id"]: row["seq"] for row in await found.to_list(None)}

    async def highest(self, device_id: str) -> Head | None:
        """The last place."""
        return await self._nearest({"device_id": device_id, "seq": {"$gte": 0}}, -1)

    async def before(self, device_id: str, place: Place) -> Head | None:
        """The nearest lower place."""
        return await self._nearest(_beyond(device_id, place, "$lt"), -1)

    async def behind(self, device_id: str, place: Place) -> Head | None:
        """The nearest higher place."""
        return await self._nearest(_beyond(device_id, place, "$gt"), 1)

    async def traces(self, device_id: str, below: Place, *, first: Place | None) -> list[Trace]:
        """What stands below a place, the highest first; with `first` not below that one."""
        where = _beyond(device_id, below, "$lt")
        if first is not None:
            epoch, seq = first
            where["$and"] = [
                {"$or": [{"epoch": {"$gt": epoch}}, {"epoch": epoch, "seq": {"$gte": seq}}]}
            ]
        cursor = self._collection.find(self.where(**where), _FIELDS, session=self.work.session)
        cursor = cursor.sort([("epoch", -1), ("seq", -1)]).limit(MOST_TRACES)
        return [self._trace(row) for row in await cursor.to_list(MOST_TRACES)]

    async def _nearest(self, where: Mapping[str, Any], way: int) -> Head | None:
        fields = {"epoch": 1, "seq": 1, "occurred_at": 1}
        cursor = self._collection.find(self.where(**where), fields, session=self.work.session)
        found = await cursor.sort([("epoch", way), ("seq", way)]).limit(1).to_list(1)
        return next(
            (Head((row["epoch"], row["seq"]), row.get("occurred_at")) for row in found), None
        )

    @staticmethod
    def _trace(row: Mapping[str, Any]) -> Trace:
        place = row["epoch"], row["seq"]
        return Trace(place, row["op_id"], row["body_hash"], row["prev_hash"])


def _beyond(device_id: str, place: Place, than: str) -> dict[str, Any]:
    epoch, seq = place
    return {
        "device_id": device_id,
        "seq": {"$gte": 0},
        "$or": [{"epoch": epoch, "seq": {than: seq}}, {"epoch": {than: epoch}}],
    }


class PlaceRepository(_Sequenced[OpRecord]):
    """The records of applied operations, by their places."""

    model = OpRecord

    async def last_close(self, device_id: str, below: Place) -> Place | None:
        """Where the device closed its last shift before this place."""
        which = _beyond(device_id, below, "$lt") | {"kind": OpKind.SHIFT_CLOSE.value}
        head = await self._nearest(which, -1)
        return head.place if head else None

    async def last_results(
        self, device_id: str, kinds: Collection[OpKind], limit: int
    ) -> list[str]:
        """What the device's last operations of these kinds have made, the latest first."""
        which = {"device_id": device_id, "seq": {"$gte": 0}}
        where = self.where(**which, kind={"$in": sorted(kind.value for kind in kinds)})
        cursor = self._collection.find(where, {"result_id": 1}, session=self.work.session)
        cursor = cursor.sort([("epoch", -1), ("seq", -1)]).limit(limit)
        return [row["result_id"] for row in await cursor.to_list(limit)]

    async def known(self, keys: Collection[str]) -> dict[str, str]:
        """{op_id: hash} of those that are booked, by the ids of their records."""
        fields = {"op_id": 1, "body_hash": 1}
        where = self.where(_id={"$in": sorted(keys)})
        found = self._collection.find(where, fields, session=self.work.session)
        return {row["op_id"]: row["body_hash"] for row in await found.to_list(None)}


class MarkRepository(_Sequenced[SequenceMark]):
    model = SequenceMark

    async def leave(self, device_id: str, op_id: str, told: Mapping[str, Any]) -> bool:
        """Mark where an operation stands now; whether it is the first mark of it."""
        key = scoped_id(self.tenant_id, str(self.store_id), device_id, op_id)
        marked = {"$set": {"device_id": device_id, "op_id": op_id, **told}}
        return await self.change(marked, before=True, upsert=True, _id=key) is None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which letters a list has."""

    status: DeadLetterStatus | None = None
    kind: DeadLetterKind | None = None
    device_id: str | None = None

    def conditions(self) -> dict[str, Any]:
        found = {"status": self.status, "kind": self.kind, "device_id": self.device_id}
        return {name: str(value) for name, value in found.items() if value is not None}


class DeadLetterRepository(_Sequenced[DeadLetter]):
    model = DeadLetter

    async def of_ops(self, device_id: str, op_ids: Collection[str]) -> list[DeadLetter]:
        """Those of a device's operations, whatever became of them."""
        found = self._collection.find(
            self.where(device_id=device_id, op_id={"$in": sorted(op_ids)}),
            session=self.work.session,
        )
        return [self._parse_some(row) for row in await found.to_list(None)]

    async def open_of(self, device_id: str, op_ids: Collection[str]) -> list[DeadLetter]:
        """Those that wait for a person."""
        letters = await self.of_ops(device_id, op_ids)
        return [letter for letter in letters if letter.status is DeadLetterStatus.OPEN]

    async def close(self, letter_id: str, told: Mapping[str, Any]) -> DeadLetter | None:
        """Take an open one out of the waiting; None where it waits no more."""
        return await self.change(
            {"$set": dict(told)}, _id=letter_id, status=DeadLetterStatus.OPEN.value
        )
