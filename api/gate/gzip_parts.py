"""One gzip stream put together from parts that were compressed before (RFC 1951, RFC 1952).

Each part ends with a full flush: it begins and ends at a byte and refers to nothing before it, so
parts may follow each other in any order. The checksum of the whole is reckoned from theirs.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = b"\x03\x00"
"""An empty last block."""
_POLYNOMIAL = 0xEDB88320
_TOP = 1 << 31


@dataclass(frozen=True, slots=True)
class Part:
    """Compressed text: `size` bytes long when unpacked, of checksum `crc`; `shift` moves the
    checksum of what stands before it."""

    data: bytes
    size: int
    crc: int
    shift: int


def pack(text: bytes) -> Part:
    """`text` as a part of any stream."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)
    return Part(data, len(text), zlib.crc32(text), _power(len(text)))


def unpack(part: Part) -> bytes:
    """The text of a part."""
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(part.data)


def stream(parts: Iterable[Part]) -> list[bytes]:
    """A gzip stream of one member that unpacks to all parts in their order."""
    pieces, crc, size = [_HEADER], 0, 0
    for part in parts:
        pieces.append(part.data)
        crc = _product(part.shift, crc) ^ part.crc
        size += part.size
    return [*pieces, _END, struct.pack("<II", crc, size & 0xFFFFFFFF)]


def _product(a: int, b: int) -> int:
    """a × b as polynomials over GF(2), modulo the one of CRC-32 (bits reversed)."""
    product, bit = 0, _TOP
    while a:
        if a & bit:
            product ^= b
            a ^= bit
        bit >>= 1
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _squares() -> list[int]:
    """x, x², x⁴, … each the square of the one before; they repeat after 32."""
    found = [_TOP >> 1]
    while len(found) < 32:
        found.append(_product(found[-1], found[-1]))
    return found


_SQUARES = _squares()


def _power(size: int) -> int:
    """x to the power of the bits in `size` bytes."""
    found, at = _TOP, 3
    while size:
        if size & 1:
            found = _product(_SQUARES[at % 32], found)
        size >>= 1
        at += 1
    return found
