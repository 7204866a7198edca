"""One command on one backend, with no database, no broker and no chat: what `veilrun invoke` does."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from runtime.api import Invocation, Value
from runtime.comfyui import OnProgress, Progress, cancel
from runtime.registry import BackendConfig, LoadedCommand, Registry
from runtime.scheduler.fleet import Backend
from runtime.transport import NOWHERE
from runtime.worker.attempt import Collected
from runtime.worker.cleaning import clean_up_now
from runtime.worker.inputs import prepare_inputs
from runtime.worker.outputs import finish
from runtime.worker.render import prepare, render
from runtime.worker.stopwatch import Stopwatch

CANCEL_SECONDS = 5.0


async def run_once(
    registry: Registry,
    loaded: LoadedCommand,
    arguments: Mapping[str, Value],
    config: BackendConfig,
    *,
    variant: str | None = None,
    images: Sequence[bytes] = (),
    on_progress: OnProgress | None = None,
    anon_dir: Path = NOWHERE,
) -> Collected:
    """Run the command with all its plugin hooks, and give what it made.

    arguments: every parameter's value, the seed included. anon_dir: where this machine's anon is told about.
    Cancelling the task stops the prompt on the backend.

    Raises: Veto from a plugin's hook, MediaError for an image that cannot be read, BackendError.
    """
    backend = Backend(config, anon_dir)
    try:
        return await run_there(
            backend, registry, loaded, arguments, variant=variant, images=images, on_progress=on_progress
        )
    finally:
        await backend.close()


async def run_there(
    backend: Backend,
    registry: Registry,
    loaded: LoadedCommand,
    arguments: Mapping[str, Value],
    *,
    variant: str | None = None,
    images: Sequence[bytes] = (),
    on_progress: OnProgress | None = None,
) -> Collected:
    """The same on a backend that is open already and stays so."""
    command = loaded.command
    invocation = Invocation(command.name, arguments, variant)
    invocation = await asyncio.to_thread(registry.before_invoke, invocation)
    pictures = await prepare_inputs(command, images)
    prompt_id = str(uuid4())
    prompt = await prepare(registry, command, invocation, pictures, backend, prompt_id)
    stopwatch = Stopwatch()

    def note(reading: Progress) -> Awaitable[None] | None:
        stopwatch.note(reading)
        return on_progress(reading) if on_progress is not None else None

    is_over = False
    try:
        rendered = await render(backend, prompt, command, on_progress=note)
        is_over = True
    except asyncio.CancelledError:
        await cancel(backend.client, prompt_id, patience_seconds=CANCEL_SECONDS)
        raise
    finally:
        await clean_up_now(backend, prompt_id, is_over=is_over)
    return Collected(
        await finish(rendered.outputs),
        rendered.run_seconds,
        is_telling=rendered.run_seconds is not None and rendered.is_fresh,
        load_seconds=stopwatch.load_seconds,
    )
