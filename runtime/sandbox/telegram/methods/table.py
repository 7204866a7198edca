"""The table of methods: a name of the Bot API to the function that performs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runtime.sandbox.telegram.attachments import Attachments
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import ApiError
from runtime.sandbox.telegram.state import World


@dataclass(frozen=True, slots=True)
class Bench:
    """What a method works on."""

    world: World
    attachments: Attachments


@dataclass(frozen=True, slots=True)
class Answer:
    """A result with the `description` that webhook calls add to it."""

    result: Any
    description: str


Method = Callable[[Bench, Call], Awaitable[Any]]
_METHODS: dict[str, tuple[str, Method]] = {}


def method(name: str) -> Callable[[Method], Method]:
    """Register a function as the Bot API method `name`."""

    def register(function: Method) -> Method:
        _METHODS[name.lower()] = (name, function)
        return function

    return register


def find_method(name: str) -> tuple[str, Method]:
    """A method's proper name and function, any case. Raises: ApiError 404."""
    try:
        return _METHODS[name.lower()]
    except KeyError:
        raise ApiError(404, "Not Found: method not found") from None


def method_names() -> list[str]:
    """Every method the sandbox has, in the Bot API's spelling."""
    return sorted(name for name, _ in _METHODS.values())
