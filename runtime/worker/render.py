"""The run itself: pictures up, graph filled, checked and run, files down. Shared by the worker and `veilrun invoke`.

Nothing here knows of a database or a chat.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import structlog

from runtime.api import Command, Graph, Invocation, Limits, Medium
from runtime.comfyui import (
    OnProgress,
    Output,
    Prompt,
    check_graph,
    raise_if_any,
    run_and_collect,
)
from runtime.comfyui.freshness import is_fresh
from runtime.media import Picture
from runtime.registry import Registry, Traces
from runtime.scheduler.fleet import Backend
from runtime.scheduler.overrides import with_overrides
from runtime.worker.graph import fill_graph, save_under
from runtime.worker.traces import feasible, save_as, upload_folder

log = structlog.get_logger("veilrun.render")

COLLECT_SECONDS = {"direct": 0.1, "anon": 0.0}
"""By transport: files that are not here so long after the run do not keep the GPU's place meanwhile."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the backend made, as it came. run_seconds: its own time for the run, None if it did not say.

    is_fresh: it did the whole work just then, so that its time says something of others; `runtime.comfyui.freshness`.
    """

    outputs: tuple[Output, ...]
    run_seconds: float | None
    is_fresh: bool = False


async def prepare(
    registry: Registry,
    command: Command,
    invocation: Invocation,
    pictures: Sequence[Picture],
    backend: Backend,
    prompt_id: str,
) -> Prompt:
    """Upload the pictures and build the graph for them, checked against what the backend offers.

    Raises: BackendError (GraphProblems if it cannot run there), DeclarationError, PluginFailed.
    """
    traces = backend.config.traces
    folder = upload_folder(traces)
    backend.hub.start()  # so that it is open by the time the prompt is posted
    uploads = await asyncio.gather(
        *(backend.client.upload_image(one.content, upload_name(one), type=folder) for one in pictures)
    )
    invocation = replace(
        invocation,
        inputs=tuple(medium_of(picture) for picture in pictures),
        uploads=tuple(upload.reference for upload in uploads),
    )
    graph = fill_graph(command, invocation)
    graph = await asyncio.to_thread(registry.build_workflow, invocation, graph)
    graph = with_overrides(graph, backend.config.overrides)
    workflow = command.workflow_of(invocation.variant)
    save_under(graph, prompt_id)
    allowed = feasible(graph, traces, (await backend.catalogue()).classes)
    if allowed != traces:
        _tell_weaker(backend.name, traces, allowed)
    graph = save_as(graph, allowed, prompt_id)
    await _check(graph, command, invocation, backend)
    return Prompt(prompt_id, graph, outputs=(workflow.output,))


def upload_name(picture: Picture) -> str:
    """By content, so that a queued prompt's input is never replaced by another, and the same picture is kept once."""
    return hashlib.sha256(picture.content).hexdigest() + picture.suffix


@cache
def _tell_weaker(backend: str, wanted: Traces, allowed: Traces) -> None:
    """Once is enough: every job would say the same."""
    log.warning("a node class is missing, pictures leave more traces", backend=backend, wanted=wanted, allowed=allowed)


def medium_of(picture: Picture) -> Medium:
    """The picture as plugins see it."""
    return Medium("image", picture.media_type, len(picture.content), picture.width, picture.height)


async def _check(graph: Graph, command: Command, invocation: Invocation, backend: Backend) -> None:
    """Against what is known of the backend; before it is said that something is missing there, it is asked again."""
    models = command.workflow_of(invocation.variant).models
    if check_graph(graph, await backend.catalogue(), models):
        raise_if_any(backend.name, check_graph(graph, await backend.catalogue(fresh=True), models))


async def render(
    backend: Backend,
    prompt: Prompt,
    command: Command,
    *,
    resume: bool = False,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    on_run_over: Callable[[], Awaitable[None]] | None = None,
) -> Rendered:
    """Run the prompt and fetch its files.

    resume: it may have been posted before. limits: instead of the command's own. on_run_over: awaited once if the files
    take a while; the GPU is free by then.

    Raises: BackendError, see `runtime.comfyui.run_and_collect`.
    """
    is_over, is_done = asyncio.Event(), asyncio.Event()
    telling = asyncio.create_task(_tell(is_over, is_done, COLLECT_SECONDS[backend.config.transport], on_run_over))
    try:
        history, outputs = await run_and_collect(
            backend.client,
            prompt,
            hub=backend.hub,
            resume=resume,
            on_progress=on_progress,
            on_over=is_over.set,
            limits=limits or command.limits,
        )
    finally:
        is_done.set()
        is_over.set()
        await telling
    return Rendered(tuple(outputs), history.run_seconds, is_fresh(prompt, history))


async def _tell(
    is_over: asyncio.Event,
    is_done: asyncio.Event,
    patience_seconds: float,
    on_run_over: Callable[[], Awaitable[None]] | None,
) -> None:
    """Call `on_run_over` unless everything is done so soon after the run that it is not worth it."""
    await is_over.wait()
    try:
        async with asyncio.timeout(patience_seconds):
            await is_done.wait()
    except TimeoutError:
        if on_run_over is not None:
            await on_run_over()
