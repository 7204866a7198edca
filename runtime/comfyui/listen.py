"""A WebSocket kept open for one run, through breaks."""

import asyncio
from types import TracebackType
from uuid import uuid4

from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import BackendError, BackendUnreachable
from runtime.comfyui.events import Event, parse_event
from runtime.transport import Socket

RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
WAKE = Event("wake")
"""Put among the events when the socket was lost, so that a reader looks for itself."""


class Listener:
    """Events of the prompts posted with `client_id`; opened before the prompt is posted.

    `is_healthy` says whether events can be relied upon to come. After a break the old socket is closed first. If the
    server is known to have closed its side, the same id is taken up again. If not, the old socket's late end would
    make the server forget the new one: then a fresh id is used. It hears nothing of the prompt, but the `status` that
    goes to everyone whenever the queue changes, which is worth a look.
    """

    def __init__(self, client: ComfyClient, client_id: str) -> None:
        self.client_id = client_id
        self.is_healthy = False
        self._client = client
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._first_attempt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Listener":
        self._task = asyncio.create_task(self._keep_open(), name="comfyui-events")
        await self._first_attempt.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (fault := self._task.exception()) is not None:
            raise fault

    async def next_events(self, seconds: float) -> list[Event]:
        """All events that have arrived; waits up to `seconds` for the first."""
        events = []
        try:
            async with asyncio.timeout(max(seconds, 0)):
                events.append(await self._events.get())
        except TimeoutError:
            return []
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    async def _keep_open(self) -> None:
        client_id, failures = self.client_id, 0
        while True:
            is_free = False
            try:
                async with self._client.events(client_id) as socket:
                    failures = 0
                    self.is_healthy = client_id == self.client_id
                    self._first_attempt.set()
                    is_free = await self._read(socket)
            except BackendUnreachable as error:
                is_free = not error.may_have_arrived
            except BackendError:
                is_free = True  # it answered, but opened no socket
            finally:
                self.is_healthy = False
                self._first_attempt.set()
            if not is_free:
                client_id = str(uuid4())
            self._events.put_nowait(WAKE)
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _read(self, socket: Socket) -> bool:
        """Until the socket ends. True if the server closed it in good order."""
        while (frame := await socket.receive()) is not None:
            event = parse_event(frame)
            if event is not None:
                self._events.put_nowait(event)
        return await socket.close()
