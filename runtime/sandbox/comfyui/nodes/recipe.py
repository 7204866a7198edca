"""The frame in which a node runs: its inputs, the way to report progress, the ways to fail."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runtime.sandbox.comfyui.faults import Faults
from runtime.sandbox.comfyui.pace import Pace
from runtime.sandbox.comfyui.painting.painter import Painter
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.storage import Storage

T = TypeVar("T")
Json = dict[str, Any]
Preview = tuple[bytes, int]


class Interrupted(Exception):
    """POST /interrupt took effect."""


class NodeFailure(Exception):
    """A node fails in a way whose Python class exists only on a real server: `type_name` is that class."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(message)
        self.type_name = type_name


class OutOfMemory(NodeFailure):
    """The GPU is full: the server unloads all models."""

    def __init__(self) -> None:
        super().__init__("torch.OutOfMemoryError", "Allocation on device ")


@dataclass(slots=True)
class Residence:
    """Model files in GPU memory, and every load so far (`loads`: the files of one prompt, in order)."""

    files: set[str] = field(default_factory=set)
    loads: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One run of one node.

    inputs: resolved values by name. report: called with (step, steps, preview) after each step; it raises Interrupted.
    needed_files: all model files of the prompt. png_texts: what goes into saved files, empty with --disable-metadata.
    """

    node_id: str
    inputs: Json
    report: Callable[[int, int, Preview | None], None]
    needed_files: tuple[str, ...]
    png_texts: dict[str, str]
    storage: Storage
    faults: Faults
    pace: Pace
    painter: Painter
    residence: Residence
    has_previews: bool

    async def wait(self, seconds: float) -> None:
        """Pretend to compute; other tasks run even at pace 0."""
        await asyncio.sleep(seconds)

    async def compute(self, work: Callable[[], T]) -> T:
        """Do real work (painting, encoding) off the event loop."""
        return await asyncio.to_thread(work)

    async def load(self, *names: str) -> None:
        """Bring model files into memory. The first that is missing costs the load of the whole prompt's set."""
        for name in names:
            if name in self.faults.unreadable_models:
                message = "Error while deserializing header: header too small"
                raise NodeFailure("safetensors_rust.SafetensorError", message)
        if not self.residence.files.issuperset(names):
            await self.wait(self.pace.load_seconds)
            self.residence.files = set(self.needed_files)
            self.residence.loads.append(self.needed_files)


Recipe = Callable[[NodeRun], Awaitable[NodeResult]]

RECIPES: dict[str, Recipe] = {}


def node(*class_types: str) -> Callable[[Recipe], Recipe]:
    """Register what these classes do."""

    def register(recipe: Recipe) -> Recipe:
        RECIPES.update(dict.fromkeys(class_types, recipe))
        return recipe

    return register
