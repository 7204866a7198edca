"""`veilrun plugins`: what is installed, what is enabled, and if it is not active, why."""

from typing import Annotated

import typer

from runtime.cli.output import AsJson, Commands, print_json, print_table, screen
from runtime.registry import load_registry
from runtime.settings import read_settings

app = Commands(help="List plugins, check them and the registry file.")


@app.command("list", epilog="Example: veilrun plugins list --json")
def list_plugins(as_json: AsJson = False) -> None:
    """List every installed or enabled plugin with its state."""
    registry = load_registry(read_settings().registry)
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
            plugin.error or "",
        ]
        for plugin in registry.plugins
    ]
    print_table("plugins", ["plugin", "state", "version", "from", "commands", "why not"], rows)


@app.command(epilog="Example: veilrun plugins check --traceback")
def check(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where a faulty plugin fails.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the registry file and every plugin.

    Every enabled plugin is loaded. Exit status 1 if anything is wrong.
    """
    registry = load_registry(read_settings().registry)
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
    raise typer.Exit(1 if faulty else 0)
