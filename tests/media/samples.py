"""Pictures and videos made on the spot, with metadata that must not survive."""

import os
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

SECRET = "an astronaut in my garden"


def picture(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue: turning it shows."""
    image = Image.new("RGB", size, (30, 60, 220))
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 2 - 1, size[1]), fill=(220, 40, 30))
    return image.convert(mode)


def noise(size: tuple[int, int]) -> Image.Image:
    """What no encoder can make small."""
    return Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_with_prompt(image: Image.Image | None = None) -> bytes:
    """As ComfyUI saves it: the graph in text chunks, plain and compressed, and EXIF."""
    texts = PngInfo()
    texts.add_text("prompt", SECRET)
    texts.add_text("workflow", SECRET * 20, zip=True)
    texts.add_itxt("note", SECRET)
    return encoded(image or picture(), "PNG", pnginfo=texts, exif=exif())


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = SECRET
    return tags.tobytes()


def animation(kind: str, **options: object) -> bytes:
    frames = [picture(), picture().rotate(180)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, loop=0, **options)


def mp4(size: tuple[int, int] = (64, 48), frames: int = 8, rate: int = 16, container: str = "mp4") -> bytes:
    """As ComfyUI's SaveVideo writes it: prompt and workflow in the container's metadata."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        codec = "vp9" if container == "webm" else "h264"
        with av.open(str(path), "w", format=container, options={"movflags": "use_metadata_tags"}) as target:
            target.metadata["prompt"] = SECRET
            stream = target.add_stream(codec, rate=Fraction(rate))
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.metadata["title"] = SECRET
            for number in range(frames):
                image = picture(size)
                image.putpixel((number, 0), (255, 255, 255))
                frame = av.VideoFrame.from_image(image)
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
        return path.read_bytes()


def audio_only() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "audio"
        with av.open(str(path), "w", format="mp4") as target:
            stream = target.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 8000, 0
            target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
        return path.read_bytes()


def pixels(content: bytes) -> list[bytes]:
    """Every frame, decoded."""
    with Image.open(BytesIO(content)) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(image.convert("RGBA").tobytes())
        return found
