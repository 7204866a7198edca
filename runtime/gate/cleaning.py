"""What goes when a job is over: its history entry, its outputs, and its inputs unless another job needs them."""

import asyncio
from collections.abc import Sequence

import structlog
from aiohttp import web

from runtime.gate.files import files_of_outputs
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.upstream import Upstream

log = structlog.get_logger("veilrun.gate")

SWEEP_SECONDS = 60.0


class Cleaner:
    """keep_seconds: how long what nobody collected stays."""

    def __init__(self, upstream: Upstream, ledger: Ledger, folders: Folders, keep_seconds: float) -> None:
        self._upstream = upstream
        self._ledger = ledger
        self._folders = folders
        self._keep_seconds = keep_seconds

    async def learn(self, prompt_id: str) -> None:
        """Note what files the prompt's history entry names. Raises: web.HTTPBadGateway."""
        status, answer = await self._upstream.document("GET", f"/history/{prompt_id}")
        entry = answer.get(prompt_id) if status == 200 and isinstance(answer, dict) else None
        if isinstance(entry, dict):
            self._ledger.make(prompt_id, files_of_outputs(entry.get("outputs")))

    async def clean(self, prompt_ids: Sequence[str]) -> None:
        """Delete the files of these prompts, then their history entries. Raises: web.HTTPBadGateway."""
        for prompt_id in prompt_ids:
            await self.learn(prompt_id)
        await self._upstream.document("POST", "/history", {"delete": list(prompt_ids)})
        for prompt_id in prompt_ids:
            count = await asyncio.to_thread(self._folders.delete, self._ledger.left_by(prompt_id))
            self._ledger.forget(prompt_id)
            log.info("job cleaned up", prompt=prompt_id, files=count)

    async def sweep(self, keep_seconds: float) -> None:
        """Clean up what came in so long ago and is not in ComfyUI's queue any more. Raises: web.HTTPBadGateway."""
        overdue = self._ledger.overdue(keep_seconds)
        if overdue:
            _, queue = await self._upstream.document("GET", "/queue")
            busy = {item[1] for part in ("queue_running", "queue_pending") for item in (queue or {}).get(part, ())}
            await self.clean([prompt_id for prompt_id in overdue if prompt_id not in busy])
        unused = self._ledger.drop_unused_uploads(keep_seconds)
        await asyncio.to_thread(self._folders.delete, unused)

    async def run(self) -> None:
        """Sweep now and again until cancelled."""
        while True:
            try:
                await self.sweep(self._keep_seconds)
            except web.HTTPBadGateway:
                log.warning("ComfyUI does not answer, cleaning up later")
            await asyncio.sleep(SWEEP_SECONDS)
