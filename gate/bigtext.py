"""Letters for three metres: seven rows for the answer, three rows for its reason (SCREENS).

One 5x7 pixel font gives both. A terminal's cell is twice as high as wide, so a large pixel is
two columns where the line has room for it; the small size packs two pixels into one cell.
"""

GAP = " "

# Each glyph: seven rows of five pixels.
_FONT = {
    "A": ".###. #...# #...# ##### #...# #...# #...#",
    "B": "####. #...# #...# ####. #...# #...# ####.",
    "C": ".#### #.... #.... #.... #.... #.... .####",
    "D": "####. #...# #...# #...# #...# #...# ####.",
    "E": "##### #.... #.... ####. #.... #.... #####",
    "F": "##### #.... #.... ####. #.... #.... #....",
    "G": ".#### #.... #.... #..## #...# #...# .####",
    "H": "#...# #...# #...# ##### #...# #...# #...#",
    "I": ".###. ..#.. ..#.. ..#.. ..#.. ..#.. .###.",
    "J": "..### ...#. ...#. ...#. ...#. #..#. .##..",
    "K": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
    "L": "#.... #.... #.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #.#.# #...# #...# #...#",
    "N": "#...# ##..# ##..# #.#.# #..## #..## #...#",
    "O": ".###. #...# #...# #...# #...# #...# .###.",
    "P": "####. #...# #...# ####. #.... #.... #....",
    "Q": ".###. #...# #...# #...# #.#.# #..#. .##.#",
    "R": "####. #...# #...# ####. #.#.. #..#. #...#",
    "S": ".#### #.... #.... .###. ....# ....# ####.",
    "T": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
    "U": "#...# #...# #...# #...# #...# #...# .###.",
    "V": "#...# #...# #...# #...# #...# .#.#. ..#..",
    "W": "#...# #...# #...# #.#.# #.#.# ##.## #...#",
    "X": "#...# #...# .#.#. ..#.. .#.#. #...# #...#",
    "Y": "#...# #...# .#.#. ..#.. ..#.. ..#.. ..#..",
    "Z": "##### ....# ...#. ..#.. .#... #.... #####",
    "0": ".###. #...# #..## #.#.# ##..# #...# .###.",
    "1": "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    "2": ".###. #...# ....# ...#. ..#.. .#... #####",
    "3": "####. ....# ....# .###. ....# ....# ####.",
    "4": "#...# #...# #...# ##### ....# ....# ....#",
    "5": "##### #.... #.... ####. ....# ....# ####.",
    "6": ".###. #.... #.... ####. #...# #...# .###.",
    "7": "##### ....# ...#. ..#.. ..#.. ..#.. ..#..",
    "8": ".###. #...# #...# .###. #...# #...# .###.",
    "9": ".###. #...# #...# .#### ....# ....# .###.",
    ".": "..... ..... ..... ..... ..... .##.. .##..",
    ",": "..... ..... ..... ..... ..#.. ..#.. .#...",
    ":": "..... .##.. .##.. ..... .##.. .##.. .....",
    "-": "..... ..... ..... .###. ..... ..... .....",
    "+": "..... ..#.. ..#.. ##### ..#.. ..#.. .....",
    "!": "..#.. ..#.. ..#.. ..#.. ..#.. ..... ..#..",
    "?": ".###. #...# ....# ...#. ..#.. ..... ..#..",
    "'": "..#.. ..#.. .#... ..... ..... ..... .....",
    "/": "....# ....# ...#. ..#.. .#... #.... #....",
    "…": "..... ..... ..... ..... ..... #.#.# #.#.#",
    " ": "..... ..... ..... ..... ..... ..... .....",
}
_UNKNOWN = "##### #...# #...# #...# #...# #...# #####"
_WIDE = (2, 2, 2, 2, 2)
_NARROW = (2, 1, 1, 1, 2)
_BLOCK = {"#": "█", ".": " "}
_CELLS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def tall(text: str, width: int) -> list[str]:
    """`text` in seven rows, in the widest letters that fit into `width` columns; no rows where
    none fit."""
    glyphs = [_glyph(char) for char in text.upper()]
    for columns, gap in ((_WIDE, GAP * 2), (_NARROW, GAP)):
        if len(glyphs) * (sum(columns) + len(gap)) - len(gap) <= width:
            return [
                gap.join(
                    "".join(_BLOCK[pixel] * columns[x] for x, pixel in enumerate(row))
                    for row in rows
                )
                for rows in zip(*glyphs, strict=True)
            ]
    return []


def small(text: str, width: int) -> list[str]:
    """`text` in three rows; no rows where it is too long for `width` columns, or has a letter
    that is not in the font."""
    if not text or any(char not in _FONT for char in text.upper()):
        return []
    glyphs = [_six_rows(_trimmed(_glyph(char))) for char in text.upper()]
    lines = [GAP.join(rows) for rows in zip(*glyphs, strict=True)]
    if len(lines[0]) > width:
        return []
    return [_pack(lines[i], lines[i + 1]) for i in (0, 2, 4)]


def _glyph(char: str) -> list[str]:
    return _FONT.get(char, _UNKNOWN).split()


def _trimmed(rows: list[str]) -> list[str]:
    """A narrow letter without the blank columns beside it; a blank keeps three."""
    used = [x for x in range(5) if any(row[x] == "#" for row in rows)] or [1, 2, 3]
    return [row[used[0] : used[-1] + 1] for row in rows]


def _six_rows(rows: list[str]) -> list[str]:
    """Without the lowest row that repeats the one above it: nothing is lost by that."""
    twin = next((i for i in range(6, 0, -1) if rows[i] == rows[i - 1]), 5)
    return rows[:twin] + rows[twin + 1 :]


def _pack(upper: str, lower: str) -> str:
    return "".join(_CELLS[a == "#", b == "#"] for a, b in zip(upper, lower, strict=True))
