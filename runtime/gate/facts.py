"""What ComfyUI tells of itself."""

import asyncio
import gzip
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from runtime.gate.upstream import LIMIT_BYTES, Upstream


@dataclass(frozen=True, slots=True)
class _ObjectInfo:
    """All node classes as they are told. source: digest of what they were made from. etag: without quotes."""

    source: bytes
    body: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, source: bytes) -> "_ObjectInfo":
        """Raises: ValueError if it is no JSON."""
        body = json.dumps(without_uploads(json.loads(source))).encode()
        packed = gzip.compress(body, compresslevel=6, mtime=0)
        return cls(hashlib.sha256(source).digest(), body, packed, hashlib.sha256(body).hexdigest())


class FactRoutes:
    """Handlers of questions without arguments."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._told: _ObjectInfo | None = None

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """A question that is answered as it is."""
        async with self._upstream.request("GET", request.path) as reply:
            media_type = reply.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip()
            return web.Response(body=await reply.read(), status=reply.status, content_type=media_type)

    async def object_info(self, request: web.Request) -> web.StreamResponse:
        """All node classes: megabytes, so told only when they changed, and packed."""
        async with self._upstream.request("GET", "/object_info") as reply:
            source, status = await reply.read(LIMIT_BYTES), reply.status
        if status != 200:
            return web.Response(status=status)
        told = await self._read(source)
        known = request.if_none_match or ()
        if any(tag.value in (told.etag, "*") for tag in known):
            response = web.Response(status=304)
        elif "gzip" in request.headers.get("Accept-Encoding", ""):
            response = web.Response(body=told.packed, content_type="application/json")
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = web.Response(body=told.body, content_type="application/json")
        response.headers["ETag"] = f'"{told.etag}"'
        response.headers["Vary"] = "Accept-Encoding"
        return response

    async def _read(self, source: bytes) -> _ObjectInfo:
        digest = await asyncio.to_thread(lambda: hashlib.sha256(source).digest())
        if self._told is None or self._told.source != digest:
            try:
                self._told = await asyncio.to_thread(_ObjectInfo.of, source)
            except ValueError as error:
                raise web.HTTPBadGateway from error
        return self._told


def without_uploads(classes: Any) -> Any:
    """/object_info without the names of the files that people uploaded; changed in place.

    A loader of pictures has them as the options of an input that takes uploads (`image_upload` and its like). They are
    others' too, and with each upload the answer would be another.
    """
    for entry in classes.values() if isinstance(classes, dict) else ():
        declared = entry.get("input") if isinstance(entry, dict) else None
        for group in declared.values() if isinstance(declared, dict) else ():
            for spec in group.values() if isinstance(group, dict) else ():
                _hide_options(spec)
    return classes


def _hide_options(spec: Any) -> None:
    details = spec[1] if isinstance(spec, list) and len(spec) > 1 else None
    if not isinstance(details, dict) or not any(key.endswith("_upload") and details[key] for key in details):
        return
    if isinstance(spec[0], list):
        spec[0] = []
    if "options" in details:
        details["options"] = []
