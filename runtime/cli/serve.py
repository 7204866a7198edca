"""`veilrun up`, `serve`, `worker`, `demo`, `health`: the processes of one machine."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from db import migrate
from runtime.anon.keeper import check_startable
from runtime.cli.database import database
from runtime.cli.demo import PluginsDir, demo
from runtime.cli.machine import WEB, WORKER, anon_children, listening, machine, needs_anon, worker_children
from runtime.cli.output import AsJson, notices, print_error, print_json, screen
from runtime.heartbeat import living_processes
from runtime.registry import configured_registry
from runtime.settings import Settings, read_settings
from runtime.supervisor import Child, child_environment, stop_on_signals, supervise

Strict = Annotated[bool, typer.Option("--strict", help="For development: a plugin that cannot be active is an error.")]
Workers = Annotated[
    int | None, typer.Option(min=1, max=64, metavar="N", help="Worker processes; default VEILRUN_WORKER_PROCESSES.")
]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command(epilog="Example: TELEGRAM_BOT_TOKEN=123:AAH… VEILRUN_PUBLIC_URL=https://bot.example.org veilrun up")(up)
    app.command(epilog="Example: DATABASE_URL=postgresql://bot@db/veilrun veilrun serve")(serve)
    app.command(epilog="Example: DATABASE_URL=postgresql://bot@db/veilrun veilrun worker --processes 2")(worker)
    app.command(epilog="Example: veilrun demo --once")(demo)
    app.command(epilog="Example: veilrun health")(health)


def up(workers: Workers = None, plugins_dir: PluginsDir = None, strict: Strict = False) -> None:
    """Run a whole bot on this machine.

    That is a web process, workers and, without DATABASE_URL, the database. Ctrl-C or SIGTERM stops it.
    """
    settings = _settings(strict, plugins_dir)
    anon = _check(settings)
    with database(settings) as dsn, listening(settings.host, settings.port) as listener:
        migrate.upgrade(dsn)
        host, port = listener.getsockname()[:2]
        notices.print(f"veilrun listens on http://{host}:{port}; Ctrl-C stops it")
        children = machine(dsn, listener, workers or settings.worker_processes)
        status = asyncio.run(_run([*anon, *children]))
    raise typer.Exit(status)


def serve(plugins_dir: PluginsDir = None, strict: Strict = False) -> None:
    """Run the web process alone.

    It receives updates, answers commands and serves health and metrics.
    """
    settings = _settings(strict, plugins_dir)
    anon = _check(settings)
    if settings.telegram_via != "anon":
        os.execv(sys.executable, WEB)
    raise typer.Exit(asyncio.run(_run([*anon, Child("web", WEB, child_environment())])))


def worker(processes: Workers = None, plugins_dir: PluginsDir = None, strict: Strict = False) -> None:
    """Run workers alone.

    They execute jobs on the backends and deliver results.
    """
    settings = _settings(strict, plugins_dir)
    anon = _check(settings)
    count = processes or settings.worker_processes
    if count == 1 and not anon:
        os.execv(sys.executable, WORKER)
    with database(settings) as dsn:
        migrate.upgrade(dsn)
        status = asyncio.run(_run([*anon, *worker_children(child_environment(DATABASE_URL=dsn), count)]))
    raise typer.Exit(status)


def health(as_json: AsJson = False) -> None:
    """Say whether the veilrun processes here are alive.

    For health checks of containers: exit status 1 if one is silent, or if there is none.
    """
    processes = living_processes()
    if as_json:
        print_json(processes)
    else:
        for name, alive in sorted(processes.items()):
            screen.print(f"{'alive ' if alive else 'SILENT'}  {name}")
        if not processes:
            screen.print("no veilrun process runs here")
    raise typer.Exit(0 if processes and all(processes.values()) else 1)


def _settings(strict: bool, plugins_dir: Path | None) -> Settings:
    """The settings, with what the options say, for the processes that are started as well."""
    if strict:
        os.environ["VEILRUN_STRICT"] = "1"
    if plugins_dir is not None:
        os.environ["VEILRUN_PLUGINS_DIR"] = str(plugins_dir.resolve())
    return read_settings()


async def _run(children: list[Child]) -> int:
    return await supervise(children, stop_on_signals())


def _check(settings: Settings) -> list[Child]:
    """Fail early and clearly: a token, a registry that loads, an anon that may start. The children that keep anon."""
    _ = settings.bot_token
    registry = configured_registry(settings)
    for plugin in registry.plugins:
        if plugin.enabled and plugin.error:
            print_error(f"plugin {plugin.name} is not active: {plugin.error}", style="yellow")
    if not needs_anon(registry, settings):
        return []
    check_startable(settings)
    return anon_children(child_environment())
