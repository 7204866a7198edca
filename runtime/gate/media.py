"""Pictures in and results out."""

import asyncio
import hashlib
import re
from base64 import b64encode

from aiohttp import web

from runtime.gate.answers import refused
from runtime.gate.cleaning import Cleaner
from runtime.gate.files import FileRef
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.requests import arriving
from runtime.gate.upstream import Upstream
from runtime.transport import Reply, TransportError

LOOKS = 8
"""Own prompts whose history is looked at before a file is said to be nobody's."""

STALL_SECONDS = 120.0
"""Until a client that reads no further is left alone."""

ASKED = ("Range", "If-Range")
ANSWERED = ("Content-Type", "Content-Length", "Content-Range", "ETag", "Last-Modified", "Accept-Ranges")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. ()-]{0,199}")


class MediaRoutes:
    """Handlers of what concerns files."""

    def __init__(
        self, upstream: Upstream, ledger: Ledger, folders: Folders, cleaner: Cleaner, upload_bytes: int
    ) -> None:
        self._upstream, self._ledger, self._folders, self._cleaner = upstream, ledger, folders, cleaner
        self._upload_bytes = upload_bytes
        self._digests: dict[tuple[FileRef, str], str] = {}

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """A picture, as a new file only: one that is there is never replaced."""
        if request.content_type != "multipart/form-data":
            raise refused(web.HTTPForbidden, "an upload is multipart/form-data")
        async with arriving(request.content_length or self._upload_bytes):
            form = await request.clone(client_max_size=self._upload_bytes).post()
        image, kind = form.get("image"), form.get("type", "input")
        if not isinstance(image, web.FileField) or kind not in ("input", "temp") or form.get("subfolder"):
            raise refused(web.HTTPForbidden, "an upload is one image, of type input or temp, in no subfolder")
        if form.get("overwrite", "false") in ("true", "1"):
            raise refused(web.HTTPForbidden, "an upload never replaces a file")
        if not _NAME.fullmatch(image.filename):
            raise refused(web.HTTPForbidden, "a file's name is of letters, digits and . _ - ( )")
        before = await asyncio.to_thread(self._folders.names, str(kind))
        status, answer = await self._upstream.upload(image.file, image.filename, str(kind))
        if status == 200 and isinstance(answer, dict):
            stored = FileRef.of(answer, "input")
            if stored.name not in before or self._ledger.has_upload(stored):  # else somebody else's, of the same bytes
                self._ledger.upload(stored)
        return web.json_response(answer, status=status)

    async def view(self, request: web.Request) -> web.StreamResponse:
        """A file that an own prompt wrote, whole or in part."""
        ref = FileRef.of(request.query)
        if not await self._is_ours(ref):
            raise refused(web.HTTPNotFound, "no prompt that came through this gate wrote such a file")
        params = {"filename": ref.name, "subfolder": ref.subfolder, "type": ref.kind}
        headers = {"Accept-Encoding": "identity"}
        headers |= {name: request.headers[name] for name in ASKED if name in request.headers}
        async with self._upstream.request(request.method, "/view", params=params, headers=headers) as reply:
            response = web.StreamResponse(status=reply.status)
            for name in ANSWERED:
                if name in reply.headers:
                    response.headers[name] = reply.headers[name]
            if reply.status in (200, 206) and "Want-Repr-Digest" in request.headers:
                digest = await self._digest(ref, reply.headers.get("ETag", ""))
                if digest is not None:
                    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"
            await response.prepare(request)
            if request.method != "HEAD":
                await _copy(reply, response)
            return response

    async def _is_ours(self, ref: FileRef) -> bool:
        if self._ledger.made_here(ref):
            return True
        for prompt_id in self._ledger.without_files(LOOKS):
            await self._cleaner.look_up(prompt_id)
        return self._ledger.made_here(ref)

    async def _digest(self, ref: FileRef, etag: str) -> str | None:
        """SHA-256 of the file in base64, None if the gate cannot read it."""
        path = self._folders.path_of(ref)
        if path is None:
            return None
        if (ref, etag) not in self._digests:
            if len(self._digests) > 256:
                self._digests.clear()
            try:
                with path.open("rb") as file:
                    digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
            except OSError:
                return None
            self._digests[ref, etag] = b64encode(digest.digest()).decode()
        return self._digests[ref, etag]


async def _copy(reply: Reply, response: web.StreamResponse) -> None:
    """The body; a server that ends early ends the client's connection early, so that both notice."""
    try:
        async for chunk in reply.chunks():
            async with asyncio.timeout(STALL_SECONDS):
                await response.write(chunk)
    except TransportError as error:
        raise ConnectionResetError("ComfyUI ended the file early") from error
    except TimeoutError as error:
        raise ConnectionResetError("the client reads no further") from error
    await response.write_eof()
