"""Which command a message is for."""

import re
from dataclasses import dataclass

_COMMAND = re.compile(r"\s*/([A-Za-z0-9_]{1,64})(?:@([A-Za-z0-9_]{1,64}))?(?=\s|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`/word@bot rest`; the word in lower case, `bot` None unless written."""

    word: str
    rest: str
    bot: str | None = None


def read_command(text: str) -> CommandLine | None:
    """The command that `text` begins with, or None if it has none."""
    match = _COMMAND.match(text)
    return CommandLine(match[1].lower(), text[match.end() :].strip(), match[2]) if match else None
