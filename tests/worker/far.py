"""A way to a server that takes long: every byte is held back, and a new connection costs a round trip first."""

import asyncio
from types import TracebackType
from typing import Self


class FarAway:
    """Listens on 127.0.0.1 and passes everything on to `url`, each way later by half of `round_trip_seconds`."""

    def __init__(self, url: str, round_trip_seconds: float) -> None:
        self._port = int(url.rpartition(":")[2])
        self._delay = round_trip_seconds / 2
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(2 * self._delay)
        far, far_out = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((near, far_out), (far, near_out)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, content = await under_way.get()
                await asyncio.sleep(due - clock())
                if not content:
                    return
                sink.write(content)
                await sink.drain()

        arriving = asyncio.create_task(arrive())
        try:
            while content := await source.read(65536):
                under_way.put_nowait((clock() + self._delay, content))
            under_way.put_nowait((clock() + self._delay, b""))
            await arriving
        except ConnectionError:
            return
        finally:
            arriving.cancel()
            sink.close()
