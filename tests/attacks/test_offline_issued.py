"""Attack 19: tickets signed by a till's key beyond what the server allowed that till (R22)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from playpark.contracts.gate import CertificateView
from playpark.ids import new_ulid
from playpark.offline_tickets import (
    OfflineTicket,
    base45_decode,
    base45_encode,
    mint_pp2,
    public_key_text,
)
from tests.api.drawers import applied, approve, op, tell
from tests.api.giving_back import refund
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.outside import CASHIER, Outsider

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
PRICE = 4_000
INVALID = ("fail", "invalid_sig")
BATCH = 50


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_offline_issued") as park:
        yield park


@dataclass
class Thief:
    """Somebody with a till's key: signs what they like. `gate` is an honest one."""

    park: OwnPark
    till: Outsider
    gate: Outsider
    owner: Outsider
    key: Ed25519PrivateKey
    certificate: CertificateView
    package: str
    employee: str
    serial: int = 0

    def ticket(self, **claims: Any) -> OfflineTicket:
        """A ticket as the certificate allows it, but for these claims."""
        self.serial += 1
        now = datetime.now(UTC).replace(microsecond=0)
        told = OfflineTicket(
            ticket_id=new_ulid(),
            package_id=self.package,
            valid_from=now - DAY,
            valid_to=min(now + DAY, self.certificate.max_valid_to),
            issued_at=now,
            serial=self.serial,
            key_id=self.certificate.key_id,
        )
        return replace(told, **claims)

    def over(self, sold: dict[str, Any]) -> OfflineTicket:
        """A ticket over the id of one that was sold, with all that the sale says of it."""
        begins, ends = (datetime.fromisoformat(sold[name]) for name in ("valid_from", "valid_to"))
        return self.ticket(ticket_id=sold["ticket_id"], valid_from=begins, valid_to=ends)

    def token(self, ticket: OfflineTicket) -> str:
        return mint_pp2(self.key, ticket)

    async def shows(self, *tokens: str) -> list[tuple[str, str | None]]:
        """(result, reason) of each, through the gate's batch."""
        found: list[tuple[str, str | None]] = []
        for at in range(0, len(tokens), BATCH):
            ops = [
                op("redemption", {"qr_token": token}, committed=False)
                for token in tokens[at : at + BATCH]
            ]
            answers = await applied(self.gate, *ops)
            found += [(answer["result"], answer["reason"]) for answer in answers]
        return found

    async def sells(
        self, ticket: OfflineTicket, till: Outsider | None = None, *, printed: bool = True
    ) -> dict[str, Any]:
        """A till's sale of this ticket arrives, with what it has `printed` of it by itself."""
        body = {
            "lines": [{"package_id": self.package, "qty": 1}],
            "payments": [{"method": "cash", "amount": PRICE}],
            "ticket_ids": [[ticket.ticket_id]],
        }
        told = {"local": {"printed": True, "tokens": [[self.token(ticket)]]}} if printed else {}
        sale = op("sale", body, employee_id=self.employee, **told)
        (answer,) = await applied(till or self.till, sale)
        return answer

    def rows(self, **which: Any) -> int:
        found: int = self.park.mongo.tickets.count_documents(which)
        return found

    def redemptions(self) -> int:
        found: int = self.park.mongo.redemptions.count_documents({})
        return found


@pytest.fixture
async def thief(park: OwnPark) -> AsyncIterator[Thief]:
    async with AsyncExitStack() as stack:
        till = await stack.enter_async_context(park.connect("POS", **CASHIER))
        gate = await stack.enter_async_context(park.connect("GATE"))
        owner = await stack.enter_async_context(park.connect("ADMIN", **OWNER))
        await till.open_shift()
        key = Ed25519PrivateKey.generate()
        body = {"public_key": public_key_text(key)}
        certificate = await tell(till, "POST", "/devices/me/certificate", body)
        package = (await till.packages())["Carousel ride"]["package_id"]
        employee = (await tell(till, "GET", "/employees/me"))["employee_id"]
        bounds = CertificateView.model_validate(certificate)
        yield Thief(park, till, gate, owner, key, bounds, package, employee)


