"""Daily anchors: what a tenant's trail was at the end of each trading day (R45, decision 0013).

Days are those of the tenant's time zone. What an anchor says follows from the rows' times, so it is
the same whenever it is made; each one is a transaction, and each makes the next one possible.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from pymongo import UpdateOne

from api.audit.links import HEAD, anchor_hash, anchor_id, is_number, seals_anchor
from api.audit.models import Anchor, AnchorHead, AuditHead, AuditRow, Summary
from api.audit.repository import AnchorHeadRepository, AnchorRepository
from api.audit.trail import name_of
from api.platform.documents import scoped_id
from api.platform.uow import UnitOfWork, Work
from playpark.cash import FIRST_HASH
from playpark.clock import business_date, business_day_start, park_zone

AFTER_THE_DAY = timedelta(minutes=20)
"""From then on a day is over: what was written in its last moments has been committed."""
STEP = 500
"""Summaries a command."""
log = structlog.get_logger("playpark.audit")
Going = Callable[[], Awaitable[bool]]
"""Whether the job is still this process's."""
Heads = dict[str, tuple[int, str]]
"""The number and hash of each chain's last row."""


@dataclass(frozen=True, slots=True)
class Day:
    """The trading day that is anchored next, and the anchor before it."""

    number: int
    date: date
    ends_at: datetime
    before: Anchor | None

    @property
    def heads(self) -> Heads:
        """Those of the anchor before."""
        return heads_of(self.before)


def heads_of(anchor: Anchor | None) -> Heads:
    found = anchor.heads if anchor else []
    return {head["chain"]: (head["seq"], head["hash"]) for head in found}


async def anchor_due(uow: UnitOfWork, tenant_id: str, raw_days: int, going: Going) -> int:
    """Anchor the days that are over, oldest first; how many this process did."""
    done = 0
    while (day := await next_day(uow.reading(), tenant_id)) is not None:
        if not await going():
            break
        heads = await _heads_at(uow, tenant_id, day)
        await _summarise(uow, tenant_id, day, heads)
        if not await _anchor(uow, tenant_id, day, heads, raw_days):
            break
        done += 1
        log.info("audit anchored", tenant_id=tenant_id, day=day.date.isoformat())
    return done


class TamperedAnchorError(Exception):
    """The last anchor is not as it was made: nothing is built on it, nothing removed by it."""


async def last_anchor(work: Work, tenant_id: str) -> Anchor | None:
    """The newest one, as the head of the anchors names it. Raises TamperedAnchorError."""
    head = await AnchorHeadRepository(work, tenant_id, None).find_one(_id=tenant_id)
    if head is None:
        return None
    key = anchor_id(tenant_id, head.number)
    anchor = await AnchorRepository(work, tenant_id, None).find_one(_id=key)
    if anchor is None or anchor.hash != head.hash:
        raise TamperedAnchorError
    if not seals_anchor(anchor.model_dump(), anchor.prev_hash):
        raise TamperedAnchorError
    return anchor


async def next_day(work: Work, tenant_id: str) -> Day | None:
    """The first day that is over and has no anchor, None where there is none. Raises
    TamperedAnchorError."""
    before = await last_anchor(work, tenant_id)
    own = {"_id": tenant_id, "tenant_id": tenant_id}
    tenant = await work.collection("tenants").find_one(own, {"tz": 1})
    zone = park_zone(tenant and tenant["tz"])
    if before is not None:
        day = date.fromisoformat(before.day) + timedelta(days=1)
    elif (since := await _since(work, tenant_id)) is not None:
        day = business_date(since, zone)
    else:
        return None
    ends_at = business_day_start(day + timedelta(days=1), zone)
    if before is not None:
        ends_at = max(ends_at, before.ends_at)  # the tenant's zone may have changed
    if work.now < ends_at + AFTER_THE_DAY:
        return None
    return Day(before.number + 1 if before else 1, day, ends_at, before)


async def _since(work: Work, tenant_id: str) -> datetime | None:
    """When the tenant's trail begins."""
    heads = work.collection(name_of(AuditHead))
    which = {"tenant_id": tenant_id, "created_at": {"$type": "date"}}
    found = await heads.find(which).sort("created_at", 1).limit(1).to_list(1)
    return found[0]["created_at"] if found else None


async def _heads_at(uow: UnitOfWork, tenant_id: str, day: Day) -> Heads:
    """The last row of each chain before the day's end. A chain that is gone or has gone back keeps
    what the anchor before has of it, so that the loss is not sealed."""
    found: Heads = {}
    async with uow.at_one_moment() as work:
        heads = work.collection(name_of(AuditHead))
        async for head in heads.find({"tenant_id": tenant_id}, session=work.session):
            if not _is_head(head):
                log.error("an audit head is not as it was written", chain=str(head["_id"]))
            elif head["updated_at"] < day.ends_at:
                found[head["_id"]] = (head["seq"], head["hash"])
            elif row := await _last_before(work, head, day.ends_at):
                found[head["_id"]] = (row["seq"], row["hash"])
    for chain, known in day.heads.items():
        now = found.get(chain, (0, ""))
        if now[0] < known[0] or (now[0] == known[0] and now != known):
            log.error("an audit chain has gone back", chain=chain, known=known[0], now=now[0])
            found[chain] = known
    return found


