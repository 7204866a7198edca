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
from runtime.comfyui.collect import Collector, collect
from runtime.comfyui.download import LIMIT_BYTES, Output
from runtime.comfyui.errors import BackendError, BackendTimeout, Interrupted, NodeFailed, OutOfMemory, OutputMissing
from runtime.comfyui.events import Event
from runtime.comfyui.follow import OnEvent, OnProgress, Pace, follow
from runtime.comfyui.hub import EventHub
from runtime.comfyui.submit import Prompt, is_known, locate, submit

CANCEL_PATIENCE_SECONDS = 2.0
FREE_PAUSE_SECONDS = 0.2


async def run_prompt(
    client: ComfyClient,
    prompt: Prompt,
    *,
    hub: EventHub | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    on_event: OnEvent | None = None,
    limits: Limits | None = None,
    pace: Pace | None = None,
) -> History:
    """Run the prompt and return how it succeeded.

    hub: the backend's event socket, open for many runs; without one, a socket is opened for this run alone.
    resume: the prompt may have been posted before, by this process or one that crashed. It is looked for first and
    adopted in whatever state it is, finished included; it is posted only if the server does not know it. Store the
    prompt's id before the first call, and pass True on every later one.
    on_progress: called with each new reading, in order, awaited if it returns an awaitable. on_event: called with each
    event of the prompt; it may miss any.

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
    return _succeeded(client, history)


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
    and the graph run once more, under an id derived from the first, so that this too can be resumed.

    Raises: as the two do.
    """

    def hear(event: Event) -> None:
        collector.note(event)
        if event.is_end and on_over is not None:
            on_over()

    async with Collector(client, prompt.outputs, limit_bytes=limit_bytes) as collector:
        history = await run_prompt(
            client, prompt, hub=hub, resume=resume, on_progress=on_progress, on_event=hear, limits=limits, pace=pace
        )
        if on_over is not None:
            on_over()
        try:
            return history, await collector.collect(history)
        except OutputMissing:
            again = rerun_of(prompt)
    if not (resume and await is_known(client, again.prompt_id)):
        await client.free(free_memory=True)
        # The server's worker thread acts on the flag when it wakes; a prompt that is there by then would go first.
        await asyncio.sleep(FREE_PAUSE_SECONDS)
    history = await run_prompt(client, again, hub=hub, resume=resume, on_progress=on_progress, limits=limits, pace=pace)
    return history, await collect(client, history, again.outputs, limit_bytes=limit_bytes)


def rerun_of(prompt: Prompt) -> Prompt:
    """The prompt that `run_and_collect` posts after `prompt` when its files are gone."""
    again = str(uuid5(NAMESPACE_OID, f"{prompt.prompt_id}/again"))
    return replace(prompt, prompt_id=again)


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
