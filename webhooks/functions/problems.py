"""Refusals as RFC 9457 problem details, and how they are documented."""

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from runtime.functions.errors import Duplicate, Invalid, RangeNotSatisfiable, Refused

MEDIA_TYPE = "application/problem+json"


class FaultModel(BaseModel):
    """One thing that is wrong with a request."""

    at: str = Field(description="its place, as in `arguments.steps`")
    detail: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457). Programs go by `code`, which does not change."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="a URN that ends in the code")
    title: str
    status: int
    code: str
    detail: str
    errors: list[FaultModel] | None = Field(None, description="with code `invalid`: everything that is wrong")
    job_id: int | None = Field(None, description="with code `duplicate`: the job that does this already")


def problem_of(refused: Refused) -> dict[str, Any]:
    """The refusal as a document."""
    document: dict[str, Any] = {
        "type": f"urn:veilrun:problem:{refused.code}",
        "title": refused.title,
        "status": refused.status,
        "code": refused.code,
        "detail": str(refused),
    }
    if isinstance(refused, Invalid):
        document["errors"] = [{"at": fault.at, "detail": fault.detail} for fault in refused.faults]
    if isinstance(refused, Duplicate):
        document["job_id"] = refused.job_id
    return document


def answer(refused: Refused, headers: Mapping[str, str] | None = None) -> Response:
    """The refusal as an answer. In ASCII: what the caller wrote may hold what UTF-8 has no bytes for."""
    response = Response(json.dumps(problem_of(refused)), refused.status, headers, MEDIA_TYPE)
    if refused.retry_seconds is not None:
        response.headers["Retry-After"] = str(max(math.ceil(refused.retry_seconds), 1))
    if refused.status == 401:
        shown = "" if refused.code == "token_missing" else ', error="invalid_token"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="veilrun"{shown}'
    if isinstance(refused, RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{refused.size_bytes}"
    return response


_WITH_RETRY = {429, 503}
_DESCRIPTIONS = {
    400: "The body is malformed",
    401: "No token, or not a valid one",
    403: "Not with this token, or a plugin refused it",
    404: "There is no such thing for this token",
    409: "It does not fit what is there already: the job is over, or an Idempotency-Key stands for another request",
    413: "Too large",
    415: "Not a media type that is taken",
    416: "The range begins behind the end",
    422: "Values do not fit",
    429: "Too much of it",
    503: "Not now",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: 401, 403, 429 and 503 are possible everywhere."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 401, 403, 429, 503}):
        found[status] = {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in _WITH_RETRY:
            retry = {"description": "seconds until it may help to try again", "schema": {"type": "integer"}}
            found[status]["headers"] = {"Retry-After": retry}
    return found
