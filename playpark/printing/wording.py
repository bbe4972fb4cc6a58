"""Text for paper: cleaned of every control character (attack 36), measured and wrapped.

Thai has no blanks between words and its marks stand above and below: a line breaks at blanks,
else between clusters, so that a mark is never torn from its consonant.
"""

import unicodedata
from collections.abc import Callable, Iterator
from itertools import zip_longest

_BLANK = frozenset("\t\n\v\f\r\x85\u2028\u2029")
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_THAI_LEADING = frozenset("เแโใไ")
_THAI_FOLLOWING = frozenset("ะาำๅๆฯ")
_THAI_SILENT = "์"
_MAX_CLUSTER = 8


def clean_text(text: str) -> str:
    """`text` without C0/C1, bidi and other format characters; line breaks become blanks."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(filter(None, map(_clean_character, composed))).strip()


def _clean_character(char: str) -> str:
    if char in _BLANK or unicodedata.category(char) == "Zs":
        return " "
    return "" if unicodedata.category(char) in _DROPPED else char


def has_control(text: str) -> bool:
    """True where cleaning would drop a character of `text`."""
    return any(char in _BLANK or unicodedata.category(char) in _DROPPED for char in text)


def display_width(text: str) -> int:
    """Columns that `text` takes in a terminal: marks 0, wide characters 2, others 1."""
    return sum(map(_character_width, text))


def _character_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"F", "W"} else 1


def clusters(text: str) -> Iterator[str]:
    """The pieces of `text` between which a line may break, at most 8 characters each."""
    cluster = ""
    for char, following in zip_longest(text, text[1:], fillvalue=""):
        if cluster and not _belongs(cluster, char, following):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


def _belongs(cluster: str, char: str, following: str) -> bool:
    if len(cluster) >= _MAX_CLUSTER:
        return False
    if unicodedata.category(char) in {"Mn", "Me"} or char in _THAI_FOLLOWING:
        return True
    # A silenced consonant (พาร์ค) ends the syllable before it.
    return cluster[-1] in _THAI_LEADING or following == _THAI_SILENT


def wrap(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Lines of `text`, each of which `fits`, at least one line.

    A character that does not fit even alone stands on a line of its own.
    """
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if fits(joined):
            lines[-1] = joined
        elif fits(word):
            lines.append(word)
        else:
            _break_word(word, lines, fits)
    return lines


def _break_word(word: str, lines: list[str], fits: Callable[[str], bool]) -> None:
    """Add a word longer than a line, starting on the line that is under way."""
    glue = " " if lines[-1] else ""
    pieces = (
        piece for cluster in clusters(word) for piece in ([cluster] if fits(cluster) else cluster)
    )
    for piece in pieces:
        if fits(lines[-1] + glue + piece) or not lines[-1]:
            lines[-1] += glue + piece
        else:
            lines.append(piece)
        glue = ""
