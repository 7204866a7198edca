"""What a scenario is played on: veilrun's own client on one side, a scripted proxy and server on the other."""

import contextlib
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, forget_state, write_state
from runtime.api import VeilrunError
from runtime.comfyui import ComfyClient, OutputFile
from runtime.leaks.socks import HOST, Relay, ScriptedSocks
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import SessionTransport, Timeouts, Transport, open_transport

RELAY_FROM = "127.0.0.2"
"""The proxy's own connections come from here, and nobody else's do."""

KEY = hashlib.sha256(b"a hidden service that is nowhere").digest()
SERVICE = str(HiddenAddress.of(KEY, ".anon"))
OTHER_SERVICE = str(HiddenAddress.of(hashlib.sha256(b"another one").digest(), ".anon"))
NEWER_SERVICE = str(HiddenAddress.of(KEY, ".anyone"))
URL = f"http://{SERVICE}:8188"
VERSION = "0.4.9.11-live"

QUICK = Timeouts(connect=3.0, read=3.0)
PATIENCE_SECONDS = 0.3
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy")

GRAPH = {
    "canvas": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["canvas", 0], "filename_prefix": "out"}},
}
FILE = OutputFile("save", "out_00001_.png")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Trap:
    """The proxy that the environment names. It takes connections and never answers; the capture counts them."""

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])

    def set_environment(self) -> None:
        """Name it in every variable that a library might look at."""
        for name in PROXY_VARIABLES:
            os.environ[name] = os.environ[name.upper()] = f"http://{HOST}:{self.port}"
        for name in ("no_proxy", "NO_PROXY"):
            os.environ.pop(name, None)


class Stage:
    """One scenario's surroundings. raised: what veilrun raised so far; faults: what it should not have done."""

    def __init__(self, socks: ScriptedSocks, folder: Path) -> None:
        self.socks = socks
        self.folder = folder
        self.raised: list[str] = []
        self.faults: list[str] = []
        self._open = contextlib.AsyncExitStack()
        self.tell_state()

    def tell_state(self, percent: int = 100, *, has_exit: bool = True) -> None:
        """Say what the keeper of the daemon says when it has bootstrapped so far.

        has_exit: whether the daemon has a port for names that are no hidden service. Here it is the same.
        """
        phase = "Done" if percent == 100 else "Loading relay descriptors"
        socks = (HOST, self.socks.port)
        write_state(self.folder, AnonState(socks, (HOST, 1), VERSION, percent, phase, socks if has_exit else None))

    def forget_state(self) -> None:
        """As on a machine where no keeper runs."""
        forget_state(self.folder)

    def transport(self, kind: str = "anon", timeouts: Timeouts = QUICK) -> Transport:
        """A transport as a worker opens it, with less patience for what is down; closed with the stage."""
        transport = open_transport(kind, timeouts=timeouts, anon_dir=self.folder)
        assert isinstance(transport, SessionTransport)
        transport.patience_seconds = PATIENCE_SECONDS
        self._open.push_async_callback(transport.close)
        return transport

    def client(self, url: str = URL, kind: str = "anon", timeouts: Timeouts = QUICK) -> ComfyClient:
        """A client of the server at `url`."""
        return ComfyClient("gpu", url, self.transport(kind, timeouts))

    async def comfyui(self) -> SandboxComfyUI:
        """A ComfyUI behind the proxy."""
        comfyui = await self._open.enter_async_context(SandboxComfyUI(pace=0, paints=False))
        self.socks.answer = Relay(int(comfyui.url.rpartition(":")[2]))
        return comfyui

    async def serve(self, handler: Handler) -> int:
        """A web server behind the proxy, with one handler for everything. Its port."""
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._open.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, 0).start()
        port = int(runner.addresses[0][1])
        self.socks.answer = Relay(port)
        return port

    async def expect(self, error: type[VeilrunError], action: Awaitable[object], what: str = "it") -> None:
        """Await `action`, which is to raise exactly `error`."""
        try:
            await action
        except VeilrunError as caught:
            self.raised.append(type(caught).__name__)
            if type(caught) is not error:
                self.faults.append(f"{what} raised {type(caught).__name__}, not {error.__name__}: {caught}")
        except Exception as caught:  # noqa: BLE001 - an error that is not ours is the finding
            self.raised.append(type(caught).__name__)
            self.faults.append(f"{what} raised {type(caught).__name__}, which no caller expects")
        else:
            self.faults.append(f"{what} raised nothing, instead of {error.__name__}")

    async def expect_from_all(self, error: type[VeilrunError], client: ComfyClient) -> None:
        """Every kind of exchange with the server is to raise exactly `error`."""
        for name, operation in OPERATIONS.items():
            await self.expect(error, operation(client), name)

    def require(self, truth: bool, otherwise: str) -> None:
        """Note a fault unless `truth`."""
        if not truth:
            self.faults.append(otherwise)

    async def close(self) -> None:
        """Close everything that was opened on it."""
        await self._open.aclose()


@contextlib.asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """A stage with its proxy; all connections are closed at the end."""
    async with ScriptedSocks(relay_from=RELAY_FROM) as socks:
        stage = Stage(socks, folder)
        try:
            yield stage
        finally:
            await stage.close()


async def _ask(client: ComfyClient) -> object:
    return await client.system_stats()


async def _post(client: ComfyClient) -> object:
    return await client.post_prompt("p", GRAPH, "c")


async def _upload(client: ComfyClient) -> object:
    return await client.upload_image(b"\x89PNG" + bytes(5000), "photo.png")


async def _download(client: ComfyClient) -> object:
    async with client.view(FILE) as reply:
        return await reply.read()


async def _download_the_rest(client: ComfyClient) -> object:
    async with client.view(FILE, first_byte=1000) as reply:
        return await reply.read()


async def _listen(client: ComfyClient) -> object:
    async with client.events("c") as socket:
        return await socket.receive()


OPERATIONS: Mapping[str, Callable[[ComfyClient], Awaitable[object]]] = {
    "a question": _ask,
    "a prompt": _post,
    "an upload": _upload,
    "a download": _download,
    "a download's rest": _download_the_rest,
    "a WebSocket": _listen,
}
"""Every kind of exchange that a client has with a server."""
