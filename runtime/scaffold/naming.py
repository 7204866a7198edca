"""Names that can be read, in the place of the numbers that the editor gives to nodes."""

import copy
import re

from runtime.api import Graph
from runtime.scaffold.links import link_of
from runtime.scaffold.words import Side, is_sampler, words_of

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
SHORT = {
    "CheckpointLoaderSimple": "checkpoint",
    "CLIPLoader": "clip",
    "DualCLIPLoader": "clip",
    "TripleCLIPLoader": "clip",
    "EmptyLatentImage": "latent",
    "KSampler": "sampler",
    "KSamplerAdvanced": "sampler",
    "LoadImage": "image",
    "SaveImage": "save",
    "SaveVideo": "save",
    "UNETLoader": "model",
    "VAEDecode": "decoded",
    "VAEEncode": "encoded",
    "VAELoader": "vae",
}


def with_names(graph: Graph) -> Graph:
    """The same graph with its numbered nodes named after what they are; others keep their names, and all their links.

    The nodes that hold the words of a sampler's positive and negative side are called so.
    """
    roles = _roles(graph)
    names: dict[str, str] = {}
    for node, content in graph.items():
        wanted = node if not _is_number(node) else roles.get(node) or _short(str(content["class_type"]))
        number, name = 1, wanted
        while name in names.values() or (name != node and name in graph):
            number += 1
            name = f"{wanted}_{number}"
        names[node] = name
    renamed = copy.deepcopy(graph)
    for content in renamed.values():
        for key, value in content["inputs"].items():
            giver = link_of(value)
            if giver is not None:
                content["inputs"][key] = [names[giver], value[1]]
    return {
        names[node]: {key: value for key, value in content.items() if key != "_meta"}
        for node, content in renamed.items()
    }


def _roles(graph: Graph) -> dict[str, Side]:
    samplers = [node for node in graph if is_sampler(graph, node)]
    sides: tuple[Side, Side] = ("negative", "positive")
    return {texts[0][0]: side for side in sides for texts in words_of(graph, samplers, side)}


def _short(class_type: str) -> str:
    words = [word.lower() for word in _WORDS.findall(class_type)]
    if class_type.startswith("Empty") and "Latent" in class_type:
        return "latent"
    return SHORT.get(class_type) or "_".join(words) or "node"


def _is_number(node: str) -> bool:
    return bool(re.fullmatch(r"\d+(:\d+)*", node))
