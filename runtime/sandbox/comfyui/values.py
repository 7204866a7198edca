"""What flows along the links of a graph: stand-ins for tensors, light to keep and painted only when looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from PIL import Image


@dataclass(frozen=True, slots=True)
class Weights:
    """A loaded MODEL, CLIP, VAE or UPSCALE_MODEL: the files it came from."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Images:
    """A batch of pictures of one size. `paint(index)` gives an RGB picture; nothing is kept."""

    width: int
    height: int
    count: int
    paint: Callable[[int], Image.Image]

    @classmethod
    def of(cls, pictures: Sequence[Image.Image]) -> "Images":
        width, height = pictures[0].size
        return cls(width, height, len(pictures), lambda index: pictures[index])

    def mapped(self, change: Callable[[Image.Image], Image.Image], width: int, height: int) -> "Images":
        """The same batch with every picture changed to one of width x height."""
        return Images(width, height, self.count, lambda index: change(self.paint(index)))

    def picked(self, indices: Sequence[int]) -> "Images":
        return Images(self.width, self.height, len(indices), lambda index: self.paint(indices[index]))

    def __str__(self) -> str:
        return f"tensor(shape=({self.count}, {self.height}, {self.width}, 3))"


@dataclass(frozen=True, slots=True)
class Mask:
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Conditioning:
    """A prompt, and the pictures it speaks of."""

    text: str
    pictures: tuple[Images, ...] = ()


@dataclass(frozen=True, slots=True)
class Artwork:
    """What a sampler made up: everything a painter needs to know."""

    command: str
    prompt: str
    seed: int
    inputs: tuple[Images, ...] = ()
    is_film: bool = False


@dataclass(frozen=True, slots=True)
class Latent:
    """Latent images, in pixels of what they decode to. `source` is what was encoded, `artwork` what was sampled.

    indices: for each item of the batch, which variation of the artwork (or picture of the source) it is.
    """

    width: int
    height: int
    indices: tuple[int, ...]
    is_film: bool = False
    source: Images | None = None
    artwork: Artwork | None = None

    def picked(self, indices: Sequence[int]) -> "Latent":
        return replace(self, indices=tuple(indices))

    def __str__(self) -> str:
        return f"{{'samples': tensor(shape=({len(self.indices)}, 16, {self.height // 8}, {self.width // 8}))}}"


@dataclass(frozen=True, slots=True)
class Video:
    images: Images
    fps: Fraction = field(default=Fraction(24))


VALUE_TYPES: dict[str, type] = {
    "MODEL": Weights,
    "CLIP": Weights,
    "VAE": Weights,
    "UPSCALE_MODEL": Weights,
    "IMAGE": Images,
    "MASK": Mask,
    "CONDITIONING": Conditioning,
    "LATENT": Latent,
    "VIDEO": Video,
    "STRING": str,
    "INT": int,
    "FLOAT": float,
    "BOOLEAN": bool,
}
"""Link type -> Python type of its values."""
