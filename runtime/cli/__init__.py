"""The command line `veilrun`.

Exit status: 0 done, 1 it failed (one line on standard error says what to do), 2 wrong usage, 78 wrong settings,
130 stopped by Ctrl-C.
"""

import importlib.metadata
import sys
from typing import Annotated

import typer
from psycopg import OperationalError
from psycopg.errors import ReadOnlySqlTransaction

from db.errors import DatabaseError
from runtime.api import VeilrunError
from runtime.cli.lazy import lazily
from runtime.cli.output import Commands, print_error
from runtime.logs import configure_logs
from runtime.settings import SettingsInvalid, read_settings
from runtime.supervisor import EX_CONFIG

MODULES = {
    **dict.fromkeys(("up", "serve", "worker", "demo", "health"), "serve"),
    **{name: name for name in ("invoke", "doctor", "bench", "console")},
    **{name: name for name in ("plugins", "workflow", "jobs", "backends", "tokens", "webhook", "anon")},
    "db": "database",
}
"""Command -> module beside this one."""

app = Commands(
    name="veilrun",
    cls=lazily(__name__, MODULES),
    pretty_exceptions_enable=False,
    add_completion=False,
    help="A function runtime whose functions are chat commands, executed by ComfyUI on your GPUs.",
    epilog="Example: veilrun demo",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"veilrun {importlib.metadata.version('veilrun')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A function runtime whose functions are chat commands."""
    configure_logs(read_settings().log_level)


def main() -> None:
    """Run the command line. Errors that veilrun knows are one line, never a traceback."""
    try:
        app()
    except SettingsInvalid as error:
        print_error(f"error: {error}")
        sys.exit(EX_CONFIG)
    except (VeilrunError, DatabaseError) as error:
        print_error(f"error: {error}")
        sys.exit(1)
    except (OperationalError, ReadOnlySqlTransaction) as error:
        first = str(error).strip().partition("\n")[0]
        does_not = "answer" if isinstance(error, OperationalError) else "serve us"
        print_error(f"error: the database does not {does_not}: {first}; check DATABASE_URL")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
