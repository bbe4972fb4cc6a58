"""One chain of the trail, followed row by row; where it breaks, what was done to it (R45).

A row is as it was written if it follows the one before it and its hash is right. The rest of this
module tells which document was changed where one is not: from the rows around it, from the head,
and from those who remember rows elsewhere (anchors, Z reports).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.audit.links import (
    CHECKPOINT,
    HEAD,
    follows,
    is_number,
    odd_field,
    row_hash,
    row_id,
    seals,
)
from api.audit.models import AuditHead, AuditRow, Checkpoint
from api.audit.trail import Row, Trail, name_of
from playpark.cash import FIRST_HASH, chain_hash
from playpark.contracts.audit import AuditBreak, BreakKind

_ROW_ID = re.compile(r"([^:]+:[^:]+:[^:]+):([1-9][0-9]{0,15})")
PLACE = ("tenant_id", "store_id", "chain", "seq")
BEHIND_THE_HEAD = "It stands behind the last row that the chain's head knows."


@dataclass(frozen=True, slots=True)
class Mark:
    """A row as somebody else remembers it: an anchor, whose day ends at `until`, or a Z report."""

    seq: int
    hash: str
    told_by: str
    number: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What anchors know of a chain: its marks by their numbers, none twice, and up to which row
    they let retention go. Without `whole` anchors a checkpoint cannot be held against them."""

    marks: Sequence[Mark] = ()
    removable: int = 0
    whole: bool = True


