"""What of a graph its users should be able to say: found by following the links, and named for what it is.

From each sampler the conditioning is followed to the words at its end, so that it makes no difference which encoders,
guiders or control nets lie between.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.api import Graph, Kind, VeilrunError
from runtime.comfyui.preflight import MODEL_SUFFIXES
from runtime.scaffold.links import link_of, literal_behind, takers, upstream

TEXT_KEYS = ("text", "prompt", "t5xxl", "clip_l", "clip_g", "positive_prompt", "value", "string")
SEED_KEYS = ("seed", "noise_seed")
VIDEO_WORDS = ("video", "webm", "animated", "vhs")
FOLDERS = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
    "clip_name": "text_encoders",
    "text_encoder": "text_encoders",
    "lora_name": "loras",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "clip_vision_name": "clip_vision",
    "gligen_name": "gligen",
    "audio_encoder_name": "audio_encoders",
}
CLASS_FOLDERS = {
    "UpscaleModelLoader": "upscale_models",
    "CLIPVisionLoader": "clip_vision",
    "LatentUpscaleModelLoader": "latent_upscale_models",
    "ModelPatchLoader": "model_patches",
}


class NothingToBind(VeilrunError):
    """The graph has no place for anything that a user could say, or nothing that it gives back."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A parameter, the places in the graph that get its value, and what stands there now.

    kind: "prompt", "text", "seed", "size", "steps", "cfg", "seconds" or "image". places: as `Workflow.bind` takes them.
    """

    name: str
    kind: str
    places: tuple[str, ...]
    current: Any


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model file that the graph names. folder: below ComfyUI's models/, empty if it cannot be told."""

    name: str
    folder: str
    place: str


@dataclass(frozen=True)
class Analysis:
    """What was found. more_images: further nodes that load a picture. doubts: what a person should look at."""

    graph: Graph
    bindings: tuple[Binding, ...]
    output: str
    kind: Kind
    models: tuple[NamedModel, ...]
    more_images: tuple[str, ...] = ()
    fps: float | None = None
    doubts: tuple[str, ...] = field(default=())

    def binding(self, kind: str) -> Binding | None:
        """The binding of this kind, if there is one."""
        return next((one for one in self.bindings if one.kind == kind), None)


def analyse(graph: Graph) -> Analysis:
    """Propose bindings for a graph in API format. Raises: NothingToBind."""
    return _Analyst(graph).analysis()


