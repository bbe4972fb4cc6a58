"""The anchors of a tenant, followed from the first to the last: what they know of each chain, and
what was done to them (R45, decision 0013)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from api.audit.checking import Known, Mark
from api.audit.links import ANCHOR, ANCHOR_HEAD, anchor_id, is_number, seals_anchor
from api.audit.models import Anchor, AnchorHead
from api.audit.trail import Row, Trail, name_of
from playpark.cash import FIRST_HASH
from playpark.contracts.audit import AuditBreak, BreakKind


@dataclass(slots=True)
class AnchorCheck:
    """After `run`: how many anchors follow each other, until when, and what they know.

    `removed` is each chain's number of removed rows: marks before it are of no use. With a
    `store_id` in the trail only that store's chains are kept.
    """

    trail: Trail
    removed: Mapping[str, Any]
    count: int = 0
    until: datetime | None = None
    broken: AuditBreak | None = None
    hash: str = FIRST_HASH
    day: str = ""
    removes: int = 0
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    marks: dict[str, list[Mark]] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow them up to the first that is not as it was made; those behind it count for
        nothing."""
        async for anchor in self.trail.anchors():
            try:
                why = self._odd(anchor)
            except (AttributeError, KeyError, TypeError, ValueError):
                why = "It is no anchor any more."
            if why is not None:
                self.broken = self._blame(anchor, why)
                return
            self._take(anchor)
        self.broken = self._odd_end(await self.trail.anchor_head())

    def known(self, chain: str) -> Known:
        """What the anchors know of a chain."""
        marks = self.marks.get(chain, [])
        removable = max((mark.seq for mark in marks if mark.number <= self.removes), default=0)
        return Known(marks, removable, whole=self.broken is None)

    def _odd(self, anchor: Row) -> str | None:
        """Why an anchor is not the next one; None where it is."""
        number = self.count + 1
        if anchor.get("number") != number or not is_number(anchor["number"]):
            return f"Anchor {number} is gone, or the number of this one was changed."
        if anchor.keys() != ANCHOR or not seals_anchor(anchor, anchor["prev_hash"]):
            return "It was changed."
        if anchor["prev_hash"] != self.hash:
            return "It does not follow the anchor before it."
        made = anchor["made_at"]
        if (anchor["created_at"], anchor["updated_at"]) != (made, made):
            return "Its times were changed."
        if anchor["_id"] != anchor_id(self.trail.tenant_id, number):
            return "Its id was changed."
        return self._impossible(anchor)

    def _impossible(self, anchor: Row) -> str | None:
        """What no job would have written, though it is sealed."""
        if self.day and anchor["day"] != _next(self.day):
            return f"Its day does not follow {self.day}."
        if not self.removes <= anchor["removes"] < max(1, anchor["number"]):
            return "It lets other rows go than it may."
        sound = all(self._is_head(head) for head in anchor["heads"])
        if not sound or not isinstance(anchor["ends_at"], datetime):
            return "It is no anchor."
        heads = {head["chain"]: (head["seq"], head["hash"]) for head in anchor["heads"]}
        for chain, (seq, hash_) in self.heads.items():
            now = heads.get(chain, (0, ""))
            if now[0] < seq or (now[0] == seq and now[1] != hash_):
                return f"Chain {chain} goes back in it."
        return None

    def _is_head(self, head: Row) -> bool:
        tenant_id, _, _ = head["chain"].split(":")
        return tenant_id == self.trail.tenant_id and is_number(head["seq"]) and head["seq"] > 0

    def _take(self, anchor: Row) -> None:
        self.count, self.hash, self.day = anchor["number"], anchor["hash"], anchor["day"]
        self.removes, self.until = anchor["removes"], anchor["ends_at"]
        self.heads = {head["chain"]: (head["seq"], head["hash"]) for head in anchor["heads"]}
        by = f"The anchor of {self.day}"
        for chain, (seq, hash_) in self.heads.items():
            if self._wanted(chain):
                self._remember(chain, Mark(seq, hash_, by, self.count, self.until))

    def _wanted(self, chain: str) -> bool:
        store_id = self.trail.store_id
        return store_id is None or chain.startswith(f"{self.trail.tenant_id}:{store_id}:")

    def _remember(self, chain: str, mark: Mark) -> None:
        marks = self.marks.setdefault(chain, [])
        if marks and marks[-1].seq == mark.seq:
            return
        marks.append(mark)
        removed = self.removed.get(chain)
        beyond = removed if is_number(removed) else 0
        while len(marks) > 1 and marks[0].seq < beyond:
            del marks[0]

    def _blame(self, anchor: Row, why: str) -> AuditBreak:
        """The anchor itself, or the one before it where that was sealed anew."""
        sound = anchor.keys() == ANCHOR and seals_anchor(anchor, anchor["prev_hash"])
        next_one = sound and anchor["number"] == self.count + 1
        if next_one and self.count and anchor["prev_hash"] != self.hash:
            self._forget(self.count)
            why = "It was changed, and its hash with it: the anchor behind it has the true one."
            return self._changed(anchor_id(self.trail.tenant_id, self.count), self.count, why)
        if is_number(anchor.get("number")) and anchor["number"] > self.count + 1:
            number = self.count + 1
            return self._changed(anchor_id(self.trail.tenant_id, number), number, "It is gone.")
        if is_number(anchor.get("number")) and anchor["number"] <= self.count:
            why = "It was put in: there is another one of this number."
        return self._changed(str(anchor["_id"]), anchor.get("number"), why)

    def _odd_end(self, head: Row | None) -> AuditBreak | None:
        last = anchor_id(self.trail.tenant_id, self.count)
        if head is None:
            return self._head("There are anchors, and their head is gone.") if self.count else None
        if head.keys() != ANCHOR_HEAD or not is_number(head["number"]):
            return self._head("Its fields are not those of a head.")
        if head["number"] > self.count:
            number = self.count + 1
            gone = anchor_id(self.trail.tenant_id, number)
            why = f"It is gone: the head of the anchors knows number {head['number']}."
            return self._changed(gone, number, why)
        if head["number"] < self.count:
            self._forget(head["number"] + 1)
            why = "It was put in: the head of the anchors does not know it."
            number = head["number"] + 1
            return self._changed(anchor_id(self.trail.tenant_id, number), number, why)
        if head["hash"] != self.hash:
            self._forget(self.count)
            return self._changed(last, self.count, "The head of the anchors has another hash.")
        return None

    def _forget(self, number: int) -> None:
        """What this anchor and those behind it have told."""
        for chain, marks in self.marks.items():
            self.marks[chain] = [mark for mark in marks if mark.number < number]

    def _changed(self, document_id: str, number: Any, why: str) -> AuditBreak:
        return AuditBreak(
            kind=BreakKind.ANCHOR_CHANGED,
            collection=name_of(Anchor),
            document_id=document_id,
            chain=None,
            seq=number if is_number(number) else None,
            why=why,
        )

    def _head(self, why: str) -> AuditBreak:
        return self._changed(self.trail.tenant_id, None, why).model_copy(
            update={"collection": name_of(AnchorHead)}
        )


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
