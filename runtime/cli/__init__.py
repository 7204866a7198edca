"""The command line `veilrun`.

Exit status: 0 done, 1 it failed (one line on standard error says what to do), 2 wrong usage, 78 wrong settings,
130 stopped by Ctrl-C.
"""

import importlib.metadata
import sys
from typing import Annotated

import typer
from psycopg import OperationalError

from db.errors import DatabaseError
from runtime.api import VeilrunError
from runtime.cli import anon, backends, database, jobs, plugins, serve, tokens, webhook, workflow
from runtime.cli.bench import add_to as add_bench
from runtime.cli.console import add_to as add_console
from runtime.cli.doctor import add_to as add_doctor
from runtime.cli.invoke import add_to as add_invoke
from runtime.cli.output import Commands, print_error
from runtime.logs import configure_logs
from runtime.settings import SettingsInvalid, read_settings
from runtime.supervisor import EX_CONFIG

app = Commands(
    name="veilrun",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="A function runtime whose functions are chat commands, executed by ComfyUI on your GPUs.",
    epilog="Example: veilrun demo",
)
app.add_typer(plugins.app, name="plugins", epilog="Example: veilrun plugins list")
app.add_typer(workflow.app, name="workflow", epilog="Example: veilrun workflow check graph.json")
app.add_typer(jobs.app, name="jobs", epilog="Example: veilrun jobs list --state running")
app.add_typer(backends.app, name="backends", epilog="Example: veilrun backends list")
app.add_typer(tokens.app, name="tokens", epilog="Example: veilrun tokens list")
app.add_typer(webhook.app, name="webhook", epilog="Example: veilrun webhook info")
app.add_typer(anon.app, name="anon", epilog="Example: veilrun anon status")
app.add_typer(database.app, name="db", epilog="Example: veilrun db status")
serve.add_to(app)
add_invoke(app)
add_doctor(app)
add_bench(app)
add_console(app)


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
    except OperationalError as error:
        first = str(error).strip().partition("\n")[0]
        print_error(f"error: the database does not answer: {first}; check DATABASE_URL")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
