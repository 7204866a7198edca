"""A door in front of a server: it notes which process each connection comes from, and hands it on."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import psutil

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Door:
    """Listens on a port of its own while the context is open. pids: of the processes that came, None if not found."""

    def __init__(self, port: int) -> None:
        self.pids: list[int | None] = []
        self._target = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._enter, HOST, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            peer = writer.get_extra_info("peername")
            self.pids.append(await asyncio.to_thread(_owner, peer[0], peer[1]))
            inner_reader, inner_writer = await asyncio.open_connection(HOST, self._target)
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.transport.abort()
        except asyncio.CancelledError:
            pass  # at the end: this task is asyncio's, which logs a cancelled one as an error
        finally:
            self._open.discard(task)
            writer.transport.abort()


def _owner(host: str, port: int) -> int | None:
    """The process whose end of a connection this is."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr == (host, port) and connection.pid is not None:
            return int(connection.pid)
    return None


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        sink.write(chunk)
        await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()
