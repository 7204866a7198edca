"""A way to a server that can be cut, as a tunnel between two machines can."""

import asyncio
import contextlib

CHUNK = 64 * 1024


class Tunnel:
    """Carries connections from a port of its own to `port`. While nothing listens there, they break off at once."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.StreamWriter, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    def cut(self, *, only_sockets: bool) -> int:
        """Break every connection off, without a goodbye; or the WebSockets alone. How many there were."""
        struck = [line for line, is_socket in self._lines.items() if is_socket or not only_sockets]
        for line in struck:
            line.transport.abort()
        return len(struck)

    async def __aenter__(self) -> "Tunnel":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut(only_sockets=False)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._lines[near_out] = False
        far_out: asyncio.StreamWriter | None = None
        try:
            far_in, far_out = await asyncio.open_connection("127.0.0.1", self._to)
            there = asyncio.create_task(self._carry(near_in, far_out, near_out))
            back = asyncio.create_task(self._carry(far_in, near_out))
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for one in (there, back):
                one.cancel()
        except OSError:
            pass  # nothing listens at the other end: broken off below
        finally:
            for line in (near_out, far_out):
                if line is not None:
                    line.transport.abort()
            del self._lines[near_out]
            self._tasks.discard(task)

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, line: asyncio.StreamWriter | None = None
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(CHUNK):
                if line is not None and data.startswith(b"GET /ws"):
                    self._lines[line] = True
                target.write(data)
                await target.drain()
