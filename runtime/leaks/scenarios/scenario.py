"""What a scenario is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from runtime.leaks.stage import SERVICE, Stage

Sight = Literal["packets", "questions", "trapped", "strays"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that may happen to a client. play: makes it happen; what it notes on the stage is judged afterwards.

    names: the hosts that the proxy may be asked for meanwhile. must_see: for a control, what its leak must show up as.
    """

    name: str
    play: Callable[[Stage], Awaitable[None]]
    names: frozenset[str] = field(default=frozenset({SERVICE}))
    must_see: frozenset[Sight] = frozenset()


NO_NAMES: frozenset[str] = frozenset()
"""For scenarios in which even the proxy must not be asked."""
