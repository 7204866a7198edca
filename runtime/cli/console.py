"""`veilrun console`: the way in to the operators' page."""

from typing import Annotated, Any

import typer
from psycopg import AsyncConnection

from db import console_access
from runtime.cli.database import ask
from runtime.cli.output import AsJson, notices, print_json, screen
from runtime.console.keys import LINK_SECONDS
from runtime.console.link import address_of, make_link
from runtime.settings import read_settings


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command(epilog="Example: veilrun console, or veilrun console --revoke")(console)


def console(
    local: Annotated[
        bool,
        typer.Option("--local", help="A link for this machine, or a tunnel to it, whatever VEILRUN_PUBLIC_URL is."),
    ] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Sign everybody out; links not used yet are void.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link to the operators' console.

    It signs in one browser, once, within ten minutes. Whoever has it can act as an operator: give it to nobody.
    """
    if revoke:
        _revoke(as_json)
        return
    address = address_of(read_settings(), local=local)

    async def link(connection: AsyncConnection) -> str:
        return await make_link(connection, address)

    made = ask(link)
    if as_json:
        document: dict[str, Any] = {"link": made, "seconds": LINK_SECONDS}
        print_json(document)
        return
    screen.print(made, markup=False, soft_wrap=True)
    notices.print(
        f"signs in once, within {LINK_SECONDS / 60:.0f} minutes; veilrun console --revoke signs everybody out"
    )


def _revoke(as_json: bool) -> None:
    ended = ask(console_access.revoke)
    if as_json:
        print_json({"ended": ended})
    else:
        screen.print(f"{ended} session(s) ended; links not used yet are void")