def _is_head(head: Mapping[str, Any]) -> bool:
    sound = head.keys() == HEAD and is_number(head["seq"])
    return sound and isinstance(head["updated_at"], datetime)


async def _last_before(work: Work, head: Mapping[str, Any], end: datetime) -> Any:
    rows = work.collection(name_of(AuditRow))
    which = {"tenant_id": head["tenant_id"], "store_id": head["store_id"], "chain": head["_id"]}
    cursor = rows.find({**which, "ts": {"$lt": end}}, session=work.session)
    found = await cursor.sort("seq", -1).limit(1).to_list(1)
    return found[0] if found else None


async def _anchor(uow: UnitOfWork, tenant_id: str, day: Day, heads: Heads, raw_days: int) -> bool:
    """Write the anchor; False where another process has."""

    async def transaction(work: Work) -> bool:
        before = day.before
        anchor = Anchor(
            id=anchor_id(tenant_id, day.number),
            tenant_id=tenant_id,
            number=day.number,
            day=day.date.isoformat(),
            ends_at=day.ends_at,
            made_at=work.now,
            removes=max(before.removes if before else 0, day.number - raw_days),
            heads=[
                {"chain": chain, "seq": seq, "hash": hash_}
                for chain, (seq, hash_) in sorted(heads.items())
            ],
            prev_hash=before.hash if before else FIRST_HASH,
            hash="",
        )
        anchor.hash = anchor_hash(anchor.prev_hash, anchor.model_dump())
        ends = AnchorHeadRepository(work, tenant_id, None)
        if before is None:
            first = AnchorHead(id=tenant_id, tenant_id=tenant_id, number=1, hash=anchor.hash)
            if await ends.find_one(_id=tenant_id) is not None:
                return False
            await ends.insert(first)
        else:
            new = {"$set": {"number": anchor.number, "hash": anchor.hash}}
            if not await ends.update_one(new, _id=tenant_id, number=before.number):
                return False
        await AnchorRepository(work, tenant_id, None).insert(anchor)
        return True

    return await uow.run(transaction)


# --- summaries ----------------------------------------------------------------------------


async def _summarise(uow: UnitOfWork, tenant_id: str, day: Day, heads: Heads) -> None:
    """Count the rows that the day has added. The counts are set, not added up: whoever begins
    again after a kill counts nothing twice."""
    work, counts = uow.reading(), Counter[tuple[str, str, str | None]]()
    for chain, (seq, _) in heads.items():
        known = day.heads.get(chain, (0, ""))[0]
        if seq > known:
            counts += await _counted(work, chain, known, seq)
    summaries = work.collection(name_of(Summary))
    updates = [
        _setting(work, tenant_id, day, who_did_what, count)
        for who_did_what, count in sorted(counts.items(), key=str)
    ]
    for start in range(0, len(updates), STEP):
        await summaries.bulk_write(updates[start : start + STEP], ordered=False)


async def _counted(
    work: Work, chain: str, beyond: int, until: int
) -> Counter[tuple[str, str, str | None]]:
    """How often what happened by whom in these rows, as (store, event type, actor)."""
    tenant_id, store_id, _ = chain.split(":", 2)
    which = {"tenant_id": tenant_id, "store_id": store_id, "chain": chain}
    steps = [
        {"$match": {**which, "seq": {"$gt": beyond, "$lte": until}}},
        {"$group": {"_id": {"e": "$event_type", "a": "$actor_id"}, "n": {"$sum": 1}}},
    ]
    found: Counter[tuple[str, str, str | None]] = Counter()
    async for row in work.collection(name_of(AuditRow)).aggregate(steps):
        actor = row["_id"].get("a")
        key = (store_id, str(row["_id"].get("e")), None if actor is None else str(actor))
        found[key] += row["n"]
    return found


def _setting(
    work: Work, tenant_id: str, day: Day, key: tuple[str, str, str | None], count: int
) -> UpdateOne:
    store_id, event_type, actor_id = key
    name = day.date.isoformat()
    which = {
        "_id": scoped_id(tenant_id, store_id, name, event_type, actor_id or ""),
        "tenant_id": tenant_id,
        "store_id": store_id,
    }
    told = {"day": name, "event_type": event_type, "actor_id": actor_id, "count": count}
    return UpdateOne(
        which,
        {"$set": {**told, "updated_at": work.now}, "$setOnInsert": {"created_at": work.now}},
        upsert=True,
    )
