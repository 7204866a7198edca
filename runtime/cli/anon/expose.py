"""`veilrun anon expose`: ComfyUI, the web front end, or both, as hidden services of this machine."""

import asyncio
import contextlib
import fcntl
import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import segno
import typer

from runtime.anon.anonrc import private_folder
from runtime.anon.binary import find_binary
from runtime.anon.keeper import check_terms
from runtime.anon.ports import HOST
from runtime.anon.service import Service, ServiceKeeper
from runtime.anon.state import HostPort
from runtime.api import VeilrunError
from runtime.cli.anon.places import DataDir, registry_line, services_in
from runtime.cli.output import notices, screen
from runtime.gate import Folders, running_gate
from runtime.settings import Settings, read_settings
from runtime.supervisor import stop_on_signals

SINGLE_HOP = (
    "[yellow]--single-hop: this machine is not hidden. Relays it talks to learn its address and that it runs this "
    "service; who uses it stays hidden. It is faster, by the three relays that are left out.[/yellow]"
)
OPEN = "[yellow]--open: everybody who learns the address can use it. No client key is asked for.[/yellow]"


class NothingToExpose(VeilrunError):
    """Neither ComfyUI nor a web front end was named, or not by an address that can be exposed."""


class ExposedAlready(VeilrunError):
    """Another process offers the services of this folder."""


class GateNeeded(VeilrunError):
    """Files can be deleted by the gate only, and --no-gate leaves it out."""


def _folder(words: str) -> Any:
    return typer.Option(exists=True, file_okay=False, resolve_path=True, metavar="FOLDER", help=words)


def expose(
    comfyui: Annotated[str | None, typer.Option(metavar="URL", help="Where ComfyUI listens on this machine.")] = None,
    web: Annotated[str | None, typer.Option(metavar="URL", help="Where `veilrun serve` or `up` listens.")] = None,
    comfyui_dir: Annotated[Path | None, _folder("ComfyUI's folder: finished jobs' files are deleted.")] = None,
    input_directory: Annotated[Path | None, _folder("As given to ComfyUI, if it was.")] = None,
    output_directory: Annotated[Path | None, _folder("As given to ComfyUI, if it was.")] = None,
    temp_directory: Annotated[Path | None, _folder("As given to ComfyUI, if it was.")] = None,
    keep_minutes: Annotated[
        float, typer.Option(min=1, metavar="N", help="Until files that nobody collected are deleted.")
    ] = 60,
    gate: Annotated[bool, typer.Option(help="Let only the routes pass that veilrun needs.")] = True,
    open_to_all: Annotated[bool, typer.Option("--open", help="Ask for no client key.")] = False,
    single_hop: Annotated[bool, typer.Option("--single-hop", help="Faster; this machine's address shows.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of the hidden service.")] = 80,
    data_dir: DataDir = None,
) -> None:
    """Offer ComfyUI to a bot through the Anyone network.

    This machine needs no public address. Nobody gets in until `veilrun anon authorize NAME` has made a key. Runs
    until Ctrl-C; the address stays the same.
    """
    settings = read_settings()
    if comfyui is None and web is None:
        raise NothingToExpose("say what to expose: --comfyui http://127.0.0.1:8188, or --web http://127.0.0.1:8080")
    folders = _folders(comfyui_dir, input_directory, output_directory, temp_directory)
    if folders != Folders() and not gate:
        raise GateNeeded("it is the gate that deletes files: leave out --no-gate, or the folders")
    binary = find_binary(settings)
    check_terms(settings)
    place = private_folder(services_in(data_dir, settings))
    with _alone(place):
        exposure = _Exposure(settings, binary, place, port, single_hop, open_to_all)
        asyncio.run(exposure.run(comfyui, web, folders, keep_minutes if gate else None))


