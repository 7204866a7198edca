"""What a command takes, as JSON Schema (2020-12) generated from its parameters; and values of JSON checked against it.

The two are beside each other because they must say the same.
"""

from collections.abc import Mapping
from typing import Any

from runtime.api import (
    BadArgument,
    Choice,
    Command,
    Duration,
    Float,
    ImageInput,
    Integer,
    Parameter,
    Seed,
    Size,
    Text,
    Value,
)
from runtime.api.parameters import SEED_MAX
from runtime.dispatch.arguments import cleaned
from runtime.dispatch.later import LONGEST_SECONDS

URL_LENGTH = 2048
LARGEST_ID = 2**63 - 1

SEEN = r"[^\s\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
"""Text in which something is left without the characters that `cleaned` takes out."""


def request_schema(command: Command, *, has_callbacks: bool = True) -> dict[str, Any]:
    """The body of an invocation of `command`. has_callbacks: whether result webhooks can be asked for."""
    wanted = command.image_input
    properties: dict[str, Any] = {"arguments": arguments_schema(command)}
    required = ["arguments"] if properties["arguments"]["required"] else []
    if command.variants:
        meanings = "; ".join(f"{variant.name}: {variant.summary}" for variant in command.variants)
        names = [variant.name for variant in command.variants]
        properties["variant"] = {"enum": [*names, None], "description": meanings}
    if wanted is not None:
        properties["images"] = images_schema(wanted.low, wanted.high)
        properties["images"]["description"] = wanted.summary
        required += ["images"] if wanted.low else []
    properties |= json_options(has_callbacks)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def arguments_schema(command: Command) -> dict[str, Any]:
    """The arguments of `command`, by parameter name."""
    parameters = [p for p in command.parameters if not isinstance(p, ImageInput)]
    return {
        "type": "object",
        "properties": {parameter.name: parameter_schema(parameter) for parameter in parameters},
        "required": [p.name for p in parameters if isinstance(p, Text) and p.positional and p.default is None],
        "additionalProperties": False,
    }


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """The values that the parameter takes. Of a kind that is not ours only its name is known: its `check` decides."""
    schema = _kind(parameter)
    if parameter.summary:
        schema["description"] = parameter.summary
    default = parameter.initial()
    if default is not None and not isinstance(parameter, Seed):
        schema["default"] = default
    return schema


def _kind(parameter: Parameter) -> dict[str, Any]:
    match parameter:
        case Text(max_length=longest):
            return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": SEEN}
        case Choice(choices=choices):
            return {"enum": list(choices)}
        case Integer(low=low, high=high) | Float(low=low, high=high) | Duration(low=low, high=high):
            kind = "integer" if isinstance(parameter, Integer) else "number"
            return {"type": kind, "minimum": low, "maximum": high}
        case Seed():
            return {"type": "integer", "minimum": 0, "maximum": SEED_MAX}
        case Size():
            side = {"type": "integer", "minimum": parameter.low, "maximum": parameter.high}
            side["multipleOf"] = parameter.multiple_of
            return {"type": "array", "items": side, "minItems": 2, "maxItems": 2, "examples": [list(parameter.default)]}
    return {}


def images_schema(low: int, high: int) -> dict[str, Any]:
    """Pictures to work on, by number of an artifact or with their content."""
    one = {
        "oneOf": [
            {
                "type": "object",
                "properties": {"artifact_id": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}},
                "required": ["artifact_id"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
                "required": ["base64"],
                "additionalProperties": False,
            },
        ]
    }
    return {"type": "array", "items": one, "minItems": low, "maxItems": high}


def options(has_callbacks: bool) -> dict[str, Any]:
    """What every function takes beside its arguments."""
    return {name: schema for name, schema in _OPTIONS.items() if has_callbacks or name != "callback_url"}


def json_options(has_callbacks: bool) -> dict[str, Any]:
    """The same in JSON, where null is nothing."""
    found = options(has_callbacks)
    if has_callbacks:
        found["callback_url"] = found["callback_url"] | {"type": ["string", "null"]}
    return found


_OPTIONS: Mapping[str, Any] = {
    "callback_url": {
        "type": "string",
        "format": "uri",
        "maxLength": URL_LENGTH,
        "description": "where the result webhook goes when the job is over",
    },
    "delay_seconds": {
        "type": "number",
        "minimum": 0,
        "maximum": LONGEST_SECONDS,
        "description": "how much later to start",
    },
}


def checked(parameter: Parameter, value: Any) -> Value:
    """`value`, as JSON has it, if the parameter takes it. Raises: BadArgument."""
    if isinstance(parameter, Text) and isinstance(value, str):
        value = cleaned(value)
    try:
        return parameter.check(_of_its_type(parameter, value))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:  # a kind of a third party's
        raise BadArgument(f"{parameter.name} does not take this") from error


def _of_its_type(parameter: Parameter, value: Any) -> Any:
    """What a chat would write for "4" and 4 is the same; over HTTP types count."""
    match parameter:
        case Text() if not isinstance(value, str):
            raise BadArgument(f"{parameter.name} must be text")
        case Choice(choices=choices) if value not in choices or not isinstance(value, str):
            raise BadArgument(f"{parameter.name} must be one of {', '.join(choices)}")
        case Integer() | Seed():
            return _whole(parameter.name, value)
        case Float() | Duration() if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadArgument(f"{parameter.name} must be a number")
        case Size():
            if not isinstance(value, list) or len(value) != 2:
                raise BadArgument(f"{parameter.name} must be [width, height]")
            return [_whole(parameter.name, side) for side in value]
    return value


def _whole(name: str, value: Any) -> int:
    """1.0 is a whole number, by JSON Schema."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise BadArgument(f"{name} must be a whole number")
    return int(value)
