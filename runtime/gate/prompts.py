"""Prompts: put into the queue, looked for, stopped and forgotten, those that came through this gate only."""

import asyncio
from typing import Any

from aiohttp import web

from runtime.gate.answers import refused
from runtime.gate.cleaning import Cleaner
from runtime.gate.files import texts_of_graph
from runtime.gate.ledger import Ledger
from runtime.gate.requests import document, identifier
from runtime.gate.upstream import CLIENT, Upstream

PROMPT_BYTES = 16 * 1024 * 1024


class PromptRoutes:
    """Handlers of what concerns prompts."""

    def __init__(self, upstream: Upstream, ledger: Ledger, cleaner: Cleaner) -> None:
        self._upstream, self._ledger, self._cleaner = upstream, ledger, cleaner

    async def post(self, request: web.Request) -> web.StreamResponse:
        """A graph, under an id of the client's choice; noted as ours before it is passed on."""
        asked = await document(request, PROMPT_BYTES)
        prompt_id, client_id = identifier(asked.get("prompt_id")), identifier(asked.get("client_id"))
        graph = asked.get("prompt")
        if prompt_id is None or client_id is None or not isinstance(graph, dict):
            raise refused(web.HTTPForbidden, "a prompt has a graph, a prompt_id and a client_id of its own")
        is_first = not self._ledger.owns(prompt_id)
        if is_first and await self._is_known(prompt_id):
            raise refused(web.HTTPConflict, "this id is taken by a prompt that did not come through this gate")
        await self._cleaner.accept(prompt_id, texts_of_graph(graph))
        passed = {"prompt": graph, "prompt_id": prompt_id, "client_id": CLIENT + client_id}
        if isinstance(asked.get("extra_data"), dict):
            passed["extra_data"] = asked["extra_data"]
        status, answer = await self._upstream.document("POST", "/prompt", passed)
        if status == 400 and is_first:
            self._ledger.withdraw(prompt_id)
        return web.json_response(answer, status=status)

    async def queue(self, _: web.Request) -> web.StreamResponse:
        """Places and own ids. Whose the other prompts are, and what is in any of them, is not told."""
        queue = await self._upstream.queue()
        return web.json_response({part: [self._place(item) for item in items] for part, items in queue.items()})

    async def delete_pending(self, request: web.Request) -> web.StreamResponse:
        """Take own prompts out of the queue."""
        ids = _ids(await document(request))
        if not all(map(self._ledger.owns, ids)):
            raise refused(web.HTTPForbidden, "one of these prompts did not come through this gate")
        status, _ = await self._upstream.document("POST", "/queue", {"delete": ids})
        return web.Response(status=status)

    async def history(self, request: web.Request) -> web.StreamResponse:
        """How an own prompt ended, without its graph. Another's is unknown."""
        prompt_id = request.match_info["prompt_id"]
        entry = await self._upstream.history(prompt_id) if self._ledger.owns(prompt_id) else None
        if entry is None:
            return web.json_response({})
        self._cleaner.learn(prompt_id, entry)
        return web.json_response({prompt_id: {**entry, "prompt": []}})

    async def delete_history(self, request: web.Request) -> web.StreamResponse:
        """The client has what it wanted: history entries and files of own prompts that are over go."""
        ids = _ids(await document(request))
        await self._cleaner.clean([prompt_id for prompt_id in ids if self._ledger.owns(prompt_id)])
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.StreamResponse:
        """Stop an own prompt. Without an id it would stop whoever's runs."""
        asked = await document(request)
        if set(asked) != {"prompt_id"} or not self._ledger.owns(asked["prompt_id"]):
            raise refused(web.HTTPForbidden, "an interrupt names a prompt that came through this gate")
        status, _ = await self._upstream.document("POST", "/interrupt", {"prompt_id": asked["prompt_id"]})
        return web.Response(status=status)

    async def free(self, request: web.Request) -> web.StreamResponse:
        """Unload models, drop the cache."""
        asked = await document(request)
        wanted = {name: asked.get(name) is True for name in ("unload_models", "free_memory")}
        status, _ = await self._upstream.document("POST", "/free", wanted)
        return web.Response(status=status)

    async def _is_known(self, prompt_id: str) -> bool:
        """Whether somebody posted such a prompt past the gate: ComfyUI takes an id twice, and tells both as one."""
        queue, entry = await asyncio.gather(self._upstream.queue(), self._upstream.history(prompt_id))
        return entry is not None or any(item[1] == prompt_id for items in queue.values() for item in items)

    def _place(self, item: list[Any]) -> list[Any]:
        """An entry of the queue with its number, and its id if it is ours."""
        return [item[0], item[1] if self._ledger.owns(item[1]) else "", {}, {}, []]


def _ids(asked: dict[str, Any]) -> list[str]:
    ids = asked.get("delete")
    if set(asked) != {"delete"} or not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise refused(web.HTTPForbidden, 'only {"delete": [own prompt ids]} passes')
    return ids
