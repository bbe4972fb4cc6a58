"""R15, R21, R23, R24, R29: ids, short codes, receipt numbers, canonical JSON, PP1 tokens."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import qrcode
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from playpark.canonical import StrictJsonError, canonical_json, loads_strict, operation_hash
from playpark.clock import business_date, business_day_start, park_zone, to_utc_ms
from playpark.ids import (
    CROCKFORD,
    LAST_PAIRED_NUMBER,
    MAX_DEVICE_NUMBER,
    ReceiptNumber,
    ReceiptSeries,
    is_ulid,
    new_ulid,
    normalise_short_code,
    server_short_code,
    short_code,
)
from playpark.tokens import mint_pp1, parse_pp1, token_hash, verify_pp1

KEY = b"k" * 32
KEYS = {"01": KEY, "02": b"z" * 32}
devices = st.integers(0, MAX_DEVICE_NUMBER)
counters = st.integers(0, 2**22 - 1)


@given(st.lists(st.tuples(devices, counters), unique=True, max_size=50))
def test_R24_no_two_tills_make_the_same_short_code(numbers: list[tuple[int, int]]) -> None:
    codes = [short_code(KEY, device, counter) for device, counter in numbers]
    assert len(set(codes)) == len(numbers)
    assert all(normalise_short_code(code) == code for code in codes)


@given(devices, counters, st.integers(0, 7), st.sampled_from(CROCKFORD))
def test_R24_one_wrong_character_is_always_noticed(
    device: int, counter: int, at: int, wrong: str
) -> None:
    code = short_code(KEY, device, counter)
    typed = code[:at] + wrong + code[at + 1 :]
    assert normalise_short_code(typed) == (code if typed == code else None)


def test_R24_a_person_may_type_it_their_way() -> None:
    code = short_code(KEY, 3, 128)
    assert normalise_short_code(f" {code[:4].lower()}-{code[4:]} ") == code
    assert normalise_short_code("much too long") is None


@given(st.lists(st.integers(0, 65 * 2**22 - 1), unique=True, min_size=2, max_size=20), counters)
def test_R24_the_server_never_makes_a_tills_code(numbers: list[int], counter: int) -> None:
    codes = {server_short_code(KEY, number) for number in numbers}
    assert len(codes) == len(numbers)
    assert not codes & {short_code(KEY, device, counter) for device in (1, 2, LAST_PAIRED_NUMBER)}


def test_R24_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="pair it again"):
        server_short_code(KEY, 65 * 2**22)
    with pytest.raises(ValueError, match="pair it again"):
        short_code(KEY, MAX_DEVICE_NUMBER + 1, 0)


def test_R29_receipt_numbers_read_back() -> None:
    number = ReceiptNumber("03", ReceiptSeries.SALE, 128)
    assert str(number) == "03-S000128"
    assert ReceiptNumber.parse("03-S000128") == number
    for wrong in ("3-S000128", "03-X000128", "03-S128", "03-S000128\n"):
        with pytest.raises(ValueError, match="looks like"):
            ReceiptNumber.parse(wrong)


def test_fresh_ulids_carry_their_moment_and_never_come_twice() -> None:
    """Also those of a child, which has all that its parent had."""
    before = datetime.now(UTC)
    with ThreadPoolExecutor(8) as threads:
        made = [each for part in threads.map(lambda _: ids(2_000), range(8)) for each in part]
    assert len(set(made)) == len(made)
    assert all(is_ulid(each) for each in made)
    first, last = to_utc_ms(before), datetime.now(UTC)
    assert all(first <= ULID.from_str(each).datetime <= last for each in made[:100])
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as child:
        theirs = child.submit(ids, 300).result()
    assert not {each[10:] for each in ids(300)} & {each[10:] for each in theirs}


def ids(count: int) -> list[str]:
    return [new_ulid() for _ in range(count)]


def test_ulids_rise_within_one_millisecond() -> None:
    made = ids(2_000)
    assert made == sorted(made)
    assert len({each[:10] for each in made}) < len(set(made)) == 2_000


def test_ulids_are_canonical() -> None:
    assert is_ulid(new_ulid())
    assert is_ulid(new_ulid(datetime(2026, 1, 1, tzinfo=UTC)))
    assert not is_ulid(new_ulid().lower())
    assert not is_ulid("8" + new_ulid()[1:])


# --- tokens -----------------------------------------------------------------------------


def test_R21_a_pp1_token_is_sixty_characters_and_a_version_3_code() -> None:
    token = mint_pp1(KEYS, "01", "tenant", new_ulid())
    assert len(token) == 60
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(token)
    code.make(fit=True)
    assert code.version == 3


def test_R21_a_token_verifies_for_its_own_tenant_and_key_only() -> None:
    text = mint_pp1(KEYS, "01", "tenant", new_ulid())
    token = parse_pp1(text)
    assert token is not None
    assert verify_pp1(KEYS, "tenant", token)
    assert not verify_pp1(KEYS, "other", token)
    assert not verify_pp1({"01": b"y" * 32}, "tenant", token)
    assert not verify_pp1({"02": KEY}, "tenant", token)
    assert token.hash == token_hash(text)


@given(st.integers(0, 59), st.characters())
def test_R21_any_changed_character_is_no_valid_token(at: int, wrong: str) -> None:
    text = mint_pp1(KEYS, "01", "tenant", "01HZZZZZZZZZZZZZZZZZZZZZZZ")
    changed = text[:at] + wrong + text[at + 1 :]
    token = parse_pp1(changed)
    valid = token is not None and verify_pp1(KEYS, "tenant", token)
    assert valid == (changed == text)


@given(st.text(max_size=80))
def test_foreign_codes_are_no_tokens_and_raise_nothing(text: str) -> None:
    assert parse_pp1(text) is None


# --- canonical JSON ---------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(json_values)
def test_R15_reading_and_hashing_do_not_depend_on_how_it_was_written(value: object) -> None:
    spaced = json.dumps(value, indent=3, ensure_ascii=True).encode()
    assert loads_strict(spaced) == value
    assert operation_hash("sale", loads_strict(spaced)) == operation_hash("sale", value)
    assert loads_strict(canonical_json(value)) == value


def test_R15_kind_and_absence_are_part_of_the_hash() -> None:
    assert operation_hash("sale", {}) != operation_hash("redemption", {})
    assert operation_hash("sale", {}) != operation_hash("sale", {"a": None})


@pytest.mark.parametrize(
    "raw",
    [b'{"a":1,"a":1}', b"[1.5]", b"[NaN]", b"[Infinity]", b"[1e3]", b"[9007199254740992]", b"{"],
)
def test_R1_what_could_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(StrictJsonError):
        loads_strict(raw)


# --- business date ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-11-21T20:59:59+00:00", "2026-11-21"),  # 03:59:59 in Bangkok: still the 21st
        ("2026-11-21T21:00:00+00:00", "2026-11-22"),  # 04:00
        ("2026-11-21T16:59:59+00:00", "2026-11-21"),  # 23:59:59
        ("2026-11-21T17:00:00+00:00", "2026-11-21"),  # midnight
    ],
)
def test_R30_the_trading_day_ends_at_four(utc: str, day: str) -> None:
    zone = park_zone("Asia/Bangkok")
    assert business_date(datetime.fromisoformat(utc), zone).isoformat() == day


@given(st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC)))
def test_R30_every_moment_lies_in_its_own_trading_day(moment: datetime) -> None:
    zone = park_zone("Asia/Bangkok")
    day = business_date(moment, zone)
    start = business_day_start(day, zone)
    assert start <= moment
    assert (moment - start).total_seconds() < 86_400


def test_R30_the_zone_falls_back_to_the_tenant_and_then_bangkok() -> None:
    assert park_zone("Asia/Tokyo", "Europe/Paris").key == "Asia/Tokyo"
    assert park_zone("Mars/Olympus", "Europe/Paris").key == "Europe/Paris"
    assert park_zone(None, None).key == "Asia/Bangkok"


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its offset"):
        to_utc_ms(datetime(2026, 1, 1))  # noqa: DTZ001
