"""One command on one backend, with no database, no broker and no chat: what `veilrun invoke` does."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from runtime.api import Invocation, Value
from runtime.comfyui import OnProgress, cancel
from runtime.registry import BackendConfig, LoadedCommand, Registry
from runtime.scheduler.fleet import Backend
from runtime.transport import NOWHERE
from runtime.worker.attempt import Collected
from runtime.worker.cleaning import clean_up_now
from runtime.worker.inputs import prepare_inputs
from runtime.worker.outputs import finish
from runtime.worker.render import prepare, render

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
    command = loaded.command
    invocation = Invocation(command.name, arguments, variant)
    invocation = await asyncio.to_thread(registry.before_invoke, invocation)
    pictures = await prepare_inputs(command, images)
    prompt_id = str(uuid4())
    backend = Backend(config, anon_dir)
    try:
        prompt = await prepare(registry, command, invocation, pictures, backend, prompt_id)
        is_over = False
        try:
            rendered = await render(backend, prompt, command, on_progress=on_progress)
            is_over = True
        except asyncio.CancelledError:
            await cancel(backend.client, prompt_id, patience_seconds=CANCEL_SECONDS)
            raise
        finally:
            await clean_up_now(backend, prompt_id, is_over=is_over)
    finally:
        await backend.close()
    return Collected(await finish(rendered.outputs), rendered.run_seconds)
