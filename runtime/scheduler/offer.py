"""What a server offers: asked for once, and again when there is a reason to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from runtime.comfyui import Catalogue
from runtime.comfyui.answers import ObjectInfo

CATALOGUE_SECONDS = 600.0
"""From one /object_info over a slow path to the next, if the server names no ETag and all is well."""


@dataclass(frozen=True, slots=True)
class _Told:
    """The catalogue, under which ETag it came ("" if the server names none), and when it was asked for."""

    catalogue: Catalogue
    etag: str
    asked_at: float


class Offer:
    """The catalogue of one server, shared by all who talk to it.

    ask: sends /object_info with an ETag, see `ComfyClient.object_info_since`.
    """

    def __init__(self, ask: Callable[[str], Awaitable[ObjectInfo | None]]) -> None:
        self._ask = ask
        self._told: _Told | None = None
        self._is_in_doubt = False
        self._asking = asyncio.Lock()

    async def catalogue(self, *, fresh: bool = False) -> Catalogue:
        """What is known, asked for if nothing is, or if `fresh`. Raises: as `ask`."""
        wanted_at = time.monotonic()
        async with self._asking:
            told = self._told
            if told is None or self._is_in_doubt or (fresh and told.asked_at < wanted_at):
                told = self._told = await self._tell(told)
                self._is_in_doubt = False
            return told.catalogue

    def is_due(self, *, is_cheap: bool) -> bool:
        """Whether a check should ask anew: not if that is megabytes over a slow path, and nothing went wrong."""
        told = self._told
        if told is None or self._is_in_doubt or told.etag or is_cheap:
            return True
        return time.monotonic() - told.asked_at > CATALOGUE_SECONDS

    def forget(self) -> None:
        """The server may have been restarted with other nodes or models: ask again before the next use."""
        self._is_in_doubt = True

    async def _tell(self, known: _Told | None) -> _Told:
        asked_at = time.monotonic()
        told = await self._ask(known.etag if known else "")
        if told is None:
            assert known is not None, "without an ETag everything is told"
            return replace(known, asked_at=asked_at)
        return _Told(Catalogue.parse(told.classes), told.etag, asked_at)