async def test_attack_19_a_ticket_within_its_grant_passes(thief: Thief) -> None:
    assert await thief.shows(thief.token(thief.ticket())) == [("pass", None)]


async def test_attack_19_beyond_the_grant_nothing_admits_and_every_try_is_written_down(
    thief: Thief,
) -> None:
    bounds = thief.certificate
    beyond: list[dict[str, Any]] = [
        {"serial": bounds.max_tickets + 1},
        {"valid_to": bounds.max_valid_to + SECOND},
        {"package_id": new_ulid()},
        {"issued_at": bounds.not_before - SECOND},
        {"issued_at": bounds.not_after + SECOND},
        {"key_id": "00000000"},
    ]
    tickets = [thief.ticket(**claims) for claims in beyond]
    before = thief.redemptions()
    assert await thief.shows(*(thief.token(each) for each in tickets)) == [INVALID] * len(beyond)
    assert thief.redemptions() == before + len(beyond)
    assert thief.rows(ticket_id={"$in": [each.ticket_id for each in tickets]}) == 0


async def test_attack_19_a_sale_brings_none_of_it_to_life(thief: Thief) -> None:
    ticket = thief.ticket(serial=thief.certificate.max_tickets + 1)
    answer = await thief.sells(ticket)
    assert answer["sale"]["flags"] == ["offline_token_invalid"]
    assert await thief.shows(thief.token(ticket)) == [INVALID]


async def test_attack_19_after_the_till_is_revoked_its_key_signs_nothing(thief: Thief) -> None:
    honest = thief.ticket()
    device_id = thief.till.device["device_id"]
    await tell(thief.owner, "POST", f"/devices/{device_id}/revoke", {})
    stored = thief.park.mongo.certificates.find_one({"key_id": thief.certificate.key_id})
    later = stored["not_after"].replace(microsecond=0) + SECOND
    after = [thief.ticket(issued_at=later), thief.ticket(issued_at=later + DAY)]
    tokens = [thief.token(each) for each in (honest, *after)]
    assert await thief.shows(*tokens) == [("pass", None), INVALID, INVALID]


async def test_attack_19_every_byte_that_is_changed_makes_it_invalid(thief: Thief) -> None:
    token = thief.token(thief.ticket())
    raw = base45_decode(token.removeprefix("PP2.")) or b""
    changed = [raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :] for at in range(len(raw))]
    before = thief.rows()
    tokens = [f"PP2.{base45_encode(each)}" for each in changed]
    assert set(await thief.shows(*tokens)) == {INVALID}
    assert thief.rows() == before
    assert await thief.shows(token) == [("pass", None)]


async def test_attack_19_what_only_looks_like_one_is_invalid(thief: Thief) -> None:
    token = thief.token(thief.ticket())
    odd = [
        *("PP2.", "PP2." + "0" * 174, "PP2." + ":" * 174, "PP2." + " " * 174),
        *(token[:-1], token + "0", token.lower(), token.replace("PP2.", "PP1."), f" {token}"),
        *(f"PP2.{'ก' * 174}", "PP2." + "A" * 490, token[:100], token[4:]),
    ]
    assert set(await thief.shows(*odd)) == {INVALID}


async def test_attack_19_another_key_and_another_parks_till_sign_nothing_here(
    thief: Thief, park: OwnPark
) -> None:
    own = thief.ticket()
    other = Ed25519PrivateKey.generate()
    async with park.connect("POS", "DEMO-OTHER-PARK") as foreign:
        body = {"public_key": public_key_text(thief.key)}
        theirs = await tell(foreign, "POST", "/devices/me/certificate", body)
    abroad = thief.ticket(key_id=theirs["key_id"])
    tokens = [mint_pp2(other, own), thief.token(abroad)]
    assert await thief.shows(*tokens) == [INVALID, INVALID]
    async with park.connect("GATE", "DEMO-OTHER-PARK") as gate:
        assert await replace(thief, gate=gate).shows(thief.token(own)) == [INVALID]


