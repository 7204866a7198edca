"""`veilrun doctor`: what is wrong with this deployment, and what to do about it."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from runtime.cli.output import AsJson, print_json, screen
from runtime.doctor import Line, diagnose
from runtime.settings import read_settings

STYLES = {"ok": "green", "warning": "yellow", "fault": "red"}


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command(epilog="Example: veilrun doctor --leaks")(doctor)


def doctor(
    leaks: Annotated[
        bool, typer.Option("--leaks", help="Prove in a network of its own that nothing leaves around the proxy.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong here, and what to do about it.

    Looks at settings, registry, database, broker, Telegram, disk, anon, every backend and the clock. Starts and
    changes nothing. Exit status 1 if anything is at fault; warnings alone are no fault.
    """
    lines = asyncio.run(_collect(leaks, quiet=as_json))
    is_sound = all(line.level != "fault" for line in lines)
    if as_json:
        print_json({"ok": is_sound, "lines": [asdict(line) for line in lines]})
    raise typer.Exit(0 if is_sound else 1)


async def _collect(leaks: bool, *, quiet: bool) -> list[Line]:
    lines = []
    async for line in diagnose(read_settings(), leaks=leaks):
        lines.append(line)
        if not quiet:
            _show(line)
    return lines


def _show(line: Line) -> None:
    screen.print(f"{line.level:<8}", style=STYLES[line.level], end="")
    screen.print(f"{line.subject}: {line.text}", markup=False, soft_wrap=True)
    if line.cure:
        screen.print(f"{'':8}→ {line.cure}", markup=False, soft_wrap=True)
