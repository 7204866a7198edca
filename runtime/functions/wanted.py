"""What a caller asks for, read and checked: from a JSON body, or from the fields of a form."""

import base64
import binascii
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.api import BadArgument, Command, ImageInput, Parameter, Size, Text, Value
from runtime.dispatch.arguments import Arguments, cleaned, filled
from runtime.dispatch.later import LONGEST_SECONDS
from runtime.functions.errors import Fault, Invalid, TooLarge
from runtime.functions.schema import LARGEST_ID, checked

IMAGE_BYTES = 20 * 1024 * 1024
"""The largest picture that is taken, as in a chat."""

BODY_KEYS = ("arguments", "variant", "images", "callback_url", "delay_seconds")
FORM_KEYS = ("variant", "callback_url", "delay_seconds")


@dataclass(frozen=True, slots=True)
class Image:
    """A picture to work on: the number of an artifact, or its content."""

    artifact_id: int | None = None
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One invocation. given: the arguments that were sent; arguments: those with the rest filled in."""

    command: str
    given: Mapping[str, Value] = field(repr=False)
    arguments: Arguments = field(repr=False)
    images: Sequence[Image] = ()
    callback_url: str | None = field(default=None, repr=False)

    @property
    def digest(self) -> bytes:
        """The same for two requests that ask for the same: SHA-256 over what was sent, however it was written."""
        pictures = [image.artifact_id or hashlib.sha256(image.content or b"").hexdigest() for image in self.images]
        asked = [
            self.command,
            self.arguments.variant,
            dict(self.given),
            pictures,
            self.callback_url,
            self.arguments.delay_seconds,
        ]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def from_json(command: Command, body: Any) -> Wanted:
    """What the JSON body asks for. Raises: Invalid, TooLarge."""
    if not isinstance(body, dict):
        raise Invalid([Fault("body", "must be an object")])
    faults = [Fault(_shown(name), "is not known") for name in body if name not in BODY_KEYS]
    arguments = body.get("arguments", {})
    given: dict[str, Value] = {}
    if isinstance(arguments, dict):
        for name, value in arguments.items():
            try:
                given[name] = checked(_parameter(command, name), value)
            except BadArgument as error:
                faults.append(Fault(f"arguments.{_shown(name)}", _plain(error)))
    else:
        faults.append(Fault("arguments", "must be an object"))
    images = [*_images(body.get("images", []), faults)]
    delay = body.get("delay_seconds", 0)
    return _wanted(command, given, images, body.get("variant"), body.get("callback_url"), delay, faults)


def from_form(command: Command, fields: Sequence[tuple[str, str | bytes]]) -> Wanted:
    """What the fields of a form ask for: arguments by name, written as in a chat; pictures under the name of the
    command's picture, as files (bytes here) or as numbers of artifacts. Raises: Invalid.
    """
    faults: list[Fault] = []
    images: list[Image] = []
    texts: defaultdict[str, list[str]] = defaultdict(list)
    picture = command.image_input.name if command.image_input else None
    for name, value in fields:
        if name == picture:
            images.append(_form_image(name, value, faults))
        elif isinstance(value, bytes):
            faults.append(Fault(_shown(name), "takes no file"))
        else:
            texts[name].append(value)
    names = {parameter.name for parameter in command.parameters}
    options = {name: texts.pop(name)[-1] for name in FORM_KEYS if name in texts and name not in names}
    given: dict[str, Value] = {}
    for name, written in texts.items():
        try:
            given[name] = _parsed(_parameter(command, name), written)
        except BadArgument as error:
            faults.append(Fault(_shown(name), _plain(error)))
    delay: Any = options.get("delay_seconds", "0")
    try:
        delay = float(delay)
    except ValueError:
        delay = None
    return _wanted(command, given, images, options.get("variant"), options.get("callback_url"), delay, faults)


def _wanted(
    command: Command,
    given: Mapping[str, Value],
    images: Sequence[Image],
    variant: Any,
    callback_url: Any,
    delay: Any,
    faults: list[Fault],
) -> Wanted:
    faults += _faults_of_options(command, variant, callback_url, delay)
    faulty = {fault.at for fault in faults}
    for parameter in command.parameters:
        is_needed = isinstance(parameter, Text) and parameter.positional and parameter.default is None
        at = f"arguments.{parameter.name}"
        if is_needed and parameter.name not in given and not faulty & {at, parameter.name, "arguments"}:
            faults.append(Fault(at, "is required"))
    wanted = command.image_input
    low, high = (wanted.low, wanted.high) if wanted else (0, 0)
    if not any(at.startswith("images") for at in faulty) and not low <= len(images) <= high:
        faults.append(Fault("images", _count(command, low, high)))
    if faults:
        raise Invalid(faults)
    arguments = filled(command, variant, given, delay_seconds=float(delay))
    return Wanted(command.name, given, arguments, tuple(images), callback_url)


def _faults_of_options(command: Command, variant: Any, callback_url: Any, delay: Any) -> Iterator[Fault]:
    variants = [known.name for known in command.variants]
    if variant is not None and variant not in variants:
        takes = f"must be one of {', '.join(variants)}" if variants else f"{command.name} has no variants"
        yield Fault("variant", takes)
    if callback_url is not None and not isinstance(callback_url, str):
        yield Fault("callback_url", "must be text")
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= LONGEST_SECONDS:
        yield Fault("delay_seconds", f"must be a number from 0 to {LONGEST_SECONDS:.0f}")


def _parameter(command: Command, name: str) -> Parameter:
    """The parameter of this name that is not a picture. Raises: BadArgument."""
    known = {p.name: p for p in command.parameters if not isinstance(p, ImageInput)}
    if name not in known:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise BadArgument(f"{command.name} has no such parameter; {takes}")
    return known[name]


def _parsed(parameter: Parameter, written: Sequence[str]) -> Value:
    """The value of one field, or of two for a size. Raises: BadArgument."""
    if isinstance(parameter, Size) and len(written) == 2:
        written = ["x".join(written)]
    if len(written) > 1:
        raise BadArgument("is there twice")
    return parameter.parse(cleaned(written[0]), parameter.name)


def _images(given: Any, faults: list[Fault]) -> Iterator[Image]:
    if not isinstance(given, list):
        faults.append(Fault("images", "must be a list"))
        return
    for number, one in enumerate(given):
        at = f"images[{number}]"
        match one:
            case {"artifact_id": int(artifact_id), **rest} if not rest and not isinstance(artifact_id, bool):
                if 1 <= artifact_id <= LARGEST_ID:
                    yield Image(artifact_id)
                    continue
                faults.append(Fault(f"{at}.artifact_id", "is no number of an artifact"))
            case {"base64": str(text), **rest} if not rest:
                try:
                    yield Image(content=_decoded(text))
                    continue
                except (binascii.Error, ValueError):
                    faults.append(Fault(f"{at}.base64", "is no base64"))
            case _:
                faults.append(Fault(at, "must be an object with artifact_id or base64"))


def _decoded(text: str) -> bytes:
    """Also of a `data:` URL, as browsers make them. Raises: ValueError, TooLarge."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) > IMAGE_BYTES * 4 // 3 + 4:
        raise TooLarge(f"a picture has {IMAGE_BYTES // 2**20} MB at most")
    return base64.b64decode(text, validate=True)


def _form_image(name: str, value: str | bytes, faults: list[Fault]) -> Image:
    if isinstance(value, bytes):
        return Image(content=value)
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= LARGEST_ID:
        return Image(int(text))
    faults.append(Fault(_shown(name), "must be a file, or the number of an artifact"))
    return Image(1)


def _count(command: Command, low: int, high: int) -> str:
    if high == 0:
        return f"{command.name} takes no pictures"
    return f"{command.name} takes {low} to {high} pictures" if low != high else f"{command.name} takes {low} picture(s)"


def _plain(error: BadArgument) -> str:
    """The text without the dashes that options have in a chat."""
    return str(error).removeprefix("--")


def _shown(name: str) -> str:
    return name if len(name) <= 64 else f"{name[:63]}…"
