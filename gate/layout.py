"""Where the parts of an answer stand on the panel: a function of the answer and the room (SCREENS).

What has to go first when there is little room: the gaps, then the size of the guest's words, then
the size of the reason, then the ends of long sentences, and the size of the word last.
"""

from dataclasses import dataclass

from gate.answers import Answer
from gate.bigtext import small, tall
from playpark.printing.wording import clean_text, clusters, display_width, wrap

HERE = "decided by this gate without the server · ตัดสินโดยประตูนี้"
HERE_SHORT = "decided here · ตัดสินที่นี่"
TEXT_ROWS = 3
"""A sentence longer than this is cut: no message of a server pushes the word off the panel."""


@dataclass(slots=True)
class _Parts:
    word: list[str]
    headline: list[str]
    english: list[str]
    thai: list[str]
    note: list[str]

    @property
    def rows(self) -> int:
        return sum(map(len, (self.word, self.headline, self.english, self.thai, self.note)))


def lay_out(answer: Answer, width: int, height: int) -> list[str]:
    """The panel's rows, each exactly `width` columns, at most `height` of them, in the middle."""
    if width < 1 or height < 1:
        return []
    parts = _smallest(answer, width, height)
    spare = height - parts.rows
    for taller in (tall(answer.word, width), small(answer.word, width)):
        if taller and len(taller) - 1 <= spare:
            spare -= len(taller) - 1
            parts.word = taller
            break
    headline = small(clean_text(answer.headline), width)
    if headline and len(headline) - 1 <= spare:
        spare -= len(headline) - 1
        parts.headline = headline
    gaps = min(spare, 2)
    spare -= gaps
    english = small(clean_text(answer.detail_en), width)
    if english and len(english) + 1 - len(parts.english) <= spare:
        parts.english = [*english, ""]
    return _stack(parts, width, height, gaps=gaps)


def _smallest(answer: Answer, width: int, height: int) -> _Parts:
    """Every part in plain text, cut to the room where even that is too much."""
    note = [] if not answer.local else [HERE if len(HERE) <= width else HERE_SHORT]
    headline = [clean_text(answer.headline)] if answer.headline else []
    room = max(height - _for_the_word(answer.word, width, height) - len(headline) - len(note), 0)
    english, thai = (_lines(text, width) for text in (answer.detail_en, answer.detail_th))
    while len(english) + len(thai) > room and len(english) + len(thai) > 0:
        longer = english if len(english) > len(thai) else thai
        cut = longer.pop()
        if longer:
            longer[-1] = _cut(f"{longer[-1]} {cut}", width)
    return _Parts([clean_text(answer.word)], headline, english, thai, note[: max(height - 1, 0)])


def _for_the_word(word: str, width: int, height: int) -> int:
    """The rows that long sentences leave to the word."""
    if height >= 12 and tall(word, width):
        return 7
    return 3 if height >= 6 and small(word, width) else 1


def _lines(text: str, width: int) -> list[str]:
    lines = [
        line for line in wrap(clean_text(text), lambda part: display_width(part) <= width) if line
    ]
    if len(lines) > TEXT_ROWS:
        lines = [*lines[: TEXT_ROWS - 1], _cut(" ".join(lines[TEXT_ROWS - 1 :]), width)]
    return lines


def _stack(parts: _Parts, width: int, height: int, *, gaps: int) -> list[str]:
    rows = [
        *parts.word,
        *[""] * (gaps > 0),
        *parts.headline,
        *[""] * (gaps > 1),
        *parts.english,
        *parts.thai,
        *parts.note,
    ][:height]
    above = (height - len(rows)) // 2
    blank = [" " * width]
    middle = [_centred(row, width) for row in rows]
    return blank * above + middle + blank * (height - above - len(rows))


def _cut(text: str, width: int) -> str:
    """`text` in at most `width` columns; what is cut ends in `…`."""
    if display_width(text) <= width:
        return text
    kept = ""
    for cluster in clusters(text):
        if display_width(kept + cluster) > width - 1:
            break
        kept += cluster
    return f"{kept}…"


def _centred(row: str, width: int) -> str:
    row = _cut(row, width)
    left = (width - display_width(row)) // 2
    return " " * left + row + " " * (width - left - display_width(row))
