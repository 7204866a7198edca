"""Reading what a client sends: as much as is allowed, in the time that it may take."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from runtime.comfyui.client import SLOWEST_UPLOAD
from runtime.gate.answers import refused

SMALL_BYTES = 256 * 1024
BODY_SECONDS = 60.0
"""For a body to begin, on top of what its size takes."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def identifier(value: object) -> str | None:
    """The id of a prompt or a client, None if it is none.

    It becomes part of a path to ComfyUI, so it holds nothing that leads elsewhere there.
    """
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


async def document(request: web.Request, limit_bytes: int = SMALL_BYTES) -> dict[str, Any]:
    """The JSON object in the body. Raises: web.HTTPException."""
    async with arriving(limit_bytes):
        body = await request.clone(client_max_size=limit_bytes).read()
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise refused(web.HTTPForbidden, "the body is a JSON object")
    return asked


@contextlib.asynccontextmanager
async def arriving(size_bytes: int) -> AsyncIterator[None]:
    """The time in which a body of that size is to be here. Raises: web.HTTPRequestTimeout."""
    try:
        async with asyncio.timeout(BODY_SECONDS + size_bytes / SLOWEST_UPLOAD):
            yield
    except TimeoutError as error:
        raise refused(web.HTTPRequestTimeout, "the body does not arrive") from error
