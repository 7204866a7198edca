"""Making the tables follow the registry: which backends there are, and which commands run which workflow."""

from collections.abc import Mapping
from typing import Any

from db import placement
from db.placement import BackendRow, CommandRow
from db.pool import Pool
from runtime.api import Command, Workflow
from runtime.registry import BackendConfig, LoadedCommand, Registry


async def sync_registry(pool: Pool, registry: Registry) -> Mapping[str, int]:
    """Write backends, slots and commands. Command name -> id of the row of the version that this registry runs."""
    async with pool.connection() as connection:
        await placement.sync_backends(connection, [_backend_row(config) for config in registry.backends])
        return await placement.sync_commands(connection, [_command_row(row) for row in registry.commands.values()])


def _backend_row(config: BackendConfig) -> BackendRow:
    return BackendRow(config.name, config.device, config.vram_gb, slots=1 + config.lookahead)


def _command_row(loaded: LoadedCommand) -> CommandRow:
    command = loaded.command
    return CommandRow(
        name=command.name,
        aliases=command.aliases,
        plugin=loaded.plugin,
        plugin_version=loaded.plugin_version,
        summary=command.summary,
        workflow_digest=command.digest,
        workflow=_workflows(command),
    )


def _workflows(command: Command) -> Mapping[str, Any]:
    """The plain workflow under the empty name, each variant's under its own."""
    named = {"": command.workflow, **{variant.name: variant.workflow for variant in command.variants}}
    return {name: _document(workflow) for name, workflow in named.items()}


def _document(workflow: Workflow) -> Mapping[str, Any]:
    bind = {name: place if isinstance(place, str) else list(place) for name, place in workflow.bind.items()}
    return {"graph": workflow.graph, "bind": bind, "output": workflow.output, "kind": workflow.kind}
