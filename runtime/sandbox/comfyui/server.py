"""A sandbox ComfyUI server: the protocol of ComfyUI 0.3.64, with pictures that are painted instead of rendered."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from runtime.sandbox.comfyui.catalogue import Catalogue
from runtime.sandbox.comfyui.facts_http import Device, FactsHttp
from runtime.sandbox.comfyui.faults import Faults, UnknownFault
from runtime.sandbox.comfyui.files_http import FilesHttp, Upload
from runtime.sandbox.comfyui.gatekeeping import Seen, gate
from runtime.sandbox.comfyui.nodes.recipe import Residence
from runtime.sandbox.comfyui.pace import Pace
from runtime.sandbox.comfyui.painting.artist import Artist
from runtime.sandbox.comfyui.painting.painter import BlankPainter
from runtime.sandbox.comfyui.prompt_queue import History, PromptQueue, QueueItem
from runtime.sandbox.comfyui.prompts_http import PromptsHttp, read_json
from runtime.sandbox.comfyui.run_journal import RunJournal
from runtime.sandbox.comfyui.sockets import Sockets
from runtime.sandbox.comfyui.storage import Storage
from runtime.sandbox.comfyui.worker import Machine, Worker

Json = dict[str, Any]

MAX_UPLOAD_BYTES = 100 * 1024 * 1024
JOURNAL_LENGTH = 5000
"""Requests and graphs kept for tests to look at; a long demo forgets the oldest."""


class SandboxComfyUI:
    """One server with its worker, files and fault plan.

        async with SandboxComfyUI(pace=0) as comfyui:
            ...post graphs to comfyui.url...
            assert comfyui.last_graph["sampler"]["inputs"]["seed"] == 7

    pace: factor on the demo's waiting times, or a `Pace`; 0 is as quick as possible.
    paints: False gives flat grey pictures that cost nothing, for measurements.
    root: where input, output and temp are kept; by default a temporary folder, deleted by `stop()`.
    models: files by folder, instead of those that the five templates need.
    extra_classes: node classes to add, in the shape of /object_info.
    has_previews: previews while sampling (--preview-method). has_metadata: False is --disable-metadata.
    journal: a file to which every run is written, see `RunJournal`.
    """

    def __init__(
        self,
        *,
        pace: float | Pace = 1.0,
        paints: bool = True,
        root: Path | None = None,
        models: Mapping[str, Sequence[str]] | None = None,
        extra_classes: Mapping[str, Mapping[str, Any]] | None = None,
        devices: Sequence[Device] = (Device(),),
        has_previews: bool = False,
        has_metadata: bool = True,
        faults: Faults | None = None,
        max_upload_bytes: int = MAX_UPLOAD_BYTES,
        journal: Path | None = None,
    ) -> None:
        self.faults = faults or Faults()
        self.devices = tuple(devices)
        self.requests: list[Seen] = []
        self.graphs: list[Json] = []
        self.posts: Counter[str] = Counter()
        self.uploads: list[Upload] = []
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="sandbox-comfyui-", ignore_cleanup_errors=True) if root is None else None
        )
        self.storage = Storage(root or Path(self._temporary.name if self._temporary else "."))
        self.catalogue = Catalogue(self.storage, self.faults, models=models, extra_classes=extra_classes)
        self._pace = pace if isinstance(pace, Pace) else Pace.of(pace)
        self._painter = Artist() if paints else BlankPainter()
        self._has_previews, self._has_metadata = has_previews, has_metadata
        self._max_upload_bytes = max_upload_bytes
        self._journal = RunJournal(journal) if journal is not None else None
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._host, self._port = "127.0.0.1", 0
        self._forget()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> "SandboxComfyUI":
        """Listen. Port 0 takes a free one the first time and the same one again after that."""
        self._host, self._port = host, port or self._port
        self._forget()
        self.storage.wipe_temp()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        self._tasks = [asyncio.create_task(self._worker.run()), asyncio.create_task(self._sockets.publish())]
        return self

    async def stop(self) -> None:
        """Close all connections and listen no more. A temporary folder is deleted."""
        await self._shut()
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def restart(self) -> None:
        """Stop and start on the same port: queue, history and cache are empty, temp is wiped, other files stay."""
        await self._shut()
        await self.start(self._host, self._port)

    async def crash(self) -> None:
        """Go away like a killed process: connections break off, everything in memory is lost. `start()` revives it."""
        if self._runner is not None and self._runner.server is not None:
            self._sockets.abort()
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
        await self._shut()

    @property
    def url(self) -> str:
        """Address without a trailing slash; the same before and after a restart."""
        return f"http://{self._host}:{self._port}"

    @property
    def last_graph(self) -> Json:
        """The graph queued last, with its literals as converted by the validation."""
        return self.graphs[-1]

    @property
    def running(self) -> str | None:
        """The prompt id that runs now."""
        return self._queue.running.prompt_id if self._queue.running else None

    @property
    def pending(self) -> list[str]:
        """Prompt ids that wait, in the order in which they will run."""
        return [item.prompt_id for item in sorted(self._queue.pending)]

    @property
    def finished(self) -> list[str]:
        """Prompt ids in the history, oldest first."""
        return list(self._history.page(None, -1))

    @property
    def held(self) -> set[str]:
        """Ids of nodes that wait because of `faults.hold`."""
        return set(self._worker.held)

    @property
    def clients(self) -> list[str]:
        """Client ids with an open websocket."""
        return self._sockets.connected

    @property
    def model_loads(self) -> list[tuple[str, ...]]:
        """The model files of every cold load since the start."""
        return self._residence.loads

    async def wait_for(self, is_so: Callable[["SandboxComfyUI"], bool], timeout_seconds: float = 10.0) -> None:
        """Return as soon as `is_so(self)`.

        Raises: TimeoutError.
        """
        async with asyncio.timeout(timeout_seconds):
            while not is_so(self):
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 0.05)
                except TimeoutError:
                    continue

    async def __aenter__(self) -> "SandboxComfyUI":
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _forget(self) -> None:
        """What is in memory is new with every start."""
        features = {"supports_preview_metadata": True, "max_upload_size": self._max_upload_bytes}
        self._sockets = Sockets(self.faults, features, lambda: self._queue.remaining)
        self._queue = PromptQueue(self._on_queue_change)
        self._history = History()
        self._residence = Residence()
        machine = Machine(
            catalogue=self.catalogue,
            storage=self.storage,
            faults=self.faults,
            sockets=self._sockets,
            painter=self._painter,
            pace=self._pace,
            residence=self._residence,
            has_previews=self._has_previews,
            has_metadata=self._has_metadata,
            journal=self._journal,
        )
        self._features = features
        self._worker = Worker(machine, self._queue, self._history, self._changed.set)

    async def _shut(self) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure  # a fault of our own: a server that silently stopped working helps no test

    def _application(self) -> web.Application:
        application = web.Application(
            client_max_size=self._max_upload_bytes, middlewares=[gate(self.faults, self._on_request)]
        )
        prompts = PromptsHttp(
            self.catalogue,
            self.storage,
            self.faults,
            self._queue,
            self._history,
            interrupt=self._worker.interrupt,
            on_post=self._on_post,
        )
        files = FilesHttp(self.storage, self.faults, self._on_upload)
        facts = FactsHttp(self.catalogue, self.devices, self._features, lambda: bool(self._residence.files))
        routes = [
            web.get("/ws", self._sockets.serve),
            web.get("/prompt", prompts.get_prompt),
            web.post("/prompt", prompts.post_prompt),
            web.get("/queue", prompts.get_queue),
            web.post("/queue", prompts.post_queue),
            web.get("/history", prompts.get_history),
            web.post("/history", prompts.post_history),
            web.get("/history/{prompt_id}", prompts.get_history_entry),
            web.post("/interrupt", prompts.post_interrupt),
            web.post("/free", prompts.post_free),
            web.get("/view", files.view),
            web.post("/upload/image", files.upload),
            web.get("/object_info", facts.object_info),
            web.get("/object_info/{class_type}", facts.object_info),
            web.get("/system_stats", facts.system_stats),
            web.get("/models", facts.models),
            web.get("/models/{folder}", facts.models),
            web.get("/features", facts.features),
        ]
        application.add_routes(routes)
        application.add_routes([web.route(one.method, f"/api{one.path}", one.handler) for one in routes])
        application.add_routes(
            [
                web.get("/", self._get_page),
                web.get("/sandbox/faults", self._get_faults),
                web.post("/sandbox/faults", self._post_faults),
                web.get("/sandbox/journal", self._get_journal),
            ]
        )
        return application

    async def _get_page(self, _: web.Request) -> web.Response:
        text = "<!doctype html><title>Sandbox ComfyUI</title><p>This is a sandbox: it paints, no GPU is involved.</p>"
        return web.Response(text=text, content_type="text/html")

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self.faults.plan())

    async def _post_faults(self, request: web.Request) -> web.Response:
        try:
            self.faults.change(await read_json(request))
        except UnknownFault as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(self.faults.plan())

    async def _get_journal(self, _: web.Request) -> web.Response:
        """What tests ask of a server in another process."""
        journal = {
            "requests": [asdict(seen) for seen in self.requests],
            "posts": dict(self.posts),
            "graphs": self.graphs,
            "uploads": [asdict(upload) for upload in self.uploads],
            "running": self.running,
            "pending": self.pending,
            "finished": self.finished,
            "held": sorted(self.held),
        }
        return web.json_response(journal)

    def _on_queue_change(self) -> None:
        self._sockets.send_status()
        self._changed.set()

    def _on_request(self, seen: Seen) -> None:
        self.requests.append(seen)
        del self.requests[:-JOURNAL_LENGTH]
        self._changed.set()

    def _on_post(self, item: QueueItem) -> None:
        self.graphs.append(item.graph)
        del self.graphs[:-JOURNAL_LENGTH]
        self.posts[item.prompt_id] += 1
        if self._journal is not None:
            self._journal.write("queued", item.prompt_id, graph=item.graph)
        self._changed.set()

    def _on_upload(self, upload: Upload) -> None:
        self.uploads.append(upload)
        self._changed.set()
