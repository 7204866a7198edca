"""GET /view and POST /upload/image."""

import asyncio
import hashlib
import io
import mimetypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from PIL import Image

from runtime.sandbox.comfyui.faults import Faults
from runtime.sandbox.comfyui.storage import OutsideFolder, Storage
from runtime.sandbox.comfyui.trouble import Trouble

NEVER_SHOWN = {"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"}
"""Types that a browser would run: sent as plain bytes."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One POST /upload/image that was accepted, under the name the server gave it. `size` in bytes."""

    name: str
    subfolder: str
    type: str
    size: int
    digest: str


class FilesHttp:
    """Handlers for files. `on_upload` is told of every upload."""

    def __init__(self, storage: Storage, faults: Faults, on_upload: Callable[[Upload], None]) -> None:
        self._storage, self._faults, self._on_upload = storage, faults, on_upload

    async def view(self, request: web.Request) -> web.StreamResponse:
        """A stored file; `preview=webp;80` re-encodes it, `channel=rgb|a` takes it apart."""
        query = request.rel_url.query
        if "filename" not in query:
            return web.Response(status=404)
        name, folder = self._storage.annotated(query["filename"])
        if not name or name.startswith("/") or ".." in name:
            return web.Response(status=400)
        folder = folder or self._storage.folder(query.get("type", "output"))
        if folder is None:
            return web.Response(status=400)
        try:
            folder = self._storage.inside(folder, query.get("subfolder", ""))
        except OutsideFolder:
            return web.Response(status=403)
        path = folder / os.path.basename(name)
        if not path.is_file():
            return web.Response(status=404)
        if self._faults.spend("cut_view"):
            return await _cut(request, path)
        channel = query.get("channel", "rgba")
        if "preview" in query:
            return _preview(path, query["preview"], query.get("channel", ""))
        if channel in ("rgb", "a"):
            return _channel(path, channel)
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if content_type in NEVER_SHOWN:
            content_type = "application/octet-stream"
        return web.FileResponse(path, headers={"Content-Type": content_type, **_disposition(path)})

    async def upload(self, request: web.Request) -> web.Response:
        """Store a file and tell its name, which may differ from the one sent. What is in it is not looked at."""
        form = await request.post()
        field = form.get("image")
        kind = str(form.get("type", "input"))
        folder = self._storage.folder(kind)
        if folder is None:
            raise Trouble
        if not field:
            return web.Response(status=400)
        if not isinstance(field, web.FileField):
            raise Trouble  # a field without a filename
        if not field.filename:
            return web.Response(status=400)
        content = field.file.read()
        subfolder = str(form.get("subfolder", ""))
        try:
            self._storage.inside(folder, subfolder, field.filename)
            parent = self._storage.inside(folder, subfolder)
        except OutsideFolder:
            return web.Response(status=400)
        parent.mkdir(parents=True, exist_ok=True)
        name = field.filename if form.get("overwrite") in ("true", "1") else _free_name(parent, field.filename, content)
        try:
            (parent / name).write_bytes(content)
        except OSError as error:
            raise Trouble from error  # "a/b.png" where no folder a is
        self._on_upload(Upload(name, subfolder, kind, len(content), hashlib.sha256(content).hexdigest()))
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


def _free_name(folder: Path, name: str, content: bytes) -> str:
    """`name`, or "u (1).png" and so on: the first that is free or holds the same bytes."""
    stem, extension = os.path.splitext(name)
    candidate, number = name, 0
    while (folder / candidate).exists() and (folder / candidate).read_bytes() != content:
        number += 1
        candidate = f"{stem} ({number}){extension}"
    return candidate


def _preview(path: Path, wish: str, channel: str) -> web.Response:
    parts = wish.split(";")
    image_format = parts[0] if parts[0] in ("webp", "jpeg") and "a" not in channel else "webp"
    quality = int(parts[-1]) if parts[-1].isdigit() else 90
    try:
        with Image.open(path) as picture:
            shown = picture.convert("RGB") if image_format == "jpeg" or channel == "rgb" else picture
            return _picture(path, shown, image_format, quality)
    except OSError as error:
        raise Trouble from error  # not a picture


def _channel(path: Path, channel: str) -> web.Response:
    try:
        with Image.open(path) as picture:
            if channel == "rgb":
                return _picture(path, picture.convert("RGB"), "png")
            alpha = Image.new("RGBA", picture.size)
            alpha.putalpha(picture.getchannel("A") if picture.mode == "RGBA" else Image.new("L", picture.size, 255))
            return _picture(path, alpha, "png")
    except OSError as error:
        raise Trouble from error


def _picture(path: Path, picture: Image.Image, image_format: str, quality: int = 90) -> web.Response:
    file = io.BytesIO()
    picture.save(file, image_format, quality=quality)
    return web.Response(body=file.getvalue(), content_type=f"image/{image_format}", headers=_disposition(path))


def _disposition(path: Path) -> dict[str, str]:
    return {"Content-Disposition": f'filename="{path.name}"'}


async def _cut(request: web.Request, path: Path) -> web.StreamResponse:
    """Promise the whole file, send half of it, hang up."""
    content = await asyncio.to_thread(path.read_bytes)
    response = web.StreamResponse(headers={"Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
