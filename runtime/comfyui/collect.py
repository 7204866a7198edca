"""Fetching what a run wrote."""

import asyncio
from collections import deque
from collections.abc import Collection
from types import TracebackType

from runtime.comfyui.answers import History, OutputFile
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.download import LIMIT_BYTES, Allowance, Output, fetch
from runtime.comfyui.errors import BackendError, NoOutput, OutputTooLarge, SentPictureLost
from runtime.comfyui.events import Event
from runtime.comfyui.frames import SentPictures


async def collect(
    client: ComfyClient, history: History, nodes: Collection[str] = (), *, limit_bytes: int = LIMIT_BYTES
) -> list[Output]:
    """The files that `nodes` (none = all) wrote, in the order of the nodes given and then as written.

    Images and videos alike, of type output or temp. limit_bytes bounds all of them together. A broken download is
    taken up where it ended.

    Raises: NoOutput, OutputMissing, OutputTooLarge, OutputDamaged, BackendUnreachable, UnexpectedAnswer.
    """
    async with Collector(client, nodes, limit_bytes=limit_bytes) as collector:
        return await collector.collect(history)


class Collector:
    """Fetches the outputs of one run, each as soon as it is told of, as many at once as the transport has lanes.

    An `executed` event names the files of its node a round trip or two before the history does. So a download begins
    with the event; whether the file counts, the history decides. sending: nodes that write no file and send their
    pictures among the events.
    """

    def __init__(
        self,
        client: ComfyClient,
        nodes: Collection[str] = (),
        *,
        sending: Collection[str] = (),
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._client = client
        self._nodes = tuple(nodes)
        self._sent = SentPictures(sending, limit_bytes)
        self._allowance = Allowance(limit_bytes)
        self._lanes = deque(client.download_lanes)
        self._places = asyncio.Semaphore(len(self._lanes))
        self._downloads: dict[OutputFile, asyncio.Task[Output]] = {}

    async def __aenter__(self) -> "Collector":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drop(list(self._downloads))

    def note(self, event: Event) -> None:
        """Take the picture that the event brings, and begin to fetch the files that it names."""
        self._sent.note(event)
        for file in event.files:
            if file.node in (self._nodes or (file.node,)):
                self._begin(file)

    @property
    def has_heard_all(self) -> bool:
        """Whether nothing more of worth will be among the events."""
        return self._sent.is_over or self._sent.is_complete

    async def collect(self, history: History) -> list[Output]:
        """All outputs of the run that ended so.

        Raises: as `runtime.comfyui.collect`, and SentPictureLost.
        """
        if self._sent.is_too_large:
            raise OutputTooLarge(self._client.backend, "sent", self._allowance.limit_bytes)
        if not self._sent.is_complete:
            raise SentPictureLost(self._client.backend)
        wanted = self._nodes or tuple(dict.fromkeys((*(file.node for file in history.files), *self._sent.nodes)))
        files = [file for node in wanted for file in history.files if file.node == node and file.type != "input"]
        if not files and not any(map(self._sent.of, wanted)):
            raise NoOutput(self._client.backend, wanted)
        await self._drop([file for file in self._downloads if file not in files])
        begun_early = set(self._downloads)
        for file in files:
            self._begin(file)
        fetched = [await self._result(file, may_repeat=file in begun_early) for file in files]
        return [
            output
            for node in wanted
            for output in (*self._sent.of(node), *(one for one in fetched if one.file.node == node))
        ]

    def _begin(self, file: OutputFile) -> None:
        if file.type != "input" and file not in self._downloads:
            self._downloads[file] = asyncio.create_task(self._fetch(file), name="comfyui-download")

    async def _fetch(self, file: OutputFile) -> Output:
        async with self._places:
            lanes = tuple(self._lanes)
            self._lanes.rotate(-1)  # small files come whole over the first lane: each over another
            return await fetch(self._client, file, allowance=self._allowance, lanes=lanes)

    async def _result(self, file: OutputFile, *, may_repeat: bool) -> Output:
        """An early download that failed may have come too early, or taken what was meant for other files."""
        try:
            return await self._downloads[file]
        except BackendError:
            if not may_repeat:
                raise
        del self._downloads[file]
        self._begin(file)
        return await self._downloads[file]

    async def _drop(self, files: list[OutputFile]) -> None:
        downloads = [self._downloads.pop(file) for file in files]
        for download in downloads:
            download.cancel()
        await asyncio.gather(*downloads, return_exceptions=True)
