"""Looks at a deployment and says, thing by thing, whether it is as it should be. Starts and changes nothing.

A check is a function of a Deployment that gives lines; a new one is added to CHECKS.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from runtime.doctor.anon import check_anon
from runtime.doctor.backends import check_backends
from runtime.doctor.database import check_database
from runtime.doctor.deployment import Deployment
from runtime.doctor.leaks import leak_lines
from runtime.doctor.line import Level, Line, ok
from runtime.doctor.registry import read_registry
from runtime.doctor.state_dir import check_state_dir
from runtime.settings import Settings

Check: TypeAlias = Callable[[Deployment], Awaitable[list[Line]]]

CHECKS: tuple[Check, ...] = (check_database, check_state_dir, check_anon, check_backends)


async def diagnose(settings: Settings, *, leaks: bool = False) -> AsyncIterator[Line]:
    """Every check's lines, as they come. leaks: play the leak battery too."""
    yield ok("settings", "read from the environment")
    registry, lines = read_registry(settings)
    for line in lines:
        yield line
    deployment = Deployment(settings, registry)
    for check in CHECKS:
        for line in await check(deployment):
            yield line
    if leaks:
        async for line in leak_lines():
            yield line


__all__ = ["CHECKS", "Check", "Deployment", "Level", "Line", "diagnose"]
