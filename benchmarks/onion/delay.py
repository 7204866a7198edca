"""A link with a delay, where the kernel offers none (netem is often missing): anon takes it as its Socks5Proxy."""

import asyncio
import contextlib
import struct
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 * 1024


class DelayedLink:
    """A SOCKS5 proxy on 127.0.0.1 that holds every byte back for `seconds`, each way, and none longer than that.

    All that a daemon sends to relays goes through it, so that building circuits, opening streams and flow control meet
    the delay as they would on a long way.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.port = 0
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            _, methods = await reader.readexactly(2)
            await reader.readexactly(methods)
            writer.write(b"\x05\x00")
            await reader.readexactly(4)  # version, CONNECT, reserved, IPv4: anon asks for relays by address
            address, port = struct.unpack("!4sH", await reader.readexactly(6))
            far_reader, far_writer = await asyncio.open_connection(".".join(map(str, address)), port)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
            with contextlib.closing(far_writer):
                try:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(self._carry(reader, far_writer))
                        both.create_task(self._carry(far_reader, writer))
                except* ConnectionError:
                    pass  # one end is gone, and so is the link

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def let_go() -> None:
            while True:
                due, content = await held.get()
                await asyncio.sleep(max(0.0, due - clock()))
                if not content:
                    return
                writer.write(content)
                await writer.drain()

        async with asyncio.TaskGroup() as both:
            both.create_task(let_go())
            with contextlib.suppress(ConnectionError):
                while content := await reader.read(CHUNK_BYTES):
                    held.put_nowait((clock() + self.seconds, content))
            held.put_nowait((clock() + self.seconds, b""))
