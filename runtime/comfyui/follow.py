"""Following a prompt to its end. Events are hints that make it quick; polling is what makes it certain."""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from runtime.api.affinity import Limits
from runtime.comfyui.answers import History
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import BackendError, BackendTimeout, LoadTimeout, PromptLost, QueueTimeout, RunTimeout
from runtime.comfyui.events import Event
from runtime.comfyui.listen import WAKE, Subscription
from runtime.comfyui.progress import Progress, ProgressMeter, is_sampler
from runtime.comfyui.submit import Prompt, locate

OnProgress: TypeAlias = Callable[[Progress], Awaitable[None] | None]
OnEvent: TypeAlias = Callable[[Event], None]

HISTORY_PAUSES = (0.0, 0.02, 0.1, 0.5)
"""Seconds between looks for a history entry that must be there any moment."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to poll, in seconds, and how long to bear with a server that does not answer.

    healthy: while events come through. blind: while they do not; over a slow path polls come no sooner than twice the
    time that one takes. patience: unanswered polls for this long end it.
    """

    healthy: float = 3.0
    blind: float = 0.35
    patience: float = 30.0


async def follow(
    client: ComfyClient,
    prompt: Prompt,
    events: Subscription,
    *,
    on_progress: OnProgress | None = None,
    on_event: OnEvent | None = None,
    limits: Limits | None = None,
    pace: Pace | None = None,
) -> History:
    """How the prompt ended, in whatever way. It has to be in the server's queue or history by now.

    events: what is heard of it, if anything; it was there when the prompt was posted, unless somebody else did that.
    on_event: called with each event of this prompt, as it comes.

    Raises: PromptLost if two polls in a row find it nowhere; QueueTimeout, LoadTimeout, RunTimeout;
    BackendUnreachable after `pace.patience` without an answer.
    """
    pace = pace or Pace(patience=client.patience_seconds)
    return await _Follower(client, prompt, events, on_progress, on_event, limits or Limits(), pace).run()


class _Follower:
    def __init__(
        self,
        client: ComfyClient,
        prompt: Prompt,
        events: Subscription,
        on_progress: OnProgress | None,
        on_event: OnEvent | None,
        limits: Limits,
        pace: Pace,
    ) -> None:
        self._client = client
        self._prompt = prompt
        self._events = events
        self._on_progress = on_progress
        self._on_event = on_event
        self._limits = limits
        self._pace = pace
        self._meter = ProgressMeter(prompt.graph)
        self._reported: Progress | None = None
        self._clock = asyncio.get_running_loop().time
        self._queued_at = self._clock()
        self._started_at: float | None = None
        self._stepped_at: float | None = None
        self._last_poll = self._clock()
        self._poll_seconds = 0.0
        self._look_now = not events.is_signed
        self._has_queue_moved = False
        self._away_since: float | None = None
        self._missed = 0
        self._counts_steps = any(is_sampler(node) for node in prompt.graph.values())

    async def run(self) -> History:
        while True:
            history = await self._wait_and_look()
            if history is not None:
                if history.outcome == "success":
                    self._meter.finish()
                    await self._report()
                return history
            self._note_times()
            await self._report()
            self._check_limits()

    async def _wait_and_look(self) -> History | None:
        due, _ = self._limit()
        events = await self._events.next_events(min(self._seconds_to_poll(), due - self._clock()))
        hints = [self._take(event) for event in events]
        if any(hints):
            history = await self._fresh_history()
            if history is not None:
                return history
            self._look_now = True
        return await self._poll() if self._seconds_to_poll() <= 0 else None

    def _take(self, event: Event) -> bool:
        """Apply one event; whether it hints at the end of this prompt."""
        if event is WAKE:
            self._look_now = True
            return False
        if event.kind == "status":
            self._has_queue_moved = True
            return False
        if self._on_event is not None:
            self._on_event(event)
        self._meter.apply(event)
        return event.is_end

    def _seconds_to_poll(self) -> float:
        """Never sooner than the blind pace, so that a busy queue's `status` events bring no storm of polls.

        While the prompt waits, a queue that moved has changed its position; while no events of its own come, the
        `status` that goes to everyone may be the sign of its end.
        """
        is_led = self._events.is_healthy
        is_worth_a_look = self._has_queue_moved and not (is_led and self._meter.has_started)
        if is_worth_a_look or self._look_now:
            pause = self._pace.blind
        elif not is_led or self._missed > 0 or self._away_since is not None:
            pause = max(self._pace.blind, 2 * self._poll_seconds)
        else:
            pause = self._pace.healthy
        return self._last_poll + pause - self._clock()

    async def _fresh_history(self) -> History | None:
        for pause in HISTORY_PAUSES:
            await asyncio.sleep(pause)
            try:
                history = await self._client.history(self._prompt.prompt_id)
            except BackendError as error:
                self._bear(error)
                return None
            if history is not None:
                return history
        return None

    async def _poll(self) -> History | None:
        self._look_now = self._has_queue_moved = False
        began = self._clock()
        try:
            whereabouts, position = await locate(self._client, self._prompt.prompt_id)
        except BackendError as error:
            self._bear(error)
            return None
        finally:
            self._last_poll = self._clock()
        self._poll_seconds = self._last_poll - began
        self._away_since = None
        if isinstance(whereabouts, History):
            return whereabouts
        self._missed = self._missed + 1 if whereabouts is None else 0
        if self._missed >= 2:
            raise PromptLost(self._client.backend, had_begun=self._meter.has_started)
        if position is not None:
            self._meter.waits(position)
        return None

    def _bear(self, error: BackendError) -> None:
        if not error.retry:
            raise error
        self._away_since = self._away_since or self._clock()
        if self._clock() - self._away_since >= self._pace.patience:
            raise error

    def _note_times(self) -> None:
        if self._meter.has_started and self._started_at is None:
            self._started_at = self._clock()
        if self._meter.reading.phase == "running" and self._stepped_at is None:
            self._stepped_at = self._clock()

    def _check_limits(self) -> None:
        due, overdue = self._limit()
        if self._clock() > due:
            raise overdue

    def _limit(self) -> tuple[float, BackendTimeout]:
        """When the present phase has to be over, and what is raised if it is not.

        Without steps to be seen, nobody can tell the load from the run: then their limits are one. While the server is
        out of reach nobody can tell whether the phase is over: then only the patience with that has a bound.
        """
        limits, backend = self._limits, self._client.backend
        if self._away_since is not None:
            return math.inf, RunTimeout(backend, limits.run_seconds)
        if self._started_at is None:
            return self._queued_at + limits.queue_seconds, QueueTimeout(backend, limits.queue_seconds)
        if self._stepped_at is not None:
            return self._stepped_at + limits.run_seconds, RunTimeout(backend, limits.run_seconds)
        if self._counts_steps and self._events.is_healthy:
            return self._started_at + limits.load_seconds, LoadTimeout(backend, limits.load_seconds)
        both = limits.load_seconds + limits.run_seconds
        return self._started_at + both, RunTimeout(backend, both)

    async def _report(self) -> None:
        reading = self._meter.reading
        if self._on_progress is None or reading == self._reported:
            return
        self._reported = reading
        outcome = self._on_progress(reading)
        if inspect.isawaitable(outcome):
            await outcome