@dataclass(slots=True)
class ChainCheck:
    """`seq`, `hash`: the last row that is as it was written, at first the checkpoint's."""

    trail: Trail
    chain: str
    known: Known
    seq: int = 0
    hash: str = FIRST_HASH
    rows: int = 0
    removed: int = 0
    marks: list[Mark] = field(default_factory=list)
    head: Row | None = None
    first: Row | None = None
    last: Row | None = None
    at_head: Row | None = None
    """The row that the head names."""
    behind_head: Row | None = None

    async def run(self) -> AuditBreak | None:
        """The first thing that is wrong, None for a sound chain."""
        self.head = await self.trail.head(self.chain)
        checkpoint = await self.trail.checkpoint(self.chain)
        if checkpoint is not None:
            if why := self._odd_checkpoint(checkpoint):
                return self._checkpoint_changed(why)
            self.seq, self.hash = checkpoint["seq"], checkpoint["hash"]
            self.removed = self.seq
        self.marks = await self._remembered()
        async for row in self.trail.rows(self.chain):
            if not self._follows(row):
                return await self._diagnose(row)
            if found := self._take(row):
                return found
        return await self._end()

    # --- following --------------------------------------------------------------------------

    def _follows(self, row: Row) -> bool:
        return follows(row, self.chain, self.seq, self.hash)

    def _take(self, row: Row) -> AuditBreak | None:
        before, self.seq, self.hash = self.seq, row["seq"], row["hash"]
        self.rows += 1
        self.first, self.last = self.first or row, row
        told = self.head.get("seq") if self.head else None
        if told == self.seq:
            self.at_head = row
        if told == before:
            self.behind_head = row
        while self.marks and self.marks[0].seq <= self.seq:
            mark = self.marks.pop(0)
            if mark.hash != self.hash:
                why = f"{mark.told_by} has another hash for it: rows up to here were written anew."
                return self._broken(BreakKind.EDITED, row, why)
        return None

    async def _remembered(self) -> list[Mark]:
        """Who remembers rows that are not removed. A Z report counts where no anchor is newer."""
        found = [mark for mark in self.known.marks if mark.seq > self.seq]
        anchored = max((mark.seq for mark in self.known.marks), default=0)
        beyond = max(anchored, self.seq)
        for report in await self.trail.z_reports(self.chain, beyond):
            told = report.get("audit")
            if isinstance(told, dict) and is_number(told.get("seq")) and _sealed(report):
                by = f"Z report {report.get('number')}"
                found.append(Mark(told["seq"], str(told.get("hash")), by))
        return sorted(found, key=lambda mark: mark.seq)

    # --- the checkpoint ---------------------------------------------------------------------

    def _odd_checkpoint(self, told: Row) -> str | None:
        """Why a checkpoint is not what the anchors allow; None for a sound one."""
        seq = told.get("seq")
        if told.keys() != CHECKPOINT or not is_number(seq) or seq < 1 or told["count"] != seq:
            return "Its fields are not those of a checkpoint."
        if not self.known.whole:
            return None
        if seq > self.known.removable:
            return "It says that rows were removed which no anchor has let go."
        mark = next(mark for mark in self.known.marks if mark.seq >= seq)
        if told["until"] != mark.until:
            return f"Its time is not that of {mark.told_by}, which holds its rows."
        if mark.seq == seq and mark.hash != told["hash"]:
            return f"{mark.told_by} has another hash for its row."
        return None

    def _checkpoint_changed(self, why: str) -> AuditBreak:
        return AuditBreak(
            kind=BreakKind.CHECKPOINT_CHANGED,
            collection=name_of(Checkpoint),
            document_id=self.chain,
            chain=self.chain,
            seq=self.seq or None,
            why=why,
        )

    # --- where a row does not follow --------------------------------------------------------

    async def _diagnose(self, row: Row) -> AuditBreak:
        number, expected = row.get("seq"), self.seq + 1
        named = _ROW_ID.fullmatch(str(row.get("_id")))
        if named and named[1] != self.chain:
            return self._broken(BreakKind.EDITED, row, "It is of another chain, as its id says.")
        if not is_number(number) or number < expected:
            return await self._out_of_place(row, int(named[2]) if named else None)
        if number > expected:
            return await self._hole(row, number)
        return await self._wrong(row)

    async def _out_of_place(self, row: Row, named: int | None) -> AuditBreak:
        """A row that stands before the place that is looked at, or has no number at all."""
        told = row.get("seq")
        kept = is_number(told) and told == named
        if named is not None and not kept and seals(row, row.get("prev_hash"), seq=named):
            others = await self.trail.some(self.chain, seq=named)
            if all(each["_id"] == row["_id"] for each in others):
                why = f"Its number was changed: it is {named}."
                return self._broken(BreakKind.EDITED, row, why)
        if not self.rows and self.removed and seals(row, row.get("prev_hash")):
            behind = await self.trail.some(self.chain, prev_hash=row["hash"])
            if behind or row["hash"] == self.hash:
                return self._checkpoint_changed("Rows that it says were removed are there.")
        return self._broken(BreakKind.INSERTED, row, "The chain has a row of this number already.")

    async def _hole(self, row: Row, number: int) -> AuditBreak:
        expected = self.seq + 1
        if found := await self._elsewhere(expected):
            return found
        if not self.rows and number - 1 <= self.known.removable:
            what = "says that fewer rows were removed than are" if self.removed else "is missing"
            return self._checkpoint_changed(f"The checkpoint {what}: row {number} is the first.")
        if self._ends_here():
            return self._broken(BreakKind.INSERTED, row, BEHIND_THE_HEAD)
        last = number - 1
        why = "It is gone." if last == expected else f"Rows {expected} to {last} are gone."
        return self._broken(BreakKind.MISSING, None, why)

    async def _elsewhere(self, expected: int) -> AuditBreak | None:
        """The row of this number, where only its place was changed."""
        row = await self.trail.by_id(row_id(self.chain, expected))
        if row is None:
            return None
        tenant_id, store_id, _ = self.chain.split(":", 2)
        right = (tenant_id, store_id, self.chain, expected)
        changed = [name for name, value in zip(PLACE, right, strict=True) if row.get(name) != value]
        why = f"Its {' and '.join(changed) or 'number'} was changed."
        return self._broken(BreakKind.EDITED, row, why, seq=expected)

    async def _wrong(self, row: Row) -> AuditBreak:
        """A row of the right number that is not the one that was written."""
        expected = self.seq + 1
        same = await self.trail.some(self.chain, seq=expected)
        if len(same) > 1:
            return self._one_too_many(same)
        if self._ends_here():
            return self._broken(BreakKind.INSERTED, row, BEHIND_THE_HEAD)
        if seals(row, self.hash) and row.get("prev_hash") == self.hash:
            return self._odd(row)
        if seals(row, row.get("prev_hash")):
            return await self._on_another(row)
        own = await self._own_row(expected)
        written = await self._written_as(row, expected)
        if written is None and own is not None:
            why = f"The row that was written as number {expected} stands elsewhere."
            return self._broken(BreakKind.INSERTED, row, why)
        if written is not None and own is None:
            return self._renumbered(row, written)
        if written is not None:
            return self._broken(BreakKind.OUT_OF_ORDER, row, f"It was written as number {written}.")
        return self._broken(BreakKind.EDITED, row, await self._what_changed(row))

    def _one_too_many(self, same: Sequence[Row]) -> AuditBreak:
        own = row_id(self.chain, self.seq + 1)
        good = next((row for row in same if self._follows(row)), None)
        if good is None and any(row["_id"] == own for row in same):
            good = next(row for row in same if row["_id"] == own)
        other = next(row for row in same if row is not good)
        why = "The chain has another row of this number."
        return self._broken(BreakKind.INSERTED, other, why)

    def _odd(self, row: Row) -> AuditBreak:
        """Sound but for what the hash does not cover."""
        changed = odd_field(row, self.chain)
        named = _ROW_ID.fullmatch(str(row["_id"]))
        if changed == "_id" and named:
            why = f"Its id is that of number {named[2]}."
            return self._broken(BreakKind.OUT_OF_ORDER, row, why)
        return self._broken(BreakKind.EDITED, row, f"Its {changed} was changed.")

    async def _on_another(self, row: Row) -> AuditBreak:
        """Its own hash is right, on a row before it that is not there: if others build on it, it
        was the one before that was changed."""
        behind = await self.trail.some(self.chain, prev_hash=row["hash"])
        ends_here = self.head is not None and self.head.get("hash") == row["hash"]
        if not behind and not ends_here:
            return self._broken(BreakKind.EDITED, row, "It was changed, and its hash with it.")
        if self.last is not None:
            why = f"It was changed, and its hash with it: row {self.seq + 1} has the true one."
            return self._broken(BreakKind.EDITED, self.last, why)
        if self.removed and self.seq not in {mark.seq for mark in self.known.marks}:
            return self._checkpoint_changed("Its hash is not the one that the next row has.")
        why = "It does not follow what the chain begins with."
        return self._broken(BreakKind.EDITED, row, why)

    async def _own_row(self, expected: int) -> Row | None:
        """The row that was written in this place, where it stands now."""
        found = await self.trail.some(self.chain, prev_hash=self.hash)
        others = (row for row in found if row.get("seq") != expected)
        return next((row for row in others if seals(row, self.hash, seq=expected)), None)

    async def _written_as(self, row: Row, place: int) -> int | None:
        """The number that a row had when it was sealed, if it was another one."""
        named = _ROW_ID.fullmatch(str(row["_id"]))
        before = await self.trail.some(self.chain, hash=row.get("prev_hash"))
        behind = await self.trail.some(self.chain, prev_hash=row.get("hash"))
        tried = [
            *([int(named[2])] if named else []),
            *(place - 1, place + 1),
            *(each["seq"] + 1 for each in before if is_number(each.get("seq"))),
            *(each["seq"] - 1 for each in behind if is_number(each.get("seq"))),
        ]
        prev = row.get("prev_hash")
        return next((n for n in tried if n != place and seals(row, prev, seq=n)), None)

    def _renumbered(self, row: Row, written: int) -> AuditBreak:
        expected = self.seq + 1
        if written > expected:
            why = f"It is gone, and the rows behind it were renumbered: {written} stands here."
            return self._broken(BreakKind.MISSING, None, why)
        if written == self.seq and self.last is not None:
            why = f"It was put in, and the rows behind it were renumbered: {written} follows it."
            return self._broken(BreakKind.INSERTED, self.last, why)
        return self._broken(BreakKind.OUT_OF_ORDER, row, f"It was written as number {written}.")

    async def _what_changed(self, row: Row) -> str:
        if seals(row, self.hash):
            return "Its prev_hash was changed."
        behind = await self.trail.some(self.chain, seq=self.seq + 2)
        try:
            right = row_hash(self.hash, row)
        except (KeyError, TypeError, ValueError, RecursionError):
            return "What it says was changed."
        told = [each.get("prev_hash") for each in behind]
        if right in [*told, self.head and self.head.get("hash")]:
            return "Its hash was changed."
        return "What it says was changed."

    # --- the end ----------------------------------------------------------------------------

    async def _end(self) -> AuditBreak | None:
        """What is wrong behind the last row: rows that others remember, and the head."""
        head, remembered = self.head, [mark for mark in self.marks if mark.seq > self.seq]
        told = head.get("seq") if head and not self._is_last(head) else 0
        last = max([told if is_number(told) else 0, *(mark.seq for mark in remembered)])
        if last > self.seq:
            if not self.rows and self.seq < last <= self.known.removable:
                what = "says that fewer rows were removed than are" if self.removed else "is gone"
                return self._checkpoint_changed(f"The checkpoint {what}.")
            if found := await self._elsewhere(self.seq + 1):
                return found
            by = remembered[-1].told_by if remembered else "the chain's head"
            why = f"The rows from here on are gone: {by} knows number {last}."
            return self._broken(BreakKind.TRUNCATED, None, why)
        return self._odd_head(head)

    def _is_last(self, head: Row | None) -> bool:
        return head is not None and head.get("hash") == self.hash

    def _ends_here(self) -> bool:
        return self._is_last(self.head) and bool(self.head and self.head.get("seq") == self.seq)

    def _odd_head(self, head: Row | None) -> AuditBreak | None:
        if head is None:
            return self._head_changed("The chain has rows, and its head is gone.")
        if head.keys() != HEAD or not is_number(head["seq"]):
            return self._head_changed("Its fields are not those of a head.")
        if head["seq"] < self.seq and self._appended(head):
            return self._broken(BreakKind.INSERTED, self.behind_head, BEHIND_THE_HEAD)
        if head["seq"] != self.seq:
            return self._head_changed(f"It says {head['seq']}, and the last row is {self.seq}.")
        if head["hash"] != self.hash:
            why = "It has another hash than the last row: the one or the other was changed."
            return self._head_changed(why)
        if self.last is not None and head["updated_at"] != self.last["ts"]:
            return self._head_changed("Its updated_at is not the time of the last row.")
        if self.first and self.first["seq"] == 1 and head["created_at"] != self.first["ts"]:
            return self._head_changed("Its created_at is not the time of the first row.")
        return None

    def _appended(self, head: Row) -> bool:
        """Whether the head is as the row that it names left it: then rows were put behind it."""
        at = self.at_head
        same = at is not None and (at["hash"], at["ts"]) == (head["hash"], head["updated_at"])
        return same and self.behind_head is not None

    def _head_changed(self, why: str) -> AuditBreak:
        return AuditBreak(
            kind=BreakKind.HEAD_CHANGED,
            collection=name_of(AuditHead),
            document_id=self.chain,
            chain=self.chain,
            seq=self.seq,
            why=why,
        )

    def _broken(
        self, kind: BreakKind, row: Row | None, why: str, *, seq: int | None = None
    ) -> AuditBreak:
        """`row` None: the one that should stand here."""
        if row is None:
            number, document_id = self.seq + 1, row_id(self.chain, self.seq + 1)
        else:
            told = row.get("seq")
            number = seq or (told if told is not None and is_number(told) else self.seq + 1)
            document_id = str(row.get("_id"))
        return AuditBreak(
            kind=kind,
            collection=name_of(AuditRow),
            document_id=document_id,
            chain=self.chain,
            seq=number,
            why=why,
        )


def _sealed(report: Row) -> bool:
    """Whether a Z report's hash is right (R28)."""
    content: dict[str, Any] = {name: value for name, value in report.items() if name != "hash"}
    try:
        return bool(report["hash"] == chain_hash(report["prev_hash"], content))
    except (KeyError, TypeError, ValueError):
        return False
