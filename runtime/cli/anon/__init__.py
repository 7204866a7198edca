"""`veilrun anon …`: the onion network on this machine, as a client (bot host) and as a hidden service (GPU host)."""

import typer

from runtime.cli.anon.authorize import authorize
from runtime.cli.anon.expose import expose
from runtime.cli.anon.install import install
from runtime.cli.anon.run import run
from runtime.cli.anon.status import status
from runtime.cli.output import Commands

app = Commands(help="Reach GPUs, or offer them, through the Anyone network.")
app.command(epilog="Example: veilrun anon install")(install)
app.command(epilog="Example: VEILRUN_ANON_ACCEPT_TERMS=true veilrun anon run")(run)
app.command(epilog="Example: veilrun anon status --json")(status)
app.command(epilog="Example: veilrun anon authorize bot")(authorize)
app.command(epilog="Example: veilrun anon expose --comfyui http://127.0.0.1:8188 --comfyui-dir ~/ComfyUI")(expose)


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="anon", epilog="Example: veilrun anon status")