class _Analyst:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.doubts: list[str] = []
        self.output, self.kind = self._output()
        self.needed = list(upstream(graph, self.output))
        self.samplers = [node for node in self.needed if self._is_sampler(node)]

    def analysis(self) -> Analysis:
        prompt = self._words("positive", "conditioning")
        negative = self._words("negative")
        bindings: list[Binding] = []
        if not prompt and not self.samplers:
            prompt = self._loose_words()
        if prompt:
            bindings.append(self._binding("prompt", "prompt", prompt))
        else:
            self.doubts.append("no prompt was found: the command takes no words")
        different = [place for place in negative if place not in prompt]
        if different:
            bindings.append(self._binding("negative", "text", different))
        images = [node for node in self.needed if self._is_picture(node)]
        if images:
            bindings.append(Binding("image", "image", (f"{images[0]}.image",), None))
        if len(images) > 1:
            self.doubts.append(
                f"{len(images)} pictures are loaded: see that build_workflow gives them in the right order"
            )
        bindings += [one for one in (self._size(), self._seconds(), self._steps(), self._cfg(), self._seed()) if one]
        if not bindings:
            raise NothingToBind(
                "nothing in this graph could be set by a user: no prompt, picture, seed or size. Give a workflow that"
                " has one, or write the plugin by hand (docs/author.md)"
            )
        return Analysis(
            self.graph,
            tuple(bindings),
            self.output,
            self.kind,
            tuple(self._models()),
            tuple(images[1:]),
            self._fps(),
            tuple(self.doubts),
        )

    def _output(self) -> tuple[str, Kind]:
        ends = [node for node in self.graph if not any(takers(self.graph, node))]
        savers = [
            node for node in ends if self._class(node).lower().startswith("save") or "Combine" in self._class(node)
        ]
        savers = savers or [node for node in ends if "preview" in self._class(node).lower()] or ends
        pictures = [node for node in savers if not any(word in self._class(node).lower() for word in ("audio", "text"))]
        if not pictures:
            raise NothingToBind("no node of this graph saves a picture or a video: add a SaveImage or a SaveVideo")
        films = [node for node in pictures if self._is_film(node)]
        chosen = (films or pictures)[0]
        others = [node for node in pictures if node != chosen]
        if others:
            self.doubts.append(f"{chosen} is the result; {', '.join(others)} end the graph as well and are not sent")
        return chosen, "video" if self._is_film(chosen) else "image"

    def _is_film(self, node: str) -> bool:
        return any(word in self._class(node).lower() for word in VIDEO_WORDS)

    def _is_sampler(self, node: str) -> bool:
        inputs = self.graph[node]["inputs"]
        return ("positive" in inputs and any(key in inputs for key in SEED_KEYS)) or "guider" in inputs

    def _is_picture(self, node: str) -> bool:
        return self._class(node).startswith("LoadImage") and isinstance(self.graph[node]["inputs"].get("image"), str)

    def _words(self, *keys: str) -> list[tuple[str, str]]:
        """The places of the words that reach the samplers through inputs of these names."""
        found: list[tuple[str, str]] = []
        for sampler in self.samplers:
            inputs = self.graph[sampler]["inputs"]
            guider = link_of(inputs.get("guider"))
            for holder in (sampler, guider) if guider in self.graph else (sampler,):
                for key in keys:
                    start = link_of(self.graph[str(holder)]["inputs"].get(key))
                    if start in self.graph:
                        found += [place for place in self._texts(str(start), keys[0]) if place not in found]
        return found

    def _texts(self, node: str, side: str) -> list[tuple[str, str]]:
        """The words at the end of one chain of conditioning."""
        seen: set[str] = set()
        while node not in seen:
            seen.add(node)
            inputs = self.graph[node]["inputs"]
            if "ZeroOut" in self._class(node):
                return []
            places = [literal_behind(self.graph, node, key, str) for key in TEXT_KEYS if key in inputs]
            texts = [place for place in places if place is not None]
            if texts:
                return list(dict.fromkeys(texts))
            following = next(
                (
                    giver
                    for key in (side, "conditioning", "positive", "conditioning_1", "conditioning_to", "cond")
                    if (giver := link_of(inputs.get(key))) in self.graph
                ),
                None,
            )
            if following is None:
                return []
            node = str(following)
        return []

    def _loose_words(self) -> list[tuple[str, str]]:
        """Where there is no sampler: the one node that takes words."""
        found = [
            (node, key)
            for node in self.needed
            for key in TEXT_KEYS
            if isinstance(self.graph[node]["inputs"].get(key), str) and key in ("text", "prompt")
        ]
        if len(found) > 1:
            self.doubts.append(f"several nodes take words; {found[0][0]} gets the prompt")
        return found[:1]

    def _size(self) -> Binding | None:
        sources = [
            node
            for node in self.needed
            if all(isinstance(self.graph[node]["inputs"].get(key), int) for key in ("width", "height"))
            and (
                "Latent" in self._class(node) or "length" in self.graph[node]["inputs"] or "Empty" in self._class(node)
            )
        ]
        pairs = []
        for node in sources:
            inputs = self.graph[node]["inputs"]
            pairs.append((f"{node}.width,{node}.height", [inputs["width"], inputs["height"]]))
        for node in [] if pairs else self.needed:
            if "Latent" in self._class(node):
                width, height = (literal_behind(self.graph, node, key, int) for key in ("width", "height"))
                if width and height and width != height:
                    value = [self.graph[place[0]]["inputs"][place[1]] for place in (width, height)]
                    pairs.append((f"{'.'.join(width)},{'.'.join(height)}", value))
        if not pairs:
            return None
        same = [place for place, value in pairs if value == pairs[0][1]]
        if len(same) < len(pairs):
            self.doubts.append(
                f"several nodes have a size; only those of {pairs[0][1][0]}x{pairs[0][1][1]} follow --size"
            )
        return Binding("size", "size", tuple(same), tuple(pairs[0][1]))

    def _seconds(self) -> Binding | None:
        fps = self._fps()
        if self.kind != "video" or fps is None:
            return None
        places = [
            f"{node}.length"
            for node in self.needed
            if isinstance(self.graph[node]["inputs"].get("length"), int) and "width" in self.graph[node]["inputs"]
        ]
        if not places:
            return None
        length = self.graph[places[0].rpartition(".")[0]]["inputs"]["length"]
        return Binding("seconds", "seconds", tuple(places), length)

    def _fps(self) -> float | None:
        for node in self.needed:
            for key in ("fps", "frame_rate"):
                place = literal_behind(self.graph, node, key, float) or literal_behind(self.graph, node, key, int)
                if place is not None:
                    return float(self.graph[place[0]]["inputs"][place[1]])
        return None

    def _steps(self) -> Binding | None:
        found = self._numbers(("steps",), int)
        if any("start_at_step" in self.graph[node]["inputs"] for node in self.samplers):
            if found:
                self.doubts.append("the steps are shared by several samplers: they stay as they are")
            return None
        return self._agreed("steps", "steps", found)

    def _cfg(self) -> Binding | None:
        guidance = self._numbers(("guidance",), (int, float))
        if guidance:  # distilled models are guided by it, and leave cfg at 1
            return self._agreed("guidance", "cfg", guidance)
        return self._agreed("cfg", "cfg", self._numbers(("cfg",), (int, float)))

    def _seed(self) -> Binding | None:
        found = []
        for node, key in self._numbers(SEED_KEYS, int):
            if self.graph[node]["inputs"].get("add_noise") != "disable":
                found.append((node, key))
        if not found:
            self.doubts.append("no seed was found: results cannot be repeated")
            return None
        return self._binding("seed", "seed", found)

    def _numbers(self, keys: Iterable[str], kind: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for node in self.needed:
            for key in keys:
                if key in self.graph[node]["inputs"]:
                    place = literal_behind(self.graph, node, key, kind)
                    if place is not None and place not in found:
                        found.append(place)
        return found

    def _agreed(self, name: str, kind: str, found: Sequence[tuple[str, str]]) -> Binding | None:
        """One parameter for all places if they say the same, else for none."""
        values = {self.graph[node]["inputs"][key] for node, key in found}
        if len(values) > 1:
            self.doubts.append(f"{', '.join(f'{node}.{key}' for node, key in found)} differ: {name} is not offered")
        return self._binding(name, kind, found) if len(values) == 1 else None

    def _binding(self, name: str, kind: str, found: Sequence[tuple[str, str]]) -> Binding:
        node, key = found[0]
        return Binding(name, kind, tuple(f"{node}.{key}" for node, key in found), self.graph[node]["inputs"][key])

    def _models(self) -> Iterator[NamedModel]:
        seen: set[str] = set()
        for node in self.graph:
            for key, value in self.graph[node]["inputs"].items():
                if isinstance(value, str) and value.endswith(MODEL_SUFFIXES) and value not in seen:
                    seen.add(value)
                    folder = CLASS_FOLDERS.get(self._class(node)) or FOLDERS.get(key.rstrip("1234"), "")
                    yield NamedModel(value, folder, f"{node}.{key}")

    def _class(self, node: str) -> str:
        return str(self.graph[node]["class_type"])
