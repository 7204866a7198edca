"""Real mp4 files: h264, yuv420p, index at the front so that a browser can start playing at once."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream
from PIL import Image

from runtime.sandbox.comfyui.values import Images


def write_mp4(path: Path, images: Images, fps: Fraction, texts: Mapping[str, str]) -> None:
    """One frame per picture. `texts` become tags of the file, as ComfyUI stores the graph.

    Raises: av.error.FFmpegError, for example for an odd width or height.
    """
    options = {"movflags": "use_metadata_tags+faststart"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        container.metadata.update(texts)
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "20"})
        if not isinstance(stream, VideoStream):
            raise TypeError(f"no video stream but {type(stream).__name__}")
        stream.width, stream.height, stream.pix_fmt = images.width, images.height, "yuv420p"
        for index in range(images.count):
            container.mux(stream.encode(_frame(images.paint(index))))
        container.mux(stream.encode())


def _frame(picture: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    return frame
