"""The typed arguments of a command: how each is written in a chat, checked, and handed to the graph.

Every value is plain JSON (str, int, float, or `[width, height]`), so that it can be stored with the job and read back.
"""

import math
import re
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from runtime.api.errors import BadArgument, DeclarationError

Scalar: TypeAlias = str | int | float
Value: TypeAlias = Scalar | list[int]

SEED_MAX = 2**64 - 1  # ComfyUI refuses 2**64 and -1 (POST /prompt, value_bigger_than_max)
OPTION = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Parameter(ABC):
    """One argument. `name` is the key in `Workflow.bind`, in the job and, as `--name`, in the chat."""

    name: str
    summary: str = ""

    def __post_init__(self) -> None:
        for option in (self.name, *self.options):
            if not OPTION.fullmatch(option):
                raise DeclarationError(
                    f"parameter {option!r}: a name is lower case letters, digits and -, e.g. 'steps'"
                )

    @property
    def options(self) -> tuple[str, ...]:
        """The option names a user may write, without the dashes."""
        return (self.name,)

    @property
    @abstractmethod
    def usage(self) -> str:
        """How it is written, for the help text: `--steps 1..20`."""

    @abstractmethod
    def parse(self, text: str, option: str) -> Value:
        """The value of `text` as written after `--option`. Raises: BadArgument."""

    def initial(self) -> Value | None:
        """The value when the user gives none; None if there is none to give."""
        return getattr(self, "default", None)

    def check(self, value: Value) -> Value:
        """`value` if it is one this parameter could have produced (a default in YAML, JSON from HTTP).

        Raises: BadArgument.
        """
        return self.parse(self.written(value), self.name)

    def written(self, value: Value) -> str:
        """`value` as a user would write it."""
        return str(value)

    def components(self, value: Value) -> tuple[Scalar, ...]:
        """What goes into the graph: one scalar for each comma-separated place of its binding."""
        if isinstance(value, list):
            return tuple(value)
        return (value,)


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    """Free text. As an option it takes a quoted string, or everything up to the next option."""

    default: str | None = None
    max_length: int = 4000
    positional: bool = False

    def __post_init__(self) -> None:
        super(Text, self).__post_init__()
        if self.default is not None:
            try:
                self.check(self.default)
            except BadArgument as error:
                raise DeclarationError(f"{self.name}: the default does not fit: {error}") from error

    @property
    def options(self) -> tuple[str, ...]:
        return () if self.positional else (self.name,)

    @property
    def usage(self) -> str:
        return f"<{self.name}>" if self.positional else f"--{self.name} <text>"

    def parse(self, text: str, option: str) -> Value:
        text = text.strip()
        if not text:
            raise BadArgument(f"{self.name} is empty")
        if len(text) > self.max_length:
            raise BadArgument(f"{self.name} is {len(text)} characters long, {self.max_length} are allowed")
        return text

    def check(self, value: Value) -> Value:
        if not isinstance(value, str):
            raise BadArgument(f"{self.name} must be text, not {_shortened(repr(value))}")
        return self.parse(value, self.name)


@dataclass(frozen=True, slots=True)
class Prompt(Text):
    """The words that follow the command: required, and never an option."""

    name: str = "prompt"
    summary: str = "what you want to see"
    positional: bool = True


@dataclass(frozen=True, slots=True)
class ImageInput(Parameter):
    """`low` to `high` pictures: sent with the command, replied to, or the user's last result.

    The graph receives the uploaded file's name on the backend. Further pictures are bound by the plugin's
    `build_workflow` hook, which sees all names in `Invocation.uploads`.
    """

    name: str = "image"
    summary: str = "the picture to work on"
    low: int = 1
    high: int = 1

    def __post_init__(self) -> None:
        super(ImageInput, self).__post_init__()
        if not 0 <= self.low <= self.high or self.high < 1:
            raise DeclarationError(
                f"{self.name}: low and high must be 0 <= low <= high, got {self.low} and {self.high}"
            )

    @property
    def options(self) -> tuple[str, ...]:
        return ()

    @property
    def usage(self) -> str:
        return "a picture" if self.high == 1 else f"{self.low} to {self.high} pictures"

    def parse(self, text: str, option: str) -> Value:
        raise BadArgument("pictures are sent or replied to, not written")


