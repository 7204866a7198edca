"""Bodies of requests, read as they come and never beyond their bound."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from runtime.functions.errors import Malformed, TooLarge, UnsupportedType

MOST_FIELDS = 64
FIELD_BYTES = 64 * 1024


def media_type(request: Request) -> str:
    """Of the body, in lower case and without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def pieces(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The body in pieces, at most so many bytes of it. Raises: TooLarge, Malformed if the caller leaves."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > most):
        raise TooLarge(f"a body has {most // 2**20} MB at most")
    count = 0
    try:
        async for piece in request.stream():
            count += len(piece)
            if count > most:
                raise TooLarge(f"a body has {most // 2**20} MB at most")
            yield piece
    except ClientDisconnect as error:
        raise Malformed("the connection ended before the body did") from error


async def whole(request: Request, most: int) -> bytes:
    """The body, of at most so many bytes. Raises: TooLarge, Malformed."""
    body = bytearray()
    async for piece in pieces(request, most):
        body += piece
    return bytes(body)


async def json_value(request: Request, most: int) -> Any:
    """The JSON that the body is. Raises: TooLarge, Malformed."""
    body = await whole(request, most)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:  # their texts quote nothing of it
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Malformed(f"the body is no JSON: {why}") from error


class _Form(MultiPartParser):
    """Knows whether the form has come to its end: of one that was cut short the parser gives what there is."""

    is_whole = False

    def on_end(self) -> None:
        """Its last boundary was there."""
        self.is_whole = True


async def form_fields(request: Request, most: int) -> list[tuple[str, str | bytes]]:
    """The fields of a multipart form, in order; files as bytes. Raises: TooLarge, Malformed."""
    stream = pieces(request, most)
    parser = _Form(request.headers, stream, max_files=MOST_FIELDS, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Malformed(f"the form cannot be read: {error.message}") from error
    try:
        if not parser.is_whole:
            raise Malformed("the form cannot be read: it ends before its last boundary")
        return [
            (name, await value.read() if isinstance(value, UploadFile) else value) for name, value in form.multi_items()
        ]
    finally:
        await form.close()


def unsupported(found: str, *taken: str) -> UnsupportedType:
    """The body is of another kind than the route takes."""
    return UnsupportedType(f"send {' or '.join(taken)}, not {found[:64] or 'a body without Content-Type'}")