def _folders(base: Path | None, input: Path | None, output: Path | None, temp: Path | None) -> Folders:
    """As ComfyUI takes the options of the same names: in --temp-directory it makes a folder `temp`."""
    folders = Folders.of(base) if base is not None else Folders()
    given = {"input": input, "output": output, "temp": temp / "temp" if temp is not None else None}
    return replace(folders, **{kind: folder for kind, folder in given.items() if folder is not None})


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Raises: ExposedAlready."""
    with (place / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExposedAlready(
                f"another `veilrun anon expose` runs with {place}; end it, or name another folder with --data-dir"
            ) from None
        yield


class _Exposure:
    def __init__(
        self, settings: Settings, binary: Path, place: Path, port: int, single_hop: bool, open_to_all: bool
    ) -> None:
        self._settings = settings
        self._binary = binary
        self._place = place
        self._port = port
        self._single_hop = single_hop
        self._open_to_all = open_to_all

    async def run(self, comfyui: str | None, web: str | None, folders: Folders, keep_minutes: float | None) -> None:
        """keep_minutes: None = no gate."""
        async with contextlib.AsyncExitStack() as stack:
            services = []
            if comfyui is not None:
                target = _target(comfyui)
                if keep_minutes is not None:
                    gate = await stack.enter_async_context(
                        running_gate(comfyui, self._place / "gate", folders=folders, keep_minutes=keep_minutes)
                    )
                    target = (HOST, gate.port)
                services.append(self._service("comfyui", target))
            if web is not None:
                services.append(self._service("web", _target(web)))
            self._say_costs(folders, keep_minutes if comfyui is not None else 0)
            keeper = ServiceKeeper(
                services,
                self._place,
                self._binary,
                extra=self._settings.anon_extra_rc,
                single_hop=self._single_hop,
                on_published=lambda: self._introduce(services),
                on_bootstrap=lambda percent, phase: notices.print(f"anon {percent} %: {phase}"),
            )
            await keeper.run(stop_on_signals())

    def _service(self, name: str, target: HostPort) -> Service:
        service = Service(name, self._place / "services" / name, self._port, target)
        if self._open_to_all:
            service.clients.open()
        else:
            service.clients.lock()
        return service

    def _say_costs(self, folders: Folders, keep_minutes: float | None) -> None:
        if self._single_hop:
            notices.print(SINGLE_HOP)
        if self._open_to_all:
            notices.print(OPEN)
        if keep_minutes is None:
            notices.print("[yellow]--no-gate: every route of ComfyUI passes, those of its node manager too.[/yellow]")
        elif keep_minutes and (unknown := folders.unknown()):
            what = "files" if folders == Folders() else f"{' and '.join(unknown)} files"
            notices.print(f"Without --comfyui-dir, {what} of finished jobs stay until ComfyUI deletes them.")

    def _introduce(self, services: list[Service]) -> None:
        for service in services:
            screen.print(f"\n{service.name} is at  http://{service.address}", soft_wrap=True, markup=False)
            if screen.is_terminal:
                segno.make(f"http://{service.address}").terminal(compact=True)
            names = service.clients.names()
            if self._open_to_all:
                if service.name == "comfyui":
                    screen.print(registry_line(service.address), markup=False, soft_wrap=True)
            elif names:
                notices.print(f"It lets in: {', '.join(names)}")
            else:
                which = "" if service.name == "comfyui" else f" --service {service.name}"
                notices.print(f"Nobody may use it yet: `veilrun anon authorize NAME{which}` makes a key for a bot.")


def _target(url: str) -> HostPort:
    """Raises: NothingToExpose."""
    parts = urlsplit(url)
    host = HOST if parts.hostname == "localhost" else parts.hostname or ""
    try:
        ipaddress.ip_address(host)  # anon resolves no names for a service's target
    except ValueError:
        host = ""
    if parts.scheme != "http" or not host or parts.path not in ("", "/"):
        raise NothingToExpose(f"{url} cannot be exposed; write it with an IP address, like http://127.0.0.1:8188")
    return host, parts.port or 80
