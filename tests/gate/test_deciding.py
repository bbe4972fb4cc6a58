"""R19, R22, R33, R51: a gate by itself decides what the server would decide on what it was told."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_app
from api.gate.entries import listed
from api.platform.keyring import TicketKeys
from api.tickets.repository import Seen
from gate.allowlist import AllowList
from gate.alone import of_judgement
from gate.deciding import Judge, Judgement, Shown
from gate.ledger import Ledger
from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.catalog import PackageKind, PackageView, PendingPolicy, ZoneView
from playpark.contracts.gate import AllowedTicket, CertificateView, GatePolicy
from playpark.contracts.settings import Features
from playpark.contracts.sync import LocalOutcome, OpKind
from playpark.contracts.tickets import Direction, OccupancyView, RedemptionResult
from playpark.device import DeviceStore, login
from playpark.device.records import Identity
from playpark.ids import new_ulid
from playpark.offline_tickets import OfflineTicket, mint_pp2, public_key_text, sign_certificate
from playpark.redemption import Scan, decide
from playpark.tokens import mint_pp1, token_hash
from tests.api.drawers import tell
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.gate.lists import allowed, fill, told
from tests.gate.park import IDENTITY, NOW, SNAPSHOT
from tests.gate.pictures import token

KEYS = {"01": b"k" * 32, "A0": b"l" * 32}
ENDED = NOW - timedelta(hours=2)
RING = TicketKeys(KEYS, "A0", {"01": ENDED})
DAY_START = datetime(2026, 11, 20, 21, tzinfo=UTC)  # four in the morning in Bangkok


@dataclass
class Alone:
    """A gate on a disk of its own, with a list and without a server."""

    store: DeviceStore
    own: AllowList
    judge: Judge
    clock: FixedClock

    @classmethod
    def at(cls, folder: Path, identity: Identity = IDENTITY) -> "Alone":
        clock = FixedClock(NOW)
        store = DeviceStore.open(folder / "device.db", clock)
        store.save_identity(identity)
        store.save_catalog(SNAPSHOT)
        own = AllowList(folder / "allowlist.db")
        return cls(store, own, Judge(store, own, Ledger()), clock)

    def close(self) -> None:
        self.own.close()
        self.store.close()

    def show(self, text: str, zone: str | None = None, **changes: Any) -> Judgement | None:
        direction = changes.get("direction", Direction.ENTRY)
        return self.judge.judge(Shown(text, zone, direction, self.clock.now()))

    def admit(self, text: str, zone: str | None = None, **changes: Any) -> Judgement | None:
        """Decide and write it down, as `Admission` does."""
        judgement = self.show(text, zone, **changes)
        if judgement is not None:
            direction = changes.get("direction", Direction.ENTRY)
            body = {"qr_token": text, "direction": direction.value}
            body |= {"zone_id": zone} if zone else {}
            now = self.clock.now()
            stored = self.store.append(
                OpKind.REDEMPTION,
                lambda _: body,
                occurred_at=now,
                committed=True,
                local=LocalOutcome(result=judgement.decision.result, at=now),
            )
            self.judge.ledger.note(stored)
        return judgement


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    alone = Alone.at(tmp_path_factory.mktemp("gate"))
    yield alone
    alone.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    opened = Alone.at(tmp_path)
    yield opened
    opened.close()


# --- the same decision as the server's --------------------------------------------------------

seconds = st.sampled_from([-90_000, -50_000, -3600, -6, -5, -4, -1, 0, 1, 3600])
moments = seconds.map(lambda offset: NOW + timedelta(seconds=offset))
rows = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([kind.value for kind in PackageKind]),
        "quota_or_minutes": st.integers(1, 3),
        "used": st.integers(0, 3),
        "status": st.sampled_from(["active", "active", "pending", "cancelled", "refunded"]),
        "kid": st.sampled_from(["01", "A0", "A0"]),
        "valid_from": st.sampled_from([-3600, -1, 0, 1, 60]).map(
            lambda offset: NOW + timedelta(seconds=offset)
        ),
        "valid_to": st.sampled_from([1, 3600]).map(lambda offset: NOW + timedelta(seconds=offset)),
        "zones": st.sampled_from([[], ["z1"], ["z2"], ["z1", "z2"]]),
        "allowed_devices": st.sampled_from([[], [], ["gate1"], ["gate2"]]),
        "inside": st.sampled_from([[], ["z1"], [""], ["z2"]]),
        "last_pass_at": st.none() | moments,
        "ends_at": st.none() | moments,
        "issued_at": st.none() | st.sampled_from([NOW - timedelta(hours=h) for h in (1, 71, 72)]),
        "created_at": st.sampled_from([ENDED, ENDED + timedelta(seconds=1), NOW]),
        "updated_at": st.just(NOW),
    }
)
zones = st.builds(
    ZoneView,
    zone_id=st.just("z1"),
    name=st.just("Zone"),
    name_th=st.just("โซน"),
    credit_price=st.sampled_from([None, 0, 1, 2]),
    capacity=st.sampled_from([None, None, 5]),
    reentry_needs_exit=st.booleans(),
    pending=st.sampled_from(["admit", "refuse"]),
    offline_credit_limit=st.just(1_000),
)


@given(rows, zones, st.booleans(), st.sampled_from([4, 5, 9]), st.booleans())
def test_R19_the_gate_decides_as_the_server_does(
    kept: Alone, row: dict[str, Any], zone: ZoneView, binding: bool, inside: int, in_zone: bool
) -> None:
    ticket_id = new_ulid()
    text = mint_pp1(KEYS, row["kid"], "t1", ticket_id)
    facts = {"package_name": "", "package_name_th": "", "token_hash": token_hash(text)}
    found = row | facts | {"ticket_id": ticket_id}
    zone_id = zone.zone_id if in_zone else None
    theirs = decide(
        Seen.of(found).state,
        Scan(
            at=NOW,
            zone_id=zone_id,
            device_id="gate1",
            credit_price=zone.credit_price if in_zone else None,
            key=RING.signing_key(row["kid"]),
            binding=binding,
            reentry_needs_exit=in_zone and zone.reentry_needs_exit,
            pending_admits=not in_zone or zone.pending == "admit",
            full=in_zone and zone.capacity is not None and inside >= zone.capacity,
            day_start=DAY_START,
        ),
    )
    entry = listed(found, RING)
    stands = entry is not None and not entry.denied
    fill(
        kept.own,
        told(
            *([AllowedTicket.model_validate_json(entry.text)] if entry and stands else []),
            deny=[ticket_id] if entry is not None and entry.denied else [],
            zones=[zone],
            policy=GatePolicy(anti_passback_s=5, features=Features(gate_binding=binding)),
            occupancy=[
                OccupancyView(
                    zone_id="z1", name="", inside=inside, capacity=5, entries=inside, exits=0
                )
            ],
        ),
    )
    kept.judge.refreshed(NOW)

    ours = kept.show(text, zone_id)

    if not stands:
        assert not theirs.passed
        assert ours is not None
        assert not ours.decision.passed
    elif theirs.passed and row["kind"] == "credit" and not in_zone:
        pytest.fail("credit is taken by zones only")
    else:
        assert ours is not None
        assert ours.decision == theirs


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_deciding") as park:
        # Ten in the morning: no trading day ends while this runs.
        now = park.clock.now()
        park.clock.advance(now.replace(hour=3, minute=0) + timedelta(days=1) - now)
        yield park


@pytest.mark.parametrize("seed", range(3))
async def test_R33_an_hour_alone_goes_as_an_hour_with_the_server(
    park: Inside, tmp_path: Path, seed: int
) -> None:
    """The same showings of the same tickets: once at the server, once by the list of before."""
    chance = Random(seed)
    owner = await (await park.device("ADMIN")).staff(**OWNER)
    pos = await (await park.device("POS")).staff()
    await pos.open_shift()
    names = ("Adult day pass", "10 entries", "2-hour pass", "Play credit 500", "Family bundle")
    tickets = (await pos.sell(*[(name, 2) for name in names]))["tickets"]
    known = (await tell(owner, "GET", "/catalog/zones"))["items"]
    for zone, rules in zip(
        known[:3],
        ({"reentry_needs_exit": True}, {"capacity": 6}, {"credit_price": 12_000}),
        strict=True,
    ):
        change = {"offline_credit_limit": 1_000_000, **rules}
        await tell(owner, "PATCH", f"/catalog/zones/{zone['zone_id']}", change)
    gate = await park.device("GATE")
    transport = httpx.ASGITransport(app=create_app(park.platform))
    async with ApiClient("http://test", transport=transport) as client:
        device = {key: gate.device[key] for key in ("device_id", "device_token", "device_code")}
        alone = Alone.at(tmp_path, Identity(api_url="http://test", **device))
        await login(alone.store, client)
        alone.store.save_catalog(await client.catalog())
        answer = await client.gate_bootstrap(window=60)
    alone.clock.advance(park.clock.now() - alone.clock.now())
    fill(alone.own, answer, alone.clock, owner=device["device_id"])
    alone.judge.refreshed(alone.clock.now())
    for _ in range(60):
        pause = timedelta(seconds=chance.choice([0, 1, 5, 300]))
        park.clock.advance(pause)
        alone.clock.advance(pause)
        ticket = chance.choice(tickets)
        zone_id = chance.choice([None, *(zone["zone_id"] for zone in known[:3])])
        leaving = chance.random() < 0.2
        body = {"qr_token": ticket["qr_token"], "direction": "exit" if leaving else "entry"}
        body |= {"zone_id": zone_id} if zone_id else {}
        theirs = await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())

        ours = alone.admit(ticket["qr_token"], zone_id, direction=Direction(body["direction"]))

        assert ours is not None
        said = of_judgement(ours, Direction(body["direction"]), alone.judge.park_zone).redemption
        assert said is not None
        for name in ("result", "reason", "remaining", "kind", "message", "message_th", "inside"):
            assert getattr(said, name) == theirs[name], (name, ticket["kind"], theirs)
        if ours.decision.passed or ours.known.state:
            assert said.ticket_id == theirs["ticket_id"]
    alone.close()


# --- what the list says, and when it says nothing ---------------------------------------------


def test_R21_a_forged_token_of_a_listed_ticket_is_no_ticket(alone: Alone) -> None:
    ticket = token(1)
    fill(alone.own, told(allowed(ticket)))
    forged = ticket[:-1] + ("A" if ticket[-1] != "A" else "B")

    judgement = alone.show(forged)

    assert judgement is not None
    assert (judgement.decision.reason, judgement.known.missing) == ("invalid_sig", False)
    assert alone.show(ticket).decision.passed  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("https://example.com", "invalid_sig"), ("", "invalid_sig"), ("PPT.A1.X", "training")],
    ids=["foreign", "empty", "training"],
)
def test_R19_what_is_no_ticket_is_told_without_the_list(
    alone: Alone, text: str, reason: str
) -> None:
    fill(alone.own, told())

    assert alone.show(text).reason == reason  # type: ignore[union-attr]


def test_a_ticket_that_is_not_listed_may_be_newer_and_the_age_is_said(alone: Alone) -> None:
    fill(alone.own, told())
    alone.clock.advance(timedelta(hours=2, minutes=7))

    judgement = alone.show(token(1))

    assert judgement is not None
    assert (judgement.known.missing, judgement.reason) == (True, "unknown_ticket")
    answer = of_judgement(judgement, Direction.ENTRY, alone.judge.park_zone)
    assert (answer.level, answer.headline) == ("fail", "NOT ON LIST")
    assert "2:07 h old" in answer.detail_en
    assert "2:07 h" in answer.detail_th


def test_a_denied_ticket_is_told_from_an_unknown_one(alone: Alone) -> None:
    fill(alone.own, told(deny=[allowed(token(1)).ticket_id]))

    judgement = alone.show(token(1))

    assert judgement is not None
    assert judgement.reason == "denied"
    answer = of_judgement(judgement, Direction.ENTRY, alone.judge.park_zone)
    assert (answer.level, answer.headline) == ("fail", "NOT VALID")


@pytest.mark.parametrize(
    ("age", "decides"),
    [({"hours": 24}, True), ({"hours": 24, "seconds": 1}, False), ({"minutes": -3}, False)],
    ids=["as old as it may be", "too old", "from the future"],
)
def test_a_list_that_is_too_old_admits_nobody(
    alone: Alone, age: dict[str, float], *, decides: bool
) -> None:
    fill(alone.own, told(allowed(token(1), valid_to=NOW + timedelta(days=3))))
    alone.clock.advance(timedelta(**age))

    assert (alone.show(token(1)) is not None) is decides


def test_the_store_says_how_old_a_list_may_be(alone: Alone) -> None:
    policy = GatePolicy(anti_passback_s=5, allow_list_hours=1, features=Features())
    fill(alone.own, told(allowed(token(1)), policy=policy))
    alone.clock.advance(timedelta(hours=1, seconds=1))

    assert alone.show(token(1)) is None


def test_without_a_list_or_with_another_gates_nothing_is_decided(alone: Alone) -> None:
    assert alone.show(token(1)) is None
    fill(alone.own, told(allowed(token(1))), owner="gate2")
    assert alone.show(token(1)) is None


def test_a_zone_that_the_list_does_not_know_is_not_decided(alone: Alone) -> None:
    fill(alone.own, told(allowed(token(1))))

    assert alone.show(token(1), "z-gone") is None


def test_R33_credit_is_taken_up_to_the_zones_limit_and_then_the_server_is_needed(
    alone: Alone,
) -> None:
    zone = SNAPSHOT.zones[0].model_copy(
        update={"credit_price": 4_000, "offline_credit_limit": 10_000}
    )
    credit = allowed(token(1), kind="credit", remaining=50_000)
    fill(alone.own, told(credit, zones=[zone]))

    left = []
    for _ in range(3):
        judgement = alone.admit(token(1), zone.zone_id)
        left.append(judgement.decision.remaining if judgement else None)
        alone.clock.advance(timedelta(seconds=6))

    assert left == [46_000, 42_000, None]
    fill(alone.own, told(credit, zones=[zone.model_copy(update={"offline_credit_limit": 0})]))
    assert alone.show(token(1), zone.zone_id) is None


# --- what this gate did itself ----------------------------------------------------------------


def test_R33_a_restart_admits_nobody_twice(tmp_path: Path) -> None:
    first = Alone.at(tmp_path)
    fill(first.own, told(allowed(token(1))))
    assert first.admit(token(1)).decision.passed  # type: ignore[union-attr]
    first.close()

    again = Alone.at(tmp_path)
    again.clock.advance(timedelta(minutes=1))
    again.judge.load(again.clock.now())

    judgement = again.admit(token(1))
    assert judgement is not None
    assert judgement.reason == "duplicate_use"
    assert judgement.used_at == NOW
    again.close()


def test_R33_a_lost_list_loses_no_entry(tmp_path: Path) -> None:
    first = Alone.at(tmp_path)
    fill(first.own, told(allowed(token(1))))
    first.admit(token(1))
    first.close()
    (tmp_path / "allowlist.db").write_bytes(b"damaged")

    again = Alone.at(tmp_path)
    again.judge.load(again.clock.now())
    assert again.show(token(1)) is None
    fill(again.own, told(allowed(token(1)), version=2))  # the server knows nothing of it yet

    assert again.show(token(1)).reason == "duplicate_use"  # type: ignore[union-attr]
    again.close()


def test_what_the_list_contains_is_not_counted_twice(tmp_path: Path) -> None:
    book = allowed(token(1), kind="multi", remaining=3)
    first = Alone.at(tmp_path)
    fill(first.own, told(book))
    first.admit(token(1))
    assert first.judge.ledger.answered() == set()
    (op,) = first.store.pending()
    known = book.model_copy(update={"remaining": 2, "last_pass_at": NOW})
    fill(first.own, told(known, version=2, since=1), contained=[op.op_id])
    first.judge.ledger.let_go({op.op_id})
    first.close()

    again = Alone.at(tmp_path)
    again.clock.advance(timedelta(minutes=1))
    again.judge.load(again.clock.now())

    assert again.show(token(1)).decision.remaining == 1  # type: ignore[union-attr]
    again.close()


def test_R51_how_many_are_inside_goes_on_from_what_the_server_said(alone: Alone) -> None:
    zone = SNAPSHOT.zones[0].model_copy(update={"capacity": 12})
    counted = OccupancyView(
        zone_id=zone.zone_id, name="", inside=10, capacity=12, entries=15, exits=5
    )
    answer = told(
        *(allowed(token(number)) for number in range(4)), zones=[zone], occupancy=[counted]
    )
    fill(alone.own, answer)
    alone.judge.refreshed(NOW)
    inside = [alone.admit(token(number), zone.zone_id).inside for number in range(2)]  # type: ignore[union-attr]
    assert inside == [11, 12]

    full = alone.admit(token(2), zone.zone_id)
    alone.admit(token(0), zone.zone_id, direction=Direction.EXIT)

    assert full is not None
    assert full.reason == "zone_full"
    assert alone.judge.inside(zone.zone_id, alone.clock.now()) == 11
    assert alone.admit(token(3), zone.zone_id).decision.passed  # type: ignore[union-attr]
    tomorrow = alone.clock.now() + timedelta(days=1)
    assert alone.judge.inside(zone.zone_id, tomorrow) == 0
    assert alone.judge.inside("elsewhere", alone.clock.now()) is None


# --- tickets of an offline till (R22) ---------------------------------------------------------

SERVER, TILL = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PACKAGE = PackageView(
    package_id="01K9ZZZZZZZZZZZZZZZZZZP001",
    name="10 entries",
    name_th="10 ครั้ง",
    kind=PackageKind.MULTI,
    price=90_000,
    tax_id="vat",
    quota_or_minutes=10,
    valid_days=1,
    zones=["z-ball"],
    visible_on=[],
    active=True,
)
SIGNED = OfflineTicket(
    ticket_id="01K9ZZZZZZZZZZZZZZZZZZT001",
    package_id=PACKAGE.package_id,
    valid_from=NOW - timedelta(hours=1),
    valid_to=NOW + timedelta(days=9),
    issued_at=NOW - timedelta(hours=1),
    serial=1,
    key_id="00000001",
)
CERTIFICATE = sign_certificate(
    SERVER,
    CertificateView(
        key_id="00000001",
        public_key=public_key_text(TILL),
        device_id="till1",
        store_id="st1",
        packages=[PACKAGE.package_id],
        not_before=NOW - timedelta(hours=2),
        not_after=NOW + timedelta(hours=2),
        max_tickets=10,
        max_valid_to=NOW + timedelta(days=10),
        signature="",
    ),
)


def certified(*allow: AllowedTicket, **changes: Any) -> Any:
    policy = GatePolicy(
        anti_passback_s=5, features=Features(), certificate_key=public_key_text(SERVER)
    )
    return told(*allow, certificates=[CERTIFICATE], policy=policy, **changes)


@pytest.fixture
def signed(alone: Alone) -> str:
    alone.store.save_catalog(SNAPSHOT.model_copy(update={"packages": [PACKAGE]}))
    fill(alone.own, certified())
    return mint_pp2(TILL, SIGNED)


def test_R22_a_tills_own_ticket_admits_by_its_signature(alone: Alone, signed: str) -> None:
    judgement = alone.admit(signed, "z-ball")

    assert judgement is not None
    assert (judgement.decision.passed, judgement.decision.remaining) == (True, 9)
    alone.clock.advance(timedelta(minutes=1))
    assert alone.admit(signed, "z-ball").decision.remaining == 8  # type: ignore[union-attr]
    assert alone.show(signed, "z-water").reason == "wrong_device"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"serial": 11}, "invalid_sig"), ({"key_id": "00000002"}, "unknown_ticket")],
    ids=["beyond its certificate", "of a certificate that is not here"],
)
def test_R22_what_no_certificate_covers_is_refused(
    alone: Alone, signed: str, changes: dict[str, Any], reason: str
) -> None:
    judgement = alone.show(mint_pp2(TILL, replace(SIGNED, **changes)), "z-ball")

    assert judgement is not None
    assert judgement.decision.result is RedemptionResult.FAIL
    assert judgement.reason == reason


def test_R22_a_ticket_that_somebody_else_signed_is_refused(alone: Alone, signed: str) -> None:
    forged = mint_pp2(Ed25519PrivateKey.generate(), SIGNED)

    assert alone.show(forged, "z-ball").reason == "invalid_sig"  # type: ignore[union-attr]


def test_R22_the_zones_policy_and_its_72_hours_hold(alone: Alone, signed: str) -> None:
    refuse = SNAPSHOT.zones[0].model_copy(update={"pending": PendingPolicy.REFUSE})
    fill(alone.own, certified(zones=[refuse]))
    waits = alone.show(signed, "z-ball")
    assert waits is not None
    assert waits.reason == "unknown_ticket"
    said = of_judgement(waits, Direction.ENTRY, alone.judge.park_zone).detail_en
    assert "sale of this ticket has not arrived" in said

    later = NOW + timedelta(hours=71)
    fill(alone.own, certified(server_time=later))
    alone.clock.advance(later - NOW - timedelta(seconds=1))
    assert alone.show(signed, "z-ball").decision.passed  # type: ignore[union-attr]
    alone.clock.advance(timedelta(seconds=1))
    assert alone.show(signed, "z-ball").reason == "unknown_ticket"  # type: ignore[union-attr]


def test_R22_what_the_list_says_of_a_signed_ticket_goes_before_its_claims(
    alone: Alone, signed: str
) -> None:
    fill(alone.own, certified(deny=[SIGNED.ticket_id], version=2))
    assert alone.show(signed, "z-ball").reason == "denied"  # type: ignore[union-attr]

    entry = AllowedTicket(
        ticket_id=SIGNED.ticket_id,
        hash=token_hash(signed),
        kind=PackageKind.MULTI,
        remaining=3,
        valid_from=SIGNED.valid_from,
        valid_to=SIGNED.valid_to,
    )
    fill(alone.own, certified(entry, version=3))
    assert alone.show(signed, "z-ball").decision.remaining == 2  # type: ignore[union-attr]


def test_R22_a_listed_ticket_needs_no_certificate_any_more(alone: Alone, signed: str) -> None:
    entry = AllowedTicket(
        ticket_id=SIGNED.ticket_id,
        hash=token_hash(signed),
        kind=PackageKind.MULTI,
        remaining=3,
        valid_from=SIGNED.valid_from,
        valid_to=SIGNED.valid_to,
    )
    fill(alone.own, told(entry, version=2))
    assert alone.show(signed, "z-ball").decision.passed  # type: ignore[union-attr]


def test_R22_a_package_that_this_gate_has_not_heard_of_waits_for_the_server(
    alone: Alone, signed: str
) -> None:
    alone.store.save_catalog(SNAPSHOT)

    assert alone.show(signed, "z-ball") is None
