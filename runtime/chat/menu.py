"""The command menu that Telegram shows when a user types `/`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from runtime.api import Command
from runtime.chat.captions import shortened
from runtime.chat.gateway import TelegramGateway
from runtime.chat.texts import FALLBACK, languages, text

MENU_SIZE, DESCRIPTION_UNITS = 100, 256  # Bot API, setMyCommands

Menu: TypeAlias = tuple[tuple[str, str], ...]
"""(name, description) pairs, in the order shown."""

_BUILT_IN = {"help": "menu.help", "status": "menu.status", "cancel": "menu.cancel", "start": "menu.start"}


def menu(commands: Iterable[Command], language: str | None) -> Menu:
    """The menu in `language`: the commands with their aliases, then what the bot itself understands."""
    offered = [(command.name, _description(command)) for command in commands]
    built_in = [(name, text(key, language)) for name, key in _BUILT_IN.items()]
    names = {name for name, _ in built_in}
    kept = [(name, description) for name, description in offered if name not in names]
    return (*kept[: MENU_SIZE - len(built_in)], *built_in)


async def publish_menu(gateway: TelegramGateway, commands: Sequence[Command]) -> int:
    """Bring Telegram's menu up to date in every language. How many had changed; those that had not are left alone.

    Raises: TelegramFailed; what is not done yet is done by the next call.
    """
    wanted: Mapping[str | None, Menu] = {
        None if language == FALLBACK else language: menu(commands, language) for language in languages()
    }
    changed = 0
    for language, entries in wanted.items():
        if await gateway.commands(language=language) != entries:
            await gateway.set_commands(entries, language=language)
            changed += 1
    return changed


def _description(command: Command) -> str:
    also = " ".join(f"/{alias}" for alias in command.aliases)
    return shortened(f"{command.summary} ({also})" if also else command.summary, DESCRIPTION_UNITS)
