"""The backends as this process talks to them: one client each, shared by all its jobs, with what the server offers."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from runtime.api import VeilrunError
from runtime.comfyui import Catalogue, ComfyClient, EventHub
from runtime.registry import BackendConfig
from runtime.transport import NOWHERE, Transport, open_transport


class UnknownBackend(VeilrunError):
    """The registry of this process has no backend of that name: it was removed, or the registry differs elsewhere."""


class Backend:
    """One ComfyUI server. Connections are opened when first used and kept.

    anon_dir: where this machine's anon is told about, for a backend that is a hidden service.
    """

    def __init__(self, config: BackendConfig, anon_dir: Path = NOWHERE) -> None:
        self.config = config
        self._anon_dir = anon_dir
        self._transport: Transport | None = None
        self._hub: EventHub | None = None
        self._catalogue: Catalogue | None = None

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def client(self) -> ComfyClient:
        """Raises: UnknownTransport if the registry names one that does not exist."""
        if self._transport is None:
            self._transport = open_transport(self.config.transport, anon_dir=self._anon_dir)
        return ComfyClient(self.config.name, self.config.url, self._transport)

    @property
    def hub(self) -> EventHub:
        """The event socket that all prompts of this process share. Raises: UnknownTransport."""
        if self._hub is None:
            self._hub = EventHub(self.client)
        return self._hub

    async def catalogue(self, *, fresh: bool = False) -> Catalogue:
        """What the server's /object_info offers; asked for once, and again when `fresh`.

        Raises: BackendUnreachable, UnexpectedAnswer, UnknownTransport.
        """
        if self._catalogue is None or fresh:
            self._catalogue = Catalogue.parse(await self.client.object_info())
        return self._catalogue

    def forget(self) -> None:
        """The server may have been restarted with other nodes or models: ask again before the next use."""
        self._catalogue = None

    async def close(self) -> None:
        """Close its connections."""
        hub, self._hub = self._hub, None
        transport, self._transport = self._transport, None
        try:
            if hub is not None:
                await hub.close()
        finally:
            if transport is not None:
                await transport.close()


class Fleet:
    """All backends of the registry."""

    def __init__(self, configs: Iterable[BackendConfig], anon_dir: Path = NOWHERE) -> None:
        self._backends = {config.name: Backend(config, anon_dir) for config in configs}

    async def __aenter__(self) -> "Fleet":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for backend in self:
            await backend.close()

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._backends.values())

    def __getitem__(self, name: str) -> Backend:
        """Raises: UnknownBackend."""
        try:
            return self._backends[name]
        except KeyError:
            raise UnknownBackend(f"no backend is named {name!r} here") from None
