"""How far a prompt has come, derived from what the server says about single nodes."""

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from runtime.api.workflow import Graph
from runtime.comfyui.events import Event

Phase: TypeAlias = Literal["queued", "loading", "running", "done"]

SAMPLER_WEIGHT = 60.0
LOADER_WEIGHT = 6.0
DECODER_WEIGHT = 5.0
ENCODER_WEIGHT = 3.0
PLAIN_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """One reading. `fraction` is 0 to 1 over all nodes and never falls.

    position: 0 = running, 1 = next in the backend's queue, None = not known yet.
    node, title: the node at work, and its name for people. step, steps: within that node, if it counts steps.
    """

    phase: Phase = "queued"
    fraction: float = 0.0
    position: int | None = None
    node: str | None = None
    title: str | None = None
    step: int | None = None
    steps: int | None = None


class ProgressMeter:
    """Turns events of one prompt into readings. Nodes run in an order of the server's own choice."""

    def __init__(self, graph: Graph) -> None:
        self._titles = {node: _title(content) for node, content in graph.items()}
        self._weights = weigh(graph)
        self._total = sum(self._weights.values()) or 1.0
        self._finished: set[str] = set()
        self.reading = Progress()

    @property
    def has_started(self) -> bool:
        return self.reading.phase != "queued"

    def waits(self, position: int) -> None:
        """The prompt is at `position` of the queue; 0 means that it runs."""
        if position == 0:
            self._start()
        elif not self.has_started:
            self.reading = replace(self.reading, position=position)

    def apply(self, event: Event) -> None:
        """Take in one event of this prompt."""
        match event.kind:
            case "execution_start":
                self._start()
            case "execution_cached":
                self._start()
                self._finished |= event.nodes
                self._advance()
            case "executing" if event.node is not None:
                self._start()
                self._enter(event.node)
            case "progress" if event.node is not None and event.steps > 0:
                self._start()
                self._step(event.node, event.step, event.steps)
            case "executed" if event.node is not None:
                self._finished.add(event.node)
                self._advance()

    def finish(self) -> None:
        """The prompt succeeded."""
        self.reading = Progress("done", 1.0, 0)

    def _start(self) -> None:
        if not self.has_started:
            self.reading = replace(self.reading, phase="loading", position=0)

    def _enter(self, node: str) -> None:
        if self.reading.node is not None and self.reading.node != node:
            self._finished.add(self.reading.node)
        self.reading = replace(self.reading, node=node, title=self._titles.get(node, node), step=None, steps=None)
        self._advance()

    def _step(self, node: str, step: float, steps: float) -> None:
        if self.reading.node != node:
            self._enter(node)
        self.reading = replace(self.reading, phase="running", step=int(step), steps=int(steps))
        self._advance(within=min(step / steps, 1.0))

    def _advance(self, within: float = 0.0) -> None:
        """`within` the current node, 0 to 1. A node may run several times over a list: the highest reading stays."""
        weight = sum(self._weights.get(node, 0.0) for node in self._finished)
        if self.reading.node is not None and self.reading.node not in self._finished:
            weight += self._weights.get(self.reading.node, 0.0) * within
        fraction = max(self.reading.fraction, min(weight / self._total, 0.99))
        self.reading = replace(self.reading, fraction=fraction)


def weigh(graph: Graph) -> dict[str, float]:
    """Node -> its share of the work, in no unit. Samplers take nearly all, in proportion to their steps.

    Two samplers of one latent, as in Wan (steps 0 to 2 and 2 to 4 of 4), share the work of one.
    """
    steps = {node: _sampling_steps(content.get("inputs", {})) for node, content in graph.items() if is_sampler(content)}
    all_steps = sum(steps.values()) or 1.0
    return {
        node: SAMPLER_WEIGHT * steps[node] / all_steps if node in steps else _plain_weight(str(content["class_type"]))
        for node, content in graph.items()
    }


def is_sampler(node: dict[str, Any]) -> bool:
    """Whether the node runs a diffusion model step by step (KSampler, SamplerCustomAdvanced and their like)."""
    return "Sampler" in str(node.get("class_type", "")) and "latent_image" in node.get("inputs", {})


def _sampling_steps(inputs: dict[str, Any]) -> float:
    numbers = {name: value for name, value in inputs.items() if isinstance(value, int | float)}
    steps = numbers.get("steps", 20)
    return max(min(numbers.get("end_at_step", steps), steps) - numbers.get("start_at_step", 0), 1)


def _plain_weight(class_type: str) -> float:
    if "Loader" in class_type and "Lora" not in class_type:
        return LOADER_WEIGHT
    if "Decode" in class_type:
        return DECODER_WEIGHT
    return ENCODER_WEIGHT if "Encode" in class_type else PLAIN_WEIGHT


def _title(node: dict[str, Any]) -> str:
    title = (node.get("_meta") or {}).get("title")
    return str(title or node.get("class_type", ""))
