"""Output nodes: files in the output or temp folder, or frames on the websocket."""

import hashlib
from functools import partial
from typing import Any

from runtime.sandbox.comfyui import png, video
from runtime.sandbox.comfyui.nodes.recipe import NodeFailure, NodeRun, node
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.sockets import PNG
from runtime.sandbox.comfyui.storage import FolderType, NumberedFiles, OutsideFolder
from runtime.sandbox.comfyui.values import Images, Video

CONTAINERS = ("auto", "mp4")
CODECS = ("auto", "h264")


@node("SaveImage")
async def save_images(run: NodeRun) -> NodeResult:
    return await _saved(run, run.inputs["filename_prefix"], "output")


@node("PreviewImage")
async def preview_images(run: NodeRun) -> NodeResult:
    """Files go to temp, which is wiped when the server starts."""
    mark = hashlib.sha256(run.node_id.encode()).hexdigest()[:5]
    return await _saved(run, f"ComfyUI_temp_{mark}", "temp")


@node("SaveAnimatedWEBP")
async def save_webp(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["images"]
    path, entry = _files(run, run.inputs["filename_prefix"], images).take("webp")

    def write() -> None:
        first, *others = [images.paint(index) for index in range(images.count)]
        milliseconds = int(1000 / run.inputs["fps"])
        look: dict[str, Any] = {"lossless": run.inputs["lossless"], "quality": run.inputs["quality"]}
        first.save(path, save_all=True, duration=milliseconds, append_images=others, **look)

    await run.compute(write)
    return NodeResult(shown={"images": [entry], "animated": [images.count != 1]})


@node("SaveVideo")
async def save_video(run: NodeRun) -> NodeResult:
    """The options of these new-style combos are first looked at here."""
    for name, options, kind in (("format", CONTAINERS, "VideoContainer"), ("codec", CODECS, "VideoCodec")):
        if run.inputs[name] not in options:
            raise ValueError(f"{run.inputs[name]!r} is not a valid {kind}")
    film: Video = run.inputs["video"]
    path, entry = _files(run, run.inputs["filename_prefix"], film.images).take("mp4")
    await run.compute(lambda: video.write_mp4(path, film.images, film.fps, run.png_texts))
    return NodeResult(shown={"images": [entry], "animated": [True]})


@node("SaveImageWebsocket")
async def send_images(run: NodeRun) -> NodeResult:
    """Whole PNGs in the frames of previews, without metadata; history shows nothing."""
    images: Images = run.inputs["images"]
    for index in range(images.count):
        picture = await run.compute(partial(_encoded, run, images, index))
        run.report(index, images.count, (picture, PNG))
    return NodeResult()


async def _saved(run: NodeRun, prefix: str, kind: FolderType) -> NodeResult:
    images: Images = run.inputs["images"]
    files = _files(run, prefix, images, kind)

    def write(index: int) -> dict[str, str]:
        path, entry = files.take("png", index)
        path.write_bytes(png.with_text(_encoded(run, images, index), run.png_texts))
        return entry

    entries = [await run.compute(partial(write, index)) for index in range(images.count)]
    return NodeResult(shown={"images": entries})


def _files(run: NodeRun, prefix: str, images: Images, kind: FolderType = "output") -> NumberedFiles:
    try:
        return run.storage.next_output(prefix, images.width, images.height, kind)
    except OutsideFolder as error:
        message = "**** ERROR: Saving image outside the output folder is not allowed."
        raise NodeFailure("Exception", message) from error


def _encoded(run: NodeRun, images: Images, index: int) -> bytes:
    return run.painter.encode(images.paint(index))
