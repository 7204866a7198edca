"""Fetching what a run wrote."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

from runtime.comfyui.answers import History, OutputFile
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import (
    BackendError,
    BackendUnreachable,
    NoOutput,
    OutputTooLarge,
    UnexpectedAnswer,
)
from runtime.transport import Reply

RESUMES = 4
LIMIT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Output:
    """One output file with its content. `media_type` is what the server says from the name, not a fact."""

    file: OutputFile
    media_type: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the content, hex."""
        return hashlib.sha256(self.content).hexdigest()


async def collect(
    client: ComfyClient, history: History, nodes: Collection[str] = (), *, limit_bytes: int = LIMIT_BYTES
) -> list[Output]:
    """The files that `nodes` (none = all) wrote, in the order of the nodes given and then as written.

    Images and videos alike, of type output or temp. limit_bytes bounds all of them together. A broken download is
    taken up where it ended.

    Raises: NoOutput, OutputMissing, OutputTooLarge, BackendUnreachable, UnexpectedAnswer.
    """
    wanted = tuple(nodes) or tuple(dict.fromkeys(file.node for file in history.files))
    files = [file for node in wanted for file in history.files if file.node == node and file.type != "input"]
    if not files:
        raise NoOutput(client.backend, wanted)
    outputs: list[Output] = []
    for file in files:
        left = limit_bytes - sum(len(output.content) for output in outputs)
        outputs.append(await fetch(client, file, limit_bytes=left))
    return outputs


async def fetch(client: ComfyClient, file: OutputFile, *, limit_bytes: int = LIMIT_BYTES) -> Output:
    """One output file, whole: its length is compared with what the server announced.

    Raises: OutputMissing, OutputTooLarge, BackendUnreachable, UnexpectedAnswer.
    """
    download = _Download(client.backend, file, limit_bytes)
    for attempt in range(RESUMES + 1):
        received = len(download.content)
        try:
            async with client.view(file, first_byte=received) as reply:
                await download.take(reply)
        except BackendUnreachable:
            if attempt == RESUMES:
                raise
        except UnexpectedAnswer as error:
            if error.status != 416 or not received:
                raise
            download.restart()  # the file is another one by now, and shorter
        else:
            return Output(file, download.media_type, bytes(download.content))
    raise BackendError(client.backend, f"output file {file.filename!r} keeps changing while it is read")


class _Download:
    def __init__(self, backend: str, file: OutputFile, limit_bytes: int) -> None:
        self.content = bytearray()
        self.media_type = ""
        self._backend = backend
        self._file = file
        self._limit_bytes = limit_bytes
        self._version = ""

    def restart(self) -> None:
        self.content.clear()

    async def take(self, reply: Reply) -> None:
        """Append the reply's body; from the start again if it is no continuation of the same file."""
        version = reply.headers.get("ETag", "")
        if reply.status == 200:
            self.restart()
        elif version != self._version:
            self.restart()
            raise BackendUnreachable(self._backend, f"output file {self._file.filename!r} changed while it was read")
        self._version = version
        self.media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        announced = reply.headers.get("Content-Length")
        whole = len(self.content) + int(announced) if announced and announced.isdigit() else None
        if whole is not None and whole > self._limit_bytes:
            raise OutputTooLarge(self._backend, self._file.filename, self._limit_bytes)
        async for chunk in reply.chunks():
            self.content += chunk
            if len(self.content) > self._limit_bytes:
                raise OutputTooLarge(self._backend, self._file.filename, self._limit_bytes)
        if whole is not None and len(self.content) != whole:
            raise BackendUnreachable(self._backend, "the download ended early")
