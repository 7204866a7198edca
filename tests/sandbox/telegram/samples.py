"""Pictures and films made on the spot."""

import io

import av
from PIL import Image


def picture(width: int = 640, height: int = 480, colour: str = "teal", form: str = "PNG") -> bytes:
    """An image file of one colour."""
    target = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(target, form)
    return target.getvalue()


def film(width: int = 160, height: int = 90, seconds: int = 2) -> bytes:
    """A small MP4 whose picture changes."""
    target = io.BytesIO()
    with av.open(target, mode="w", format="mp4") as container:
        stream = container.add_stream("h264", rate=8)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(8 * seconds):
            still = Image.new("RGB", (width, height), (number * 15 % 255, 90, 160))
            container.mux(stream.encode(av.VideoFrame.from_image(still)))
        container.mux(stream.encode())
    return target.getvalue()
