"""Text in a picture, with Pillow's own font: no font needs to be installed."""

import bisect
import functools
import itertools
import unicodedata

from PIL import ImageFont

LONGEST = 500
"""Letters of a text that can ever be shown; the rest is not looked at."""

PLAIN = str.maketrans({"×": "x", "—": "-", "–": "-", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae"})

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@functools.lru_cache(maxsize=64)
def font(size: int) -> Font:
    """Pillow's built-in face at `size` pixels."""
    return ImageFont.load_default(max(6, size))


def drawable(text: str) -> str:
    """`text` with letters that the built-in face has: accents go, other scripts are told: "[9 Cyrillic letters]"."""
    plain = unicodedata.normalize("NFKD", text[:LONGEST].translate(PLAIN))
    plain = " ".join("".join(letter for letter in plain if not unicodedata.combining(letter)).split())
    told = []
    for is_known, run in itertools.groupby(plain.split(), lambda word: all(_has_glyph(letter) for letter in word)):
        words = list(run)
        letters = "".join(words)
        told += words if is_known else [f"[{len(letters)} {_script(letters)}]"]
    return " ".join(told)


def wrapped(text: str, size: int, width: float, most_lines: int) -> list[str]:
    """`text` in lines of at most `width` pixels; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    words = text.split(" ")
    while words and len(lines) < most_lines:
        line = words.pop(0)
        while words and length(f"{line} {words[0]}", size) <= width:
            line = f"{line} {words.pop(0)}"
        lines.append(line)
    if lines and words:
        lines[-1] += " …"
    return [_cut(line, size, width) for line in lines]


def length(text: str, size: int) -> float:
    """Width of `text` in pixels."""
    return font(size).getlength(text)


def _cut(line: str, size: int, width: float) -> str:
    if length(line, size) <= width:
        return line
    fitting = bisect.bisect_right(range(1, len(line) + 1), width, key=lambda count: length(f"{line[:count]}…", size))
    return f"{line[:fitting]}…"


@functools.lru_cache(maxsize=4096)
def _has_glyph(letter: str) -> bool:
    face = font(16)
    return bytes(face.getmask(letter)) != bytes(face.getmask("\uffff"))


def _script(letters: str) -> str:
    """Cyrillic letters, CJK letters, symbols: by the Unicode name of the first that the face lacks."""
    letter = next(one for one in letters if not _has_glyph(one))
    if not letter.isalpha():
        return "symbols"
    script = unicodedata.name(letter, "other").split()[0]
    return f"{script if script == 'CJK' else script.capitalize()} letters"
