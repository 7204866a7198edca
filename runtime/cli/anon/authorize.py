"""`veilrun anon authorize`: who may reach a hidden service of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.anon.service import Service
from runtime.cli.anon.places import DataDir, services_in
from runtime.cli.output import AsJson, notices, print_json, screen
from runtime.settings import read_settings

ServiceName = Annotated[str, typer.Option("--service", help="comfyui, or web for what --web exposes.")]


def authorize(
    name: Annotated[str, typer.Argument(help="A name for the client, such as the bot's.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Let that client in no more.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the key into this new file instead of printing it.")] = None,
    service: ServiceName = "comfyui",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a client reach what `veilrun anon expose` offers, and print what its registry needs.

    The private key is made here, shown once and kept nowhere on this machine. A running service takes the change
    over by itself within seconds.
    """
    offered = Service.at(services_in(data_dir, read_settings()), service)
    address = offered.address
    if revoke:
        offered.clients.revoke(name)
        notices.print(f"{name} cannot reach {service} any more")
        return
    key = offered.clients.authorize(name).private
    if out is not None:
        out.touch(mode=0o600, exist_ok=False)
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
        line = f'  - {{name: gpu-a, url: "http://{address}", transport: anon, client_key_file: {file}, vram_gb: 24}}'
        screen.print(line, markup=False, soft_wrap=True)
