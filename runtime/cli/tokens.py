"""`veilrun tokens`: who may call functions over HTTP. Without a token nobody may."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import typer
from psycopg import AsyncConnection

import db.callbacks
import db.tokens
from db.callbacks import Logged
from db.tokens import Token
from runtime.api import VeilrunError
from runtime.cli.database import ask
from runtime.cli.output import AsJson, Commands, print_json, print_table, screen
from runtime.functions.tokens import SCOPES, Issued, Scope, issue
from runtime.registry import configured_registry
from runtime.settings import read_settings

app = Commands(help="Say who may call functions over HTTP; see result webhooks.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="tokens", epilog="Example: veilrun tokens list")


PER_MINUTE, OPEN_JOBS, PER_DAY = 120, 20, 1000
CALLBACK_STATES = ("open", "delivered", "failed")
DAY_SECONDS = 86_400.0


class NoSuchToken(VeilrunError):
    """There is no token of this number that is not revoked already."""

    def __init__(self, token_id: int) -> None:
        super().__init__(f"there is no valid token {token_id}; `veilrun tokens list` shows those there are")


@app.command(epilog="Example: veilrun tokens create shop --command flux --open-jobs 4 --days 90")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, for people.")],
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help=f"What it may do: {', '.join(SCOPES)}. All, if left out.")
    ] = None,
    command: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="The commands it may invoke. All, if left out.")
    ] = None,
    per_minute: Annotated[int, typer.Option(min=0, metavar="N", help="Requests a minute; 0 = no bound.")] = PER_MINUTE,
    open_jobs: Annotated[
        int, typer.Option(min=0, metavar="N", help="Jobs that are not over; 0 = no bound.")
    ] = OPEN_JOBS,
    per_day: Annotated[int, typer.Option(min=0, metavar="N", help="Jobs a day (UTC); 0 = no bound.")] = PER_DAY,
    days: Annotated[float | None, typer.Option(min=0.001, max=36500, metavar="N", help="How long it is valid.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and show it once.

    Only its hash is kept, so nothing can show it again.
    """
    for wanted in scope or ():
        if wanted not in SCOPES:
            raise typer.BadParameter(f"{wanted!r} is none of {', '.join(SCOPES)}", param_hint="--scope")
    issued = issue(
        name,
        scopes=cast("Sequence[Scope]", scope) if scope else SCOPES,
        commands=_named(command) if command else None,
        per_minute=per_minute or None,
        open_jobs=open_jobs or None,
        per_day=per_day or None,
        seconds=None if days is None else days * DAY_SECONDS,
    )

    async def stored(connection: AsyncConnection) -> int:
        return await db.tokens.create(connection, issued.row)

    _show(ask(stored), issued, as_json=as_json)


def _named(words: Sequence[str]) -> list[str]:
    """The commands by their names, since a token may be given by aliases."""
    registry = configured_registry(read_settings())
    names = []
    for word in words:
        loaded = registry.resolve(word.removeprefix("/"))
        if loaded is None:
            raise typer.BadParameter(f"there is no command {word!r}", param_hint="--command")
        names.append(loaded.command.name)
    return names


def _show(token_id: int, issued: Issued, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": token_id, "token": issued.text, "signing_secret": issued.signing_secret})
        return
    screen.print(f"token {token_id} for {issued.row.name}, shown this once:\n\n  {issued.text}\n", soft_wrap=True)
    screen.print(f"its result webhooks are signed with\n\n  {issued.signing_secret}", soft_wrap=True)


@app.command("list", epilog="Example: veilrun tokens list --json")
def list_tokens(as_json: AsJson = False) -> None:
    """List all tokens, revoked and expired ones too.

    Only their beginnings are known.
    """
    found = ask(db.tokens.every)
    if as_json:
        print_json([_document(token) for token in found])
        return
    rows = [
        [
            str(token.id),
            token.name,
            f"{token.prefix}…",
            _standing(token),
            ",".join(token.scopes),
            ",".join(token.commands) if token.commands is not None else "all",
            _limits(token),
            f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never",
        ]
        for token in found
    ]
    columns = ["token", "name", "begins", "state", "scopes", "commands", "limits", "last used"]
    print_table("tokens", columns, rows)


def _document(token: Token) -> dict[str, Any]:
    return {name: value for name, value in asdict(token).items() if name != "hash"} | {"state": _standing(token)}


def _standing(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.is_expired else "valid"


def _limits(token: Token) -> str:
    today = f"{token.jobs_of_day}/{_bound(token.per_day)} today"
    return f"{_bound(token.per_minute)}/min {_bound(token.open_jobs)} open {today}"


def _bound(number: int | None) -> str:
    return "∞" if number is None else str(number)


@app.command(epilog="Example: veilrun tokens revoke 3")
def revoke(token_id: Annotated[int, typer.Argument(metavar="TOKEN", help="Its number.")]) -> None:
    """Let a token be of no use from now on.

    Its jobs go on; `veilrun jobs cancel` stops them. Its result webhooks are not sent any more.
    """

    async def revoked(connection: AsyncConnection) -> None:
        if not await db.tokens.revoke(connection, token_id):
            raise NoSuchToken(token_id)
        await db.callbacks.drop(connection, token_id)

    ask(revoked)
    screen.print(f"token {token_id} is revoked")


@app.command(epilog="Example: veilrun tokens callbacks --state failed")
def callbacks(
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"Only these: {', '.join(CALLBACK_STATES)}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="How many tries, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the tries of result webhooks, newest first.

    Of their addresses only the host is shown.
    """
    if state is not None and state not in CALLBACK_STATES:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(CALLBACK_STATES)}", param_hint="--state")

    async def logged(connection: AsyncConnection) -> Sequence[Logged]:
        return await db.callbacks.log(connection, state=state, limit=limit)

    found = ask(logged)
    if as_json:
        hosts = [asdict(one) | {"host": urlsplit(one.url).netloc} for one in found]
        print_json([{name: value for name, value in one.items() if name != "url"} for one in hosts])
        return
    rows = [
        [
            str(one.job_id),
            one.token,
            urlsplit(one.url).netloc,
            one.state,
            str(one.number),
            f"{one.at:%Y-%m-%d %H:%M:%S}" if one.at else "",
            one.error or (str(one.status) if one.status else ""),
            f"{one.seconds:.2f} s" if one.seconds is not None else "",
            f"{one.next_at:%H:%M:%S}" if one.next_at else "",
        ]
        for one in found
    ]
    print_table("callbacks", ["job", "token", "host", "state", "try", "at", "answer", "took", "next"], rows)
