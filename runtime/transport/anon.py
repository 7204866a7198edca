"""Through the Anyone network to a hidden service, and nowhere else.

There is no direct mode and no fallback: every connection is a SOCKS5 request to our `anon` with the service's name in
it, so no name is ever looked up here. What the address may be is decided on its text, before anything is opened.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError
from python_socks import ProxyType
from yarl import URL

from runtime.anon.address import AddressInvalid, HiddenAddress, required_series, suffix_of
from runtime.anon.state import AnonState, read_state, want_new_circuits
from runtime.transport.errors import (
    AddressRefused,
    ConnectFailed,
    NotAuthorized,
    PathDown,
    ServiceOffline,
    ServiceRefused,
    TimedOut,
    TransportError,
)
from runtime.transport.interface import Lane, Timeouts
from runtime.transport.sessions import KEEP_ALIVE_SECONDS, SessionTransport

CONNECT_SECONDS = 65.0
"""Above the daemon's own SocksTimeout of 60, so that its reason arrives and not only our impatience."""

DOWNLOAD_LANES = ("transfer", "transfer-2", "transfer-3", "transfer-4")

OFFLINE = {
    0xF0: "its descriptor is not on the network: the service is off, or was never there",
    0xF1: "its descriptor cannot be read",
    0xF2: "its introduction points do not answer: the service went off a moment ago",
    0xF3: "no rendezvous came about",
    0xF7: "its introduction points are too slow",
    0x01: "the daemon gives no reason",
    0x03: "the network is unreachable",
    0x04: "it is unreachable",
    0x06: "it did not answer in time",
}
"""SOCKS5 reply codes of anon 0.4.9 (lib/net/socks5_status.h; F0 to F7 with ExtendedErrors)."""

_UNKNOWN_CODE = re.compile(r"reply code: 0x([0-9a-f]{2})\b", re.IGNORECASE)


def fresh_credentials(lane: Lane) -> tuple[str, str]:
    """A user name and password that nobody has had yet."""
    return f"{lane}-{secrets.token_hex(8)}", secrets.token_hex(8)


class _Connector(ProxyConnector):
    """A ProxyConnector that tells a connection reset before the service is reached from one reset afterwards.

    With TLS it may have been the service.
    """

    async def _connect_via_proxy(self, *arguments: Any, **named: Any) -> tuple[asyncio.Transport, ResponseHandler]:
        try:
            return await super()._connect_via_proxy(*arguments, **named)
        except ConnectionError as error:
            if named.get("ssl") is not None:
                raise
            raise ProxyConnectionError("the proxy reset the connection") from error


class AnonTransport(SessionTransport):
    """A Transport to hidden services by the SOCKS port of the `anon` that runs on this machine.

    anon_dir: where that daemon's keeper writes its state. credentials: a SOCKS user name and password for a lane, each
    time it opens connections anew. The daemon gives every pair circuits of its own; by default they are random.
    """

    download_lanes = DOWNLOAD_LANES
    patience_seconds = 180.0

    def __init__(
        self,
        anon_dir: Path,
        timeouts: Timeouts | None = None,
        credentials: Callable[[Lane], tuple[str, str]] = fresh_credentials,
    ) -> None:
        super().__init__(timeouts or Timeouts(connect=CONNECT_SECONDS))
        self._anon_dir = anon_dir
        self._credentials = credentials
        self._opened_at: dict[Lane, tuple[str, int]] = {}

    def _connector(self, lane: Lane) -> aiohttp.BaseConnector:
        host, port = self._opened_at[lane] = self._daemon().socks
        username, password = self._credentials(lane)
        return _Connector(
            host=host,
            port=port,
            proxy_type=ProxyType.SOCKS5,
            username=username,
            password=password,
            rdns=True,
            limit=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )

    async def _settle(self, lane: Lane) -> None:
        """A daemon that was started again may listen elsewhere."""
        if self._opened_at.get(lane, self._daemon().socks) != self._daemon().socks:
            await self._replace(lane)

    async def _failed(self, lane: Lane, error: TransportError) -> None:
        """A circuit to a service that has gone keeps its name busy until it times out: the next try takes another."""
        if isinstance(error, ServiceOffline | TimedOut):
            await self._replace(lane)

    async def renew(self, lane: Lane) -> None:
        """Other SOCKS credentials, and so other circuits, for what `lane` opens from now on."""
        await self._replace(lane)

    def _admit(self, url: URL) -> None:
        check_address(url, self._daemon)

    def _daemon(self) -> AnonState:
        """Raises: PathDown unless the daemon is there and has bootstrapped."""
        state = read_state(self._anon_dir)
        if state is None:
            raise PathDown("anon does not run on this machine: start it with `veilrun up` or `veilrun anon run`")
        if not state.is_ready:
            raise PathDown(f"anon is not connected to the network yet: {state.bootstrap_percent} %, {state.phase}")
        return state

    def _translate(self, error: Exception) -> TransportError | None:
        match error:
            case ProxyConnectionError():
                return PathDown("anon does not answer on its SOCKS port; it is being started again")
            case ProxyTimeoutError():
                return TimedOut("connect", "no circuit in time")
            case ProxyError():
                return self._refused(_reply_code(error))
            case asyncio.IncompleteReadError():
                return PathDown("anon closed its SOCKS port in the middle of a request; it is being started again")
            case _:
                return None

    def _refused(self, code: int | None) -> TransportError:
        match code:
            case 0xF4:
                return NotAuthorized(
                    "the hidden service wants a client key, and we have none: run `veilrun anon authorize` on the GPU "
                    "host, and name the key's file as the backend's client_key_file"
                )
            case 0xF5:
                return NotAuthorized(
                    "the hidden service does not accept our client key: authorize this bot again on the GPU host"
                )
            case 0xF6:
                return AddressRefused("the daemon says that the address is wrong; copy it again")
            case 0x05:
                return ServiceRefused("the hidden service is there, and nothing listens behind it: start ComfyUI")
            case 0x02:
                return AddressRefused("the daemon does not open this address: its SOCKS port is for hidden services")
            case _ if code in OFFLINE:
                if code == 0xF0:
                    want_new_circuits(self._anon_dir)
                return ServiceOffline(f"the hidden service is offline: {OFFLINE[code]}")
            case None:
                return PathDown("what listens on anon's SOCKS port does not speak SOCKS5")
            case _:
                return ConnectFailed(f"no connection (SOCKS reply {code:#04x})")


def _reply_code(error: ProxyError) -> int | None:
    """The SOCKS5 reply. python-socks knows the codes of RFC 1928 as numbers, and anon's own in its message only."""
    if error.error_code is not None:
        return error.error_code
    said = _UNKNOWN_CODE.search(str(error))
    return int(said[1], 16) if said else None


def check_address(url: URL, daemon: Callable[[], AnonState]) -> None:
    """Whether `url` is a hidden service that this daemon knows how to reach.

    To a daemon of the other series the name is an ordinary one, which it would hand to an exit to resolve.

    Raises: AddressRefused; PathDown if the daemon's version is not known now.
    """
    if url.scheme not in ("http", "https") or url.user is not None or url.password is not None:
        raise AddressRefused("write the address of a hidden service as http://<56 characters>.anon")
    try:
        address = HiddenAddress.parse(url.raw_host or "")
    except AddressInvalid as error:
        raise AddressRefused(f"this is not the address of a hidden service: {error}") from error
    version = daemon().version
    if address.suffix != suffix_of(version):
        raise AddressRefused(
            f"your daemon is {version}, this address needs {required_series(address.suffix)}: "
            f"its suffix is {address.suffix}, the daemon knows {suffix_of(version)}"
        )
