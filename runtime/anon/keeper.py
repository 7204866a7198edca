"""Keeps one `anon` running on this machine, or watches one that runs already, and tells the others how it is.

However many veilrun processes of a machine start a keeper, one keeps and the others stand by: a lock decides.
"""

import asyncio
import base64
import contextlib
import fcntl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from runtime.anon.address import HiddenAddress
from runtime.anon.anonrc import AUTHORIZATIONS, Common, client_rc, private_folder, write_rc
from runtime.anon.binary import find_binary
from runtime.anon.client_keys import write_authorizations
from runtime.anon.daemon import running
from runtime.anon.errors import AnonError, AnonFailed, ControlFailed, TermsNotAccepted
from runtime.anon.ports import HOST, kept_ports
from runtime.anon.sdk import Control, connected
from runtime.anon.state import (
    LOCK,
    AnonState,
    HostPort,
    are_new_circuits_wanted,
    forget_state,
    write_state,
)
from runtime.anon.waiting import until, until_any
from runtime.settings import Settings, SettingsInvalid

log = structlog.get_logger("veilrun.anon")

LOOK_SECONDS = 0.25
"""From one look at the daemon to the next while it bootstraps, and at what others asked for."""

STEADY_LOOKS = 20
"""One look in so many goes to the daemon once it has bootstrapped."""

FIRST_DELAY, LAST_DELAY = 0.5, 30.0

FIRST_GAP, LAST_GAP = 10.0, 300.0
"""Shortest time between two clean slates, doubled each time: it costs every backend its warm circuits."""

TERMS = (
    "using the Anyone network means accepting its terms, https://www.anyone.io/terms: read them, and if you agree, "
    "set VEILRUN_ANON_ACCEPT_TERMS=true"
)


def check_startable(settings: Settings) -> Path:
    """The binary, once it is sure that the settings let a daemon be started or watched.

    Raises: AnonNotInstalled, TermsNotAccepted, SettingsInvalid.
    """
    binary = find_binary(settings)
    if settings.anon_socks is not None and settings.anon_control is None:
        raise SettingsInvalid("VEILRUN_ANON_SOCKS needs VEILRUN_ANON_CONTROL: the daemon's version is asked there")
    if settings.anon_socks is None:
        check_terms(settings)
    return binary


def check_terms(settings: Settings) -> None:
    """Raises: TermsNotAccepted."""
    if not settings.anon_accept_terms:
        raise TermsNotAccepted(TERMS)


