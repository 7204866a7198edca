"""A check, and the guard around it: one that hangs or breaks is a line of its own, and the others go on."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault


@dataclass(frozen=True, slots=True)
class Check:
    """Looks at one thing. `seconds`: after so long it is given up."""

    subject: str
    look: Callable[[Deployment], Awaitable[list[Line]]]
    seconds: float


async def guarded(check: Check, deployment: Deployment) -> list[Line]:
    """The check's lines, or one that says why there are none."""
    try:
        async with asyncio.timeout(check.seconds):
            return await check.look(deployment)
    except TimeoutError:
        text = f"no answer within {check.seconds:g} s: given up"
        return [fault(check.subject, text, "see whether what it asks hangs; nothing is known of it")]
    except Exception as error:  # noqa: BLE001 - whatever breaks one check is said, and is no reason to skip the others
        text = f"the check itself broke ({type(error).__name__})"  # without its words: they may hold a password
        return [fault(check.subject, text, "nothing is known of it; report this line, it is a fault of veilrun")]
