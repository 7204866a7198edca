"""What goes when a job is over: its history entry, its outputs, and its inputs unless another job needs them."""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiohttp import web

from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.results import Results
from runtime.gate.upstream import Upstream

log = structlog.get_logger("veilrun.gate")

SWEEP_SECONDS = 60.0


class Cleaner:
    """keep_seconds: how long what nobody collected stays."""

    def __init__(
        self, upstream: Upstream, ledger: Ledger, folders: Folders, results: Results, keep_seconds: float
    ) -> None:
        self._upstream = upstream
        self._ledger = ledger
        self._folders = folders
        self._results = results
        self._keep_seconds = keep_seconds
        self._deleting = asyncio.Lock()

    async def accept(self, prompt_id: str, texts: Iterable[str]) -> None:
        """A prompt comes in, see `Ledger.post`; not between a look at who needs a picture and its deletion."""
        async with self._deleting:
            self._ledger.post(prompt_id, texts)

    def learn(self, prompt_id: str, entry: Mapping[str, Any]) -> None:
        """Note the files that the history entry of an own prompt names."""
        self._results.note_history(prompt_id, entry)

    async def look_up(self, prompt_id: str) -> None:
        """The same, with the entry that ComfyUI has now, if it has one. Raises: web.HTTPBadGateway."""
        entry = await self._upstream.history(prompt_id)
        if entry is not None:
            self.learn(prompt_id, entry)

    async def clean(self, prompt_ids: Sequence[str]) -> None:
        """Delete the files of these prompts, then their history entries. Those that wait or run are left alone.

        Raises: web.HTTPBadGateway.
        """
        busy = await self._busy() if prompt_ids else frozenset()
        over = [prompt_id for prompt_id in prompt_ids if prompt_id not in busy]
        if not over:
            return
        for prompt_id in over:
            await self.look_up(prompt_id)
        await self._upstream.forget(over)
        for prompt_id in over:
            async with self._deleting:
                count = await asyncio.to_thread(self._folders.delete, self._ledger.left_by(prompt_id))
                self._ledger.forget(prompt_id)
            log.info("job cleaned up", prompt=prompt_id, files=count)

    async def sweep(self, keep_seconds: float) -> None:
        """Clean up what neither waited nor ran for so long. Raises: web.HTTPBadGateway."""
        async with self._deleting:
            unused = self._ledger.drop_unused_uploads(keep_seconds)
            await asyncio.to_thread(self._folders.delete, unused)
        if not self._ledger.is_empty():
            self._ledger.see_busy(await self._busy())
            await self.clean(self._ledger.overdue(keep_seconds))

    async def run(self) -> None:
        """Sweep now and again until cancelled."""
        while True:
            try:
                await self.sweep(self._keep_seconds)
            except web.HTTPBadGateway:
                log.warning("ComfyUI does not answer, cleaning up later")
            except sqlite3.Error as error:
                log.warning("the gate's ledger cannot be used, cleaning up later", reason=str(error))
            await asyncio.sleep(SWEEP_SECONDS)

    async def _busy(self) -> frozenset[str]:
        """The ids in ComfyUI's queue, everybody's."""
        queue = await self._upstream.queue()
        return frozenset(item[1] for items in queue.values() for item in items)
