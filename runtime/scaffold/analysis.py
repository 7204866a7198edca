"""What of a graph its users should be able to say: found by following the links, and named for what it is.

From each sampler the conditioning is followed to the words at its end, so that it makes no difference which encoders,
guiders or control nets lie between.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.api import Graph, Kind, VeilrunError
from runtime.comfyui.preflight import MODEL_SUFFIXES
from runtime.scaffold.links import literal_behind, takers, upstream
from runtime.scaffold.words import SEED_KEYS, Place, is_sampler, loose_words, words_of

VIDEO_WORDS = ("video", "webm", "animated", "vhs")
OTHER_WORDS = ("audio", "text", "glb", "3d", "mesh", "svg", "splat", "pointcloud", "latent", "compare", "dataset")
"""What saves something that a command does not send."""
MEDIA_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".gif", ".wav", ".mp3", ".flac", ".ogg", ".glb", ".obj")
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
        self.samplers = [node for node in self.needed if is_sampler(graph, node)]

    def analysis(self) -> Analysis:
        prompt = self._chosen(words_of(self.graph, self.samplers, "positive"))
        negative = self._chosen(words_of(self.graph, self.samplers, "negative"))
        prompt = prompt or self._loose(but=negative)
        bindings: list[Binding] = []
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
        self._look_at_files()
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
        savers = [node for node in self.graph if self._saves(node)]
        previews = [node for node in self.graph if "preview" in self._class(node).lower()]
        for candidates in (savers, previews, ends):
            pictures = [node for node in candidates if self._is_picture_or_film(node)]
            if pictures:
                chosen = next(filter(self._is_film, pictures), pictures[0])
                others = [node for node in candidates if node != chosen]
                if others:
                    self.doubts.append(f"{chosen} is the result; {', '.join(others)} are not sent")
                return chosen, "video" if self._is_film(chosen) else "image"
        given = ", ".join(f"{node} ({self._class(node)})" for node in savers or ends)
        raise NothingToBind(
            "no node of this graph saves a picture or a video, which is what a command sends: add a SaveImage or a"
            f" SaveVideo. It ends in {given}"
        )

    def _saves(self, node: str) -> bool:
        return self._class(node).lower().startswith("save") or "VideoCombine" in self._class(node)

    def _is_picture_or_film(self, node: str) -> bool:
        kind = self._class(node).lower()
        return kind != "previewany" and not any(word in kind for word in OTHER_WORDS)

    def _is_film(self, node: str) -> bool:
        return any(word in self._class(node).lower() for word in VIDEO_WORDS)

    def _is_picture(self, node: str) -> bool:
        return self._class(node).startswith("LoadImage") and isinstance(self.graph[node]["inputs"].get("image"), str)

    def _chosen(self, words: Sequence[Sequence[Place]]) -> list[Place]:
        """Of the texts that each place is made of, the one that the user's words go to."""
        for texts in words:
            if len(texts) > 1:
                first, *others = (f"{node}.{key}" for node, key in texts)
                self.doubts.append(f"several texts are put together: {first} is set, {', '.join(others)} stay")
        chosen = list(dict.fromkeys(texts[0] for texts in words))
        said = {self.graph[node]["inputs"][key] for node, key in chosen} - {""}
        if len(said) > 1:
            self.doubts.append(f"{_listed(chosen)} say different things; all of them get the same words")
        return chosen

    def _loose(self, but: Sequence[Place]) -> list[Place]:
        found = [place for place in loose_words(self.graph, self.needed) if place not in but]
        if len(found) > 1:
            self.doubts.append(f"several nodes take words: {_listed(found[:1])} is set, {_listed(found[1:])} stay")
        return found[:1]

    def _size(self) -> Binding | None:
        pairs = [*self._own_sizes(self._makes_latents)] or [*self._sizes_behind()]
        pairs = pairs or [*self._own_sizes(lambda node: "Empty" in self._class(node))]
        if not pairs:
            return None
        same = [place for place, value in pairs if value == pairs[0][1]]
        if len(same) < len(pairs):
            self.doubts.append(
                f"several nodes have a size; only those of {pairs[0][1][0]}x{pairs[0][1][1]} follow --size"
            )
        return Binding("size", "size", tuple(same), tuple(pairs[0][1]))

    def _own_sizes(self, gives_size: Callable[[str], bool]) -> Iterator[tuple[str, list[int]]]:
        """Where a node says the size itself; what is only scaled to it comes last."""
        for node in sorted(self.needed, key=lambda node: "Upscale" in self._class(node)):
            width, height = (self.graph[node]["inputs"].get(key) for key in ("width", "height"))
            if isinstance(width, int) and isinstance(height, int) and gives_size(node):
                yield f"{node}.width,{node}.height", [width, height]

    def _sizes_behind(self) -> Iterator[tuple[str, list[int]]]:
        for node in self.needed:
            if "Latent" in self._class(node):
                width, height = (literal_behind(self.graph, node, key, int) for key in ("width", "height"))
                if width and height and width != height:
                    value = [self.graph[place[0]]["inputs"][place[1]] for place in (width, height)]
                    yield f"{'.'.join(width)},{'.'.join(height)}", value

    def _makes_latents(self, node: str) -> bool:
        return "Latent" in self._class(node) or "length" in self.graph[node]["inputs"]

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
            self.doubts.append(f"{_listed(found)} differ: {name} is not offered")
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

    def _look_at_files(self) -> None:
        for node in self.needed:
            for key, value in self.graph[node]["inputs"].items():
                if isinstance(value, str) and value.lower().endswith(MEDIA_SUFFIXES):
                    self.doubts.append(
                        f"{node}.{key} is always {value}: a command takes no such file, so every ComfyUI needs it in"
                        " its input folder"
                    )

    def _class(self, node: str) -> str:
        return str(self.graph[node]["class_type"])


def _listed(places: Iterable[Place]) -> str:
    return ", ".join(f"{node}.{key}" for node, key in places)
