"""`--in 2h30m`: every command takes it, and its job starts so much later.

There is no `--at 18:30`: Telegram tells a bot nothing of the time zone of who writes.
"""

import re

from runtime.api import BadArgument

LONGEST_SECONDS = 7 * 86_400.0

_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_PART = re.compile(rf"\s*(\d{{1,6}})\s?({'|'.join(sorted(_UNITS, key=len, reverse=True))})(?![^\W\d_])", re.IGNORECASE)


def read_delay(text: str) -> tuple[float, str]:
    """The seconds that `text` begins with, as in `2h30m a cat` or `1 d`, and the words after. Raises: BadArgument."""
    seconds, at = 0.0, 0
    while part := _PART.match(text, at):
        seconds += int(part[1]) * _UNITS[part[2].lower()]
        at = part.end()
    if at == 0 or seconds <= 0 or re.match(r"\S", text[at:]):
        raise BadArgument("--in takes how long to wait, as in --in 2h30m, --in 45min or --in 1d")
    if seconds > LONGEST_SECONDS:
        raise BadArgument(f"--in takes at most {LONGEST_SECONDS / 86_400:g} days")
    return seconds, text[at:]
