"""Reading and rewriting videos with PyAV. Everything here takes milliseconds to seconds: call from a thread."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from runtime.media.errors import BrokenMedium, MediumTooLarge, UnknownMedium
from runtime.media.sniff import sniff

THUMBNAIL_SIDE = 320
THUMBNAIL_BYTES = 200_000
MAX_FRAME_PIXELS = 50_000_000
_CONTAINERS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
}


@contextmanager
def open_video(content: bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first video stream; errors within the context are made ours.

    Raises: UnknownMedium, BrokenMedium.
    """
    media_type = sniff(content)
    if media_type not in _CONTAINERS:
        raise UnknownMedium("this is no video that can be read; send MP4")
    try:
        with av.open(BytesIO(content), mode="r") as container:
            if not len(container.streams):
                raise BrokenMedium("the video is damaged or cut short")
            if not container.streams.video:
                raise UnknownMedium("this file holds no video stream")
            yield container, container.streams.video[0]
    except (av.FFmpegError, ValueError) as error:
        raise BrokenMedium("the video is damaged or cut short") from error


def strip_video(content: bytes) -> bytes:
    """The same video and audio packets in a fresh container without metadata, chapters or data streams.

    MP4 gets its index in front, so that it plays while it loads. Needs a temporary file, which is removed at once.

    Raises: UnknownMedium, BrokenMedium.
    """
    with (
        open_video(content) as (source, _),
        tempfile.TemporaryDirectory(prefix="veilrun-") as folder,
    ):
        path = Path(folder) / "stripped"
        container_format = _CONTAINERS[sniff(content) or ""]
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        with av.open(str(path), mode="w", format=container_format, options=options) as target:
            _copy_packets(source, target)
        return path.read_bytes()


def _copy_packets(source: InputContainer, target: OutputContainer) -> None:
    copies = {
        stream.index: target.add_stream_from_template(stream)
        for stream in source.streams
        if stream.type in ("video", "audio")
    }
    for packet in source.demux():
        if packet.stream.index in copies and packet.size:  # the last packet of a stream is empty: a flush
            packet.stream = copies[packet.stream.index]
            target.mux(packet)


def thumbnail(content: bytes) -> bytes:
    """The first frame as JPEG, at most 320 px on its longer side and below 200 kB, as the Bot API wants it.

    Raises: UnknownMedium, BrokenMedium, MediumTooLarge.
    """
    with open_video(content) as (container, stream):
        if stream.width * stream.height > MAX_FRAME_PIXELS:
            raise MediumTooLarge(f"the video has frames of {stream.width}x{stream.height} pixels")
        frame = next(container.decode(stream), None)
        if frame is None:
            raise BrokenMedium("the video has no frame")
        image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    for quality in (85, 70, 50, 30):
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() < THUMBNAIL_BYTES:
            break
    return buffer.getvalue()
