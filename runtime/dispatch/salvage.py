"""What can be understood of JSON that is not quite as documented: the odd fields are left out, not the whole of it.

Telegram adds to its objects; other Bot API servers write `null` for what is absent, 1.0 for 1, half a surrogate pair.
None of that may keep a command from its effect, or hold up a chat.
"""

import json
import re
import types
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from runtime.api import VeilrunError

Kind = TypeVar("Kind", bound=msgspec.Struct)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL's text takes no NUL, UTF-8 no lone surrogate."""


class NotUnderstood(VeilrunError):
    """The JSON has not even what every such object must have: it can never take effect."""


def is_clean(body: bytes) -> bool:
    """Whether no string in the JSON can hold a NUL."""
    return b"\\u0000" not in body


def salvaged(body: bytes, kind: type[Kind], odd: Exception | None = None) -> Kind:
    """The `kind` in `body` without the fields that do not fit. `odd` is what reading it as it is gave.

    Raises: NotUnderstood.
    """
    try:
        return _struct(_clean(json.loads(body.decode("utf-8", "replace"))), kind)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood("the update has an unexpected shape") from (odd or error)


def _clean(value: Any) -> Any:
    match value:
        case str():
            return _UNSTORABLE.sub("", value)
        case list():
            return [_clean(item) for item in value]
        case dict():
            return {key: _clean(item) for key, item in value.items()}
    return value


def _struct(value: Any, kind: type[Kind]) -> Kind:
    if not isinstance(value, dict):
        raise msgspec.ValidationError(f"no {kind.__name__}")
    fitting: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        try:
            fitting[field.name] = _value(value[field.encode_name], field.type)
        except (KeyError, msgspec.ValidationError) as error:
            if field.required:
                raise msgspec.ValidationError(f"{kind.__name__} has no {field.encode_name}") from error
    return kind(**fitting)


def _value(value: Any, kind: Any) -> Any:
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType) and value is not None:
        kind = next(choice for choice in choices if choice is not types.NoneType)
        return _value(value, kind)
    if origin is tuple and isinstance(value, list):
        return tuple(found for item in value for found in _if_any(item, choices[0]))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(value, kind)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return msgspec.convert(value, kind, strict=False)


def _if_any(value: Any, kind: Any) -> list[Any]:
    try:
        return [_value(value, kind)]
    except msgspec.ValidationError:
        return []
