"""A transport with several lanes to one local server, which can tell them apart and be slow on some."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from runtime.transport import DirectTransport, Lane, PathDown, Reply

LANE = "X-Lane"


class Lanes(DirectTransport):
    """As the onion transport: `count` lanes for downloads. Each request says in a header which one it takes.

    downs: how many of the next requests find the way itself down.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.download_lanes = tuple(f"lane-{number}" for number in range(count))
        self.renewed: list[Lane] = []
        self.downs = 0

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, lane: Lane = "api", headers: Mapping[str, str] | None = None, **sent: Any
    ) -> AsyncIterator[Reply]:
        if self.downs:
            self.downs -= 1
            raise PathDown("the way is down")
        async with super().request(method, url, lane=lane, headers={**(headers or {}), LANE: lane}, **sent) as reply:
            yield reply

    async def renew(self, lane: Lane) -> None:
        self.renewed.append(lane)
