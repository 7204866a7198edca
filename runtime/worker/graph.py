"""From an invocation to the graph that is posted: pure, the same for a job and for `veilrun invoke`."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from runtime.api import Command, Graph, Invocation
from runtime.api.parameters import Scalar

PREFIX_INPUT = "filename_prefix"


def prompt_id_of(deployment: UUID, job_id: int, fence: int) -> str:
    """The id under which a try of the job is posted. A fence never comes back, not even when a job is replayed.

    Job ids count from 1 in every database: without the deployment's own name, two that share a backend would take
    each other's prompts for theirs.
    """
    return str(uuid5(deployment, f"{job_id}/{fence}"))


def fill_graph(command: Command, invocation: Invocation) -> Graph:
    """The command's graph with the arguments and the first uploaded picture in their places.

    Arguments that the command does not have (any more) are left out.
    """
    values: dict[str, Sequence[Scalar]] = {}
    for parameter in command.parameters:
        if parameter.name in invocation.arguments:
            values[parameter.name] = parameter.components(invocation.arguments[parameter.name])
    if command.image_input is not None and invocation.uploads:
        values[command.image_input.name] = (invocation.uploads[0],)
    return command.workflow_of(invocation.variant).fill(values)


def save_under(graph: Graph, prompt_id: str) -> Graph:
    """The graph with all its files saved in a folder of this prompt's own; changed in place.

    ComfyUI numbers files per prefix. With one of its own, a job's files are told apart, and a result is never
    answered from the cache with the name of another job's file.
    """
    for node in graph.values():
        if isinstance(node["inputs"].get(PREFIX_INPUT), str):
            node["inputs"][PREFIX_INPUT] = f"veilrun/{prompt_id}/out"
    return graph