async def test_attack_19_one_serial_shown_as_many_tickets_at_once_admits_one(
    thief: Thief, park: OwnPark
) -> None:
    first = thief.ticket()
    copies = [thief.token(replace(first, ticket_id=new_ulid())) for _ in range(12)]
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(park.connect("GATE")) for _ in range(4)]
        answers = await asyncio.gather(
            *(
                replace(thief, gate=gate).shows(*copies[at::4], *copies[:3])
                for at, gate in enumerate(gates)
            )
        )
    flat = [answer for each in answers for answer in each]
    assert flat.count(("pass", None)) == 1
    assert set(flat) <= {("pass", None), INVALID, ("fail", "duplicate_use")}
    assert thief.rows(kid=first.key_id, serial=first.serial) == 1


async def test_attack_20_an_unknown_ticket_at_many_gates_at_once_admits_once(
    thief: Thief, park: OwnPark
) -> None:
    token = thief.token(thief.ticket())
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(park.connect("GATE")) for _ in range(5)]
        answers = await asyncio.gather(
            *(replace(thief, gate=gate).shows(*[token] * 10) for gate in gates)
        )
    flat = [answer for each in answers for answer in each]
    assert flat.count(("pass", None)) == 1
    assert set(flat) == {("pass", None), ("fail", "duplicate_use")}


async def test_attack_19_a_stolen_key_takes_over_no_ticket_that_its_till_did_not_print(
    thief: Thief, park: OwnPark
) -> None:
    """The server's own ticket keeps its token and its state, whatever the key signs over its id."""
    async with park.connect("POS", **CASHIER) as other:
        await other.open_shift()
        sold = {}
        for name in (
            *("control", "another till's", "used", "refunded", "cancelled", "exchanged"),
            *("reprinted", "serial", "package", "longer", "earlier"),
        ):
            seller = other if name == "another till's" else None
            answer = await thief.sells(thief.ticket(), seller, printed=False)
            sold[name] = (answer["sale"]["sale_id"], answer["tickets"][0])
    forged = {name: thief.over(ticket) for name, (_, ticket) in sold.items()}
    assert await thief.shows(sold["used"][1]["qr_token"]) == [("pass", None)]
    sale_id, _ = sold["refunded"]
    assert (await refund(thief.till, sale_id))[0] == 200
    for name, path, action in (
        ("cancelled", "/tickets/cancel", "ticket_cancel"),
        ("exchanged", "/tickets/exchange", "exchange"),
        ("reprinted", "/reprints", "reprint"),
    ):
        sale_id, ticket = sold[name]
        which = {"sale_id": sale_id} if name == "reprinted" else {"ticket_id": ticket["ticket_id"]}
        entity = next(iter(which.values()))
        approval = await approve(thief.till, action, entity)
        body = {**which, "reason_code": "customer_request"}
        await tell(thief.till, "POST", path, body, approval=approval)
    taken = thief.ticket()
    assert await thief.shows(thief.token(taken)) == [("pass", None)]
    others = [each for each in thief.certificate.packages if each != thief.package]
    forged |= {
        "serial": replace(forged["serial"], serial=taken.serial),
        "package": replace(forged["package"], package_id=others[0]),
        "longer": replace(forged["longer"], valid_to=forged["longer"].valid_to + SECOND),
        "earlier": replace(forged["earlier"], valid_from=forged["earlier"].valid_from - DAY),
    }
    control = thief.token(forged.pop("control"))
    ids = {"ticket_id": {"$in": [each.ticket_id for each in forged.values()]}}
    before = [*park.mongo.tickets.find(ids).sort("_id")]
    shown = await thief.shows(*(thief.token(each) for each in forged.values()))
    assert dict(zip(forged, shown, strict=True)) == dict.fromkeys(forged, INVALID)
    assert [*park.mongo.tickets.find(ids).sort("_id")] == before
    assert await thief.shows(control) == [("pass", None)]
