"""Which nodes there are: as a ComfyUI tells, as a file that was saved, or as they ship."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.targets import backend_of, everything_installed
from runtime.comfyui import Catalogue
from runtime.registry import BackendConfig, configured_registry
from runtime.scheduler.fleet import Backend
from runtime.settings import read_settings
from runtime.workflow import WorkflowUnreadable
from runtime.workflow.description import Descriptions
from runtime.workflow.shipped import shipped_descriptions

From = Annotated[
    str | None,
    typer.Option(
        "--backend", "-b", metavar="NAME", help="Ask this ComfyUI, by address or registry name, for its nodes."
    ),
]
CatalogFile = Annotated[
    Path | None,
    typer.Option(
        "--catalog", metavar="FILE", help="Nodes as `veilrun workflow catalog` or GET /object_info told them."
    ),
]


def descriptions_of(backend: str | None, catalog: Path | None) -> Descriptions:
    """Of the nodes of a ComfyUI, of a file, or of those that ship. Raises: WorkflowUnreadable, BackendError."""
    if backend is not None:
        return asked(backend)
    if catalog is None:
        return shipped_descriptions()
    try:
        content = catalog.read_bytes()
        entries = json.loads(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)
    except (OSError, ValueError) as error:
        raise WorkflowUnreadable(f"{catalog} is no catalog: save one with `veilrun workflow catalog`") from error
    if not isinstance(entries, dict) or not Catalogue.parse(entries).classes:
        raise WorkflowUnreadable(f"{catalog} is no catalog: save one with `veilrun workflow catalog`")
    return entries


def asked(wanted: str) -> Descriptions:
    """What this ComfyUI says of its nodes. Raises: BackendError."""
    settings = read_settings()
    registry = (
        configured_registry(settings) if settings.registry.exists() else everything_installed(settings.plugins_dir)
    )
    return asyncio.run(_object_info(backend_of(registry, wanted), settings.anon_dir))


async def _object_info(config: BackendConfig, anon_dir: Path) -> Descriptions:
    backend = Backend(config, anon_dir)
    try:
        return await backend.client.object_info()
    finally:
        await backend.close()