@dataclass(frozen=True, slots=True)
class Integer(Parameter):
    """A whole number from `low` to `high`."""

    default: int | None = None
    low: int = 0
    high: int = 2**31 - 1

    def __post_init__(self) -> None:
        super(Integer, self).__post_init__()
        if self.default is not None and not isinstance(self.default, int):
            raise DeclarationError(f"{self.name}: default {self.default!r} is no whole number")
        _check_range(self.name, self.low, self.high, self.default)

    @property
    def usage(self) -> str:
        return f"--{self.name} {self.low}..{self.high}"

    def parse(self, text: str, option: str) -> Value:
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text, re.ASCII):
            raise BadArgument(
                f"--{option} takes a whole number from {self.low} to {self.high}, not {_shortened(text)!r}"
            )
        value = int(text)
        if not self.low <= value <= self.high:
            raise BadArgument(f"--{option} must be from {self.low} to {self.high}, not {value}")
        return value


@dataclass(frozen=True, slots=True)
class Float(Parameter):
    """A number from `low` to `high`."""

    default: float | None = None
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super(Float, self).__post_init__()
        _check_range(self.name, self.low, self.high, self.default)

    @property
    def usage(self) -> str:
        return f"--{self.name} {self.low:g}..{self.high:g}"

    def parse(self, text: str, option: str) -> Value:
        return _number(text, option, self.low, self.high)

    def written(self, value: Value) -> str:
        return _decimal(value)


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """One of a few words, written in any case."""

    choices: tuple[str, ...] = ()
    default: str | None = None

    def __post_init__(self) -> None:
        super(Choice, self).__post_init__()
        if is_text(self.choices):
            raise DeclarationError(f"{self.name}: choices takes several words, like ({self.choices!r},)")
        if not self.choices:
            raise DeclarationError(f"{self.name}: name at least one choice")
        if self.default is not None and self.default not in self.choices:
            raise DeclarationError(f"{self.name}: default {self.default!r} is not one of {', '.join(self.choices)}")

    @property
    def usage(self) -> str:
        return f"--{self.name} {'|'.join(self.choices)}"

    def parse(self, text: str, option: str) -> Value:
        for choice in self.choices:
            if choice.casefold() == text.casefold():
                return choice
        raise BadArgument(f"--{option} must be one of {', '.join(self.choices)}, not {_shortened(text)!r}")


