"""What a gate needs to decide by itself, ready to be sent (API.md: gate; decision 0021)."""

import asyncio
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

from api.catalog import service as catalog
from api.certificates import service as certificates
from api.gate.entries import Listed, listed
from api.gate.gzip_parts import Part, pack, stream
from api.gate.repository import Found, ListedTickets
from api.gate.resuming import Kept
from api.gate.shelf import Segment, Shelf, Shelves
from api.platform.documents import scoped_id
from api.platform.envelope import ok
from api.platform.keyring import TicketKeys
from api.platform.mongo import Mongo
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.tickets import occupancy
from playpark.contracts.gate import GateBootstrap, GatePolicy
from playpark.contracts.settings import Features
from playpark.redemption import ANTI_PASSBACK

OVERLAP = timedelta(seconds=70)
"""How far a delta reaches back behind its version. What a transaction writes carries the moment at
which it began: MongoDB ends one after 60 s, and the clocks of API hosts may be 10 s apart."""
OLDEST = timedelta(days=2)
"""A version older than this gets the whole list: what was denied is not told for ever."""
REBUILT_AFTER = timedelta(hours=12)
_KEY_NUMBERS = 1_000
"""A version is milliseconds × this + the number of rotations of the tenant's keys."""
_PIECE = 64 * 1024
_shelves: WeakKeyDictionary[Mongo, Shelves] = WeakKeyDictionary()
_begun: WeakKeyDictionary[Mongo, Kept] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Asked:
    """`window`: how far ahead a ticket's validity may begin. `since`: an earlier version."""

    window: timedelta
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`etag` begins with what stands for all but version and time, and names these very bytes;
    `pieces` are one gzip stream of the envelope."""

    etag: str
    pieces: Sequence[bytes]

    def same_list(self, known: str) -> bool:
        """Whether a tag of an earlier answer is of the same list."""
        return known == "*" or _list_of(known) == _list_of(self.etag)


@dataclass(frozen=True, slots=True)
class _Lists:
    allow: Sequence[Part]
    deny: Sequence[Part]
    sum: int


async def bootstrap(platform: Platform, scope: Scope, asked: Asked) -> Answer:
    """The store's list, or what has changed since an earlier version.

    Raises E_UNAVAILABLE where the list is being built for others for too long.
    """
    work = platform.uow.reading()
    keys, told = await platform.ticket_keys(scope), asked
    since = _since(scope, asked.since, work.now)
    lists = None if since is None else await _changes(work, scope, keys, asked, since)
    if lists is None:
        told = replace(asked, since=None)
        place = scoped_id(scope.tenant_id, scope.store_id)
        async with platform.uow.one_at_a_time(f"bootstrap|{place}"):
            work = platform.uow.reading()
            shelf = await _shelf(work, scope, keys, place)
            until = work.now + told.window
            lists = _Lists(*await asyncio.to_thread(shelf.parts, until))
    frame = await _frame(platform, work, scope, told)
    answer = await asyncio.to_thread(_answer, ok(frame).model_dump_json(), frame, lists)
    begun = _begun.setdefault(work.mongo, Kept())
    begun.put(_question(scope, asked, answer.etag), answer.pieces, work.now)
    return answer


def begun(platform: Platform, scope: Scope, asked: Asked, etag: str) -> Answer | None:
    """The answer of this tag to the same question, as it was begun; None where this process has it
    no more, or never had."""
    work = platform.uow.reading()
    kept = _begun.get(work.mongo)
    pieces = kept.get(_question(scope, asked, etag), work.now) if kept else None
    return Answer(etag, pieces) if pieces is not None else None


def in_pieces(stream: Iterable[bytes]) -> list[bytes]:
    """The same bytes in pieces that are worth a write."""
    found, room = [bytearray()], _PIECE
    for each in stream:
        if room < 0:
            found.append(bytearray())
            room = _PIECE
        found[-1] += each
        room -= len(each)
    return [bytes(each) for each in found]


def _question(scope: Scope, asked: Asked, etag: str) -> str:
    """Who asked what, and was answered so. With the number of the tenant's keys: what is signed by
    a key that was withdrawn is not told again."""
    window = asked.window // timedelta(minutes=1)
    place = scoped_id(scope.tenant_id, scope.store_id)
    return f"{place}|{window}|{asked.since}|{scope.key_version}|{etag}"


def _list_of(etag: str) -> str:
    """What of a tag stands for the list."""
    return etag.removeprefix("W/").strip('"').partition(".")[0]


def _since(scope: Scope, version: int | None, now: datetime) -> datetime | None:
    """The moment of an earlier version; None where it is of no use any more."""
    if version is None:
        return None
    milliseconds, key_number = divmod(version, _KEY_NUMBERS)
    present = now.timestamp() * 1_000
    oldest = present - OLDEST / timedelta(milliseconds=1)
    newest = present + OVERLAP / timedelta(milliseconds=1)
    if key_number != scope.key_version % _KEY_NUMBERS or not oldest <= milliseconds <= newest:
        return None
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)


def _version(scope: Scope, now: datetime) -> int:
    milliseconds = round(now.timestamp() * 1_000)
    return milliseconds * _KEY_NUMBERS + scope.key_version % _KEY_NUMBERS


async def _changes(
    work: Work, scope: Scope, keys: TicketKeys, asked: Asked, since: datetime
) -> _Lists | None:
    """What a gate has to hear that has the list of `since`; None for so much that it takes all."""
    tickets = ListedTickets.of(work, scope)
    until = work.now + asked.window
    changed = await tickets.changed(since - OVERLAP)
    begun = await tickets.beginning(since + asked.window - OVERLAP, until)
    if changed is None or begun is None:
        return None

    def pack_them() -> _Lists:
        told = _by_ticket([*begun, *changed], keys).values()
        texts = [each.text for each in told if each is not None and each.tells(work.now, until)]
        part = Segment.of(texts)
        allow, deny = ([each] if each else [] for each in (part.allow, part.deny))
        return _Lists(allow, deny, part.sum)

    return await asyncio.to_thread(pack_them)


async def _shelf(work: Work, scope: Scope, keys: TicketKeys, place: str) -> Shelf:
    """The store's shelf as of now."""
    shelves = _shelves.setdefault(work.mongo, Shelves())
    tickets = ListedTickets.of(work, scope)
    known = (sorted(keys.by_kid), sorted(keys.not_after.items()))
    shelf = shelves.get(place)
    if shelf is not None and shelf.keys == known and work.now - shelf.built_at < REBUILT_AFTER:
        changed = await tickets.changed(shelf.as_of - OVERLAP)
        if changed is not None:
            await asyncio.to_thread(_put, shelf, changed, keys, work.now)
            shelves.keep(place, shelf)
            return shelf
    async with shelves.building:
        found: dict[str, Listed | None] = {}
        async for batch in tickets.in_force(work.now):
            found |= await asyncio.to_thread(_by_ticket, batch, keys)
        shelf = Shelf(work.now, known, len(found))
        await asyncio.to_thread(shelf.put, found, work.now)
        shelf.forget_seen()
    shelves.keep(place, shelf)
    return shelf


