"""Reading a Bot API request: query string, urlencoded, JSON or multipart, all into the same `Call`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader
from multidict import CIMultiDictProxy

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.errors import ApiError, BadRequest

_FIELDS_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file part of a multipart request."""

    name: str
    content: bytes
    mime_type: str


@dataclass(slots=True)
class Call:
    """One method call. Values are text as on the wire; nested ones are JSON text whichever way they came."""

    method: str
    arguments: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The value, or "" when absent."""
        return self.arguments.get(name, "")

    def has(self, name: str) -> bool:
        return name in self.arguments

    def integer(self, name: str, default: int = 0, low: int = -(2**63), high: int = 2**63) -> int:
        """A number clamped to the range; what is no number counts as 0, as on the official server."""
        raw = self.text(name)
        if not raw:
            return default
        return min(max(_leading_integer(raw), low), high)

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "yes", "1")

    def structure(self, name: str, called: str) -> Any:
        """A nested value, None when absent. Raises: BadRequest "can't parse … JSON object"."""
        raw = self.text(name)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError as broken:
            raise BadRequest(f"can't parse {called} JSON object") from broken

    def shown_arguments(self) -> dict[str, Any]:
        """For the journal: nested JSON opened up, plain text left alone."""
        return {name: _opened(value) for name, value in self.arguments.items()}


async def read_call(method: str, query: str, headers: CIMultiDictProxy[str], body: StreamReader) -> Call:
    """The call in an HTTP request, body arguments winning over the query string.

    Raises: ApiError 413 above 50 MB of files, BadRequest for a body that is not what its type says.
    """
    call = Call(method, dict(parse_qsl(query, keep_blank_values=True)))
    kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        await read_parts(MultipartReader(headers, body), call)
    elif kind == "application/json":
        call.arguments.update(arguments_from_json(await _all(body)))
    elif kind == "application/x-www-form-urlencoded":
        call.arguments.update(parse_qsl((await _all(body)).decode("utf-8", "replace"), keep_blank_values=True))
    return call


async def read_parts(reader: MultipartReader, call: Call) -> None:
    """Add the parts of a multipart body to `call`: parts with a file name are uploads."""
    left = limits.UPLOAD_BYTES + _FIELDS_BYTES
    try:
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise BadRequest("nested multipart bodies are not supported")
            content = bytearray()
            while chunk := await part.read_chunk(256 * 1024):
                content += part.decode(chunk)
                left -= len(chunk)
                if left < 0 or len(content) > limits.UPLOAD_BYTES:
                    raise ApiError(413, "Request Entity Too Large")
            name = part.name or ""
            if part.filename is None:
                call.arguments[name] = content.decode("utf-8", "replace")
            else:
                call.uploads[name] = Upload(part.filename, bytes(content), part.headers.get("Content-Type", ""))
    except ValueError as broken:
        raise BadRequest("can't parse multipart body") from broken


def arguments_from_json(body: bytes) -> dict[str, str]:
    """The fields of a JSON body as wire text: true → "true", 7 → "7", nested values → JSON."""
    if not body.strip():
        return {}
    try:
        values = json.loads(body)
    except ValueError as broken:
        raise BadRequest("can't parse JSON body") from broken
    if not isinstance(values, dict):
        raise BadRequest("can't parse JSON body: an Object is expected")
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }


async def _all(body: StreamReader) -> bytes:
    content = bytearray()
    async for chunk in body.iter_any():
        content += chunk
        if len(content) > _FIELDS_BYTES:
            raise ApiError(413, "Request Entity Too Large")
    return bytes(content)


def _leading_integer(raw: str) -> int:
    digits = raw.lstrip("-")
    length = next((at for at, character in enumerate(digits) if not "0" <= character <= "9"), len(digits))
    number = int(digits[: min(length, 19)] or "0")
    return -number if raw.startswith("-") else number


def _opened(value: str) -> Any:
    if value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
