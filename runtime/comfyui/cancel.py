"""Stopping a prompt, whatever state it is in."""

import asyncio
from typing import Literal, TypeAlias

from runtime.comfyui.answers import History
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import UnexpectedAnswer
from runtime.comfyui.submit import locate

Stopped: TypeAlias = Literal["removed", "interrupted", "finished", "stopping"]

CONFIRM_PAUSE_SECONDS = 0.2


async def cancel(client: ComfyClient, prompt_id: str, *, patience_seconds: float = 10.0) -> Stopped:
    """Take the prompt out of the queue or interrupt it, and see that it is so.

    removed: it never ran, or the server does not know it; a pending prompt leaves no history entry. interrupted: it
    ran and was stopped. finished: it ended by itself before it could be stopped. stopping: it still runs after
    `patience_seconds`, since a model load, text encoding or VAE decoding cannot be cut short; the interrupt holds.

    Raises: BackendUnreachable, UnexpectedAnswer.
    """
    deadline = asyncio.get_running_loop().time() + patience_seconds
    while True:
        refusal = await _refusal(client, prompt_id)
        whereabouts, _ = await locate(client, prompt_id)
        match whereabouts:
            case None:
                return "removed"
            case History(outcome="interrupted"):
                return "interrupted"
            case History():
                return "finished"
        if refusal is not None:
            raise refusal
        if asyncio.get_running_loop().time() >= deadline:
            return "stopping"
        await asyncio.sleep(CONFIRM_PAUSE_SECONDS)


async def withdraw(client: ComfyClient, prompt_id: str) -> bool:
    """Take the prompt out of the queue if it still waits there. Whether it is gone from the server, never begun.

    A prompt that has begun, or is over, goes on undisturbed. The prompt has to have arrived before.

    Raises: BackendUnreachable, UnexpectedAnswer; then nobody knows, and a second try does no harm.
    """
    refusal = None
    try:
        await client.delete_pending([prompt_id])
    except UnexpectedAnswer as error:
        if error.status != 403:  # a gate's answer for a prompt that it does not know
            raise
        refusal = error
    whereabouts, _ = await locate(client, prompt_id)
    if whereabouts == "queued" and refusal is not None:
        raise refusal
    return whereabouts is None


async def _refusal(client: ComfyClient, prompt_id: str) -> UnexpectedAnswer | None:
    """Have it stopped, waiting or running. A gate answers 403 for a prompt that it does not know."""
    try:
        await client.delete_pending([prompt_id])
        await client.interrupt(prompt_id)  # it may have started between the two
    except UnexpectedAnswer as error:
        if error.status != 403:
            raise
        return error
    return None
