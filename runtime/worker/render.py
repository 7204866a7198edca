"""The run itself: pictures up, graph filled, checked and run, files down. Shared by the worker and `veilrun invoke`.

Nothing here knows of a database or a chat.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from runtime.api import Command, Graph, Invocation, Medium
from runtime.comfyui import (
    History,
    OnProgress,
    Output,
    OutputMissing,
    Prompt,
    check_graph,
    collect,
    raise_if_any,
    run_and_collect,
    run_prompt,
)
from runtime.media import Picture
from runtime.registry import Registry
from runtime.scheduler.fleet import Backend
from runtime.worker.graph import fill_graph, save_under

COLLECT_SECONDS = 0.2
"""Downloads that take longer do not keep the GPU's place meanwhile."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the backend made, as it came. run_seconds: its own time for the run, None if it did not say."""

    outputs: tuple[Output, ...]
    run_seconds: float | None


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
    uploads = [await backend.client.upload_image(picture.content, upload_name(picture)) for picture in pictures]
    invocation = replace(
        invocation,
        inputs=tuple(_medium(picture) for picture in pictures),
        uploads=tuple(upload.reference for upload in uploads),
    )
    graph = fill_graph(command, invocation)
    graph = await asyncio.to_thread(registry.build_workflow, invocation, graph)
    workflow = command.workflow_of(invocation.variant)
    save_under(graph, prompt_id)
    await _check(graph, command, invocation, backend)
    return Prompt(prompt_id, graph, outputs=(workflow.output,))


def upload_name(picture: Picture) -> str:
    """By content, so that a queued prompt's input is never replaced by another, and the same picture is kept once."""
    return hashlib.sha256(picture.content).hexdigest() + picture.suffix


def _medium(picture: Picture) -> Medium:
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
    on_progress: OnProgress | None = None,
    on_run_over: Callable[[], Awaitable[None]] | None = None,
) -> Rendered:
    """Run the prompt and fetch its files.

    resume: it may have been posted before. on_run_over: awaited if the files take a while; the GPU is free by then.

    Raises: BackendError, see `runtime.comfyui.run_prompt` and `collect`.
    """
    limits = command.limits
    history = await run_prompt(
        backend.client, prompt, hub=backend.hub, resume=resume, on_progress=on_progress, limits=limits
    )
    try:
        outputs = await _collect(backend, history, prompt, on_run_over)
    except OutputMissing:
        history, outputs = await run_and_collect(
            backend.client, prompt, hub=backend.hub, resume=True, on_progress=on_progress, limits=limits
        )
    return Rendered(tuple(outputs), history.run_seconds)


async def _collect(
    backend: Backend, history: History, prompt: Prompt, on_run_over: Callable[[], Awaitable[None]] | None
) -> list[Output]:
    collecting = asyncio.create_task(collect(backend.client, history, prompt.outputs))
    try:
        done, _ = await asyncio.wait({collecting}, timeout=COLLECT_SECONDS)
        if not done and on_run_over is not None:
            await on_run_over()
        return await collecting
    finally:
        collecting.cancel()
