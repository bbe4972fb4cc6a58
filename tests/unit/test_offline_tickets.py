"""PP2 tickets: what a till signs, what its certificate allows (R22)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import qrcode
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from playpark.contracts.catalog import PackageKind, PackageView
from playpark.contracts.gate import CertificateView
from playpark.contracts.tickets import FailReason, TicketStatus
from playpark.offline_tickets import (
    MAX_SERIAL,
    PP2_LENGTH,
    SIGNED_FIELDS,
    OfflineTicket,
    base45_decode,
    base45_encode,
    is_public_key,
    join_pp2,
    key_id_of,
    mint_pp2,
    named_ticket,
    parse_pp2,
    pending_state,
    public_key_text,
    sign_certificate,
    verify_certificate,
    verify_pp2,
)
from playpark.tokens import mint_pp1, token_hash

KEY = Ed25519PrivateKey.from_private_bytes(b"till" * 8)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"else" * 8)
SERVER = Ed25519PrivateKey.from_private_bytes(b"park" * 8)
SERVER_PUBLIC = public_key_text(SERVER)
NOON = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
PACKAGE, OTHER_PACKAGE = "01HZZZZZZZZZZZZZZZZZZZZZZA", "01HZZZZZZZZZZZZZZZZZZZZZZB"
ALPHANUMERIC = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")

TICKET = OfflineTicket(
    ticket_id="01HZZZZZZZZZZZZZZZZZZZZZZZ",
    package_id=PACKAGE,
    valid_from=NOON - timedelta(hours=8),
    valid_to=NOON + timedelta(hours=16),
    issued_at=NOON,
    serial=7,
    key_id="ABCDEFGH",
)
CERTIFICATE = sign_certificate(
    SERVER,
    CertificateView(
        key_id="ABCDEFGH",
        public_key=public_key_text(KEY),
        device_id="till",
        store_id="park",
        packages=[PACKAGE],
        not_before=NOON - timedelta(hours=1),
        not_after=NOON + timedelta(hours=1),
        max_tickets=100,
        max_valid_to=NOON + timedelta(days=2),
        signature="",
    ),
)

seconds = st.integers(0, 2**32 - 1).map(lambda at: datetime.fromtimestamp(at, UTC))
ulids = st.binary(min_size=16, max_size=16).map(lambda raw: str(ULID(raw)))
tickets = st.builds(
    OfflineTicket,
    ticket_id=ulids,
    package_id=ulids,
    valid_from=seconds,
    valid_to=seconds,
    issued_at=seconds,
    serial=st.integers(1, MAX_SERIAL),
    key_id=st.integers(0, 2**40 - 1).map(key_id_of),
)


def judged(ticket: OfflineTicket, certificate: CertificateView = CERTIFICATE) -> FailReason | None:
    """What a gate says of a ticket that this till has signed."""
    signed = parse_pp2(mint_pp2(KEY, ticket))
    assert signed is not None
    return verify_pp2(signed, certificate)


def rewritten(signed_text: str, ticket: OfflineTicket) -> str:
    """Other claims under the signature of a token."""
    signed = parse_pp2(signed_text)
    assert signed is not None
    return join_pp2(ticket, signed.signature)


# --- shape ------------------------------------------------------------------------------


@given(tickets)
def test_R22_a_ticket_comes_back_as_it_was_signed(ticket: OfflineTicket) -> None:
    text = mint_pp2(KEY, ticket)
    signed = parse_pp2(text)
    assert signed is not None
    assert signed.ticket == ticket
    assert signed.hash == token_hash(text)
    assert join_pp2(signed.ticket, signed.signature) == text


@given(tickets)
def test_R22_every_token_is_178_characters_of_the_qr_alphabet_without_blanks_at_its_ends(
    ticket: OfflineTicket,
) -> None:
    text = mint_pp2(KEY, ticket)
    assert len(text) == PP2_LENGTH == 178
    assert set(text) <= ALPHANUMERIC
    # Keyboard wedges and people's tools cut blanks off the ends of a line.
    assert text == text.strip()


def test_R22_a_token_fits_into_a_qr_code_of_version_7_at_ecc_m() -> None:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(mint_pp2(KEY, TICKET))
    code.make(fit=True)
    assert code.version == 7


def test_R22_fractions_of_a_second_are_cut() -> None:
    signed = parse_pp2(mint_pp2(KEY, replace(TICKET, issued_at=NOON.replace(microsecond=999_000))))
    assert signed is not None
    assert signed.ticket == TICKET


@pytest.mark.parametrize(
    "wrong",
    [
        {"ticket_id": "no ulid"},
        {"package_id": "01hzzzzzzzzzzzzzzzzzzzzzza"},
        {"serial": 0},
        {"serial": MAX_SERIAL + 1},
        {"key_id": "ABC"},
        {"key_id": "ABCDEFGU"},
        {"valid_to": datetime(2107, 1, 1, tzinfo=UTC)},
        {"issued_at": datetime(1969, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_R22_what_does_not_fit_is_not_signed(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"fit into a ticket|ULID"):
        mint_pp2(KEY, replace(TICKET, **wrong))  # type: ignore[arg-type]


@given(st.text(max_size=200) | st.text(alphabet=sorted(ALPHANUMERIC), min_size=174, max_size=174))
def test_R22_foreign_codes_are_no_tickets_and_raise_nothing(text: str) -> None:
    for shown in (text, f"PP2.{text}"):
        signed = parse_pp2(shown)
        assert signed is None or verify_pp2(signed, CERTIFICATE) is FailReason.INVALID_SIG


@given(st.integers(0, PP2_LENGTH - 1))
def test_R22_a_token_that_was_cut_is_none(length: int) -> None:
    text = mint_pp2(KEY, TICKET)
    assert parse_pp2(text[:length]) is None
    assert parse_pp2(text + text[:length][:1] if length else f"{text} ") is None


def test_R53_a_ticket_is_named_by_a_token_of_either_format() -> None:
    pp1 = mint_pp1({"01": b"k" * 32}, "01", "tenant", TICKET.ticket_id)
    assert named_ticket(pp1) == named_ticket(mint_pp2(KEY, TICKET)) == TICKET.ticket_id
    assert named_ticket("https://example.org") is None


# --- signature --------------------------------------------------------------------------


def test_R22_a_good_ticket_verifies() -> None:
    assert judged(TICKET) is None


@pytest.mark.parametrize("byte", range(116))
def test_attack_19_every_flipped_bit_makes_an_invalid_signature(byte: int) -> None:
    raw = base45_decode(mint_pp2(KEY, TICKET).removeprefix("PP2."))
    assert raw is not None
    for bit in range(8):
        changed = raw[:byte] + bytes([raw[byte] ^ 1 << bit]) + raw[byte + 1 :]
        signed = parse_pp2(f"PP2.{base45_encode(changed)}")
        assert signed is not None
        # As if the certificate allowed what the changed claims say.
        assert verify_pp2(signed, generous(signed.ticket)) is FailReason.INVALID_SIG


def generous(ticket: OfflineTicket) -> CertificateView:
    return CERTIFICATE.model_copy(
        update={
            "key_id": ticket.key_id,
            "packages": [ticket.package_id],
            "not_before": ticket.issued_at,
            "not_after": ticket.issued_at,
            "max_tickets": MAX_SERIAL,
            "max_valid_to": ticket.valid_to,
        }
    )


@given(st.integers(0, PP2_LENGTH - 1), st.characters())
def test_attack_19_any_changed_character_is_no_valid_ticket(at: int, wrong: str) -> None:
    text = mint_pp2(KEY, TICKET)
    changed = text[:at] + wrong + text[at + 1 :]
    signed = parse_pp2(changed)
    valid = signed is not None and verify_pp2(signed, CERTIFICATE) is None
    assert valid == (changed == text)


def test_attack_19_another_till_s_key_signs_nothing_for_this_certificate() -> None:
    signed = parse_pp2(mint_pp2(OTHER_KEY, TICKET))
    assert signed is not None
    assert verify_pp2(signed, CERTIFICATE) is FailReason.INVALID_SIG
    theirs = CERTIFICATE.model_copy(update={"public_key": public_key_text(OTHER_KEY)})
    assert judged(TICKET, theirs) is FailReason.INVALID_SIG


def test_attack_19_a_ticket_is_of_the_one_certificate_that_it_names() -> None:
    renewed = CERTIFICATE.model_copy(update={"key_id": "HGFEDCBA"})
    assert judged(TICKET, renewed) is FailReason.INVALID_SIG
    moved = parse_pp2(rewritten(mint_pp2(KEY, TICKET), replace(TICKET, key_id="HGFEDCBA")))
    assert moved is not None
    assert verify_pp2(moved, renewed) is FailReason.INVALID_SIG


# --- bounds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beyond",
    [
        {"package_id": OTHER_PACKAGE},
        {"serial": 101},
        {"issued_at": CERTIFICATE.not_before - timedelta(seconds=1)},
        {"issued_at": CERTIFICATE.not_after + timedelta(seconds=1)},
        {"valid_to": CERTIFICATE.max_valid_to + timedelta(seconds=1)},
        {"valid_to": TICKET.valid_from},
    ],
    ids=str,
)
def test_attack_19_a_ticket_beyond_its_grant_has_no_valid_signature(
    beyond: dict[str, object],
) -> None:
    assert judged(replace(TICKET, **beyond)) is FailReason.INVALID_SIG  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "just_within",
    [
        {"serial": 1},
        {"serial": 100},
        {"issued_at": CERTIFICATE.not_before},
        {"issued_at": CERTIFICATE.not_after},
        {"valid_to": CERTIFICATE.max_valid_to},
    ],
    ids=str,
)
def test_R22_the_bounds_themselves_are_within(just_within: dict[str, object]) -> None:
    assert judged(replace(TICKET, **just_within)) is None  # type: ignore[arg-type]


@given(st.integers(-10, 200), st.integers(-200, 200), st.integers(-200, 200))
def test_R22_a_ticket_is_valid_exactly_within_its_certificate(
    serial: int, issued: int, until: int
) -> None:
    if serial < 1:
        return
    ticket = replace(
        TICKET,
        serial=serial,
        issued_at=NOON + timedelta(minutes=issued),
        valid_to=CERTIFICATE.max_valid_to + timedelta(minutes=until),
    )
    allowed = serial <= 100 and -60 <= issued <= 60 and until <= 0
    assert (judged(ticket) is None) == allowed


# --- certificates -----------------------------------------------------------------------


def test_R22_a_certificate_verifies_with_the_server_s_key_only() -> None:
    assert verify_certificate(CERTIFICATE, SERVER_PUBLIC)
    assert not verify_certificate(CERTIFICATE, public_key_text(KEY))
    assert not verify_certificate(CERTIFICATE, "no key")
    assert not verify_certificate(CERTIFICATE, "")


@pytest.mark.parametrize(
    "changed",
    [
        {"key_id": "HGFEDCBA"},
        {"public_key": public_key_text(OTHER_KEY)},
        {"device_id": "other"},
        {"store_id": "other"},
        {"packages": [PACKAGE, OTHER_PACKAGE]},
        {"not_before": CERTIFICATE.not_before - timedelta(milliseconds=1)},
        {"not_after": CERTIFICATE.not_after + timedelta(milliseconds=1)},
        {"max_tickets": 101},
        {"max_valid_to": CERTIFICATE.max_valid_to + timedelta(milliseconds=1)},
        {"signature": ""},
        {"signature": CERTIFICATE.signature[:-4] + "AA=="},
        {"signature": CERTIFICATE.signature + "\n"},
        {"signature": "สวัสดี"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_attack_19_a_changed_certificate_is_none(changed: dict[str, object]) -> None:
    assert not verify_certificate(CERTIFICATE.model_copy(update=changed), SERVER_PUBLIC)


def test_R22_a_certificate_lasts_72_hours_at_most() -> None:
    lasting = {"not_after": CERTIFICATE.not_before + timedelta(hours=72)}
    longest = sign_certificate(SERVER, CERTIFICATE.model_copy(update=lasting))
    assert verify_certificate(longest, SERVER_PUBLIC)
    lasting = {"not_after": longest.not_after + timedelta(milliseconds=1)}
    longer = sign_certificate(SERVER, CERTIFICATE.model_copy(update=lasting))
    assert not verify_certificate(longer, SERVER_PUBLIC)


def test_R22_the_signature_of_a_certificate_covers_all_that_it_says() -> None:
    assert {*SIGNED_FIELDS, "signature"} == set(CertificateView.model_fields)


def test_R57_a_certificate_of_a_newer_server_is_read_all_the_same() -> None:
    newer = CERTIFICATE.model_dump(mode="json") | {"colour": "green"}
    assert verify_certificate(CertificateView.model_validate(newer), SERVER_PUBLIC)


@given(st.text(max_size=60))
def test_R22_what_is_no_public_key_raises_nothing(text: str) -> None:
    assert not is_public_key(text)
    assert judged(TICKET, CERTIFICATE.model_copy(update={"public_key": text}))
    assert is_public_key(SERVER_PUBLIC)


# --- what it stands for -----------------------------------------------------------------


def test_R22_a_pending_ticket_is_its_claims_and_its_package() -> None:
    package = PackageView(
        package_id=PACKAGE,
        name="Ten rides",
        name_th="สิบรอบ",
        kind=PackageKind.MULTI,
        price=50_000,
        tax_id="vat",
        quota_or_minutes=10,
        valid_days=1,
        zones=["slides"],
        allowed_devices=["gate"],
        visible_on=[],
        active=True,
    )
    state = pending_state(TICKET, package)
    assert (state.kind, state.quota, state.used) == (PackageKind.MULTI, 10, 0)
    assert (state.valid_from, state.valid_to) == (TICKET.valid_from, TICKET.valid_to)
    assert state.status is TicketStatus.PENDING
    assert (state.zones, state.allowed_devices) == (("slides",), ("gate",))
    assert (state.kid, state.issued_at) == ("ABCDEFGH", NOON)


# --- Base45 -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"", "")],
)
def test_base45_writes_what_rfc_9285_shows(raw: bytes, text: str) -> None:
    assert base45_encode(raw) == text
    assert base45_decode(text) == raw


@given(st.binary(max_size=120))
def test_base45_comes_back(raw: bytes) -> None:
    assert base45_decode(base45_encode(raw)) == raw


@given(st.text(alphabet=sorted(ALPHANUMERIC), max_size=40) | st.text(max_size=20))
def test_base45_has_one_way_to_write_everything(text: str) -> None:
    raw = base45_decode(text)
    assert raw is None or base45_encode(raw) == text


@pytest.mark.parametrize("text", ["GGW", ":::", "::", "A", "BB8A", "bb8", "BB ,"])
def test_base45_refuses_what_no_encoder_writes(text: str) -> None:
    assert base45_decode(text) is None
