"""How long a sandbox server pretends to work."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds spent waiting, on top of the painting itself.

    load_seconds: at the first loader of a prompt whose files are not in memory; a prompt on the same files skips it.
    step_seconds, film_step_seconds: per sampler step of a picture, of a video.
    class_seconds: per run of a node of that class.
    """

    load_seconds: float = 0.3
    step_seconds: float = 0.08
    film_step_seconds: float = 0.4
    class_seconds: Mapping[str, float] = field(default_factory=lambda: {"CLIPTextEncode": 0.05, "VAEDecode": 0.05})

    @classmethod
    def of(cls, factor: float) -> "Pace":
        """The demo's pace times `factor`; 0 is as quick as possible."""
        base = cls()
        return cls(
            base.load_seconds * factor,
            base.step_seconds * factor,
            base.film_step_seconds * factor,
            {name: seconds * factor for name, seconds in base.class_seconds.items()},
        )
