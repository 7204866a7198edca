"""Times to wait, as people say them."""

import math

from runtime.chat.texts import text


def spoken(seconds: float, language: str | None) -> str:
    """`2 d 5 h`, `2 h 30 min` or `7 min`: the coarser the longer, so that a message that shows it changes seldom.

    Days and hours from a day on, steps of five minutes from an hour on, at least one minute.
    """
    minutes = max(math.ceil(seconds / 60), 1)
    if minutes < 60:
        return text("time.minutes", language, minutes=minutes)
    minutes = 5 * round(minutes / 5)
    if minutes < 24 * 60:
        key = "time.hours" if minutes % 60 else "time.whole_hours"
        return text(key, language, hours=minutes // 60, minutes=minutes % 60)
    hours = round(minutes / 60)
    return text("time.days" if hours % 24 else "time.whole_days", language, days=hours // 24, hours=hours % 24)
