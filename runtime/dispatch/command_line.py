"""Which command a message is for."""

import re
from dataclasses import dataclass

_COMMAND = re.compile(
    "[\\s\u200b\u200e\u200f\u2060\ufeff]*"  # phones that write from right to left put marks before the slash
    r"/([A-Za-z0-9_]{1,64})(?:@([A-Za-z0-9_]{1,64}))?(?:(?=\s|$)|[.,:;!?…]+(?=\s|$))"
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`/word@bot rest`; the word in lower case, `bot` None unless written."""

    word: str
    rest: str
    bot: str | None = None


def read_command(text: str) -> CommandLine | None:
    """The command that `text` begins with, or None if it has none.

    Telegram marks the same words as a `bot_command` entity at offset 0; other servers leave the entity out, so the text
    decides.
    """
    match = _COMMAND.match(text)
    return CommandLine(match[1].lower(), text[match.end() :].strip(), match[2]) if match else None
