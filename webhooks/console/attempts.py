"""How often somebody may try links that do not sign in."""

import ipaddress
import time
from collections import deque
from collections.abc import Callable

from starlette.requests import Request

WINDOW_SECONDS = 600.0
OF_ONE, OF_ALL = 10, 300
"""Failures within the window: of one address, and of all together, which bounds the load."""


class Attempts:
    """Failed attempts of the last WINDOW_SECONDS, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque()

    def wait_seconds(self, who: str) -> int:
        """For how long `who` may not try; 0 = go on."""
        now = self._clock()
        while self._failures and self._failures[0][0] <= now - WINDOW_SECONDS:
            self._failures.popleft()
        own = [at for at, other in self._failures if other == who]
        oldest = own[-OF_ONE] if len(own) >= OF_ONE else None
        if oldest is None and len(self._failures) >= OF_ALL:
            oldest = self._failures[-OF_ALL][0]
        return 0 if oldest is None else int(oldest + WINDOW_SECONDS - now) + 1

    def failed(self, who: str) -> None:
        """`who` tried a link that does not sign in."""
        self._failures.append((self._clock(), who))


def sender(request: Request) -> str:
    """Who asks, as well as it is known: the peer, and what the nearest proxy, if the peer is one, says of its own.

    Only the last entry of X-Forwarded-For is of that proxy; those before it are whatever the client wrote. Addresses of
    IPv6 count by their /64.
    """
    peer = request.client.host if request.client else ""
    nearest = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return f"{_network(peer)} {_network(nearest)}"


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
