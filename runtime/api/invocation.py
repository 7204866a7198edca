"""What hooks receive: one call of a command, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from runtime.api.parameters import Value
from runtime.api.workflow import Kind


@dataclass(frozen=True, slots=True)
class Medium:
    """A picture or video as a plugin sees it: what it is, never its content. Sizes in pixels, bytes, seconds."""

    kind: Kind
    media_type: str
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a command.

    arguments: parameter name -> value, defaults and seed filled in. inputs: the pictures it works on.
    uploads: the names of those pictures on the backend, in the same order; empty before the graph is built.
    config: the plugin's own `config` from the registry.
    """

    command: str
    arguments: Mapping[str, Value]
    variant: str | None = None
    inputs: tuple[Medium, ...] = ()
    uploads: tuple[str, ...] = ()
    user_id: int | None = None
    chat_id: int | None = None
    job_id: int | None = None
    config: Mapping[str, object] = field(default_factory=dict)

    def amended(self, **arguments: Value) -> "Invocation":
        """The same call with some arguments replaced."""
        return replace(self, arguments={**self.arguments, **arguments})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended. `error` is the class name of what went wrong; `run_seconds` the time on the GPU."""

    state: Literal["collected", "failed", "cancelled", "dead"]
    backend: str | None = None
    run_seconds: float | None = None
    outputs: tuple[Medium, ...] = ()
    error: str | None = None
