"""The Bot API through the Anyone network: an exit of it talks to Telegram, which sees that exit's address, not ours.

TLS ends at Telegram, so the exit sees a host name and encrypted bytes. There is no direct mode: while anon is away,
nothing is sent.
"""

import secrets
from pathlib import Path

import httpx
from socksio.exceptions import SOCKSError

from runtime.anon.state import HostPort, read_state


class AnonWire(httpx.AsyncBaseTransport):
    """httpx through the exit port of this machine's anon. Names are resolved by the exit.

    pool_size: connections at once. Credentials of its own keep its circuits apart from those of any backend.
    """

    def __init__(self, anon_dir: Path, pool_size: int) -> None:
        self._anon_dir = anon_dir
        self._limits = httpx.Limits(max_connections=pool_size, max_keepalive_connections=pool_size)
        self._credentials = (f"telegram-{secrets.token_hex(8)}", secrets.token_hex(8))
        self._opened: tuple[HostPort, httpx.AsyncHTTPTransport] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: httpx.ConnectError if nothing could be sent; else as any httpx transport."""
        try:
            transport = await self._transport()
            return await transport.handle_async_request(request)
        except (httpx.ProxyError, SOCKSError) as error:  # refused, or dropped: no byte reached Telegram
            raise httpx.ConnectError("anon opened no way to the Bot API") from error

    async def aclose(self) -> None:
        """Close every connection."""
        if self._opened is not None:
            await self._opened[1].aclose()
            self._opened = None

    async def _transport(self) -> httpx.AsyncHTTPTransport:
        state = read_state(self._anon_dir)
        if state is None or not state.is_ready or state.exit_socks is None:
            raise httpx.ConnectError("anon is not connected, or was started without TELEGRAM_VIA=anon")
        if self._opened is None or self._opened[0] != state.exit_socks:
            host, port = state.exit_socks
            proxy = httpx.Proxy(f"socks5h://{host}:{port}", auth=self._credentials)
            left, transport = self._opened, httpx.AsyncHTTPTransport(proxy=proxy, limits=self._limits, trust_env=False)
            self._opened = (state.exit_socks, transport)
            if left is not None:  # the daemon that it led to is gone
                await left[1].aclose()
            return transport
        return self._opened[1]
