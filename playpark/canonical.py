"""Canonical JSON and the hash of an operation (R15, R34).

Strict reading first: what two readers could understand differently is refused, so that the
same bytes mean the same operation everywhere.
"""

import hashlib
import json
from typing import Any, NoReturn

from playpark.money import MAX_INT


class StrictJsonError(ValueError):
    """The text is no JSON that this system accepts; the message says why, without values."""


def loads_strict(raw: bytes) -> Any:
    """JSON without duplicate keys, NaN, floats, integers over 2^53 or bottomless nesting.

    Raises StrictJsonError. Floats are refused because no field of the contract holds one (R1).
    """
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_refuse_number,
            parse_float=_refuse_number,
            parse_int=_small_int,
        )
    except StrictJsonError:
        raise
    except (ValueError, RecursionError) as broken:
        msg = "the body is not valid JSON in UTF-8"
        raise StrictJsonError(msg) from broken


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no blanks, UTF-8; an absent key differs from null."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def operation_hash(kind: str, body: Any) -> str:
    """SHA-256, in hex, of an operation's kind and canonical body (R15)."""
    return hashlib.sha256(kind.encode() + b"\n" + canonical_json(body)).hexdigest()


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key stands twice in one object: send each field once"
        raise StrictJsonError(msg)
    return found


def _small_int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        msg = "a number is larger than 2^53: amounts are integers in satang"
        raise StrictJsonError(msg)
    return int(text)


def _refuse_number(_text: str) -> NoReturn:
    msg = "numbers are integers: send satang and basis points, not fractions"
    raise StrictJsonError(msg)
