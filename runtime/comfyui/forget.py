"""Deleting what a server remembers of prompts that are over."""

from collections.abc import Sequence

from runtime.comfyui.client import ComfyClient


async def forget(client: ComfyClient, prompt_ids: Sequence[str], *, are_over: bool = False) -> bool:
    """Delete the history entries of these prompts; ids that the server does not know are ignored. True if it is done.

    are_over: it is known that none of them waits or runs. Otherwise that is looked up, and as long as one does, nothing
    is deleted: it would leave its entry later, and a gate in front of the server takes the files of a forgotten prompt
    away. The caller comes again then.

    Raises: BackendUnreachable, UnexpectedAnswer.
    """
    if not are_over:
        queue = await client.queue()
        if any(queue.position(prompt_id) is not None for prompt_id in prompt_ids):
            return False
    await client.delete_history(prompt_ids)
    return True
