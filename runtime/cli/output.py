"""How commands speak: results on standard output (or JSON), everything else on standard error."""

import functools
import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

screen = Console(highlight=False)
wide = Console(highlight=False, width=10_000)
notices = Console(stderr=True, highlight=False)

Commands = functools.partial(typer.Typer, no_args_is_help=True, rich_markup_mode=None)
"""A group of commands, with help as plain text: it can be piped, and reads well in 80 columns."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_error(message: str, style: str = "red") -> None:
    """One line on standard error, never wrapped: a terminal wraps by itself, a log wants one line."""
    notices.print(message, style=style, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print `value` as one JSON document; times as ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print rows for a person, or say that there are none. Where nobody looks at a terminal, a row is one line."""
    if not rows:
        screen.print(f"no {title}")
        return
    table = Table(*(Column(title, overflow="fold") for title in columns), box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    (screen if screen.is_terminal else wide).print(table)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
