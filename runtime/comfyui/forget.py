"""Deleting what a server remembers of prompts that are over."""

from collections.abc import Sequence

from runtime.comfyui.client import ComfyClient


async def forget(client: ComfyClient, prompt_ids: Sequence[str], *, are_over: bool = False) -> bool:
    """Delete the history entries of these prompts; ids that the server does not know are ignored.

    are_over: it is known that none of them runs. Otherwise that is looked up: one that still runs after an interrupt
    would leave its entry later. Then False is returned, and the caller comes again.

    Raises: BackendUnreachable, UnexpectedAnswer.
    """
    queue = None if are_over else await client.queue()
    await client.delete_history(prompt_ids)
    return queue is None or all(queue.position(prompt_id) is None for prompt_id in prompt_ids)
