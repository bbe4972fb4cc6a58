"""Stores that were set back or copied: their operations stand where others stand (R38)."""

import json
from collections.abc import Sequence

from api.audit import service as audit
from api.certificates.repository import CertificateRepository
from api.events import service as events
from api.identity import short_codes
from api.identity.models import Tenant
from api.identity.repository import DeviceRepository, TenantRepository
from api.platform.operations import chain_key, rewound
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.receipts import service as receipts
from api.sync.models import DeadLetter
from api.sync.repository import (
    DeadLetterRepository,
    MarkRepository,
    Place,
    PlaceRepository,
)
from api.tickets.repository import TicketRepository
from playpark.contracts.sync import Counters, OpIn, OpKind
from playpark.errors import PlayParkError
from playpark.ids import CROCKFORD, short_code_origin
from playpark.offline_tickets import parse_pp2

LAST_SALES = 50
"""Sales in which the highest short code is looked for: a till takes them in order (R24), and
practice takes some that the server never keeps."""
MOST_LETTERS = 1_000
SELLING = (OpKind.SALE, OpKind.CHECKOUT)


async def first_taken(work: Work, scope: Scope, epoch: int, ops: Sequence[OpIn]) -> Place | None:
    """The lowest place of these operations where another one stands, in this batch or before.

    For a single one nothing is read: the database has an index that tells.
    """
    wanted: dict[int, str] = {}
    for op in ops:
        if wanted.setdefault(op.seq, op.op_id) != op.op_id:
            return epoch, op.seq
    if len(ops) == 1:
        return None
    taken: set[int] = set()
    for sequence in (PlaceRepository, DeadLetterRepository, MarkRepository):
        known = await sequence.of(work, scope).at(scope.device.device_id, epoch, wanted)
        taken |= {seq for op_id, seq in known.items() if wanted[seq] != op_id}
    return (epoch, min(taken)) if taken else None


async def refusal(platform: Platform, scope: Scope, place: Place) -> PlayParkError:
    """What such a batch is answered with: the counters that its store has to go above. The audit
    trail has it once for each place."""
    counters = await _counters(platform, scope)
    epoch, seq = place

    async def tell(work: Work) -> None:
        where = {"$set": {"rewound_at": f"{epoch}.{seq}"}}
        device_id = scope.device.device_id
        devices = DeviceRepository(work, scope.tenant_id, scope.home_store_id)
        before = await devices.change(where, before=True, _id=device_id)
        if before is None or before.rewound_at == f"{epoch}.{seq}":
            return
        known = {"epoch": counters.epoch, "seq": counters.seq}
        facts = {"place": {"epoch": epoch, "seq": seq}, "known": known}
        await events.emit(work, scope, ("device.rewound", {"device_id": device_id, **facts}))
        await audit.append(work, scope, "device.rewound", device_id, facts)

    await platform.uow.run(tell, queue=chain_key(scope))
    refused = rewound()
    return PlayParkError(refused.code, refused.message, details=counters.model_dump())


async def _counters(platform: Platform, scope: Scope) -> Counters:
    """The highest that the server knows of the calling device."""
    work, device = platform.uow.reading(), scope.device
    heads = [
        await sequence.of(work, scope).highest(device.device_id)
        for sequence in (PlaceRepository, DeadLetterRepository, MarkRepository)
    ]
    epoch, seq = max((head.place for head in heads if head), default=(0, 0))
    letters = await DeadLetterRepository.of(work, scope).find(
        descending=True, limit=MOST_LETTERS, device_id=device.device_id
    )
    papers = [_papers(platform, letter) for letter in letters if letter.op_kind in SELLING]
    waiting = [code for codes, _ in papers for code in codes]
    tokens = [token for _, printed in papers for token in printed]
    return Counters(
        epoch=epoch,
        seq=seq,
        receipts=await receipts.highest(work, scope, device.code),
        short_codes=await _short_codes(platform, work, scope, waiting),
        serials=await _serials(work, scope, tokens),
    )


def _papers(platform: Platform, letter: DeadLetter) -> tuple[list[str], list[str]]:
    """(short codes, tokens) on the paper of a sale that waits for a person."""
    held = json.loads(platform.vault.open(letter.sealed))
    body, local = held["body"], held["local"] or {}
    return _texts(body.get("short_codes")), _texts(local.get("tokens"))


def _texts(nested: object) -> list[str]:
    if isinstance(nested, str):
        return [nested]
    return [text for part in nested for text in _texts(part)] if isinstance(nested, list) else []


async def _short_codes(platform: Platform, work: Work, scope: Scope, waiting: Sequence[str]) -> int:
    """The highest counter among the device's last sales and those that wait."""
    tenant = await TenantRepository.of(work, scope).find_one(_id=scope.tenant_id)
    sales = await PlaceRepository.of(work, scope).last_results(
        scope.device.device_id, SELLING, LAST_SALES
    )
    tickets = await TicketRepository.of(work, scope).codes_of(sales)
    return _highest_code(platform, tenant, scope.device.number, [*tickets, *waiting])


def _highest_code(
    platform: Platform, tenant: Tenant | None, number: int, codes: Sequence[str]
) -> int:
    if tenant is None:
        raise RuntimeError("device without tenant")  # pairing makes both
    key = bytes.fromhex(short_codes.open_key(platform.vault, tenant))
    ours = [code for code in codes if len(code) == 8 and set(code) <= set(CROCKFORD)]
    origins = [short_code_origin(key, code) for code in ours]
    return max((counter for device, counter in origins if device == number), default=0)


async def _serials(work: Work, scope: Scope, tokens: Sequence[str]) -> dict[str, int]:
    """Under each certificate that the device may still sign under."""
    certificates = await CertificateRepository.of(work, scope).in_force(scope.device.device_id)
    tickets = TicketRepository.of(work, scope)
    found = {each.key_id: await tickets.last_serial(each.key_id) for each in certificates}
    for signed in map(parse_pp2, tokens):
        if signed is not None and signed.ticket.key_id in found:
            known = found[signed.ticket.key_id]
            found[signed.ticket.key_id] = max(known, signed.ticket.serial)
    return {key_id: serial for key_id, serial in found.items() if serial}
