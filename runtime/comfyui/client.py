"""The routes of one ComfyUI server, one method each.

Facts in the docstrings were observed on ComfyUI 0.3.64. POST /queue, /interrupt, /free and /history answer 200 with an
empty body, never JSON.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

from runtime.api.workflow import Graph
from runtime.comfyui.answers import (
    Accepted,
    Features,
    History,
    ObjectInfo,
    OutputFile,
    Queue,
    SystemStats,
    UploadedImage,
)
from runtime.comfyui.errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnreachable,
    OutputMissing,
    PathAway,
    UnexpectedAnswer,
    UploadGone,
    UploadRefused,
    WorkflowRejected,
)
from runtime.comfyui.rejection import parse_rejection
from runtime.transport import (
    AddressRefused,
    HandshakeRefused,
    Lane,
    NotAuthorized,
    Part,
    PathDown,
    Redirected,
    Reply,
    ReplyTooLarge,
    Socket,
    Timeouts,
    Transport,
    TransportError,
)

T = TypeVar("T")

LOADERS = ("LoadImage", "LoadImageMask", "LoadImageOutput")
MISSING_PICTURE = "custom_validation_failed"
"""What a loader says of a file that does not exist; what is in the file it does not look at until it runs."""

SLOWEST_UPLOAD = 32 * 1024
"""Bytes per second below which an upload is given up."""


class ComfyClient:
    """A client of the ComfyUI server at `url`, known to the operator as `backend`, over `transport`.

    Holds no state about prompts. Every method raises BackendUnreachable if the exchange broke and UnexpectedAnswer if
    something other than ComfyUI answered.
    """

    def __init__(self, backend: str, url: str, transport: Transport, timeouts: Timeouts | None = None) -> None:
        self.backend = backend
        self.url = url.rstrip("/")
        self._transport = transport
        self._timeouts = timeouts or transport.timeouts

    @property
    def patience_seconds(self) -> float:
        """How long the server may be out of reach before what runs on it is given up: the way's own measure."""
        return self._transport.patience_seconds

    @property
    def download_lanes(self) -> tuple[Lane, ...]:
        """The ways a download may take, one at least."""
        return self._transport.download_lanes

    async def renew(self, lane: Lane) -> None:
        """Take another path for what `lane` does from now on."""
        await self._transport.renew(lane)

    @asynccontextmanager
    async def events(self, client_id: str) -> AsyncIterator[Socket]:
        """GET /ws?clientId=…: the socket on which prompts posted with `client_id` report.

        If another socket with the same id is open, events go to this one until the other closes, and then to none at
        all, silently: use an id once, or close the old socket and wait for that first. The server sends no pings.
        """
        with self._typed_errors():
            async with self._transport.websocket(
                f"{self.url}/ws", params={"clientId": client_id}, timeouts=self._timeouts
            ) as socket:
                yield socket

    async def upload_image(
        self, content: bytes, name: str, *, subfolder: str = "", type: str = "input", overwrite: bool = False
    ) -> UploadedImage:
        """POST /upload/image: store a file where LoadImage finds it.

        The name that comes back may differ: a file of that name with other bytes is kept, and the new one becomes
        "name (1).png". The same bytes under the same name are stored once. The content is not checked by the server.
        With `overwrite` a queued prompt that reads the old file would get the new one.

        Raises: UploadRefused.
        """
        form = [Part("image", content, name), Part("type", type), Part("overwrite", str(overwrite).lower())]
        if subfolder:
            form.append(Part("subfolder", subfolder))
        total = (self._timeouts.read or 60.0) + len(content) / SLOWEST_UPLOAD
        timeouts = Timeouts(connect=self._timeouts.connect, read=self._timeouts.read, total=total)
        async with self._request("POST", "/upload/image", lane="upload", form=form, timeouts=timeouts) as reply:
            if reply.status == 413:
                raise UploadRefused(self.backend, f"{len(content)} bytes are more than it takes (--max-upload-size)")
            if reply.status == 400:
                raise UploadRefused(self.backend, "it does not take a file of that name")
            answer = await self._json(reply, "POST /upload/image")
        return self._read("POST /upload/image", UploadedImage.parse, answer)

    async def post_prompt(
        self, prompt_id: str, graph: Graph, client_id: str, *, extra_data: Mapping[str, Any] | None = None
    ) -> Accepted:
        """POST /prompt: put `graph` into the queue under an id of our choice.

        The id is not checked for uniqueness: posted twice, it runs twice. Without a client_id its progress would go to
        every connected socket. A 200 may carry faults of some outputs, which are then dropped (`dropped_outputs`).

        Raises: WorkflowRejected on HTTP 400, UploadGone if that is for a picture which is not there.
        """
        body: dict[str, Any] = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        if extra_data:
            body["extra_data"] = dict(extra_data)
        async with self._request("POST", "/prompt", json=body) as reply:
            if reply.status == 400:
                answer = _parsed(await reply.read())
                problems = parse_rejection(answer if isinstance(answer, dict) else {}, graph)
                is_gone = any(problem.kind == MISSING_PICTURE and problem.class_type in LOADERS for problem in problems)
                raise (UploadGone if is_gone else WorkflowRejected)(self.backend, problems)
            answer = await self._json(reply, "POST /prompt")
        return self._read("POST /prompt", Accepted.parse, answer)

    async def prompt_info(self, *, lane: Lane = "api") -> int:
        """GET /prompt: how many prompts are running or pending, of everybody. The smallest answer there is."""
        answer = await self._get("/prompt", lane=lane)
        return self._read("GET /prompt", lambda answer: int(answer["exec_info"]["queue_remaining"]), answer)

    async def queue(self) -> Queue:
        """GET /queue. Read it before `history`: the other way round a prompt that ends in between looks lost."""
        return self._read("GET /queue", Queue.parse, await self._get("/queue"))

    async def delete_pending(self, prompt_ids: Sequence[str]) -> None:
        """POST /queue {"delete": […]}: remove prompts that wait; running and unknown ones are left alone.

        Leaves no history entry and sends no event but `status`.
        """
        await self._post("/queue", {"delete": list(prompt_ids)})

    async def history(self, prompt_id: str) -> History | None:
        """GET /history/{id}: how the prompt ended, or None if it is pending, running, deleted or unknown.

        Kept in memory: a restart of the server empties it. `execution_success` is sent before the entry exists.
        """
        answer = await self._get(f"/history/{quote(prompt_id, safe='')}")
        return self._read("GET /history", lambda answer: History.parse(prompt_id, answer), answer)

    async def delete_history(self, prompt_ids: Sequence[str]) -> None:
        """POST /history {"delete": […]}: make the server forget graph, prompt text and outputs of these runs."""
        await self._post("/history", {"delete": list(prompt_ids)})

    @asynccontextmanager
    async def view(
        self,
        file: OutputFile,
        *,
        lane: Lane | None = None,
        first_byte: int = 0,
        last_byte: int | None = None,
        wants_digest: bool = False,
    ) -> AsyncIterator[Reply]:
        """GET /view: a file's content, or the part from `first_byte` to `last_byte`, both included (then HTTP 206).

        A server that knows no parts answers 200 with the whole file, and 416 if it has not that much. Content-Length
        and ETag are sent. A file answered from the cache may have been deleted since: 404. With `wants_digest` a gate
        in front of the server tells the SHA-256 of the whole file, as Repr-Digest (RFC 9530); ComfyUI does not.

        Raises: OutputMissing.
        """
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        headers = {"Accept-Encoding": "identity"}
        if first_byte or last_byte is not None:
            headers["Range"] = f"bytes={first_byte}-{'' if last_byte is None else last_byte}"
        if wants_digest:
            headers["Want-Repr-Digest"] = "sha-256=10"
        lane = lane or self.download_lanes[0]
        async with self._request("GET", "/view", lane=lane, params=params, headers=headers) as reply:
            if reply.status == 404:
                raise OutputMissing(self.backend, file.filename)
            if reply.status not in (200, 206):
                raise UnexpectedAnswer(self.backend, "GET /view", reply.status)
            yield reply

    async def interrupt(self, prompt_id: str) -> None:
        """POST /interrupt: stop the prompt if it is running now; a pending or unknown id is left alone.

        Answers 200 with an empty body in every case, so the caller confirms through `queue` and `history`. Without an
        id it would stop another user's prompt: never sent that way. Takes effect at the next step or node: a model
        load, text encoding or VAE decoding is not cut short.
        """
        if not prompt_id:
            raise ValueError("an interrupt without a prompt id stops whatever runs, also somebody else's prompt")
        await self._post("/interrupt", {"prompt_id": prompt_id})

    async def free(self, *, unload_models: bool = False, free_memory: bool = True) -> None:
        """POST /free: unload models and, with `free_memory`, drop the cache of node outputs.

        Only sets a flag: the server acts on it after the prompt that runs, or within moments if none does.
        """
        await self._post("/free", {"unload_models": unload_models, "free_memory": free_memory})

    async def object_info(self) -> dict[str, Any]:
        """GET /object_info: node class -> its inputs and outputs (about 330 kB). `Catalogue.parse` reads it."""
        return self._read("GET /object_info", dict, await self._get("/object_info"))

    async def object_info_since(self, etag: str) -> ObjectInfo | None:
        """As `object_info`, or None if it still is the one that came with `etag`.

        ComfyUI names no ETag and sends everything every time; a gate in front of it does, and answers If-None-Match
        with 304. An empty `etag` asks for everything.
        """
        headers = {"If-None-Match": etag} if etag else {}
        async with self._request("GET", "/object_info", headers=headers) as reply:
            if reply.status == 304 and etag:
                return None
            answer = await self._json(reply, "GET /object_info")
            return ObjectInfo(self._read("GET /object_info", dict, answer), reply.headers.get("ETag", ""))

    async def system_stats(self) -> SystemStats:
        """GET /system_stats: version and memory. That it answers 200 means the server is ready."""
        return self._read("GET /system_stats", SystemStats.parse, await self._get("/system_stats"))

    async def models(self, folder: str) -> tuple[str, ...] | None:
        """GET /models/{folder}: the files in a folder of models, or None if the server has no such folder."""
        async with self._request("GET", f"/models/{quote(folder, safe='')}") as reply:
            if reply.status == 404:
                return None
            return self._read("GET /models", tuple, await self._json(reply, "GET /models"))

    async def features(self) -> Features:
        """GET /features. Servers older than the route answer 404: then the defaults hold."""
        async with self._request("GET", "/features") as reply:
            if reply.status == 404:
                return Features()
            answer = await self._json(reply, "GET /features")
        return self._read("GET /features", Features.parse, answer)

    async def _get(self, route: str, *, lane: Lane = "api") -> Any:
        async with self._request("GET", route, lane=lane) as reply:
            return await self._json(reply, f"GET {_named(route)}")

    async def _post(self, route: str, body: Mapping[str, Any]) -> None:
        async with self._request("POST", route, json=body) as reply:
            if reply.status != 200:
                raise UnexpectedAnswer(self.backend, f"POST {route}", reply.status)

    async def _json(self, reply: Reply, route: str) -> Any:
        if reply.status != 200:
            raise UnexpectedAnswer(self.backend, route, reply.status)
        answer = _parsed(await reply.read())
        if answer is None:
            raise UnexpectedAnswer(self.backend, route, reply.status, "but no JSON; is this a ComfyUI server?")
        return answer

    @asynccontextmanager
    async def _request(
        self, method: str, route: str, *, lane: Lane = "api", timeouts: Timeouts | None = None, **sent: Any
    ) -> AsyncIterator[Reply]:
        with self._typed_errors():
            async with self._transport.request(
                method, f"{self.url}{route}", lane=lane, timeouts=timeouts or self._timeouts, **sent
            ) as reply:
                yield reply

    def _read(self, route: str, parse: Callable[[Any], T], answer: Any) -> T:
        try:
            return parse(answer)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise UnexpectedAnswer(self.backend, route, 200, "but not in ComfyUI's shape") from error

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except (AddressRefused, NotAuthorized, Redirected) as error:
            raise BackendMisconfigured(self.backend, str(error)) from error
        except HandshakeRefused as error:
            raise UnexpectedAnswer(self.backend, "GET /ws", error.status, "so there are no live events") from error
        except ReplyTooLarge as error:
            raise BackendError(self.backend, str(error)) from error
        except PathDown as error:
            raise PathAway(self.backend, str(error), may_have_arrived=False) from error
        except TransportError as error:
            raise BackendUnreachable(self.backend, str(error), may_have_arrived=error.may_have_arrived) from error


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _named(route: str) -> str:
    """The route without the id in it."""
    return "/" + route.split("/")[1]
