"""`veilrun plugins`: what is installed, what is enabled, and if it is not active, why."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from db.reports import command_versions
from runtime.cli import plugin_new
from runtime.cli.database import ask
from runtime.cli.output import AsJson, Commands, print_json, print_table, screen
from runtime.registry import configured_registry
from runtime.registry.edit import set_enabled
from runtime.settings import read_settings

app = Commands(help="List plugins, check them and the registry file; make a new one.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="plugins", epilog="Example: veilrun plugins list")


plugin_new.add_to(app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name, as `veilrun plugins list` shows it.")]


@app.command("list", epilog="Example: veilrun plugins list --json")
def list_plugins(as_json: AsJson = False) -> None:
    """List every installed or enabled plugin with its state."""
    registry = configured_registry(read_settings())
    if as_json:
        print_json(
            [
                {
                    "name": plugin.name,
                    "enabled": plugin.enabled,
                    "version": plugin.version,
                    "source": plugin.source,
                    "commands": list(plugin.commands),
                    "error": plugin.error,
                }
                for plugin in registry.plugins
            ]
        )
        return
    rows = [
        [
            plugin.name,
            "faulty" if plugin.error else "active" if plugin.enabled else "not enabled",
            plugin.version or "",
            plugin.source or "",
            " ".join(f"/{name}" for name in plugin.commands),
        ]
        for plugin in registry.plugins
    ]
    print_table("plugins", ["plugin", "state", "version", "from", "commands"], rows)
    for plugin in registry.plugins:
        if plugin.error:
            screen.print(f"{plugin.name}: {plugin.error}", markup=False, soft_wrap=True)


@app.command(epilog="Example: veilrun plugins check --traceback")
def check(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where a faulty plugin fails.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the registry file and every plugin.

    Every enabled plugin is loaded. Exit status 1 if anything is wrong.
    """
    registry = configured_registry(read_settings())
    faulty = [plugin for plugin in registry.plugins if plugin.error]
    if as_json:
        print_json(
            {
                "commands": sorted(registry.commands),
                "faulty": {plugin.name: plugin.error for plugin in faulty},
                "warnings": [str(warning) for warning in registry.warnings],
            }
        )
    else:
        for name, loaded in sorted(registry.commands.items()):
            screen.print(f"ok      /{name} from {loaded.plugin} {loaded.plugin_version}")
        for plugin in faulty:
            screen.print(f"faulty  {plugin.name}: {plugin.error}", markup=False, soft_wrap=True)
            if traceback and plugin.traceback:
                screen.print(plugin.traceback, markup=False)
        for warning in registry.warnings:
            screen.print(f"warning {warning}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if faulty or (strict and registry.warnings) else 0)


@app.command(epilog="Example: veilrun plugins enable acme-upscale")
def enable(name: Name) -> None:
    """Enable a plugin in the registry file.

    It is loaded first, and refused if it cannot be. Everything else in the file stays as it is, comments too. A bot
    that runs offers its commands within seconds.
    """
    _set(name, True)


@app.command(epilog="Example: veilrun plugins disable wan")
def disable(name: Name) -> None:
    """Disable a plugin in the registry file.

    What runs ends as it began; what waits is told that the command is gone. Everything else in the file stays as it is.
    """
    _set(name, False)


def _set(name: str, enabled: bool) -> None:
    settings = read_settings()
    path, word = settings.registry, "enabled" if enabled else "disabled"
    if set_enabled(path, name, enabled, folder=settings.plugins_dir):
        screen.print(f"{name} is {word} in {path}", markup=False, soft_wrap=True)
    else:
        screen.print(f"{name} was {word} already", markup=False)


@app.command(epilog="Example: veilrun plugins versions flux")
def versions(
    command: Annotated[str | None, typer.Argument(metavar="COMMAND", help="Only of this command.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the versions of commands that there were.

    Every one that the deployment has known, with the number of its jobs. Each job keeps the version that it ran. `in
    use`: the version that the registry means now.
    """
    found = ask(partial(command_versions, command=command))
    if as_json:
        print_json([asdict(version) for version in found])
        return
    rows = [
        [
            f"/{version.command}",
            version.plugin,
            version.plugin_version,
            version.workflow_digest[:12],
            "in use" if version.enabled else "",
            f"{version.first_seen_at:%Y-%m-%d %H:%M}",
            str(version.jobs),
        ]
        for version in found
    ]
    print_table("versions", ["command", "plugin", "version", "workflow", "", "first seen", "jobs kept"], rows)
