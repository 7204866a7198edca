"""What one prompt hears on the event socket that all prompts of a backend share."""

import asyncio
from types import TracebackType
from typing import Protocol

from runtime.comfyui.events import Event

WAKE = Event("wake")
"""Put among the events when the socket was lost or came back, so that a reader looks for itself."""


class EventSocket(Protocol):
    """The shared socket, as far as a subscription needs it: see `runtime.comfyui.hub`."""

    @property
    def client_id(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    def leave(self, subscription: "Subscription") -> None: ...


class Subscription:
    """Events of one prompt, and the `status` that goes to everyone; made by `EventHub.subscribe`.

    A prompt reports under the client id it was posted with, for ever. So `is_healthy`, whether its events can be
    relied upon to come, is true only while the socket is open under that id: not after the hub had to take a fresh
    one, and never for a prompt that somebody else posted. What is heard then is the `status` whenever the queue
    changes, which is worth a look.
    """

    def __init__(self, socket: EventSocket, prompt_id: str) -> None:
        self.prompt_id = prompt_id
        self._socket = socket
        self._client_id: str | None = None
        self._has_gap = False
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def sign(self) -> str:
        """The client id to post the prompt under, now."""
        self._client_id = self._socket.client_id
        self._has_gap = False
        return self._client_id

    @property
    def is_signed(self) -> bool:
        """Whether the prompt was posted by us."""
        return self._client_id is not None

    @property
    def is_healthy(self) -> bool:
        return self._socket.is_open and self._socket.client_id == self._client_id

    @property
    def is_whole(self) -> bool:
        """Whether nothing that was told since the prompt was posted got lost, or will."""
        return self.is_healthy and not self._has_gap

    def put(self, event: Event) -> None:
        """Add an event; the hub does."""
        if event is WAKE:
            self._has_gap = True
        self._events.put_nowait(event)

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

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.leave(self)
