"""A short code while it is typed: grouped, counted, and what is wrong with it (R24).

Its check character finds every wrong character, but not its place. A place is named only where
exactly one exchange of two characters that look alike, or of two neighbours, makes it right.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from playpark.ids import CROCKFORD, normalise_short_code

LENGTH = 8
THAI = re.compile(r"[\u0e00-\u0e7f]")
_ALIKE = ("8B", "5S", "2Z", "6G", "CG", "4A", "MN", "VY", "0D", "0Q", "17", "PR", "WV", "EF")
_READ_AS = str.maketrans("OIL", "011")
_THAI_KEYS = (
    "The keyboard types Thai letters: switch it to English (Alt+Shift, or the key left of 1).",
    "แป้นพิมพ์เป็นภาษาไทย กรุณาเปลี่ยนเป็นภาษาอังกฤษ",
)


@dataclass(frozen=True, slots=True)
class Typed:
    """`shown` as on the paper, `7K3X-9QB2`; `code` where it is a right one, else `english` and
    `thai` say what is missing or wrong. `unfinished`: so far nothing speaks against it."""

    shown: str
    code: str | None
    english: str
    thai: str
    unfinished: bool = False


def look_at(text: str) -> Typed:
    """What is known of a typed text."""
    characters = re.sub(r"[\s-]", "", text).upper()
    shown = characters if len(characters) <= 4 else f"{characters[:4]}-{characters[4:]}"
    code = normalise_short_code(text)
    if code is not None:
        return Typed(shown, code, "Enter looks it up.", "กด Enter เพื่อค้นหา")
    if THAI.search(characters):
        return Typed(shown, None, *_THAI_KEYS)
    if (wrong := _stranger(characters)) is not None:
        return Typed(shown, None, *wrong)
    missing = LENGTH - len(characters)
    if missing > 0:
        words = f"{missing} more {'character' if missing == 1 else 'characters'}."
        return Typed(shown, None, words, f"อีก {missing} ตัว", unfinished=True)
    if missing < 0:
        return Typed(
            shown,
            None,
            f"{len(characters)} characters: a code has 8. Backspace takes the last away.",
            f"พิมพ์ไป {len(characters)} ตัว รหัสมี 8 ตัว",
        )
    return Typed(shown, None, *_mistake(characters.translate(_READ_AS)))


def _stranger(characters: str) -> tuple[str, str] | None:
    """The first character that no code has."""
    for place, char in enumerate(characters, 1):
        if char.translate(_READ_AS) not in CROCKFORD:
            hint = " Perhaps V?" if char == "U" else ""
            return (
                f"Character {place} is {char!r}: no code has it.{hint}",
                f"ตัวที่ {place} ไม่มีในรหัส",
            )
    return None


def _mistake(code: str) -> tuple[str, str]:
    """Where eight characters are wrong, as far as one check character tells."""
    fixes = list(_fixes(code))
    if len(fixes) == 1:
        return fixes[0]
    return (
        "One of the 8 characters is wrong: compare them with the paper.",
        "รหัสผิดหนึ่งตัว กรุณาเทียบกับตั๋ว",
    )


def _fixes(code: str) -> Iterator[tuple[str, str]]:
    for index, char in enumerate(code):
        for pair in _ALIKE:
            if char in pair:
                twin = pair.replace(char, "")
                if normalise_short_code(code[:index] + twin + code[index + 1 :]):
                    place = index + 1
                    yield (
                        f"Character {place} is wrong: {twin} instead of {char}?",
                        f"ตัวที่ {place} น่าจะเป็น {twin} ไม่ใช่ {char}",
                    )
    for index in range(LENGTH - 1):
        left, right = code[index], code[index + 1]
        swapped = code[:index] + right + left + code[index + 2 :]
        if left != right and normalise_short_code(swapped):
            yield (
                f"Characters {index + 1} and {index + 2} are swapped: {right}{left}?",
                f"ตัวที่ {index + 1} และ {index + 2} สลับกัน น่าจะเป็น {right}{left}",
            )
