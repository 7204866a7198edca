"""Hidden services of this machine: their folders, and the daemon that publishes them, kept running."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from runtime.anon.anonrc import Common, HiddenService, private_folder, service_rc, write_rc
from runtime.anon.clients import Clients
from runtime.anon.daemon import Daemon, running
from runtime.anon.errors import AnonError, AnonFailed, ControlFailed
from runtime.anon.ports import HOST, kept_ports
from runtime.anon.state import HostPort
from runtime.anon.waiting import until, until_any

log = structlog.get_logger("veilrun.anon")

LOOK_SECONDS = 0.5
FIRST_DELAY, LAST_DELAY = 0.5, 30.0


class NotExposed(AnonError):
    """The service has no address yet: it was never started."""


@dataclass(frozen=True, slots=True)
class Service:
    """One hidden service. folder: its key, its address and its clients. target: what it leads to, on this machine."""

    name: str
    folder: Path
    port: int = 80
    target: HostPort = (HOST, 0)

    @classmethod
    def at(cls, data_dir: Path, name: str) -> "Service":
        """The service of that name in `data_dir`."""
        return cls(name, data_dir / "services" / name)

    @property
    def clients(self) -> Clients:
        return Clients(self.folder)

    @property
    def address(self) -> str:
        """56 characters and the suffix. Raises: NotExposed."""
        try:
            return (self.folder / "hostname").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise NotExposed(f"{self.name} has no address yet: start `veilrun anon expose` first") from None


class ServiceKeeper:
    """Keeps a daemon running that publishes `services`. A change of who may come in takes effect within seconds.

    on_published: called once each time the network has the services' descriptors, so that clients find them.
    """

    def __init__(
        self,
        services: Sequence[Service],
        data_dir: Path,
        binary: Path,
        *,
        extra: Path | None = None,
        single_hop: bool = False,
        on_published: Callable[[], None] = lambda: None,
        on_bootstrap: Callable[[int, str], None] = lambda _, __: None,
    ) -> None:
        self._services = services
        self._data_dir = data_dir
        self._binary = binary
        self._extra = extra
        self._single_hop = single_hop
        self._on_published = on_published
        self._on_bootstrap = on_bootstrap

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the services up until `stop`. Raises: ExtraLinesUnreadable."""
        delay = FIRST_DELAY
        while not stop.is_set():
            try:
                if await self._once(stop):
                    delay = FIRST_DELAY
                    continue
            except (AnonFailed, ControlFailed) as error:
                log.warning("the hidden service is down, trying again", reason=str(error), delay_seconds=delay)
            await until(stop, delay)
            delay = min(delay * 2, LAST_DELAY)

    async def _once(self, stop: asyncio.Event) -> bool:
        """Run the daemon until it ends, `stop`, or a client was revoked. Whether to start it again without delay."""
        private_folder(self._data_dir)
        control = (HOST, kept_ports(self._data_dir).control)
        common = Common(private_folder(self._data_dir / "data"), control, self._binary, self._extra)
        for service in self._services:
            private_folder(service.folder)
        offered = [HiddenService(service.folder, [(service.port, service.target)]) for service in self._services]
        anonrc = self._data_dir / "anonrc"
        write_rc(anonrc, service_rc(common, offered, single_hop=self._single_hop))
        before = self._allowed()
        async with running(self._binary, anonrc, control) as daemon:
            await daemon.control.on_published(len(self._services), self._on_published)
            return await self._watch(daemon, before, stop)

    async def _watch(self, daemon: Daemon, allowed: set[tuple[str, str]], stop: asyncio.Event) -> bool:
        percent = -1
        while not stop.is_set():
            if daemon.ended.is_set():
                raise AnonFailed("anon ended")
            if percent < 100:
                bootstrap = await daemon.control.bootstrap()
                percent = bootstrap.percent
                self._on_bootstrap(percent, bootstrap.phase)
            now = self._allowed()
            if allowed - now:  # a reload would leave open circuits to who was revoked
                log.info("a client was revoked, starting the service again")
                return True
            if now != allowed:
                allowed = now
                await daemon.control.message("SIGNAL RELOAD")
                log.info("clients changed")
            await until_any(LOOK_SECONDS, stop, daemon.ended)
        return False

    def _allowed(self) -> set[tuple[str, str]]:
        return {(service.name, name) for service in self._services for name in service.clients.names()}
