"""Texts that fit Telegram's limits, which count UTF-16 code units, and cut between characters as a reader sees them."""

import re
import unicodedata

from runtime.chat.texts import text

TEXT_UNITS, CAPTION_UNITS, ANSWER_UNITS = 4096, 1024, 200
"""Longest message, caption and callback answer (Bot API), in UTF-16 code units."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_CLUSTER = 32  # characters: what one cut may step back; longer piles of accents are cut through


def utf16_units(string: str) -> int:
    """Length as Telegram counts it."""
    return len(string) + sum(character > "\uffff" for character in string)


def shortened(string: str, units: int) -> str:
    """`string` in at most `units` UTF-16 code units: whole if it fits, else cut at a whole character, with `…`.

    The cut falls between words if that costs little. What UTF-8 cannot carry (lone surrogates) becomes U+FFFD.
    """
    string = _LONE_SURROGATE.sub("�", string)
    if utf16_units(string) <= units:
        return string
    if units < 1:
        return ""
    end, used = 0, 1  # the ellipsis
    for character in string:
        used += 2 if character > "\uffff" else 1
        if used > units:
            break
        end += 1
    end = _between_words(string, _between_characters(string, end))
    return string[:end].rstrip() + "…"


def result_caption(
    language: str | None, *, command: str, variant: str | None, prompt: str, seed: int | None, seconds: float | None
) -> str:
    """Under a result: the prompt, shortened so that all fits, then command, seed and time."""
    facts = [f"{command} --{variant}" if variant else command]
    if seed is not None:
        facts.append(text("result.seed", language, seed=seed))
    if seconds is not None:
        facts.append(duration(language, seconds))
    line = shortened(" · ".join(facts), CAPTION_UNITS // 2)
    words = shortened(" ".join(prompt.split()), CAPTION_UNITS - utf16_units(line) - 2)
    return f"{words}\n\n{line}" if words else line


def duration(language: str | None, seconds: float) -> str:
    """A time for reading: `⏱ 4.2 s`, `⏱ 41 s`, `⏱ 3 min 7 s`."""
    if seconds < 9.95:
        return text("result.seconds", language, seconds=f"{max(seconds, 0):.1f}")
    whole = round(seconds)
    if whole < 60:
        return text("result.seconds", language, seconds=whole)
    return text("result.minutes", language, minutes=whole // 60, seconds=whole % 60)


def file_stem(command: str, seed: int | None, position: int, count: int) -> str:
    """Name of an uploaded file without its ending: `flux-7`, or `flux-7-2` for the second of several."""
    parts = [command]
    if seed is not None:
        parts.append(str(seed))
    if count > 1:
        parts.append(str(position + 1))
    return "-".join(parts)


def _between_characters(string: str, end: int) -> int:
    """The nearest place at or before `end` that does not cut through what a reader sees as one character."""
    for place in range(end, max(end - _LONGEST_CLUSTER, 0), -1):
        if not _joins(string, place):
            return place
    return end if end > _LONGEST_CLUSTER else 0


def _joins(string: str, place: int) -> bool:
    before, after = string[place - 1], string[place]
    if before == "\u200d" or _extends(after):
        return True
    if _is_flag_half(before) and _is_flag_half(after):
        run = 0
        while run < place and _is_flag_half(string[place - 1 - run]):
            run += 1
        return run % 2 == 1
    return False


def _extends(character: str) -> bool:
    """Combining marks, joiners, variation selectors, skin tones and tags belong to the character before them."""
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character in "\u200d\u200c"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _between_words(string: str, end: int) -> int:
    space = max(string.rfind(" ", 0, end + 1), string.rfind("\n", 0, end + 1))
    return space if space > end * 0.8 else end
