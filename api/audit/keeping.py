"""Retention: raw rows go after some months and leave a checkpoint, summaries after a year (R45,
decision 0013).

Only what an anchor has let go is removed. Deleting some rows and moving the chain's checkpoint over
them is one transaction, so whoever is killed in between leaves a sound chain to the next.
"""

from datetime import date, timedelta

import structlog
from pymongo.errors import PyMongoError

from api.audit.anchoring import Going, heads_of, last_anchor
from api.audit.checking import Mark
from api.audit.links import anchor_id, follows, is_number
from api.audit.models import Anchor, AuditRow, Summary
from api.audit.repository import AnchorRepository, CheckpointRepository
from api.audit.trail import Trail, name_of
from api.platform.uow import UnitOfWork, Work
from playpark.cash import FIRST_HASH
from playpark.errors import PlayParkError

PIECE = 500
"""Rows a transaction."""
log = structlog.get_logger("playpark.audit")


class _BrokenChainError(Exception):
    """The rows that would go are not as they were written: they stay, for they are evidence."""


async def remove_due(uow: UnitOfWork, tenant_id: str, going: Going) -> int:
    """Remove the rows that the last anchor lets go; how many this process did."""
    work = uow.reading()
    last = await last_anchor(work, tenant_id)
    if last is None or not last.removes:
        return 0
    known = await Trail(work, tenant_id).removed()
    removed = {chain: seq for chain, seq in known.items() if is_number(seq)}
    done = 0
    for chain, marks in (await _to_remove(work, last, removed)).items():
        try:
            for mark in marks:
                while pieces := await _remove(uow, tenant_id, chain, mark, going):
                    done += pieces
        except (PlayParkError, PyMongoError):
            raise
        except Exception:
            log.exception("an audit chain is kept as it is: playpark audit verify", chain=chain)
    return done


async def _to_remove(work: Work, last: Anchor, removed: dict[str, int]) -> dict[str, list[Mark]]:
    """What is to go of each chain: the anchored rows up to which, oldest first. Heads never go
    back, so looking from the newest anchor to the older ones ends where nothing is left."""
    found: dict[str, list[Mark]] = {}
    anchors = AnchorRepository(work, last.tenant_id, None)
    for number in range(last.removes, 0, -1):
        anchor = await anchors.find_one(_id=anchor_id(last.tenant_id, number))
        if anchor is None or not _remember(found, anchor, removed):
            break
    return found


def _remember(found: dict[str, list[Mark]], anchor: Anchor, removed: dict[str, int]) -> bool:
    """Add what an anchor knows of rows that are there; whether it knows any."""
    left = {
        chain: told for chain, told in heads_of(anchor).items() if told[0] > removed.get(chain, 0)
    }
    for chain, (seq, hash_) in left.items():
        marks = found.setdefault(chain, [])
        if marks and marks[0].seq == seq:
            marks.pop(0)  # the first day that holds the row is its own
        marks.insert(0, Mark(seq, hash_, anchor.day, anchor.number, anchor.ends_at))
    return bool(left)


async def _remove(uow: UnitOfWork, tenant_id: str, chain: str, mark: Mark, going: Going) -> int:
    """Remove the next rows of a chain up to `mark`; how many, 0 where none is left."""
    if not await going():
        return 0
    store_id = chain.split(":", 2)[1]

    async def transaction(work: Work) -> int:
        checkpoints = CheckpointRepository(work, tenant_id, store_id)
        known = await checkpoints.find_one(_id=chain)
        seq, hash_ = (known.seq, known.hash) if known else (0, FIRST_HASH)
        if seq >= mark.seq:
            return 0
        until = min(seq + PIECE, mark.seq)
        which = {
            "tenant_id": tenant_id,
            "store_id": store_id,
            "chain": chain,
            "seq": {"$lte": until},
        }
        rows = work.collection(name_of(AuditRow))
        for row in await rows.find(which, session=work.session).sort("seq", 1).to_list(PIECE + 1):
            if not follows(row, chain, seq, hash_):
                raise _BrokenChainError
            seq, hash_ = row["seq"], row["hash"]
        if seq != until or (seq == mark.seq and hash_ != mark.hash):
            raise _BrokenChainError
        await rows.delete_many(which, session=work.session)
        told = {"seq": seq, "hash": hash_, "count": seq, "until": mark.until}
        await checkpoints.move(chain, known, told)
        return until - (known.seq if known else 0)

    return await uow.run(transaction)


async def forget_summaries(uow: UnitOfWork, tenant_id: str, summary_days: int, going: Going) -> int:
    """Remove the summaries of days that are too long ago; how many."""
    work, done = uow.reading(), 0
    last = await last_anchor(work, tenant_id)
    if last is None:
        return 0
    oldest = (date.fromisoformat(last.day) - timedelta(days=summary_days)).isoformat()
    summaries = work.collection(name_of(Summary))
    which = {"tenant_id": tenant_id, "day": {"$lte": oldest}}
    while await going():
        found = await summaries.find(which, {"_id": 1}).limit(PIECE).to_list(PIECE)
        if not found:
            break
        ids = [row["_id"] for row in found]
        await summaries.delete_many({"tenant_id": tenant_id, "_id": {"$in": ids}})
        done += len(ids)
    return done