class AnonKeeper:
    """One daemon for this machine.

    keys: hidden service -> the private key (32 bytes, x25519) that it knows us by. on_state: called with each change.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Mapping[HiddenAddress, bytes],
        on_state: Callable[[AnonState], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._folder = settings.anon_dir
        self._on_state = on_state
        self._last: AnonState | None = None
        self._gap = FIRST_GAP
        self._next_slate = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Keep or watch until `stop`; a daemon that ends is started again.

        What is wrong with the installation ends it only before a daemon has run; later, it is waited out.

        Raises: AnonNotInstalled, TermsNotAccepted, ExtraLinesUnreadable, SettingsInvalid.
        """
        try:
            private_folder(self._folder)
        except OSError as error:
            raise SettingsInvalid(f"VEILRUN_STATE_DIR: {self._folder}: {error.strerror}") from error
        async with _alone(self._folder / LOCK, stop) as is_ours:
            if not is_ours:
                return
            forget_state(self._folder)
            try:
                await self._keep(stop)
            finally:
                forget_state(self._folder)

    async def _keep(self, stop: asyncio.Event) -> None:
        delay = FIRST_DELAY
        while not stop.is_set():
            try:
                async with self._daemon() as (state, control, ended):
                    if await self._watch(state, control, ended, stop):
                        delay = FIRST_DELAY
            except (AnonError, OSError) as error:  # of the system: no room, no right to write, no port
                if self._last is None and not isinstance(error, AnonFailed | ControlFailed | OSError):
                    raise
                self._tell_down(str(error))
            if not stop.is_set():
                log.warning("anon is down, trying again", delay_seconds=delay)
                await until(stop, delay)
                delay = min(delay * 2, LAST_DELAY)

    @contextlib.asynccontextmanager
    async def _daemon(self) -> AsyncIterator[tuple[AnonState, Control, asyncio.Event]]:
        """The daemon that runs already if the settings name one, else our own."""
        settings = self._settings
        binary = check_startable(settings)
        if settings.anon_socks is not None and settings.anon_control is not None:
            async with connected(binary, settings.anon_control, settings.anon_cookie) as control:
                ended = asyncio.Event()
                control.on_end(ended.set)
                exit_socks = settings.anon_socks if settings.telegram_via == "anon" else None
                yield (
                    await self._first_state(control, settings.anon_socks, settings.anon_control, exit_socks),
                    control,
                    ended,
                )
            return
        ports = kept_ports(self._folder)
        common = Common(private_folder(self._folder / "data"), (HOST, ports.control), binary, settings.anon_extra_rc)
        exit_socks = (HOST, ports.exit_socks) if settings.telegram_via == "anon" else None
        anonrc = self._folder / "anonrc"
        write_rc(anonrc, client_rc(common, (HOST, ports.socks), exit_socks))
        write_authorizations(common.data_dir / AUTHORIZATIONS, self._keys)
        async with running(binary, anonrc, common.control) as daemon:
            state = await self._first_state(daemon.control, (HOST, ports.socks), common.control, exit_socks)
            yield state, daemon.control, daemon.ended

    async def _first_state(
        self, control: Control, socks: HostPort, control_port: HostPort, exit_socks: HostPort | None = None
    ) -> AnonState:
        version = await control.version()
        log.info("anon runs", version=version)
        return AnonState(socks, control_port, version, 0, "starting", exit_socks)

    async def _add_keys(self, control: Control, state: AnonState) -> None:
        """For a daemon that is not ours: told again and again, since anybody's SIGNAL NEWNYM makes it forget them.

        A key for a service of the other series is left out: it fits no address there.
        """
        for address, key in self._keys.items():
            if address.suits(state.version):
                secret = base64.b64encode(key).decode()
                await control.message(f"ONION_CLIENT_AUTH_ADD {address.label} x25519:{secret}")

    async def _watch(self, state: AnonState, control: Control, ended: asyncio.Event, stop: asyncio.Event) -> bool:
        """Tell the others how the daemon is until it ends or `stop`. Whether it was usable for a while."""
        was_ready, looks = False, 0
        while not stop.is_set() and not ended.is_set():
            if not was_ready or looks % STEADY_LOOKS == 0:
                if self._settings.anon_socks is not None:
                    await self._add_keys(control, state)
                bootstrap, (read, written) = await control.bootstrap(), await control.traffic()
                self._tell(
                    replace(state.at(bootstrap.percent, bootstrap.phase), bytes_read=read, bytes_written=written)
                )
                was_ready = was_ready or bootstrap.percent >= 100
            if are_new_circuits_wanted(self._folder):
                await self._clean_slate(control)
            looks += 1
            await until_any(LOOK_SECONDS, stop, ended)
        if ended.is_set():
            self._tell_down("it ended")
        return was_ready

    async def _clean_slate(self, control: Control) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_slate:
            return
        self._gap = min(self._gap * 2, LAST_GAP) if now < self._next_slate + LAST_GAP else FIRST_GAP
        self._next_slate = now + self._gap
        log.info("new circuits")
        await control.message("SIGNAL NEWNYM")
        if self._settings.anon_socks is not None and self._last is not None:
            await self._add_keys(control, self._last)

    def _tell(self, state: AnonState) -> None:
        if self._last is None or state.bootstrap_percent != self._last.bootstrap_percent:
            log.info("anon bootstraps", percent=state.bootstrap_percent, phase=state.phase)
        self._publish(state)

    def _tell_down(self, reason: str) -> None:
        log.warning("anon is down", reason=reason)
        if self._last is not None:
            self._publish(self._last.at(0, reason))

    def _publish(self, state: AnonState) -> None:
        """Where nothing can be written, the others go by the last state, but not if it would mislead them."""
        self._last = state
        try:
            write_state(self._folder, state)
        except OSError as error:
            log.warning("state of anon not written", error=error.strerror)
            if not state.is_ready:
                forget_state(self._folder)
        self._on_state(state)


@contextlib.asynccontextmanager
async def _alone(lock: Path, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Hold the lock, which ends with this process at the latest. False: `stop` came first, and somebody else holds it.

    Readers of the state try the lock too, for a moment: whoever fails for that tries again.
    """
    with lock.open("w") as file:
        is_held = False
        while not is_held and not stop.is_set():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_held = True
            except BlockingIOError:
                await until(stop, LOOK_SECONDS)
        yield is_held
