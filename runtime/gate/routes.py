"""The routes that pass, each with what it may carry. Everything that is not here is answered 404."""

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from typing import Any

from aiohttp import WSMsgType, web

from runtime.gate.answers import refused
from runtime.gate.cleaning import Cleaner
from runtime.gate.events import EventFilter
from runtime.gate.files import FileRef, texts_of_graph
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.upstream import LIMIT_BYTES, Upstream
from runtime.transport import Part, Reply, Socket, TransportError

PROMPT_BYTES = 16 * 1024 * 1024
SMALL_BYTES = 256 * 1024
FRAME_BYTES = 256 * 1024 * 1024
LOOKS = 8
"""Own prompts whose history is looked at before a file is said to be nobody's."""

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Of a prompt or a client. It becomes part of a path to ComfyUI, so it holds nothing that leads elsewhere there."""

PASSED_ON = ("Content-Type", "Content-Length", "Content-Range", "ETag", "Last-Modified", "Accept-Ranges")


class Routes:
    """The handlers of one gate."""

    def __init__(
        self, upstream: Upstream, ledger: Ledger, folders: Folders, cleaner: Cleaner, upload_bytes: int
    ) -> None:
        self._upstream = upstream
        self._ledger = ledger
        self._folders = folders
        self._cleaner = cleaner
        self._upload_bytes = upload_bytes
        self._digests: dict[tuple[FileRef, str], str] = {}

    def table(self) -> list[web.RouteDef]:
        """All that pass."""
        return [
            web.get("/ws", self.events),
            web.post("/upload/image", self.upload),
            web.post("/prompt", self.post_prompt),
            web.get("/prompt", self.plain),
            web.get("/queue", self.queue),
            web.post("/queue", self.delete_pending),
            web.get("/history/{prompt_id}", self.history),
            web.post("/history", self.delete_history),
            web.get("/view", self.view),
            web.post("/interrupt", self.interrupt),
            web.post("/free", self.free),
            web.get("/object_info", self.object_info),
            web.get("/system_stats", self.plain),
            web.get("/models/{folder:[A-Za-z0-9_][A-Za-z0-9_.-]*}", self.plain),
            web.get("/features", self.plain),
        ]

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """A question without arguments, answered as it is."""
        async with self._upstream.request("GET", request.path) as reply:
            return web.Response(body=await reply.read(), status=reply.status, content_type=_media_type(reply))

    async def object_info(self, request: web.Request) -> web.StreamResponse:
        """All node classes: megabytes, so told only when they changed, and packed."""
        async with self._upstream.request("GET", "/object_info") as reply:
            body = await reply.read(LIMIT_BYTES)
            status, media_type = reply.status, _media_type(reply)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if status == 200 and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        response = web.Response(body=body, status=status, content_type=media_type)
        if status == 200:
            response.headers["ETag"] = etag
            response.enable_compression()
        return response

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """A picture, as a new file only: one that is there is never replaced."""
        if request.content_type != "multipart/form-data":
            raise refused(web.HTTPForbidden, "an upload is multipart/form-data")
        form = await request.clone(client_max_size=self._upload_bytes).post()
        image = form.get("image")
        kind, subfolder = form.get("type", "input"), form.get("subfolder", "")
        if not isinstance(image, web.FileField) or kind not in ("input", "temp") or subfolder:
            raise refused(web.HTTPForbidden, "an upload is one image, of type input or temp, in no subfolder")
        if form.get("overwrite", "false") in ("true", "1"):
            raise refused(web.HTTPForbidden, "an upload never replaces a file")
        content = await asyncio.to_thread(image.file.read)
        parts = [Part("image", content, image.filename), Part("type", str(kind)), Part("overwrite", "false")]
        async with self._upstream.request("POST", "/upload/image", form=parts) as reply:
            body, status, media_type = await reply.read(), reply.status, _media_type(reply)
        if status == 200:
            told = _json(body)
            if isinstance(told, dict):
                self._ledger.upload(FileRef.of(told, "input"))
        return web.Response(body=body, status=status, content_type=media_type)

    async def post_prompt(self, request: web.Request) -> web.StreamResponse:
        """A graph, under an id of the client's choice; noted as ours before it is passed on."""
        asked = await _document(request, PROMPT_BYTES)
        prompt_id, graph, client_id = _id(asked.get("prompt_id")), asked.get("prompt"), _id(asked.get("client_id"))
        if prompt_id is None or client_id is None or not isinstance(graph, dict):
            raise refused(web.HTTPForbidden, "a prompt has a graph, a prompt_id and a client_id of its own")
        self._ledger.post(prompt_id, texts_of_graph(graph))
        passed = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        if isinstance(asked.get("extra_data"), dict):
            passed["extra_data"] = asked["extra_data"]
        status, answer = await self._upstream.document("POST", "/prompt", passed)
        if status == 400:
            self._ledger.forget(prompt_id)
        return web.json_response(answer, status=status)

    async def queue(self, _: web.Request) -> web.StreamResponse:
        """Places and own ids. Whose the other prompts are, and what is in any of them, is not told."""
        status, answer = await self._upstream.document("GET", "/queue")
        if status != 200 or not isinstance(answer, dict):
            return web.json_response(answer, status=status)
        parts = ("queue_running", "queue_pending")
        return web.json_response({part: [self._place(item) for item in answer.get(part, ())] for part in parts})

    async def delete_pending(self, request: web.Request) -> web.StreamResponse:
        """Take own prompts out of the queue."""
        ids = self._own_ids(await _document(request, SMALL_BYTES))
        status, _ = await self._upstream.document("POST", "/queue", {"delete": ids})
        return web.Response(status=status)

    async def history(self, request: web.Request) -> web.StreamResponse:
        """How an own prompt ended, without its graph. Another's is unknown."""
        prompt_id = request.match_info["prompt_id"]
        if not self._ledger.owns(prompt_id):
            return web.json_response({})
        status, answer = await self._upstream.document("GET", f"/history/{prompt_id}")
        entry = answer.get(prompt_id) if isinstance(answer, dict) else None
        if isinstance(entry, dict):
            await self._cleaner.learn(prompt_id)
            answer = {prompt_id: {**entry, "prompt": []}}
        return web.json_response(answer, status=status)

    async def delete_history(self, request: web.Request) -> web.StreamResponse:
        """The client has what it wanted: history entries and files of own prompts go."""
        asked = await _document(request, SMALL_BYTES)
        ids = asked.get("delete")
        if set(asked) != {"delete"} or not isinstance(ids, list):
            raise refused(web.HTTPForbidden, 'only {"delete": [own prompt ids]} passes')
        await self._cleaner.clean([prompt_id for prompt_id in ids if self._ledger.owns(prompt_id)])
        return web.Response()

    async def view(self, request: web.Request) -> web.StreamResponse:
        """A file that an own prompt wrote, whole or in part."""
        ref = FileRef.of(request.query)
        if not await self._is_ours(ref):
            raise refused(web.HTTPNotFound, "no prompt that came through this gate wrote such a file")
        params = {"filename": ref.name, "subfolder": ref.subfolder, "type": ref.kind}
        headers = {"Accept-Encoding": "identity"}
        headers |= {name: request.headers[name] for name in ("Range", "If-Range") if name in request.headers}
        async with self._upstream.request("GET", "/view", params=params, headers=headers) as reply:
            response = web.StreamResponse(status=reply.status)
            for name in PASSED_ON:
                if name in reply.headers:
                    response.headers[name] = reply.headers[name]
            if reply.status in (200, 206) and "Want-Repr-Digest" in request.headers:
                digest = await self._digest(ref, reply.headers.get("ETag", ""))
                if digest is not None:
                    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"
            await response.prepare(request)
            if request.method != "HEAD":
                await _copy(reply, response)
            return response

    async def interrupt(self, request: web.Request) -> web.StreamResponse:
        """Stop an own prompt. Without an id it would stop whoever's runs."""
        asked = await _document(request, SMALL_BYTES)
        if set(asked) != {"prompt_id"} or not self._ledger.owns(asked["prompt_id"]):
            raise refused(web.HTTPForbidden, "an interrupt names a prompt that came through this gate")
        status, _ = await self._upstream.document("POST", "/interrupt", {"prompt_id": asked["prompt_id"]})
        return web.Response(status=status)

    async def free(self, request: web.Request) -> web.StreamResponse:
        """Unload models, drop the cache."""
        asked = await _document(request, SMALL_BYTES)
        wanted = {name: asked.get(name) is True for name in ("unload_models", "free_memory")}
        status, _ = await self._upstream.document("POST", "/free", wanted)
        return web.Response(status=status)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The events of own prompts."""
        client_id = _id(request.query.get("clientId"))
        if client_id is None:
            raise refused(web.HTTPForbidden, "an event socket names its clientId")
        async with self._upstream.websocket(client_id) as upstream:
            downstream = web.WebSocketResponse(max_msg_size=SMALL_BYTES)
            await downstream.prepare(request)
            sides = [
                asyncio.create_task(_to_client(upstream, downstream, EventFilter(self._ledger))),
                asyncio.create_task(_from_client(downstream, upstream)),
            ]
            try:
                await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for side in sides:
                    side.cancel()
                await asyncio.gather(*sides, return_exceptions=True)
                await downstream.close()
            return downstream

    def _place(self, item: list[Any]) -> list[Any]:
        """An entry of the queue with its number, and its id if it is ours."""
        return [item[0], item[1] if self._ledger.owns(item[1]) else "", {}, {}, []]

    def _own_ids(self, asked: dict[str, Any]) -> list[str]:
        ids = asked.get("delete")
        if set(asked) != {"delete"} or not isinstance(ids, list) or not all(map(self._ledger.owns, ids)):
            raise refused(web.HTTPForbidden, 'only {"delete": [own prompt ids]} passes')
        return ids

    async def _is_ours(self, ref: FileRef) -> bool:
        if self._ledger.made_here(ref):
            return True
        for prompt_id in self._ledger.without_files(LOOKS):
            await self._cleaner.learn(prompt_id)
        return self._ledger.made_here(ref)

    async def _digest(self, ref: FileRef, etag: str) -> str | None:
        """SHA-256 of the file in base64, None if the gate cannot read it."""
        path = self._folders.path_of(ref)
        if path is None:
            return None
        if (ref, etag) not in self._digests:
            if len(self._digests) > 256:
                self._digests.clear()
            with path.open("rb") as file:
                digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
            self._digests[ref, etag] = b64encode(digest.digest()).decode()
        return self._digests[ref, etag]


async def _to_client(upstream: Socket, downstream: web.WebSocketResponse, events: EventFilter) -> None:
    while (frame := await upstream.receive()) is not None:
        if isinstance(frame, str):
            passed = events.text(frame)
            if passed is not None:
                await downstream.send_str(passed)
        else:
            picture = events.binary(frame)
            if picture is not None:
                await downstream.send_bytes(picture)


async def _from_client(downstream: web.WebSocketResponse, upstream: Socket) -> None:
    async for message in downstream:
        if message.type == WSMsgType.TEXT and (passed := EventFilter.from_client(message.data)) is not None:
            await upstream.send(passed)


async def _copy(reply: Reply, response: web.StreamResponse) -> None:
    """The body; a server that ends early ends the client's connection early, so that both notice."""
    try:
        async for chunk in reply.chunks():
            await response.write(chunk)
    except TransportError as error:
        raise ConnectionResetError("ComfyUI ended the file early") from error
    await response.write_eof()


async def _document(request: web.Request, limit_bytes: int) -> dict[str, Any]:
    body = await request.clone(client_max_size=limit_bytes).read()
    document = _json(body)
    if not isinstance(document, dict):
        raise refused(web.HTTPForbidden, "the body is a JSON object")
    return document


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _media_type(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip()


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and ID.fullmatch(value) else None
