"""The words that reach the samplers: each side of the conditioning, followed to the text at its end."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from runtime.api import Graph
from runtime.scaffold.links import link_of, upstream

Side: TypeAlias = Literal["positive", "negative"]
Place: TypeAlias = tuple[str, str]

TEXT_KEYS = (
    *("text", "text_g", "text_l", "prompt", "user_prompt", "positive_prompt"),
    *("t5xxl", "mt5xl", "clip_l", "clip_g", "llama", "bert", "qwen25_7b"),
    *("value", "string"),
)
STRING_KEYS = (*TEXT_KEYS, "string_a", "string_b", "on_true", "on_false")
"""Where nodes that hold texts, or put them together, have them."""
LOOSE_KEYS = ("prompt", "text", "prompt_text", "positive_prompt", "user_prompt")
SEED_KEYS = ("seed", "noise_seed")
STARTS: dict[Side, Sequence[str]] = {"positive": ("positive", "conditioning", "cond1"), "negative": ("negative",)}
"""The inputs of a sampler or a guider that take what each side says."""


def is_sampler(graph: Graph, node: str) -> bool:
    """Whether conditionings end here: a node of its own noise, or one that leaves them to a guider."""
    inputs = graph[node]["inputs"]
    return ("positive" in inputs and any(key in inputs for key in SEED_KEYS)) or "guider" in inputs


def words_of(graph: Graph, samplers: Iterable[str], side: Side) -> list[list[Place]]:
    """For each place that takes words of this side, what fills it: the nearest text first, which is it most likely."""
    found: list[list[Place]] = []
    for sampler in samplers:
        guider = link_of(graph[sampler]["inputs"].get("guider"))
        for holder in (sampler, guider) if guider in graph else (sampler,):
            for key in STARTS[side]:
                start = link_of(graph[str(holder)]["inputs"].get(key))
                if start in graph:
                    found += [texts for texts in _at_the_end(graph, str(start), side) if texts not in found]
    return found


def loose_words(graph: Graph, nodes: Iterable[str]) -> list[Place]:
    """Where there is no sampler: every place for words of its own, as the nodes of paid services have one."""
    found = []
    for node in nodes:
        for key in graph[node]["inputs"]:
            texts = _texts(graph, node, key) if key.rpartition(".")[2] in LOOSE_KEYS else []
            found += [place for place in texts[:1] if place not in found]
    return found


def _at_the_end(graph: Graph, node: str, side: Side) -> Iterator[list[Place]]:
    seen: set[str] = set()
    while node not in seen:
        seen.add(node)
        inputs = graph[node]["inputs"]
        if "ZeroOut" in str(graph[node]["class_type"]):
            return
        keys = ("negative_prompt",) if side == "negative" and "negative_prompt" in inputs else TEXT_KEYS
        places = [texts for key in keys if key in inputs and (texts := _texts(graph, node, key))]
        if places:
            yield from places
            return
        onward = (side, "conditioning", "positive", "conditioning_1", "conditioning_to", "cond", "on_true", "on_false")
        following = next((giver for key in onward if (giver := link_of(inputs.get(key))) in graph), None)
        if following is None:
            return
        node = str(following)


def _texts(graph: Graph, node: str, key: str) -> list[Place]:
    """What an input is made of: its own text, or those of the nodes behind it, best of those that hold nothing else."""
    value = graph[node]["inputs"].get(key)
    if isinstance(value, str):
        return [(node, key)]
    giver = link_of(value)
    if giver not in graph:
        return []
    behind = [(one, graph[one]["inputs"]) for one in upstream(graph, str(giver))]
    plain = [(one, inputs) for one, inputs in behind if not any(link_of(given) for given in inputs.values())]
    for nodes in (plain, behind):
        found = [(one, name) for one, inputs in nodes for name in STRING_KEYS if isinstance(inputs.get(name), str)]
        if found:
            return found
    return []
