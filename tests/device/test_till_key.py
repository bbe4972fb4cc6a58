"""The till's key, its certificate and what it signs (R22, R34)."""

import json
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.gate import CertificateIn, CertificateView
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import DeviceCaps, DeviceType, OfflineCap
from playpark.device import Allocator, DeviceStore
from playpark.device.safe import GivenSecret, find_safe
from playpark.device.till_key import (
    ASK_AGAIN,
    OfflineTickets,
    Wanted,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.offline_tickets import parse_pp2, verify_pp2
from tests.device.conftest import IDENTITY, NOW
from tests.terminal.park import CATALOG

SAFE = GivenSecret("a secret of this till's environment")
HOUR = timedelta(hours=1)
PACKAGE = "01HZZZZZZZZZZZZZZZZZZZZZZA"
TICKET = Wanted(
    ticket_id="01HZZZZZZZZZZZZZZZZZZZZZZZ",
    package_id=PACKAGE,
    valid_from=NOW - 8 * HOUR,
    valid_to=NOW + 16 * HOUR,
)


class Vouching:
    """A server that gives certificates: `refuses` answers that error instead, `away` nothing."""

    def __init__(self) -> None:
        self.asked: list[CertificateIn] = []
        self.packages = [PACKAGE]
        self.max_tickets = 100
        self.clock = FixedClock(NOW)
        self.refuses: str | None = None
        self.away = False

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("unplugged", request=request)
        assert request.url.path == "/v1/devices/me/certificate"
        body = CertificateIn.model_validate_json(request.content)
        self.asked.append(body)
        now = self.clock.now()
        if self.refuses:
            error = {"code": self.refuses, "message": "no", "details": None}
            return _enveloped(403, None, error)
        certificate = CertificateView(
            key_id=f"AAAAAA{len(self.asked):02d}",
            public_key=str(body.public_key),
            device_id=IDENTITY.device_id,
            store_id="st1",
            packages=self.packages,
            not_before=now,
            not_after=now + 72 * HOUR,
            max_tickets=self.max_tickets,
            max_valid_to=now + 96 * HOUR,
            signature="",
        )
        return _enveloped(200, certificate.model_dump(mode="json"), None)


def _enveloped(status: int, data: Any, error: Any) -> httpx.Response:
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": error}
    return httpx.Response(status, json=body)


@pytest.fixture
def server() -> Vouching:
    return Vouching()


def sign(store: DeviceStore, tickets: OfflineTickets, *wanted: Wanted, at: Any = NOW) -> list[str]:
    """Sign within an operation, as a sale would."""
    tokens: list[str] = []

    def body(allocator: Allocator) -> dict[str, Any]:
        tokens.extend(tickets.sign(allocator, wanted, at))
        return {"tokens": tokens}

    store.append(OpKind.SALE, body, occurred_at=at)
    return tokens


def serials(tokens: list[str]) -> list[int]:
    signed = [parse_pp2(token) for token in tokens]
    return [each.ticket.serial for each in signed if each is not None]


# --- the key ----------------------------------------------------------------------------


def test_R34_the_private_key_stands_on_the_disk_encrypted_only(store: DeviceStore) -> None:
    tickets = OfflineTickets(store, SAFE)
    public_key = tickets.public_key()
    key = tickets._key()
    kept = store.signing.key
    assert key is not None
    assert kept is not None
    assert kept.public_key == public_key
    raw = key.private_bytes_raw()
    files = b"".join(path.read_bytes() for path in Path(store.folder).iterdir() if path.is_file())
    for spelt in (raw, raw.hex().encode(), json.dumps(raw.hex()).encode(), SAFE.value.encode()):
        assert spelt not in files
    assert public_key is not None
    assert public_key.encode() in files
    assert kept.sealed not in repr(kept)


def test_R34_the_key_is_the_same_after_a_restart(store: DeviceStore) -> None:
    first = OfflineTickets(store, SAFE).public_key()
    assert first is not None
    assert OfflineTickets(store, SAFE).public_key() == first


def test_R34_without_a_secret_there_is_no_key(store: DeviceStore) -> None:
    assert OfflineTickets(store, None).public_key() is None
    assert store.signing.key is None


def test_R34_a_key_that_another_secret_has_sealed_is_replaced(store: DeviceStore) -> None:
    first = OfflineTickets(store, SAFE).public_key()
    other = OfflineTickets(store, GivenSecret("another secret of the environment, as long"))
    assert other.public_key() not in {first, None}


async def test_R34_a_wrong_secret_signs_nothing_and_spoils_nothing(
    store: DeviceStore, server: Vouching
) -> None:
    tickets = OfflineTickets(store, SAFE)
    await tickets.renew(server.client(), NOW)
    for safe in (None, GivenSecret("another secret of the environment, as long")):
        with pytest.raises(PlayParkError, match="no certificate"):
            sign(store, OfflineTickets(store, safe), TICKET)
    assert serials(sign(store, OfflineTickets(store, SAFE), TICKET)) == [1]


# --- the safe ---------------------------------------------------------------------------


def test_R34_the_secret_of_the_environment_comes_first() -> None:
    assert find_safe({"PLAYPARK_DEVICE_KEY": SAFE.value}) == SAFE


def test_R34_a_secret_that_is_too_short_is_told() -> None:
    with pytest.raises(PlayParkError, match="PLAYPARK_DEVICE_KEY needs 32 characters") as refused:
        find_safe({"PLAYPARK_DEVICE_KEY": "short"})
    assert "short" not in refused.value.message


def test_R34_without_a_keyring_and_a_variable_there_is_no_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_safe({}) is None


class Keyring(ModuleType):
    """The `keyring` package, in memory."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.errors = ModuleType("errors")
        self.errors.KeyringError = RuntimeError  # type: ignore[attr-defined]
        self.locked = False

    def get_password(self, service: str, name: str) -> str | None:
        if self.locked:
            raise RuntimeError("locked")
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self.kept[service, name] = value


def test_R34_a_keyring_makes_and_keeps_a_secret_a_key(
    store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    public_key = OfflineTickets(store, find_safe({})).public_key()
    ((service, name),) = keyring.kept
    assert (service, name) == ("playpark till key", public_key)
    assert OfflineTickets(store, find_safe({})).public_key() == public_key
    keyring.locked = True
    assert OfflineTickets(store, find_safe({})).public_key() is None


# --- the certificate --------------------------------------------------------------------


async def test_R22_a_till_asks_for_its_key_and_keeps_what_it_gets(
    store: DeviceStore, server: Vouching
) -> None:
    tickets = OfflineTickets(store, SAFE)
    got = await tickets.renew(server.client(), NOW)
    assert got is not None
    assert store.signing.certificate == got
    assert server.asked == [CertificateIn(public_key=tickets.public_key(), serials_taken=0)]


async def test_R22_it_asks_again_when_half_of_the_time_is_over(
    store: DeviceStore, server: Vouching
) -> None:
    tickets, client = OfflineTickets(store, SAFE), server.client()
    await tickets.renew(client, NOW)
    assert await tickets.renew(client, NOW + 36 * HOUR - timedelta(seconds=1)) is None
    server.clock.advance(36 * HOUR)
    renewed = await tickets.renew(client, NOW + 36 * HOUR)
    assert renewed is not None
    assert store.signing.certificate == renewed
    assert len(server.asked) == 2


async def test_R22_it_asks_again_when_half_of_the_serials_are_used(
    store: DeviceStore, server: Vouching
) -> None:
    server.max_tickets = 4
    tickets, client = OfflineTickets(store, SAFE), server.client()
    await tickets.renew(client, NOW)
    sign(store, tickets, TICKET)
    assert await tickets.renew(client, NOW) is None
    sign(store, tickets, TICKET)
    assert await tickets.renew(client, NOW) is not None
    assert server.asked[-1].serials_taken == 2
    assert serials(sign(store, tickets, TICKET)) == [1]


async def test_R38_each_start_tells_how_many_serials_were_taken(
    store: DeviceStore, server: Vouching
) -> None:
    first = OfflineTickets(store, SAFE)
    await first.renew(server.client(), NOW)
    sign(store, first, TICKET)
    tickets, client = OfflineTickets(store, SAFE), server.client()
    assert await tickets.renew(client, NOW) is not None
    assert await tickets.renew(client, NOW) is None
    assert [each.serials_taken for each in server.asked] == [0, 1]


async def test_R22_it_asks_again_when_it_sells_something_new(
    store: DeviceStore, server: Vouching
) -> None:
    tickets, client = OfflineTickets(store, SAFE), server.client()
    await tickets.renew(client, NOW)
    store.save_catalog(CATALOG)
    server.packages = [each.package_id for each in CATALOG.packages]
    assert await tickets.renew(client, NOW) is not None
    assert await tickets.renew(client, NOW) is None


async def test_R37_who_is_refused_asks_again_after_an_hour(
    store: DeviceStore, server: Vouching
) -> None:
    server.refuses = "E_PERMISSION"
    tickets, client = OfflineTickets(store, SAFE), server.client()
    for minutes in (0, 1, 59):
        assert await tickets.renew(client, NOW + timedelta(minutes=minutes)) is None
    assert len(server.asked) == 1
    server.refuses = None
    assert await tickets.renew(client, NOW + ASK_AGAIN) is not None


async def test_R37_whose_login_has_run_out_asks_with_the_next_one(
    store: DeviceStore, server: Vouching
) -> None:
    tickets, client = OfflineTickets(store, SAFE), server.client()
    for passing in ("E_TOKEN_EXPIRED", "E_UNAUTHENTICATED", "E_RATE_LIMITED"):
        server.refuses = passing
        with pytest.raises(PlayParkError):
            await tickets.renew(client, NOW)
    server.refuses = None
    assert await tickets.renew(client, NOW) is not None


async def test_R37_where_the_server_is_away_it_asks_the_next_time(
    store: DeviceStore, server: Vouching
) -> None:
    server.away = True
    tickets, client = OfflineTickets(store, SAFE), server.client()
    with pytest.raises(PlayParkError) as lost:
        await tickets.renew(client, NOW)
    assert lost.value.code is ErrorCode.UNAVAILABLE
    server.away = False
    assert await tickets.renew(client, NOW) is not None


@pytest.mark.parametrize(
    "device",
    [
        {"type": DeviceType.GATE},
        {"type": DeviceType.KIOSK},
        {"caps": DeviceCaps(can_sell=False)},
        {"caps": DeviceCaps(can_sell=True, offline_cap=OfflineCap(sales=0))},
        {"caps": DeviceCaps(can_sell=True, offline_cap=OfflineCap(satang=0))},
    ],
    ids=lambda device: next(iter(device)),
)
async def test_R39_a_device_that_sells_nothing_offline_asks_for_nothing(
    store: DeviceStore, server: Vouching, device: dict[str, Any]
) -> None:
    assert IDENTITY.device is not None
    changed = IDENTITY.device.model_copy(update=device)
    store.save_identity(IDENTITY.model_copy(update={"device": changed}))
    assert await OfflineTickets(store, SAFE).renew(server.client(), NOW) is None
    assert server.asked == []


async def test_R34_without_a_safe_nothing_is_asked(store: DeviceStore, server: Vouching) -> None:
    assert await OfflineTickets(store, None).renew(server.client(), NOW) is None
    assert server.asked == []


# --- signing ----------------------------------------------------------------------------


async def test_R22_what_it_signs_its_certificate_covers(
    store: DeviceStore, server: Vouching
) -> None:
    tickets = OfflineTickets(store, SAFE)
    certificate = await tickets.renew(server.client(), NOW)
    tokens = sign(store, tickets, TICKET, TICKET, at=NOW + HOUR)
    assert certificate is not None
    for serial, token in enumerate(tokens, start=1):
        signed = parse_pp2(token)
        assert signed is not None
        assert verify_pp2(signed, certificate) is None
        assert signed.ticket.serial == serial
        assert signed.ticket.issued_at == NOW + HOUR
        assert signed.ticket.ticket_id == TICKET.ticket_id


async def test_R34_serials_are_taken_with_the_operation_or_not_at_all(
    store: DeviceStore, server: Vouching
) -> None:
    tickets = OfflineTickets(store, SAFE)
    await tickets.renew(server.client(), NOW)
    assert serials(sign(store, tickets, TICKET)) == [1]

    def failing(allocator: Allocator) -> dict[str, Any]:
        tickets.sign(allocator, [TICKET, TICKET], NOW)
        raise PlayParkError(ErrorCode.CONFLICT, "the printer is on fire")

    with pytest.raises(PlayParkError, match="on fire"):
        store.append(OpKind.SALE, failing, occurred_at=NOW)
    again = OfflineTickets(store, SAFE)
    assert serials(sign(store, again, TICKET, TICKET)) == [2, 3]


@pytest.mark.parametrize(
    ("wanted", "at"),
    [
        ({"package_id": "01HZZZZZZZZZZZZZZZZZZZZZZB"}, NOW),
        ({"valid_to": NOW + 97 * HOUR}, NOW),
        ({}, NOW + 73 * HOUR),
        ({}, NOW - HOUR),
    ],
    ids=["package", "validity", "late", "early"],
)
async def test_R22_beyond_its_certificate_it_signs_nothing_and_takes_no_number(
    store: DeviceStore, server: Vouching, wanted: dict[str, Any], at: Any
) -> None:
    tickets = OfflineTickets(store, SAFE)
    certificate = await tickets.renew(server.client(), NOW)
    ticket = replace(TICKET, **wanted)
    with pytest.raises(PlayParkError, match="does not cover") as refused:
        sign(store, tickets, ticket, at=at)
    assert refused.value.code is ErrorCode.CONFLICT
    assert certificate is not None
    assert store.signing.serials_taken(certificate.key_id) == 0
    assert store.queued_count() == 0


async def test_R22_when_its_serials_are_used_up_it_signs_nothing(
    store: DeviceStore, server: Vouching
) -> None:
    server.max_tickets = 3
    tickets = OfflineTickets(store, SAFE)
    await tickets.renew(server.client(), NOW)
    assert serials(sign(store, tickets, TICKET, TICKET)) == [1, 2]
    with pytest.raises(PlayParkError, match="does not cover"):
        sign(store, tickets, TICKET, TICKET)
    assert serials(sign(store, tickets, TICKET)) == [3]


def test_R22_without_a_certificate_it_signs_nothing(store: DeviceStore) -> None:
    tickets = OfflineTickets(store, SAFE)
    assert tickets.public_key() is not None
    with pytest.raises(PlayParkError, match="no certificate"):
        sign(store, tickets, TICKET)
