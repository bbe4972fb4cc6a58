"""R20, R23: the list has a ticket under the token of the server, and its guest holds what the till
has printed by itself: one ticket, whichever of the two is shown."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from playpark.clock import FixedClock
from playpark.contracts.catalog import PackageKind, PackageView
from playpark.contracts.gate import AllowedTicket
from playpark.contracts.tickets import Direction
from playpark.ids import new_ulid
from playpark.offline_tickets import OfflineTicket, mint_pp2
from playpark.tokens import mint_pp1, token_hash
from tests.gate.lists import fill, told
from tests.gate.park import NOW, SNAPSHOT
from tests.gate.test_deciding import KEYS, PACKAGE, SIGNED, TILL, Alone, certified

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
KIND = {
    PackageKind.SINGLE: 1,
    PackageKind.MULTI: 3,
    PackageKind.TIMEPASS: 60,
}
"""What one ticket of each kind is worth here."""
_versions = count(2)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    alone = Alone.at(tmp_path_factory.mktemp("gate"))
    yield alone
    alone.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    opened = Alone.at(tmp_path)
    opened.store.save_catalog(SNAPSHOT.model_copy(update={"packages": [PACKAGE]}))
    yield opened
    opened.close()


def server_token(ticket: OfflineTicket) -> str:
    return mint_pp1(KEYS, "A0", "t1", ticket.ticket_id)


def entry(ticket: OfflineTicket, text: str, **changes: Any) -> AllowedTicket:
    """The ticket as the list has it, under this token."""
    facts: dict[str, Any] = {
        "ticket_id": ticket.ticket_id,
        "hash": token_hash(text),
        "kind": PackageKind.MULTI,
        "remaining": 3,
        "valid_from": ticket.valid_from,
        "valid_to": ticket.valid_to,
    }
    return AllowedTicket(**facts | changes)


def reason(alone: Alone, text: str) -> str | None:
    judgement = alone.show(text, "z-ball")
    assert judgement is not None
    return judgement.reason


def test_R23_the_paper_of_the_till_is_judged_by_what_the_list_says_of_the_ticket(
    alone: Alone,
) -> None:
    fill(alone.own, certified(entry(SIGNED, server_token(SIGNED)), version=2))
    judgement = alone.admit(mint_pp2(TILL, SIGNED), "z-ball")
    assert judgement is not None
    # Ten stand in the catalogue; the list knows what was sold.
    assert (judgement.decision.passed, judgement.decision.remaining) == (True, 2)
    alone.clock.advance(MINUTE)
    assert alone.admit(server_token(SIGNED), "z-ball").decision.remaining == 1  # type: ignore[union-attr]
    alone.clock.advance(MINUTE)
    assert alone.admit(mint_pp2(TILL, SIGNED), "z-ball").decision.remaining == 0  # type: ignore[union-attr]
    alone.clock.advance(MINUTE)
    assert reason(alone, mint_pp2(TILL, SIGNED)) == "exhausted"
    assert reason(alone, server_token(SIGNED)) == "exhausted"


@pytest.mark.parametrize(
    "listed",
    [
        {"last_pass_at": NOW - timedelta(hours=1)},
        {"kind": PackageKind.TIMEPASS, "ends_at": NOW + timedelta(hours=1)},
        {"valid_to": SIGNED.valid_to + SECOND},
        {"valid_from": SIGNED.valid_from - SECOND},
        {"status": "pending", "issued_at": NOW},
    ],
    ids=["used", "begun", "longer", "earlier", "another till's paper"],
)
def test_R23_a_ticket_with_which_something_has_happened_is_under_its_own_token(
    alone: Alone, listed: dict[str, Any]
) -> None:
    fill(alone.own, certified(entry(SIGNED, server_token(SIGNED), **listed), version=2))
    assert reason(alone, mint_pp2(TILL, SIGNED)) == "invalid_sig"


def test_R22_without_a_certificate_of_the_store_nothing_stands_for_a_listed_ticket(
    alone: Alone,
) -> None:
    listed = entry(SIGNED, server_token(SIGNED))
    fill(alone.own, certified(listed, version=2))
    forged = mint_pp2(Ed25519PrivateKey.generate(), SIGNED)
    beyond = mint_pp2(TILL, replace(SIGNED, serial=11))
    assert {reason(alone, text) for text in (forged, beyond)} == {"invalid_sig"}
    fill(alone.own, told(listed, version=3))
    assert reason(alone, mint_pp2(TILL, SIGNED)) == "unknown_ticket"


def test_R22_a_denied_ticket_admits_by_no_token(alone: Alone) -> None:
    fill(alone.own, certified(deny=[SIGNED.ticket_id], version=2))
    for text in (mint_pp2(TILL, SIGNED), server_token(SIGNED)):
        assert reason(alone, text) == "denied"


showings = st.lists(
    st.tuples(
        st.sampled_from(["pp1", "pp2", "pp2 again", "list", "exit"]),
        st.sampled_from([0, 3, 6, 90]),
    ),
    max_size=14,
)


@given(
    steps=showings,
    kind=st.sampled_from([PackageKind.SINGLE, PackageKind.MULTI]),
    first=st.sampled_from(["pp1", "pp2", None]),
)
def test_R20_no_order_of_the_two_tokens_admits_more_than_was_sold(
    kept: Alone, steps: list[tuple[str, int]], kind: PackageKind, first: str | None
) -> None:
    """The list has the ticket under either token or not at all, and may hear of it on the way."""
    package = PackageView(
        **PACKAGE.model_dump() | {"kind": kind, "quota_or_minutes": KIND[kind], "zones": []}
    )
    kept.store.save_catalog(SNAPSHOT.model_copy(update={"packages": [package]}))
    kept.clock = FixedClock(NOW)
    ticket = replace(SIGNED, ticket_id=new_ulid())
    texts = {
        "pp1": server_token(ticket),
        "pp2": mint_pp2(TILL, ticket),
        "pp2 again": mint_pp2(TILL, replace(ticket, serial=2)),
    }
    worth = {"kind": kind, "remaining": KIND[kind]}

    def hears(token: str | None) -> None:
        listed = [entry(ticket, texts[token], **worth)] if token else []
        now = kept.clock.now()
        told_ = certified(*listed, version=next(_versions), server_time=now)
        fill(kept.own, told_)

    hears(first)
    passed = 0
    for step, seconds in steps:
        kept.clock.advance(timedelta(seconds=seconds))
        if step == "list":
            hears("pp2" if passed else "pp1")
            continue
        if step == "exit":
            kept.admit(texts["pp2"], "z-ball", direction=Direction.EXIT)
            continue
        judgement = kept.admit(texts[step], "z-ball")
        passed += judgement is not None and judgement.decision.passed
    assert passed <= KIND[kind]
    assert passed == len(
        [each for each in kept.judge.ledger.of(ticket.ticket_id) if each.direction == "entry"]
    )
