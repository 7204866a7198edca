"""Whether a run was work: a server that has the result already answers at once, and that says nothing of other runs."""

from collections.abc import Collection

from runtime.api.workflow import Graph
from runtime.comfyui.answers import History
from runtime.comfyui.progress import is_sampler
from runtime.comfyui.submit import Prompt


def is_fresh(prompt: Prompt, history: History) -> bool:
    """Whether the server did the whole work of this prompt just then.

    Not if a sampler was answered from the cache, or, in a graph without one, everything that leads into the outputs.
    Loaders and encoders are answered from there in most warm runs. Not either if the prompt was posted anew under
    another id, since what the first run made was gone.
    """
    if history.prompt_id != prompt.prompt_id:
        return False
    samplers = [name for name, node in prompt.graph.items() if is_sampler(node)]
    if samplers:
        return history.cached.isdisjoint(samplers)
    return not history.cached.issuperset(_feeding(prompt.graph, prompt.outputs))


def _feeding(graph: Graph, outputs: Collection[str]) -> set[str]:
    """The nodes that the outputs link to, or the outputs themselves if they link to none."""
    links = {
        value[0] for name in outputs for value in graph[name]["inputs"].values() if isinstance(value, list) and value
    }
    return links or set(outputs)
