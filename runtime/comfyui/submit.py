"""Putting a prompt into a server's queue exactly once, also when the answer got lost."""

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeAlias

from runtime.api.workflow import Graph
from runtime.comfyui.answers import History
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.errors import BackendError, BackendUnreachable, UnexpectedAnswer, WorkflowRejected
from runtime.comfyui.listen import Subscription
from runtime.comfyui.rejection import parse_node_errors

POSTS = 3
LOOK_PAUSE_SECONDS = 0.25
AWAY_PAUSE_SECONDS = 1.0

Whereabouts: TypeAlias = History | Literal["queued", "running"] | None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A graph to run under an id of our choice. outputs: nodes whose files are wanted; none means all."""

    prompt_id: str
    graph: Graph
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.prompt_id:
            raise ValueError("a prompt needs an id of our own, or it cannot be found again")


async def locate(client: ComfyClient, prompt_id: str) -> tuple[Whereabouts, int | None]:
    """Where the prompt is now, and its position in the queue. Reads the queue first, then the history.

    Raises: BackendUnreachable, UnexpectedAnswer.
    """
    position = (await client.queue()).position(prompt_id)
    if position is not None:
        return ("running" if position == 0 else "queued"), position
    return await client.history(prompt_id), None


async def is_known(client: ComfyClient, prompt_id: str) -> bool:
    """Whether the server has the prompt, in any state; False only after two looks that found nothing."""
    for look in range(2):
        if look:
            await asyncio.sleep(LOOK_PAUSE_SECONDS)
        whereabouts, _ = await locate(client, prompt_id)
        if whereabouts is not None:
            return True
    return False


async def submit(client: ComfyClient, prompt: Prompt, events: Subscription) -> None:
    """Post the prompt, so that `events` hears of it. If it is unclear whether it arrived, look twice before
    another try.

    Raises: WorkflowRejected, also if only a wanted output was refused and the rest accepted; BackendUnreachable at once
    if nothing was sent; BackendUnreachable or UnexpectedAnswer after several tries.
    """
    for post in range(1, POSTS + 1):
        try:
            accepted = await client.post_prompt(prompt.prompt_id, prompt.graph, events.sign())
        except (BackendUnreachable, UnexpectedAnswer) as error:
            if not error.retry or not error.may_have_arrived:
                raise
            if await _arrived(client, prompt.prompt_id):
                return
            if post == POSTS:
                raise
        else:
            dropped = accepted.dropped_outputs
            if dropped & set(prompt.outputs) or (dropped and not prompt.outputs):
                await client.delete_pending([prompt.prompt_id])
                await client.interrupt(prompt.prompt_id)
                raise WorkflowRejected(client.backend, parse_node_errors(accepted.node_errors, prompt.graph))
            return


async def _arrived(client: ComfyClient, prompt_id: str) -> bool:
    """`is_known`, with some patience for a server that is away for moments."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + client.patience_seconds
    while clock() < deadline:
        try:
            return await is_known(client, prompt_id)
        except BackendError as error:
            if not error.retry:
                raise
        await asyncio.sleep(AWAY_PAUSE_SECONDS)
    return await is_known(client, prompt_id)
