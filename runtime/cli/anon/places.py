"""Where a machine keeps its hidden services."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option(help="Where keys and addresses are kept; default: in VEILRUN_STATE_DIR.", file_okay=False)
]


def services_in(data_dir: Path | None, settings: Settings) -> Path:
    """The folder of the hidden services: as given, or below the state folder."""
    return (data_dir or settings.state_dir / "expose").resolve()
