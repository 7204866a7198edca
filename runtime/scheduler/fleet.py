"""The backends as this process talks to them: one client each, shared by all its jobs, with what the server offers."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import structlog

from runtime.api import VeilrunError
from runtime.comfyui import Catalogue, ComfyClient, EventHub
from runtime.registry import BackendConfig
from runtime.transport import NOWHERE, Transport, open_transport

log = structlog.get_logger("veilrun.fleet")

CATALOGUE_SECONDS = 600.0
"""From one /object_info over a slow path to the next, if the server names no ETag and all is well."""


class UnknownBackend(VeilrunError):
    """The registry of this process has no backend of that name: it was removed, or the registry differs elsewhere."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a server offers, under which ETag ("" if it names none), and when it was asked."""

    catalogue: Catalogue
    etag: str
    asked_at: float


class Backend:
    """One ComfyUI server. Connections are opened when first used and kept.

    anon_dir: where this machine's anon is told about, for a backend that is a hidden service.
    """

    def __init__(self, config: BackendConfig, anon_dir: Path = NOWHERE) -> None:
        self.config = config
        self._anon_dir = anon_dir
        self._transport: Transport | None = None
        self._hub: EventHub | None = None
        self._offer: _Offer | None = None
        self._is_offer_in_doubt = False
        self._asking = asyncio.Lock()

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
        wanted_at = time.monotonic()
        async with self._asking:
            offer = self._offer
            if offer is None or self._is_offer_in_doubt or (fresh and offer.asked_at < wanted_at):
                offer = self._offer = await self._ask(offer)
                self._is_offer_in_doubt = False
            return offer.catalogue

    @property
    def is_catalogue_due(self) -> bool:
        """Whether a check should ask anew: not if that takes megabytes over a slow path, and nothing went wrong."""
        offer = self._offer
        if offer is None or self._is_offer_in_doubt or offer.etag or self.config.transport == "direct":
            return True
        return time.monotonic() - offer.asked_at > CATALOGUE_SECONDS

    async def _ask(self, known: "_Offer | None") -> "_Offer":
        asked_at = time.monotonic()
        told = await self.client.object_info_since(known.etag if known else "")
        if told is None:
            assert known is not None, "without an ETag everything is told"
            return replace(known, asked_at=asked_at)
        return _Offer(Catalogue.parse(told.classes), told.etag, asked_at)

    def forget(self) -> None:
        """The server may have been restarted with other nodes or models: ask again before the next use."""
        self._is_offer_in_doubt = True

    async def warm(self) -> bool:
        """Open what jobs will need: the event socket, and a connection on each lane with its circuit.

        False if something failed; whoever needs it tries again and is told why.
        """
        try:
            client = self.client
            self.hub.start()
            await client.prompt_info()  # alone at first: a service that is away is not asked on every lane
            lanes = ("api", "api", "upload", *client.download_lanes)  # a post and a look at the history go together
            outcomes = await asyncio.gather(
                self.hub.opened(), *(client.prompt_info(lane=lane) for lane in lanes), return_exceptions=True
            )
        except VeilrunError as error:
            outcomes = [error]
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if not isinstance(failure, VeilrunError):
                raise failure
            log.debug("path not warmed", backend=self.name, error=type(failure).__name__)
        return not failures

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
