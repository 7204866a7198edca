"""`veilrun anon authorize`: who may reach a hidden service of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.anon.service import Service
from runtime.api import VeilrunError
from runtime.cli.anon.places import DataDir, registry_line, services_in
from runtime.cli.output import AsJson, notices, print_json, screen
from runtime.settings import read_settings

ServiceName = Annotated[str, typer.Option("--service", metavar="NAME", help="comfyui, or web for what --web exposes.")]


class KeyFileUnusable(VeilrunError):
    """The client's key cannot be written where it was asked for."""


def authorize(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the client, such as the bot's.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Let that client in no more.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the key into this new file instead of printing it.")
    ] = None,
    service: ServiceName = "comfyui",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a client reach what this machine offers.

    Prints the line that the client's registry needs. The private key is made here, shown once and kept nowhere on
    this machine. A running service takes the change over by itself within seconds.
    """
    offered = Service.at(services_in(data_dir, read_settings()), service)
    address = offered.address
    if revoke:
        offered.clients.revoke(name)
        notices.print(f"{name} cannot reach {service} any more")
        return
    if out is not None:
        _make_private(out)  # before there is a key that has no place
    try:
        key = offered.clients.authorize(name).private
    except VeilrunError:
        if out is not None:
            out.unlink()
        raise
    if out is not None:
        out.write_text(key + "\n", encoding="ascii")
    if as_json:
        print_json({"name": name, "address": address, "client_key": key if out is None else None})
        return
    file = out.name if out is not None else f"{name}.key"
    if out is None:
        notices.print(
            f"The key of {name}, shown only now. Put it into {file} beside the registry, then chmod 600 {file}"
        )
        screen.print(f"\n{key}\n")
    if service == "comfyui":
        notices.print("The backend in plugin_registry.yaml on the bot's machine (set name, device and vram_gb):")
        screen.print(registry_line(address, file), markup=False, soft_wrap=True)


def _make_private(file: Path) -> None:
    """Raises: KeyFileUnusable."""
    try:
        file.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise KeyFileUnusable(f"{file} exists; a key is written into a new file only") from None
    except OSError as error:
        raise KeyFileUnusable(f"{file} cannot be written: {error.strerror}") from error
