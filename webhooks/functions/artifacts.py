"""POST /artifacts, GET /artifacts/{id}: pictures to work on, and what was made."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from db import artifacts, jobs
from db.artifacts import Artifact
from runtime.api import VeilrunError
from runtime.functions.errors import NotFound, RangeNotSatisfiable
from runtime.functions.pictures import looked_at, store
from runtime.functions.schema import LARGEST_ID
from runtime.functions.views import ArtifactView, artifact_view, file_name
from runtime.functions.wanted import IMAGE_BYTES
from webhooks.functions.body import media_type, unsupported, whole
from webhooks.functions.problems import refusals
from webhooks.functions.sharing import Invoking, Reading, Shared, Sharing
from webhooks.leaving import to_its_end

router = APIRouter(tags=["artifacts"])

PIECE_BYTES = 1024 * 1024
ArtifactId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


class ContentGone(VeilrunError):
    """The artifact expired while it was being sent: the connection is cut, lest a part be taken for the whole."""


@router.post(
    "/artifacts",
    status_code=201,
    response_model=ArtifactView,
    responses={
        **refusals(400, 413, 415, 422),
        201: {
            "model": ArtifactView,
            "description": "The picture is kept until it expires",
            "headers": {"Location": {"description": "its content", "schema": {"type": "string"}}},
        },
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("image/*", "application/octet-stream")
            },
        }
    },
)
async def upload_artifact(request: Request, token: Invoking, shared: Shared) -> Response:
    """Send a picture once, to be named by its number in requests. The body is the file, its content says its kind."""
    kind = media_type(request)
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise unsupported(kind, "image/…", "application/octet-stream")
    with shared.receiving(token, request):
        content = await whole(request, min(IMAGE_BYTES, shared.body_bytes))
        found = await looked_at(content, token.id)
        async with shared.pool.connection() as connection:
            view = artifact_view(await store(connection, found, content))
    return JSONResponse(view.model_dump(mode="json"), 201, {"Location": view.url})


@dataclass(frozen=True, slots=True)
class _Span:
    """Bytes from `start` up to and not including `end`."""

    start: int
    end: int


CONTENT = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
CONTENT["video/*"] = CONTENT["image/*"]


@router.get(
    "/artifacts/{artifact_id}",
    response_class=StreamingResponse,
    responses={
        **refusals(404, 416, 422),
        200: {"description": "The file", "content": CONTENT},
        206: {"description": "The part of it that was asked for", "content": CONTENT},
        304: {"description": "The caller has it already"},
    },
)
async def get_artifact(
    artifact_id: ArtifactId,
    token: Reading,
    shared: Shared,
    range_: Annotated[
        str | None, Header(alias="Range", description="one range of bytes; anything else is passed over")
    ] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Get the content of an artifact, or a part of it."""
    async with shared.pool.connection() as connection:
        found = await artifacts.of_token(connection, token.id, [artifact_id])
        if not found or found[0].size_bytes is None:
            raise NotFound(f"there is no artifact {artifact_id} of this token, or not any more")
        artifact, size = found[0], found[0].size_bytes
        job = await jobs.get(connection, artifact.job_id) if artifact.job_id is not None else None
    etag = f'"{artifact.digest}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{file_name(artifact, job)}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if if_none_match is not None and _names(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    span = _span(range_, size) if if_range is None or if_range.strip() == etag else None
    if span is None:
        span, status = _Span(0, size), 200
    else:
        status = 206
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    headers["Content-Length"] = str(span.end - span.start)
    return StreamingResponse(_pieces(shared, artifact, span), status, headers, artifact.media_type)


async def _pieces(shared: Sharing, artifact: Artifact, span: _Span) -> AsyncIterator[bytes]:
    """The content, piece by piece: no connection to the database is held while the caller reads."""
    at = span.start
    while at < span.end:
        with to_its_end():
            async with shared.pool.connection() as connection:
                piece = await artifacts.part(connection, artifact.id, at, min(PIECE_BYTES, span.end - at))
        if not piece:
            raise ContentGone("the artifact expired while it was being sent")
        yield piece
        at += len(piece)


def _span(header: str | None, size: int) -> _Span | None:
    """What `Range` asks for; None = all of it, also if it asks for something that is not understood (RFC 9110, 14.2).

    Raises: RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(size - int(match[2]), 0), size
        is_there = int(match[2]) > 0
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
        is_there = start < size
    if not is_there:
        raise RangeNotSatisfiable(f"it has {size} bytes", size)
    return _Span(start, end)


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in {one.strip().removeprefix("W/") for one in header.split(",")}
