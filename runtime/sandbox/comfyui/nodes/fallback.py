"""What a class does that we know only from its /object_info entry: a custom node, a MultiGPU loader, a paid service."""

from collections.abc import Callable
from typing import Any

from runtime.sandbox.comfyui.models import is_model_file
from runtime.sandbox.comfyui.nodes.recipe import NodeRun
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.values import VALUE_TYPES, Artwork, Conditioning, Images, Latent, Mask, Video, Weights

SIDE = 512
FRAMES = 9
FLOWING = (Weights, Images, Mask, Conditioning, Latent, Video)
"""What is never written into a graph, and so came along a link."""


async def pass_on(run: NodeRun, output_types: tuple[str, ...]) -> NodeResult:
    """For each output the first input of its type. What was not given is made up: a picture of what the node was told,
    weights of the model files that it names; None for a type that we know nothing of."""
    files = tuple(value for name, value in run.inputs.items() if is_model_file(name, value))
    await run.load(*files)
    return NodeResult(tuple(_first(run, name, files) for name in output_types))


def _first(run: NodeRun, output_type: str, files: tuple[str, ...]) -> Any:
    kinds = [VALUE_TYPES[name] for name in output_type.split(",") if name in VALUE_TYPES]
    if output_type == "*":
        return next((value for value in run.inputs.values() if type(value) in FLOWING), None)
    if not kinds:
        return None
    given = _given(run, *kinds)
    if given is not None:
        return given
    return Weights(files) if kinds[0] is Weights else _MADE_UP[kinds[0]](run)


def _given(run: NodeRun, *kinds: type) -> Any:
    return next((value for value in run.inputs.values() if type(value) in kinds), None)


def _picture(run: NodeRun, count: int = 1) -> Images:
    width, height = (_side(run, name) for name in ("width", "height"))
    artwork = Artwork("made up", _words(run), 0, is_film=count > 1)
    return Images(width, height, count, lambda index: run.painter.paint(artwork, width, height, index, count))


def _film(run: NodeRun) -> Video:
    return Video(_given(run, Images) or _picture(run, FRAMES))


def _latent(run: NodeRun) -> Latent:
    images: Images | None = _given(run, Images)
    if images is None:
        return Latent(_side(run, "width"), _side(run, "height"), (0,))
    return Latent(images.width, images.height, tuple(range(images.count)), source=images)


_MADE_UP: dict[type, Callable[[NodeRun], Any]] = {
    Images: _picture,
    Video: _film,
    Latent: _latent,
    Mask: lambda run: Mask(_side(run, "width"), _side(run, "height")),
    Conditioning: lambda run: Conditioning(_words(run)),
    str: lambda run: "",
    int: lambda run: SIDE,
    float: lambda run: 1.0,
    bool: lambda run: False,
}


def _words(run: NodeRun) -> str:
    return max((value for value in run.inputs.values() if isinstance(value, str)), key=len, default="")


def _side(run: NodeRun, name: str) -> int:
    side = run.inputs.get(name)
    return max(64, min(side, 2048)) if isinstance(side, int) else SIDE
