"""The one event socket to a backend, kept open through breaks and shared by all its prompts.

To open a socket for each job would cost each of them several round trips before it is posted.
"""

import asyncio
import contextlib
from types import TracebackType
from uuid import uuid4

import structlog

from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import BackendError, BackendUnreachable
from runtime.comfyui.events import FRAME, Event, parse_event
from runtime.comfyui.listen import WAKE, Subscription
from runtime.transport import Socket

log = structlog.get_logger("veilrun.hub")

RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""From a loss to the next try."""

IDLE_SECONDS = 60.0
"""The same in the long run while nobody listens; whoever subscribes makes the next try come at once."""

STEADY_SECONDS = 10.0
"""A socket that lived as long was a good one: after it, the pauses begin anew."""


class EventHub:
    """Hears what a backend tells of prompts that are posted under `client_id`, and hands it to whom it concerns.

        async with EventHub(client) as hub:
            with hub.subscribe(prompt_id) as events:
                await submit(client, prompt, events)

    `client_id` is the id of the socket that is open, or of the next one. After a break the old socket is closed first.
    If the server is known to have closed its side, the same id is taken up again. If not, the old socket's late end
    would make the server forget the new one: then a fresh id is used, and prompts posted before hear no more.
    """

    def __init__(self, client: ComfyClient, client_id: str | None = None) -> None:
        self.client_id = client_id or str(uuid4())
        self.is_open = False
        self._client = client
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._running: tuple[str | None, str | None] = (None, None)
        self._first_attempt = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "EventHub":
        await self.opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Keep the socket open from now on; if it is lost just now, try again at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_open(), name=f"comfyui-events-{self._client.backend}")
            self._task.add_done_callback(self._ended)
        self._is_wanted.set()

    async def opened(self) -> None:
        """`start`, and wait for the first try to have succeeded or failed. Costs nothing later on."""
        self.start()
        await self._first_attempt.wait()

    def subscribe(self, prompt_id: str) -> Subscription:
        """What is told of this prompt from now on; close the subscription when it is over."""
        if not self.is_open:
            self.start()
        subscription = Subscription(self, prompt_id)
        self._subscriptions.setdefault(prompt_id, []).append(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """End a subscription."""
        left = self._subscriptions.get(subscription.prompt_id, [])
        if subscription in left:
            left.remove(subscription)
        if not left:
            self._subscriptions.pop(subscription.prompt_id, None)

    async def close(self) -> None:
        """Close the socket and wait for that. Raises what went wrong in the hub itself, if anything did."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Without the hub, prompts are followed by polling: slower, and no less certain."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("event hub ended", backend=self._client.backend, error=type(fault).__name__)

    async def _keep_open(self) -> None:
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            self._is_wanted.clear()
            is_id_free, opened_at = False, clock()
            try:
                async with self._client.events(self.client_id) as socket:
                    opened_at = clock()
                    self._opened()
                    is_id_free = await self._read(socket)
            except BackendUnreachable as error:
                is_id_free = not error.may_have_arrived
                log.debug("event socket lost", backend=self._client.backend, reason=error.message)
            except BackendError as error:
                is_id_free = True  # it answered, but opened no socket
                log.debug("no event socket", backend=self._client.backend, reason=error.message)
            finally:
                was_open, self.is_open = self.is_open, False
                self._first_attempt.set()
            if not is_id_free:
                self.client_id = str(uuid4())
            if was_open:
                self._tell_all(WAKE)
                failures = 0 if clock() - opened_at > STEADY_SECONDS else failures
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause(failures)):
                    await self._is_wanted.wait()
            failures += 1

    def _pause(self, failures: int) -> float:
        if failures < len(RECONNECT_SECONDS):
            return RECONNECT_SECONDS[failures]
        return RECONNECT_SECONDS[-1] if self._subscriptions else IDLE_SECONDS

    def _opened(self) -> None:
        """Those who subscribed while it was shut may have missed the end."""
        self._running = (None, None)
        self.is_open = True
        self._first_attempt.set()
        self._tell_all(WAKE)

    async def _read(self, socket: Socket) -> bool:
        """Until the socket ends. True if the server closed it in good order."""
        while (frame := await socket.receive()) is not None:
            if isinstance(frame, bytes):
                prompt_id, node = self._running
                self._tell(Event(FRAME, prompt_id, node, content=frame))
            elif (event := parse_event(frame)) is not None:
                self._route(event)
        return await socket.close()

    def _route(self, event: Event) -> None:
        if event.kind == "status":
            self._tell_all(event)
            return
        if event.kind == "executing":
            self._running = (event.prompt_id, event.node) if event.node is not None else (None, None)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Right after a reconnect the server sends `executing` without a prompt id: whose it is cannot be known."""
        for subscription in self._subscriptions.get(event.prompt_id or "", ()):
            subscription.put(event)

    def _tell_all(self, event: Event) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.put(event)