def _put(shelf: Shelf, found: list[Found], keys: TicketKeys, now: datetime) -> None:
    shelf.put(_by_ticket(found, keys), now)


def _by_ticket(found: list[Found], keys: TicketKeys) -> dict[str, Listed | None]:
    return {each["ticket_id"]: listed(each, keys) for each in found}


async def _frame(platform: Platform, work: Work, scope: Scope, asked: Asked) -> GateBootstrap:
    """The answer without its tickets."""
    snapshot = await catalog.snapshot(work, scope)
    tills = await certificates.certificates_for(platform, work, scope)
    policy = GatePolicy(
        anti_passback_s=ANTI_PASSBACK.seconds,
        allow_list_hours=snapshot.settings.gate.allow_list_hours,
        features=Features(**{name: name in scope.features for name in Features.model_fields}),
        certificate_key=tills.key,
    )
    return GateBootstrap(
        version=_version(scope, work.now),
        since=asked.since,
        server_time=work.now,
        store_id=scope.store_id,
        zones=snapshot.zones,
        policy=policy,
        allow=[],
        certificates=tills.certificates,
        occupancy=await occupancy.today(work, scope),
    )


def _answer(text: str, frame: GateBootstrap, lists: _Lists) -> Answer:
    # Quotes inside of strings are escaped, so these stand for the lists alone.
    before, _, rest = text.partition('"allow":[]')
    between, _, after = rest.partition('"deny":[]')
    parts = [
        pack(f'{before}"allow":['.encode()),
        *lists.allow,
        pack(f']{between}"deny":['.encode()),
        *lists.deny,
        pack(f"]{after}".encode()),
    ]
    steady = frame.model_dump_json(exclude={"version", "server_time"})
    etag = hashlib.blake2b(f"{steady}|{lists.sum}".encode(), digest_size=16).hexdigest()
    return Answer(f'"{etag}.{secrets.token_hex(8)}"', stream(parts))
