"""POST /prompt, the queue, the history and the controls."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import web

from runtime.sandbox.comfyui.catalogue import Catalogue
from runtime.sandbox.comfyui.faults import Faults
from runtime.sandbox.comfyui.prompt_queue import History, PromptQueue, QueueItem
from runtime.sandbox.comfyui.storage import Storage
from runtime.sandbox.comfyui.trouble import Trouble
from runtime.sandbox.comfyui.validation import SLIPS, validate

Json = dict[str, Any]


async def read_json(request: web.Request) -> Any:
    """The body. The real server does not catch a broken one: 500 as plain text."""
    try:
        return await request.json()
    except ValueError as error:
        raise Trouble from error


class PromptsHttp:
    """Handlers for prompts. `on_post` is told of every graph that was queued, before anything happens to it."""

    def __init__(
        self,
        catalogue: Catalogue,
        storage: Storage,
        faults: Faults,
        queue: PromptQueue,
        history: History,
        *,
        interrupt: Callable[[], None],
        on_post: Callable[[QueueItem], None],
    ) -> None:
        self._catalogue, self._storage, self._faults = catalogue, storage, faults
        self._queue, self._history = queue, history
        self._interrupt, self._on_post = interrupt, on_post
        self._next_number = 0

    async def get_prompt(self, _: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": self._queue.remaining}})

    async def post_prompt(self, request: web.Request) -> web.Response:
        """Check a graph and queue it. 200 may still carry node_errors: those outputs are left out."""
        if self._faults.spend("drop_prompt_before"):
            return _hang_up(request)
        posted = await read_json(request)
        try:
            answer, status = self._accept(posted)
        except SLIPS as error:
            raise Trouble from error  # a body of a shape that nobody expects
        if status == 200 and self._faults.spend("drop_prompt_after"):
            return _hang_up(request)
        return web.json_response(answer, status=status)

    def _accept(self, posted: Json) -> tuple[Json, int]:
        number = self._number(posted)
        if "prompt" not in posted:
            return _refused("no_prompt", "No prompt provided", "No prompt provided"), 400
        graph: Json = posted["prompt"]
        prompt_id = str(posted.get("prompt_id", uuid.uuid4()))
        verdict = validate(graph, self._catalogue, self._storage, posted.get("partial_execution_targets"))
        extra: Json = posted.get("extra_data", {})
        if not isinstance(extra, dict):
            raise TypeError("extra_data is no object")
        if "client_id" in posted:
            extra["client_id"] = posted["client_id"]
        if verdict.error is not None:
            return {"error": verdict.error, "node_errors": verdict.node_errors}, 400
        item = QueueItem(number, prompt_id, graph, extra, verdict.outputs)
        self._on_post(item)
        if not self._faults.spend("vanish"):
            self._queue.put(item)
        return {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}, 200

    def _number(self, posted: Json) -> float:
        if "number" in posted:
            return float(posted["number"])
        number = -self._next_number if posted.get("front") else self._next_number
        self._next_number += 1
        return number

    async def get_queue(self, _: web.Request) -> web.Response:
        running = [self._queue.running] if self._queue.running else []
        listed = {"queue_running": running, "queue_pending": self._queue.pending}
        return web.json_response({name: [item.listed() for item in items] for name, items in listed.items()})

    async def post_queue(self, request: web.Request) -> web.Response:
        """Removes pending prompts without a trace in the history; the running one stays."""
        wish = await read_json(request)
        if wish.get("clear"):
            self._queue.clear()
        self._queue.delete(wish.get("delete", ()))
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        query = request.rel_url.query
        try:
            max_items = int(query["max_items"]) if "max_items" in query else None
            offset = int(query.get("offset", -1))
        except ValueError as error:
            raise Trouble from error
        return web.json_response(self._history.page(max_items, offset))

    async def get_history_entry(self, request: web.Request) -> web.Response:
        entry = self._history.one(request.match_info["prompt_id"])
        return web.json_response({} if entry and self._faults.spend("empty_history") else entry)

    async def post_history(self, request: web.Request) -> web.Response:
        wish = await read_json(request)
        if wish.get("clear"):
            self._history.clear()
        self._history.delete(wish.get("delete", ()))
        return web.Response()

    async def post_interrupt(self, request: web.Request) -> web.Response:
        """With a prompt_id only that prompt, if it runs now; without one whatever runs."""
        try:
            wish = await request.json()
        except json.JSONDecodeError:
            wish = {}
        prompt_id = wish.get("prompt_id")
        running = self._queue.running
        if not prompt_id or (running is not None and running.prompt_id == prompt_id):
            self._interrupt()
        return web.Response()

    async def post_free(self, request: web.Request) -> web.Response:
        wish = await read_json(request)
        for flag in ("unload_models", "free_memory"):
            if wish.get(flag):
                self._queue.raise_flag(flag)
        return web.Response()


def _refused(kind: str, message: str, details: str) -> Json:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return {"error": error, "node_errors": {}}


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
