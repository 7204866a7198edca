"""Timing several things fairly: they take turns, so that what disturbs one disturbs all."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

Work: TypeAlias = Callable[[], Awaitable[object]]


async def seconds(work: Work) -> float:
    """How long it took."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def taking_turns(rounds: int, works: Mapping[str, Work]) -> dict[str, list[float]]:
    """The seconds of each in every round; the order is turned round from one round to the next."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds):
        for name in list(works) if turn % 2 else reversed(list(works)):
            taken[name].append(await seconds(works[name]))
    return taken
