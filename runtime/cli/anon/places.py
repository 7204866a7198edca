"""Where a machine keeps its hidden services, and how the bot's registry names one."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Where keys and addresses are kept; default: in VEILRUN_STATE_DIR.", file_okay=False
    ),
]


def services_in(data_dir: Path | None, settings: Settings) -> Path:
    """The folder of the hidden services: as given, or below the state folder."""
    return (data_dir or settings.state_dir / "expose").resolve()


def registry_line(address: str, key_file: str | None = None) -> str:
    """The backend for plugin_registry.yaml on the bot's machine; name and vram_gb are the operator's to set."""
    key = f"client_key_file: {key_file}, " if key_file is not None else ""
    return f'  - {{name: gpu-a, url: "http://{address}", transport: anon, {key}vram_gb: 24}}'
