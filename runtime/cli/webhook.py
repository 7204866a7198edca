"""`veilrun webhook`: tell Telegram where to send updates."""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from runtime.api import VeilrunError
from runtime.chat.errors import TelegramFailed
from runtime.cli.output import AsJson, Commands, print_json, screen
from runtime.settings import read_settings

if TYPE_CHECKING:  # the Bot API client takes longer to load than most commands take to run
    from runtime.chat.gateway import Webhook

T = TypeVar("T")

app = Commands(help="Set, inspect or delete the webhook at Telegram.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="webhook", epilog="Example: veilrun webhook info")


class NoPublicUrl(VeilrunError):
    """Nobody said under which address Telegram reaches this machine."""


class TelegramUnwilling(VeilrunError):
    """Telegram did not do what was asked. The text says what it said, and where to look."""


def _done(call: Coroutine[Any, Any, T]) -> T:
    """What the call gives. Raises: TelegramUnwilling."""
    try:
        return asyncio.run(call)
    except TelegramFailed as error:
        raise TelegramUnwilling(f"Telegram did not do it: {error}; `veilrun doctor` says what to look at") from error


@app.command("set", epilog="Example: veilrun webhook set https://bot.example.org")
def set_webhook(
    public_url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Public https address; default VEILRUN_PUBLIC_URL.")
    ] = None,
) -> None:
    """Have updates sent here.

    They go to URL/telegram/webhook, with the secret of this deployment.
    """
    settings = read_settings()
    url = public_url or settings.public_url
    if not url:
        raise NoPublicUrl("give the public https address of this machine, or set VEILRUN_PUBLIC_URL")

    async def act() -> str:
        from runtime.chat.gateway import open_gateway
        from runtime.chat.webhook import register_webhook

        async with open_gateway(settings) as gateway:
            return await register_webhook(gateway, url, settings.webhook_secret)

    screen.print(f"Telegram sends updates to {_done(act())}")


@app.command(epilog="Example: veilrun webhook info --json")
def info(as_json: AsJson = False) -> None:
    """Show what Telegram knows.

    Address, waiting updates, last error. Exit status 1 if no webhook is set.
    """
    settings = read_settings()

    async def act() -> "Webhook":
        from runtime.chat.gateway import open_gateway

        async with open_gateway(settings) as gateway:
            return await gateway.webhook()

    found = asdict(_done(act()))
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            screen.print(f"{name:24} {value}")
    raise typer.Exit(0 if found["url"] else 1)


@app.command(epilog="Example: veilrun webhook delete --drop-pending")
def delete(
    drop_pending: Annotated[bool, typer.Option("--drop-pending", help="Forget updates not yet fetched.")] = False,
) -> None:
    """Stop Telegram from sending updates here."""
    settings = read_settings()

    async def act() -> None:
        from runtime.chat.gateway import open_gateway

        async with open_gateway(settings) as gateway:
            await gateway.delete_webhook(drop_pending=drop_pending)

    _done(act())
    screen.print("Telegram sends no updates any more")