@dataclass(frozen=True, slots=True)
class Size(Parameter):
    """Width and height in pixels: `--size 1024x768`, or `--ar 16:9` at the default's number of pixels.

    Both are multiples of `multiple_of` from `low` to `high`, together at most `max_pixels`. Value: `[width, height]`.
    """

    name: str = "size"
    summary: str = "width x height in pixels"
    default: tuple[int, int] = (1024, 1024)
    low: int = 256
    high: int = 2048
    multiple_of: int = 16
    max_pixels: int = 2048 * 2048

    def __post_init__(self) -> None:
        super(Size, self).__post_init__()
        if self.multiple_of < 1 or self.low % self.multiple_of or self.high % self.multiple_of:
            raise DeclarationError(f"{self.name}: low and high must be multiples of {self.multiple_of}")
        try:
            self._checked(*self.default)
        except (BadArgument, TypeError) as error:
            raise DeclarationError(f"{self.name}: the default does not fit its own bounds: {error}") from error

    @property
    def options(self) -> tuple[str, ...]:
        return (self.name, "ar")

    @property
    def usage(self) -> str:
        return f"--{self.name} {self.default[0]}x{self.default[1]} or --ar 16:9"

    def initial(self) -> Value:
        return list(self.default)

    def written(self, value: Value) -> str:
        if isinstance(value, list | tuple) and len(value) == 2:
            return f"{value[0]}x{value[1]}"
        return str(value)

    def parse(self, text: str, option: str) -> Value:
        if option == "ar":
            return self._of_ratio(text)
        match = re.fullmatch(r"([0-9]{1,5})\s*[x×х*]\s*([0-9]{1,5})", text, re.IGNORECASE)
        if not match:
            raise BadArgument(f"--{option} takes width x height like 1024x768, not {_shortened(text)!r}")
        return self._checked(int(match[1]), int(match[2]))

    def _checked(self, width: int, height: int) -> list[int]:
        for side in (width, height):
            if not self.low <= side <= self.high:
                raise BadArgument(f"--{self.name}: each side must be from {self.low} to {self.high}, not {side}")
        if width % self.multiple_of or height % self.multiple_of:
            near = f"{self._near(width)}x{self._near(height)}"
            raise BadArgument(
                f"--{self.name}: each side must be a multiple of {self.multiple_of}; the nearest is {near}"
            )
        if width * height > self.max_pixels:
            raise BadArgument(f"--{self.name}: {width}x{height} is more than {self.max_pixels} pixels")
        return [width, height]

    def _of_ratio(self, text: str) -> list[int]:
        match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*[:/]\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)", text, re.ASCII)
        if not match or float(match[1]) == 0 or float(match[2]) == 0:
            raise BadArgument(f"--ar takes a ratio like 16:9, not {_shortened(text)!r}")
        ratio = float(match[1]) / float(match[2])
        area = self.default[0] * self.default[1]
        width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if min(width, height) < self.low or max(width, height) > self.high:
            raise BadArgument(f"--ar {text} is too narrow: a side would leave {self.low} to {self.high} pixels")
        near = self._near(width), self._near(height)
        if near[0] * near[1] > self.max_pixels:  # the default is as large as allowed: both sides downwards, then
            near = self._near(width - self.multiple_of / 2), self._near(height - self.multiple_of / 2)
        return self._checked(*near)

    def _near(self, side: float) -> int:
        rounded = round(side / self.multiple_of) * self.multiple_of
        return min(max(rounded, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Seed(Parameter):
    """The number that makes a result repeatable, 0 to 2**64 - 1: random unless given, always told."""

    name: str = "seed"
    summary: str = "repeats a result exactly"

    @property
    def usage(self) -> str:
        return f"--{self.name} <number>"

    def initial(self) -> Value:
        """A new random seed at each call, short enough to be typed again."""
        return secrets.randbelow(2**32)

    def parse(self, text: str, option: str) -> Value:
        if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII) or int(text) > SEED_MAX:
            raise BadArgument(f"--{option} takes a whole number from 0 to 2^64-1, not {_shortened(text)!r}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Duration(Parameter):
    """Length of a video in seconds; the graph receives a number of frames, `frame_step` x k + 1.

    Wan takes 4k + 1 frames: 5 seconds at 16 frames a second are 81.
    """

    name: str = "seconds"
    summary: str = "length of the video"
    default: float = 5.0
    low: float = 1.0
    high: float = 5.0
    fps: float = 16.0
    frame_step: int = 4

    def __post_init__(self) -> None:
        super(Duration, self).__post_init__()
        if self.fps <= 0 or self.frame_step < 1:
            raise DeclarationError(f"{self.name}: fps must be above 0 and frame_step at least 1")
        _check_range(self.name, self.low, self.high, self.default)

    @property
    def usage(self) -> str:
        return f"--{self.name} {self.low:g}..{self.high:g}"

    def parse(self, text: str, option: str) -> Value:
        return _number(re.sub(r"(?<=[0-9])\s*s(ec(onds?)?)?$", "", text), option, self.low, self.high)

    def written(self, value: Value) -> str:
        return _decimal(value)

    def components(self, value: Value) -> tuple[Scalar, ...]:
        if not isinstance(value, int | float):
            raise BadArgument(f"--{self.name} takes a number of seconds, not {value!r}")
        return (round(value * self.fps / self.frame_step) * self.frame_step + 1,)


def is_text(value: object) -> bool:
    """Whether an author wrote ("oil") and meant ("oil",), which Python takes for the letters o, i, l."""
    return isinstance(value, str)


def _decimal(value: Value) -> str:
    """A number without an exponent: 0.00001, never 1e-05."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{Decimal(repr(value)):f}"
    return str(value)


def _number(text: str, option: str, low: float, high: float) -> float:
    if not re.fullmatch(r"[+-]?([0-9]{1,12}(\.[0-9]{0,400})?|\.[0-9]{1,400})", text, re.ASCII):
        raise BadArgument(f"--{option} takes a number from {low:g} to {high:g}, not {_shortened(text)!r}")
    value = float(text)
    if not low <= value <= high:
        raise BadArgument(f"--{option} must be from {low:g} to {high:g}, not {value:g}")
    return value


def _check_range(name: str, low: float, high: float, default: float | None) -> None:
    if not low <= high:
        raise DeclarationError(f"{name}: low {low} is above high {high}")
    if default is not None and not low <= default <= high:
        raise DeclarationError(f"{name}: default {default} is not from {low} to {high}")


def _shortened(text: str, length: int = 24) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
