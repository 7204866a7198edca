"""Looks at a deployment and says, thing by thing, whether it is as it should be. Starts and changes nothing.

A check is a function of a Deployment that gives lines; a new one is added to CHECKS. They run side by side, each with a
deadline, and their lines come in the order of CHECKS.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence

from runtime.doctor.anon import check_anon
from runtime.doctor.backends import SECONDS, check_backends
from runtime.doctor.broker import check_broker
from runtime.doctor.check import Check, guarded
from runtime.doctor.clock import clock_lines
from runtime.doctor.database import check_database
from runtime.doctor.deployment import Deployment
from runtime.doctor.descriptors import check_descriptors
from runtime.doctor.leaks import leak_lines
from runtime.doctor.line import Level, Line
from runtime.doctor.registry import read_registry
from runtime.doctor.settings import check_settings
from runtime.doctor.state_dir import check_state_dir
from runtime.doctor.telegram import check_telegram
from runtime.settings import Settings

SETTINGS = Check("settings", check_settings, 5.0)
"""Comes first, since all others go by them."""

CHECKS: tuple[Check, ...] = (
    Check("database", check_database, 15.0),
    Check("broker", check_broker, 20.0),
    Check("telegram", check_telegram, 75.0),
    Check("state folder", check_state_dir, 10.0),
    Check("file descriptors", check_descriptors, 5.0),
    Check("anon", check_anon, 30.0),
    Check("backends", check_backends, max(SECONDS.values()) + 5.0),
)


async def diagnose(
    settings: Settings,
    *,
    leaks: bool = False,
    environment: Mapping[str, str] | None = None,
    checks: Sequence[Check] = CHECKS,
) -> AsyncIterator[Line]:
    """Every check's lines, as soon as those before them are there. leaks: play the leak battery too."""
    surroundings = os.environ if environment is None else environment
    for line in await guarded(SETTINGS, Deployment(settings, None, surroundings)):
        yield line
    registry, lines = await read_registry(settings)
    for line in lines:
        yield line
    deployment = Deployment(settings, registry, surroundings)
    tasks = [asyncio.create_task(guarded(check, deployment), name=f"doctor-{check.subject}") for check in checks]
    try:
        for task in tasks:
            for line in await task:
                yield line
        for line in clock_lines(deployment.clocks, needs_anon=deployment.needs_anon):
            yield line
    finally:
        for task in tasks:
            task.cancel()
    if leaks:
        async for line in leak_lines():
            yield line


__all__ = ["CHECKS", "Check", "Deployment", "Level", "Line", "diagnose"]
