"""Straight to the backend over TCP: for servers on this machine, in the same network, or behind a VPN."""

import aiohttp
from yarl import URL

from runtime.transport.address import has_plain_host, is_foreign_service, is_hidden_service
from runtime.transport.errors import AddressRefused
from runtime.transport.interface import Lane
from runtime.transport.sessions import KEEP_ALIVE_SECONDS, SessionTransport


class DirectTransport(SessionTransport):
    """A Transport with no proxy. Refuses names of hidden services before any resolver sees them."""

    def _connector(self, lane: Lane) -> aiohttp.BaseConnector:
        return aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)

    def _admit(self, url: URL) -> None:
        if is_hidden_service(url):
            raise AddressRefused(
                "this is the address of a hidden service, which `direct` never opens; set `transport: anon`"
            )
        if is_foreign_service(url):
            raise AddressRefused(
                "this is an address of the Tor network, which veilrun does not use; it is not resolved"
            )
        if not has_plain_host(url):
            raise AddressRefused("the backend's url has a host that is neither a name nor an IP address")

    async def renew(self, lane: Lane) -> None:
        """There is one path only."""
