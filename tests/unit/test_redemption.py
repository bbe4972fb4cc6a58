"""R18–R20: the pure decision, and that the database's condition is the same rule."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.platform.mongo import Mongo
from api.platform.uow import Work
from api.tickets.models import Ticket
from api.tickets.repository import Seen, TicketRepository
from playpark.cash import DrawerTotals, expected_cash
from playpark.clock import park_zone
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, TicketStatus
from playpark.guest_text import guest_message
from playpark.ids import new_ulid
from playpark.redemption import (
    PENDING_LASTS,
    Scan,
    SigningKey,
    TicketState,
    decide,
    is_inside,
    remaining,
)

AT = datetime(2026, 11, 21, 5, tzinfo=UTC)
KINDS = list(PackageKind)
seconds = st.sampled_from([-100_000, -3600, -6, -5, -4, -1, 0, 1, 5, 3600, 100_000])
moments = seconds.map(lambda offset: AT + timedelta(seconds=offset))

states = st.builds(
    TicketState,
    kind=st.sampled_from(KINDS),
    quota=st.integers(0, 3),
    used=st.integers(0, 3),
    valid_from=moments,
    valid_to=moments,
    status=st.sampled_from(TicketStatus),
    zones=st.sampled_from([(), ("z1",), ("z1", "z2")]),
    allowed_devices=st.sampled_from([(), ("d1",), ("d2",)]),
    last_pass_at=st.none() | moments,
    ends_at=st.none() | moments,
    kid=st.sampled_from(["01", "A0"]),
    issued_at=moments,
    inside=st.sampled_from([(), ("z1",), ("",), ("z3", "z1")]),
)
YESTERDAY = AT - timedelta(days=1)
LATE = AT - PENDING_LASTS
about_late = st.sampled_from([-1, 0, 1]).map(lambda ms: LATE + timedelta(milliseconds=ms))
# Nothing but the quota, the clock and the last showing speaks against these.
likely = st.builds(
    TicketState,
    kind=st.sampled_from(KINDS),
    quota=st.integers(1, 3),
    used=st.integers(0, 2),
    valid_from=st.just(YESTERDAY) | st.just(AT),
    valid_to=st.just(AT + timedelta(days=1)),
    last_pass_at=st.none() | st.sampled_from([4, 5, 6]).map(lambda s: AT - timedelta(seconds=s)),
    ends_at=st.none() | st.sampled_from([0, 1]).map(lambda s: AT + timedelta(seconds=s)),
    status=st.sampled_from([TicketStatus.ACTIVE, TicketStatus.ACTIVE, TicketStatus.PENDING]),
    kid=st.just("01"),
    issued_at=st.just(YESTERDAY) | about_late,
    inside=st.sampled_from([(), ("z1",), ("",), ("z3", "z1")]),
)
ends = st.sampled_from([-1, 0, 1]).map(lambda ms: YESTERDAY + timedelta(milliseconds=ms))
keys = st.builds(
    SigningKey, kid=st.sampled_from(["01", "01", "A0"]), not_after=st.none() | ends | moments
)
scans = st.builds(
    Scan,
    at=st.just(AT),
    direction=st.just(Direction.ENTRY),
    zone_id=st.sampled_from([None, "z1", "z3"]),
    device_id=st.just("d1"),
    credit_price=st.sampled_from([None, 0, 1, 2]),
    key=st.none() | keys,
    binding=st.booleans(),
    reentry_needs_exit=st.booleans(),
    pending_admits=st.sampled_from([True, True, False]),
    full=st.sampled_from([False] * 7 + [True]),
    day_start=st.none() | st.sampled_from([0, 4, 5, 6]).map(lambda s: AT - timedelta(seconds=s)),
)


@given(states, scans)
def test_R20_a_pass_never_spends_more_than_is_left(ticket: TicketState, scan: Scan) -> None:
    decision = decide(ticket, scan)
    if not decision.passed:
        assert (decision.spend, decision.ends_at) == (0, None)
        assert decision.reason is not None
        return
    assert ticket.status is TicketStatus.ACTIVE or scan.pending_admits
    assert ticket.status in {TicketStatus.ACTIVE, TicketStatus.PENDING}
    assert not scan.full
    assert not (scan.reentry_needs_exit and is_inside(ticket, scan))
    assert ticket.valid_from <= scan.at < ticket.valid_to
    if ticket.kind is PackageKind.TIMEPASS:
        assert decision.ends_at is not None
        assert decision.ends_at >= scan.at
        assert decision.spend == 0
    else:
        assert ticket.used + decision.spend <= ticket.quota
        assert decision.remaining == ticket.quota - ticket.used - decision.spend


@given(states, scans)
def test_R51_an_exit_is_never_refused(ticket: TicketState, scan: Scan) -> None:
    leaving = Scan(at=scan.at, direction=Direction.EXIT, zone_id=scan.zone_id)
    decision = decide(ticket, leaving)
    assert decision.passed
    assert decision.spend == 0
    assert decision.remaining == remaining(ticket, scan.at)


@pytest.mark.parametrize("status", [TicketStatus.ACTIVE, TicketStatus.REFUNDED])
def test_R19_the_first_reason_in_order_is_told(status: TicketStatus) -> None:
    ticket = TicketState(
        kind=PackageKind.SINGLE,
        quota=1,
        used=1,
        valid_from=AT - timedelta(days=2),
        valid_to=AT - timedelta(days=1),
        status=status,
        zones=("elsewhere",),
    )
    assert decide(ticket, Scan(at=AT, zone_id="here")).reason is FailReason.EXPIRED
    assert decide(None, Scan(at=AT)).reason is FailReason.UNKNOWN_TICKET


@pytest.mark.parametrize("kind", [PackageKind.SINGLE, PackageKind.MULTI, PackageKind.TIMEPASS])
def test_R22_a_ticket_whose_sale_has_not_come_is_waited_for_72_hours(kind: PackageKind) -> None:
    ticket = TicketState(
        kind=kind,
        quota=1,
        used=0,
        valid_from=AT,
        valid_to=AT + timedelta(days=30),
        status=TicketStatus.PENDING,
        issued_at=AT,
    )
    last = AT + timedelta(hours=72)
    assert decide(ticket, Scan(at=last - timedelta(milliseconds=1))).passed
    assert decide(ticket, Scan(at=last)).reason is FailReason.UNKNOWN_TICKET
    assert decide(ticket, Scan(at=AT, pending_admits=False)).reason is FailReason.UNKNOWN_TICKET
    assert decide(ticket, Scan(at=last, direction=Direction.EXIT)).passed


def test_R51_a_guest_who_is_inside_comes_in_again_after_an_exit_or_on_another_day() -> None:
    entered = TicketState(
        kind=PackageKind.MULTI,
        quota=10,
        used=1,
        valid_from=AT,
        valid_to=AT + timedelta(days=30),
        last_pass_at=AT,
        inside=("ball",),
    )
    later = Scan(at=AT + timedelta(hours=1), zone_id="ball", reentry_needs_exit=True, day_start=AT)
    assert decide(entered, later).reason is FailReason.DUPLICATE_USE
    assert decide(entered, replace(later, reentry_needs_exit=False)).passed
    assert decide(entered, replace(later, zone_id="water")).passed
    assert decide(replace(entered, inside=()), later).passed
    assert decide(entered, replace(later, day_start=AT + timedelta(milliseconds=1))).passed


def test_R51_a_full_zone_is_the_last_thing_that_is_told() -> None:
    spent = TicketState(
        kind=PackageKind.MULTI,
        quota=1,
        used=1,
        valid_from=AT,
        valid_to=AT + timedelta(days=1),
    )
    assert decide(spent, Scan(at=AT, full=True)).reason is FailReason.EXHAUSTED
    assert decide(replace(spent, used=0), Scan(at=AT, full=True)).reason is FailReason.ZONE_FULL


@given(states, scans)
def test_R21_a_token_of_a_key_that_had_ended_is_no_ticket_of_ours(
    ticket: TicketState, scan: Scan
) -> None:
    decision = decide(ticket, scan)
    key, issued_at = scan.key, ticket.issued_at
    assert issued_at is not None
    late = key is not None and key.not_after is not None and issued_at > key.not_after
    foreign = key is not None and key.kid != ticket.kid
    assert (decision.reason is FailReason.INVALID_SIG) == (late or foreign)
    if late or foreign:
        assert (decision.remaining, decision.spend) == (None, 0)


@given(states, scans)
def test_R40_without_gate_binding_only_a_place_that_takes_no_credit_is_wrong(
    ticket: TicketState, scan: Scan
) -> None:
    decision = decide(ticket, replace(scan, binding=False))
    if decision.reason is FailReason.WRONG_DEVICE:
        assert (ticket.kind, scan.credit_price) == (PackageKind.CREDIT, None)


def test_a_timepass_starts_with_its_first_pass_and_ends_with_its_minutes() -> None:
    fresh = TicketState(
        kind=PackageKind.TIMEPASS,
        quota=120,
        used=0,
        valid_from=AT,
        valid_to=AT + timedelta(days=1),
    )
    first = decide(fresh, Scan(at=AT))
    assert (first.remaining, first.ends_at) == (120, AT + timedelta(minutes=120))
    running = TicketState(
        kind=PackageKind.TIMEPASS,
        quota=120,
        used=0,
        valid_from=AT,
        valid_to=AT + timedelta(days=1),
        ends_at=first.ends_at,
        last_pass_at=AT,
    )
    assert decide(running, Scan(at=AT + timedelta(minutes=119, seconds=1))).remaining == 1
    assert decide(running, Scan(at=AT + timedelta(minutes=120))).reason is FailReason.EXHAUSTED


@given(states, scans)
def test_every_answer_has_words_in_both_languages(ticket: TicketState, scan: Scan) -> None:
    decision = decide(ticket, scan)
    zone = park_zone("Asia/Bangkok")
    english, thai = guest_message(decision, ticket.kind, zone=zone, used_at=ticket.last_pass_at)
    assert english.endswith((".", "!"))
    assert "{" not in english + thai
    assert any("฀" <= char <= "๿" for char in thai)


@given(*[st.integers(0, 10**9)] * 6)
def test_R27_expected_cash(a: int, b: int, c: int, d: int, e: int, f: int) -> None:
    assert expected_cash(DrawerTotals(a, b, c, d, e, f)) == a + b + c - d - e - f


# --- the database's words for the same rule ---------------------------------------------


@pytest.fixture
async def tickets(mongo_uri: str, database: str) -> AsyncIterator[TicketRepository]:
    mongo = Mongo(mongo_uri, f"{database}_redemption")
    yield TicketRepository(Work(mongo, AT), "t", "s")
    await mongo.client.drop_database(f"{database}_redemption")
    mongo.close()


async def test_R20_the_conditional_update_admits_exactly_what_the_rule_admits(
    tickets: TicketRepository,
) -> None:
    cases: list[tuple[TicketState, Scan]] = []

    # 55 lists of 50, and in full 1,050: each case is three round trips.
    @settings(max_examples=settings.default.max_examples // 20 + 50)
    @given(st.lists(st.tuples(states | likely, scans), min_size=50, max_size=50))
    def collect(drawn: list[tuple[TicketState, Scan]]) -> None:
        cases.extend(drawn)

    collect()
    documents = await insert(tickets, [state for state, _ in cases])
    passed = 0
    for document, (state, scan) in zip(documents, cases, strict=True):
        before = await tickets.spend(scan, _id=document.id)
        decision = decide(state, scan)
        assert (before is not None) == decision.passed, (state, scan)
        after = await tickets.find_one(_id=document.id)
        assert after is not None
        assert after.used == state.used + decision.spend
        if decision.passed:
            passed += 1
            assert after.last_pass_at == scan.at
            expected = decision.ends_at if state.kind is PackageKind.TIMEPASS else state.ends_at
            assert after.ends_at == expected
            stays = state.inside if was_in_today(state, scan) else ()
            assert set(after.inside) == {*stays, scan.place}
    assert passed > 300


async def test_R51_the_database_lets_everybody_out_whom_the_rule_lets_out(
    tickets: TicketRepository,
) -> None:
    cases: list[tuple[TicketState, Scan]] = []

    @settings(max_examples=settings.default.max_examples // 20 + 5)
    @given(st.lists(st.tuples(states | likely, scans), min_size=50, max_size=50))
    def collect(drawn: list[tuple[TicketState, Scan]]) -> None:
        cases.extend((state, replace(scan, direction=Direction.EXIT)) for state, scan in drawn)

    collect()
    documents = await insert(tickets, [state for state, _ in cases])
    left = 0
    for document, (state, scan) in zip(documents, cases, strict=True):
        before = await tickets.leave(scan, _id=document.id)
        assert (before is not None) == decide(state, scan).passed, (state, scan)
        after = await tickets.find_one(_id=document.id)
        assert after is not None
        assert (after.used, after.ends_at, after.last_pass_at) == (
            *(state.used, state.ends_at),
            state.last_pass_at,
        )
        if before is not None:
            left += 1
            stays = state.inside if was_in_today(state, scan) else ()
            assert set(after.inside) == {*stays} - {scan.place}
    assert left > 300


def was_in_today(state: TicketState, scan: Scan) -> bool:
    if scan.day_start is None:
        return True
    return state.last_pass_at is not None and state.last_pass_at >= scan.day_start


async def insert(tickets: TicketRepository, states: list[TicketState]) -> list[Ticket]:
    """Store them as of the moments of their issue, and read each of them in both ways."""
    documents = [stored(tickets, state) for state in states]
    for issued_at in {state.issued_at for state in states}:
        assert issued_at is not None
        then = TicketRepository(Work(tickets.work.mongo, issued_at), "t", "s")
        pairs = zip(documents, states, strict=True)
        await then.insert_many([each for each, s in pairs if s.issued_at == issued_at])
    pending = {"status": TicketStatus.PENDING.value}
    await tickets.update_many({"$set": {"created_at": AT}}, **pending)
    for document, state in zip(documents[:200], states, strict=False):
        seen = await tickets.look(_id=document.id)
        found = await tickets.find_one(_id=document.id)
        assert seen is not None
        assert found is not None
        assert seen == Seen(found.ticket_id, found.package_name, found.package_name_th, state)
        assert found.state == state
    return documents


def stored(tickets: TicketRepository, state: TicketState) -> Ticket:
    ticket_id = new_ulid()
    return Ticket(
        id=tickets.key(ticket_id),
        tenant_id="t",
        store_id="s",
        ticket_id=ticket_id,
        sale_id="sale",
        position=0,
        shift_id=None,
        device_id="d1",
        issued_by=None,
        package_id="p",
        package_name="p",
        package_name_th="p",
        kind=state.kind,
        quota_or_minutes=state.quota,
        used=state.used,
        short_code=ticket_id,
        kid=state.kid,
        token_hash=ticket_id,
        status=state.status,
        valid_from=state.valid_from,
        valid_to=state.valid_to,
        zones=list(state.zones),
        allowed_devices=list(state.allowed_devices),
        slice={"payable": 0},
        last_pass_at=state.last_pass_at,
        ends_at=state.ends_at,
        inside=list(state.inside),
        issued_at=state.issued_at if state.status is TicketStatus.PENDING else None,
    )
