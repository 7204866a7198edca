"""A prompt from the first byte sent to the last byte received."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

from runtime.api.affinity import Limits
from runtime.comfyui.answers import History
from runtime.comfyui.cancel import cancel
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.collect import Collector
from runtime.comfyui.download import LIMIT_BYTES, Output
from runtime.comfyui.errors import (
    BackendError,
    BackendTimeout,
    Interrupted,
    NodeFailed,
    OutOfMemory,
    OutputMissing,
    SentPictureLost,
)
from runtime.comfyui.events import Event
from runtime.comfyui.follow import OnEvent, OnProgress, Pace, follow
from runtime.comfyui.frames import sending_nodes
from runtime.comfyui.hub import EventHub
from runtime.comfyui.listen import Subscription
from runtime.comfyui.submit import Prompt, is_known, locate, submit

CANCEL_PATIENCE_SECONDS = 2.0
FREE_PAUSE_SECONDS = 0.2

RESENDS = 2
"""How often pictures that got lost on the way are asked for again."""


async def run_prompt(
    client: ComfyClient,
    prompt: Prompt,
    *,
    hub: EventHub | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    on_event: OnEvent | None = None,
    has_heard_all: Callable[[], bool] | None = None,
    limits: Limits | None = None,
    pace: Pace | None = None,
) -> History:
    """Run the prompt and return how it succeeded.

    hub: the backend's event socket, open for many runs; without one, a socket is opened for this run alone.
    resume: the prompt may have been posted before, by this process or one that crashed. It is looked for first and
    adopted in whatever state it is, finished included; it is posted only if the server does not know it. Store the
    prompt's id before the first call, and pass True on every later one.
    on_progress: called with each new reading, in order, awaited if it returns an awaitable. on_event: called with each
    event of the prompt; it may miss any. has_heard_all: whether it has all that is told by events alone. The history
    can be quicker than they are, over another connection; then they are waited for, as long as they can still come.

    Cancelling the task leaves the prompt on the server, for another to resume; `cancel` stops it there.

    Raises: WorkflowRejected, NodeFailed, OutOfMemory, Interrupted, PromptLost (as also after a `cancel` of a prompt
    that waited), BackendUnreachable, UnexpectedAnswer; QueueTimeout, LoadTimeout, RunTimeout after cancelling it.
    """
    if resume:
        whereabouts, _ = await locate(client, prompt.prompt_id)
        if isinstance(whereabouts, History):
            return _succeeded(client, whereabouts)
    async with _hub_of(client, hub) as socket:
        with socket.subscribe(prompt.prompt_id) as events:
            if not (resume and await is_known(client, prompt.prompt_id)):
                await submit(client, prompt, events)
            try:
                history = await follow(
                    client, prompt, events, on_progress=on_progress, on_event=on_event, limits=limits, pace=pace
                )
            except BackendTimeout as overdue:
                await _abandon(client, prompt.prompt_id, overdue)
                raise
            if on_event is not None and has_heard_all is not None and history.outcome == "success":
                await _hear_out(events, on_event, has_heard_all, client.patience_seconds)
    return _succeeded(client, history)


async def _hear_out(
    events: Subscription, on_event: OnEvent, has_heard_all: Callable[[], bool], silence_seconds: float
) -> None:
    while not has_heard_all():
        arrived = await events.next_events(silence_seconds if events.is_whole else 0)
        if not arrived:
            return
        for event in arrived:
            if event.prompt_id == events.prompt_id:
                on_event(event)


@asynccontextmanager
async def _hub_of(client: ComfyClient, hub: EventHub | None) -> AsyncIterator[EventHub]:
    """A hub whose socket was tried at least once: what is posted before may not be heard of."""
    if hub is not None:
        await hub.opened()
        yield hub
    else:
        async with EventHub(client) as own:
            yield own


async def run_and_collect(
    client: ComfyClient,
    prompt: Prompt,
    *,
    hub: EventHub | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    on_over: Callable[[], None] | None = None,
    limits: Limits | None = None,
    pace: Pace | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> tuple[History, list[Output]]:
    """`run_prompt`, and `collect` of the prompt's outputs, begun as soon as an event tells of them.

    on_over: called, perhaps more than once, when the server seems to be done with the prompt: by an event, a round trip
    and more before the history says it and the files are here.

    An identical graph is answered from the cache with the old file's name. If that file is gone, the cache is dropped
    and the graph run once more, under an id derived from the first, so that this too can be resumed. Pictures that a
    node sends over the event socket are lost if that breaks: then the graph is run up to RESENDS times more. The node
    itself is never answered from the cache, and all before it is, unless the server did something else in between.

    Raises: as the two do; SentPictureLost.
    """
    is_freed, resends = False, 0
    while True:
        try:
            return await _run_and_collect(
                client,
                prompt,
                hub=hub,
                resume=resume,
                on_progress=on_progress,
                on_over=on_over or (lambda: None),
                limits=limits,
                pace=pace,
                limit_bytes=limit_bytes,
            )
        except SentPictureLost:
            if resends == RESENDS:
                raise
            resends += 1
            prompt = rerun_of(prompt)
        except OutputMissing:
            if is_freed:
                raise
            is_freed = True
            prompt = rerun_of(prompt)
            if not (resume and await is_known(client, prompt.prompt_id)):
                await client.free(free_memory=True)
                # The server's worker thread acts on the flag when it wakes; a prompt that is there by then would go
                # first.
                await asyncio.sleep(FREE_PAUSE_SECONDS)


async def _run_and_collect(
    client: ComfyClient,
    prompt: Prompt,
    *,
    hub: EventHub | None,
    resume: bool,
    on_progress: OnProgress | None,
    on_over: Callable[[], None],
    limits: Limits | None,
    pace: Pace | None,
    limit_bytes: int,
) -> tuple[History, list[Output]]:
    def hear(event: Event) -> None:
        collector.note(event)
        if event.is_end:
            on_over()

    def has_heard_all() -> bool:
        on_over()
        return collector.has_heard_all

    sending = sending_nodes(prompt.graph, prompt.outputs)
    async with Collector(client, prompt.outputs, sending=sending, limit_bytes=limit_bytes) as collector:
        history = await run_prompt(
            client,
            prompt,
            hub=hub,
            resume=resume,
            on_progress=on_progress,
            on_event=hear,
            has_heard_all=has_heard_all,
            limits=limits,
            pace=pace,
        )
        on_over()
        return history, await collector.collect(history)


def rerun_of(prompt: Prompt) -> Prompt:
    """The prompt that `run_and_collect` posts after `prompt` when what that made is gone."""
    return replace(prompt, prompt_id=_rerun_id(prompt.prompt_id))


def posted_ids(prompt_id: str) -> tuple[str, ...]:
    """Every id under which `run_and_collect` may have posted the prompt of this id."""
    ids = [prompt_id]
    for _ in range(RESENDS + 1):
        ids.append(_rerun_id(ids[-1]))
    return tuple(ids)


def _rerun_id(prompt_id: str) -> str:
    return str(uuid5(NAMESPACE_OID, f"{prompt_id}/again"))


def _succeeded(client: ComfyClient, history: History) -> History:
    if history.outcome == "success":
        return history
    failure = history.failure
    if history.outcome == "interrupted":
        raise Interrupted(client.backend, failure.node if failure else "")
    if failure is None:
        raise NodeFailed(client.backend, "", "", "", "")
    said = f"{failure.exception_type} {failure.detail}".lower()
    kind = OutOfMemory if "outofmemory" in said or "out of memory" in said else NodeFailed
    raise kind(client.backend, failure.node, failure.class_type, failure.exception_type, failure.detail)


async def _abandon(client: ComfyClient, prompt_id: str, overdue: BackendTimeout) -> None:
    """The timeout is what the caller has to know; that the server could not be told too is a note on it."""
    try:
        await cancel(client, prompt_id, patience_seconds=CANCEL_PATIENCE_SECONDS)
    except BackendError as error:
        overdue.add_note(f"and it could not be cancelled: {error}")
