"""One output file, over one lane, or over all lanes of a transport at once if it is large.

Over an onion path a lane is one circuit with a window of its own: four of them carry four times as much. Each has two
readers, so that it is never idle while one of them waits a round trip for its next answer.
"""

import asyncio
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.comfyui.answers import OutputFile
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import (
    BackendError,
    BackendUnreachable,
    OutputDamaged,
    OutputMissing,
    OutputTooLarge,
    PathAway,
    UnexpectedAnswer,
)
from runtime.comfyui.file_head import FileHead
from runtime.comfyui.pieces import Cutting, LaneRecord, Piece, cut, lanes_to_renew, take_over
from runtime.transport import Lane

LIMIT_BYTES = 256 * 2**20

READERS_PER_LANE = 2

RESUMES = 4
"""Failures in a row, without any progress between them, before a reader gives up."""

PAUSES = (0.0, 0.05, 0.2, 0.5, 1.5)
PATH_PAUSE_SECONDS = 0.5
"""From one try to the next while our own way to the server is down."""

PROGRESS_BYTES = 64 * 1024
LOOK_SECONDS = 0.25
"""From one look of an idle reader at what it could take over to the next."""


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


class Allowance:
    """Bytes that several downloads may take together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._held: dict[object, int] = {}

    def hold(self, holder: object, size: int) -> bool:
        """Whether `holder` may have `size` bytes in all; what it held before does not count."""
        self._held[holder] = size
        return sum(self._held.values()) <= self.limit_bytes

    def release(self, holder: object) -> None:
        """`holder` has nothing any more."""
        self._held.pop(holder, None)


async def fetch(
    client: ComfyClient,
    file: OutputFile,
    *,
    limit_bytes: int = LIMIT_BYTES,
    allowance: Allowance | None = None,
    lanes: Sequence[Lane] = (),
    cutting: Cutting | None = None,
) -> Output:
    """One output file, whole: its length is compared with what the server announced, its SHA-256 if that was told.

    allowance: instead of `limit_bytes`, where several files have a bound together. lanes: all of the transport's unless
    given; the first one carries what is small.

    Raises: OutputMissing, OutputTooLarge, OutputDamaged, BackendUnreachable, UnexpectedAnswer.
    """
    allowance = allowance or Allowance(limit_bytes)
    lanes = tuple(lanes) or client.download_lanes
    restarts, was_damaged = 0, False
    while True:
        download = _Download(client, file, lanes, allowance, cutting or Cutting())
        try:
            return await download.run()
        except _Changed:
            allowance.release(download)
            restarts += 1
            if restarts > RESUMES:
                raise BackendError(
                    client.backend, f"output file {file.filename!r} keeps changing while it is read"
                ) from None
        except _PartsRefused:
            allowance.release(download)
            lanes = lanes[:1]
        except OutputDamaged:
            allowance.release(download)
            if was_damaged:
                raise
            was_damaged, lanes = True, lanes[:1]
        except BaseException:
            allowance.release(download)
            raise


class _Changed(Exception):
    """The file is another one by now."""


class _PartsRefused(Exception):
    """The server does not serve parts of this file."""


class _Download:
    def __init__(
        self, client: ComfyClient, file: OutputFile, lanes: Sequence[Lane], allowance: Allowance, cutting: Cutting
    ) -> None:
        self._client = client
        self._file = file
        self._allowance = allowance
        self._cutting = cutting
        self._lanes = [LaneRecord(lane) for lane in lanes]
        self._content = io.BytesIO()  # getvalue() hands its buffer out without a copy
        self._head: FileHead | None = None
        self._digest: bytes | None = None
        self._waiting = [Piece(0, cutting.first_bytes if len(lanes) > 1 else None)]
        self._reading: dict[Piece, asyncio.Task[None]] = {}
        self._failures = 0
        self._path_down_since: float | None = None
        self._changed = asyncio.Event()
        self._error: BackendError | None = None
        self._clock = asyncio.get_running_loop().time

    async def run(self) -> Output:
        rounds = READERS_PER_LANE if len(self._lanes) > 1 else 1
        readers = [asyncio.create_task(self._work(lane)) for _ in range(rounds) for lane in self._lanes]
        try:
            await asyncio.wait(readers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for reader in readers:
                reader.cancel()
            ended = await asyncio.gather(*readers, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
        if self._waiting:
            raise self._error or BackendUnreachable(self._client.backend, "the download ended early")
        await self._check()
        if len(self._lanes) > 1:
            for lane in lanes_to_renew(self._lanes, self._clock(), self._cutting):
                await self._client.renew(lane)
        return Output(self._file, self._head.media_type if self._head else "", self._content.getvalue())

    @property
    def _is_spread(self) -> bool:
        """Whether it is known to be a file for several lanes."""
        known, first_bytes = self._head, self._cutting.first_bytes
        return len(self._lanes) > 1 and known is not None and known.is_part and (known.total or 0) > first_bytes

    async def _check(self) -> None:
        if self._digest is None:
            return
        with self._content.getbuffer() as content:
            digest = await asyncio.to_thread(lambda: hashlib.sha256(content).digest())
        if digest != self._digest:
            raise OutputDamaged(self._client.backend, self._file.filename)

    async def _work(self, lane: LaneRecord) -> None:
        """Read pieces until none is left, or until this lane has failed too often."""
        failures = 0
        while (piece := await self._next(lane)) is not None:
            piece.begin(lane.name, self._clock())
            try:
                await self._read(piece, lane)
            except BackendError as error:
                if not error.retry or isinstance(error, OutputMissing):
                    raise
                self._error = error
                if isinstance(error, PathAway) and self._bears():
                    self._give_back(piece)
                    await asyncio.sleep(PATH_PAUSE_SECONDS)
                    continue
                has_moved = self._head is not None and self._head.is_part and piece.at - piece.start >= PROGRESS_BYTES
                failures = 1 if has_moved else failures + 1
                lane.breaks = 1 if has_moved else lane.breaks + 1
                self._failures = 1 if has_moved else self._failures + 1
                self._give_back(piece)
                if self._failures > RESUMES * max(len(self._reading) + len(self._waiting), 1):
                    raise
                if failures > RESUMES:
                    return
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])

    def _bears(self) -> bool:
        """Whether a way that is down is still worth waiting for: what it leads to has been rendered already."""
        self._path_down_since = self._path_down_since or self._clock()
        return self._clock() - self._path_down_since < self._client.patience_seconds

    def _give_back(self, piece: Piece) -> None:
        if piece.end is None or piece.left:
            self._waiting.append(piece)
            self._tell()

    async def _next(self, lane: LaneRecord) -> Piece | None:
        while True:
            if self._waiting:
                return self._waiting.pop(0)
            if not self._reading:
                return None
            if self._is_spread:
                taken = take_over(self._reading, self._lanes, lane, self._clock(), self._cutting)
                if taken is not None:
                    self._shorten(taken.victim, taken.piece.at)
                    return taken.piece
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _shorten(self, piece: Piece, end: int) -> None:
        piece.end = end
        if not piece.left:
            self._reading[piece].cancel()

    def _tell(self) -> None:
        """Wake the idle readers: there is a piece to read, or none is being read any more."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _read(self, piece: Piece, lane: LaneRecord) -> None:
        """Until the piece ends, wherever that is by then. Raises: as `view`, _Changed, _PartsRefused."""
        reading = self._reading[piece] = asyncio.create_task(self._receive(piece, lane))
        lane.asked.enter(piece.began)
        try:
            await asyncio.wait([reading])
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            lane.asked.leave(self._clock())
            if piece.flowed is not None:
                lane.flowing.leave(self._clock())
            del self._reading[piece]
            if not self._reading:
                self._tell()
        if not reading.cancelled():
            reading.result()

    async def _receive(self, piece: Piece, lane: LaneRecord) -> None:
        first, last = piece.at, None if piece.end is None else piece.end - 1
        try:
            async with self._client.view(
                self._file, lane=lane.name, first_byte=first, last_byte=last, wants_digest=self._digest is None
            ) as reply:
                piece.flowed = piece.heard = self._clock()
                lane.flowing.enter(piece.flowed)
                lane.first_byte_seconds = piece.flowed - piece.began
                head = FileHead.of(reply)
                self._note(head, piece)
                async for chunk in reply.chunks():
                    self._store(chunk, piece, lane)
                    if piece.end is not None and piece.at >= piece.end < (head.end or 0):
                        return  # another reader has taken over the rest
        except UnexpectedAnswer as error:
            if error.status != 416:
                raise
            if first > 0:
                raise _Changed from error
            if last is None:
                raise
            raise _PartsRefused from error
        if piece.left:
            raise BackendUnreachable(self._client.backend, "the download ended early")

    def _note(self, head: FileHead, piece: Piece) -> None:
        """Take in what an answer says of the file, before any of its content."""
        known = self._head
        self._path_down_since = None
        if head.digest is not None:
            self._digest = head.digest
        if not head.is_part:
            if self._is_spread:
                raise _PartsRefused
            piece.at, piece.end = 0, head.total  # from the start again: this server resumes nothing
            piece.start = 0
            self._content.truncate(0)
        elif head.first != piece.at:
            raise UnexpectedAnswer(self._client.backend, "GET /view", 206, "with another part than was asked for")
        elif len(self._lanes) > 1 and head.total is None:
            raise _PartsRefused
        elif known is not None and not head.is_of(known):
            raise _Changed
        elif piece.end is None:
            piece.end = head.end
        self._head = head
        if known is None or not head.is_part:
            self._plan(head, piece)

    def _plan(self, head: FileHead, first: Piece) -> None:
        total = head.total
        if total is None:
            return
        if not self._allowance.hold(self, total):
            raise OutputTooLarge(self._client.backend, self._file.filename, self._allowance.limit_bytes)
        if total:
            self._content.seek(total - 1)
            self._content.write(b"\0")
        if not head.is_part or len(self._lanes) == 1:
            return
        first.end = min(first.end or total, total)
        if total > first.end:
            self._waiting += cut(first.end, total, len(self._lanes) * READERS_PER_LANE - 1, self._cutting)
            self._tell()

    def _store(self, chunk: bytes, piece: Piece, lane: LaneRecord) -> None:
        lane.received += len(chunk)
        piece.heard = self._clock()
        wanted = chunk if piece.end is None else memoryview(chunk)[: piece.left]
        self._content.seek(piece.at)
        self._content.write(wanted)
        piece.at += len(wanted)
        if piece.end is None and not self._allowance.hold(self, piece.at):
            raise OutputTooLarge(self._client.backend, self._file.filename, self._allowance.limit_bytes)
