"""The backends as this process talks to them: one client each, shared by all its jobs, with what the server offers."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from runtime.api import VeilrunError
from runtime.comfyui import Catalogue, ComfyClient, EventHub
from runtime.registry import BackendConfig
from runtime.scheduler.offer import Offer
from runtime.scheduler.on_demand import OnDemand
from runtime.transport import NOWHERE, Transport, open_transport

log = structlog.get_logger("veilrun.fleet")


class UnknownBackend(VeilrunError):
    """The registry of this process has no backend of that name: it was removed, or the registry differs elsewhere."""


class Backend:
    """One ComfyUI server. Connections are opened when first used and kept.

    anon_dir: where this machine's anon is told about, for a backend that is a hidden service. offer: what is known of
    the server already, to be shared.
    """

    def __init__(self, config: BackendConfig, anon_dir: Path = NOWHERE, offer: Offer | None = None) -> None:
        self.config = config
        self._anon_dir = anon_dir
        self._transport: Transport | None = None
        self._hub: EventHub | None = None
        self._offer = offer or Offer(lambda etag: self.client.object_info_since(etag))
        self._by_user: OnDemand[int | None, Backend] = OnDemand(self._for_one_user)
        self._warming: asyncio.Task[bool] | None = None

    @property
    def name(self) -> str:
        return self.config.name

    def is_reached_as(self, config: BackendConfig) -> bool:
        """Whether it is the same server, reached in the same way."""
        return _way(self.config) == _way(config)

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

    def of_user(self, user_id: int | None) -> AbstractContextManager["Backend"]:
        """The backend as this user's jobs may talk to it, open for the context at least.

        With `isolation: user` it has connections, circuits and an event socket that no other user's jobs share; jobs
        of nobody share theirs with each other. Otherwise it is this one.
        """
        if self.config.isolation == "user":
            return self._by_user.use(user_id)
        return contextlib.nullcontext(self)

    def _for_one_user(self) -> "Backend":
        """It opens its circuits at once: those for the files are ready by the time there are files."""
        backend = Backend(self.config, self._anon_dir, self._offer)
        backend._warming = asyncio.create_task(backend.warm(), name=f"warm-{self.name}")
        return backend

    async def catalogue(self, *, fresh: bool = False) -> Catalogue:
        """What the server's /object_info offers; asked for once, and again when `fresh`.

        Raises: BackendUnreachable, UnexpectedAnswer, UnknownTransport.
        """
        return await self._offer.catalogue(fresh=fresh)

    @property
    def is_catalogue_due(self) -> bool:
        """Whether a check should ask anew: not if that takes megabytes over a slow path, and nothing went wrong."""
        return self._offer.is_due(is_cheap=self.config.transport == "direct")

    def forget(self) -> None:
        """The server may have been restarted with other nodes or models: ask again before the next use."""
        self._offer.forget()

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
        """Close its connections, those of single users too."""
        async with contextlib.AsyncExitStack() as stack:
            transport, self._transport = self._transport, None
            if transport is not None:
                stack.push_async_callback(transport.close)
            hub, self._hub = self._hub, None
            if hub is not None:
                stack.push_async_callback(hub.close)
            stack.push_async_callback(self._by_user.close)
            if self._warming is not None:
                self._warming.cancel()
                await asyncio.wait([self._warming])


def _way(config: BackendConfig) -> tuple[object, ...]:
    return config.url, config.transport, config.client_key_file, config.isolation


class Fleet:
    """All backends of the registry."""

    def __init__(self, configs: Iterable[BackendConfig], anon_dir: Path = NOWHERE) -> None:
        self._anon_dir = anon_dir
        self._backends = {config.name: Backend(config, anon_dir) for config in configs}
        self._former: list[Backend] = []
        self._changed: set[asyncio.Event] = set()

    def follow(self, configs: Iterable[BackendConfig]) -> None:
        """Have these backends from now on. One that is reached in another way is another one.

        Jobs that run on a backend which is no longer named keep it; its connections are closed with the fleet.
        """
        before, self._backends = self._backends, {}
        for config in configs:
            known = before.pop(config.name, None)
            if known is not None and known.is_reached_as(config):
                known.config = config
                self._backends[config.name] = known
                continue
            if known is not None:
                self._former.append(known)
            self._backends[config.name] = Backend(config, self._anon_dir)
        self._former += before.values()
        for changed in self._changed:
            changed.set()

    async def each(self, work: Callable[[Backend], Coroutine[Any, Any, None]], name: str) -> None:
        """Do `work` for every backend, begun when it joins and cancelled when it leaves, until cancelled itself."""
        changed = asyncio.Event()
        self._changed.add(changed)
        at_work: dict[Backend, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    changed.clear()
                    for gone in [backend for backend in at_work if backend not in self]:
                        at_work.pop(gone).cancel()
                    for backend in self:
                        if backend not in at_work:
                            at_work[backend] = tasks.create_task(work(backend), name=f"{name}-{backend.name}")
                    await changed.wait()
        finally:
            self._changed.discard(changed)

    async def __aenter__(self) -> "Fleet":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for backend in (*self, *self._former):
            await backend.close()

    def __contains__(self, backend: object) -> bool:
        return any(backend is mine for mine in self)

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._backends.values())

    def __getitem__(self, name: str) -> Backend:
        """Raises: UnknownBackend."""
        try:
            return self._backends[name]
        except KeyError:
            raise UnknownBackend(f"no backend is named {name!r} here") from None
