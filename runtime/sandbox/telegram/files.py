"""Files as Telegram knows them: a file_id to use, a file_unique_id to compare, a path to download from."""

from __future__ import annotations

import base64
import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.errors import BadRequest

_PREFIX = {"photo": "AgAC", "video": "BAAC", "document": "BQAC", "animation": "CgAC", "thumbnail": "AAMC"}
_FOLDER = {
    "photo": "photos",
    "video": "videos",
    "document": "documents",
    "animation": "animations",
    "thumbnail": "thumbnails",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file with its bytes. Two uploads of the same bytes share `unique_id` and differ in `file_id`."""

    file_id: str
    unique_id: str
    kind: str
    content: bytes
    path: str
    name: str
    mime_type: str

    def describe(self) -> dict[str, Any]:
        """The fields every file object of the Bot API has."""
        return {"file_id": self.file_id, "file_unique_id": self.unique_id, "file_size": len(self.content)}


class FileStore:
    """All files of the sandbox, kept in memory until it stops."""

    def __init__(self) -> None:
        self._by_id: dict[str, StoredFile] = {}
        self._by_path: dict[str, StoredFile] = {}
        self._by_unique: dict[str, StoredFile] = {}
        self._numbers = itertools.count(1)

    def add(self, kind: str, content: bytes, name: str, mime_type: str) -> StoredFile:
        number = next(self._numbers)
        digest = hashlib.sha256(kind.encode() + content).digest()
        unique_id = base64.urlsafe_b64encode(digest[:9]).decode()
        secret = hashlib.sha256(digest + number.to_bytes(8, "big")).digest()
        file_id = _PREFIX[kind] + base64.urlsafe_b64encode(secret + digest[:10]).decode().rstrip("=")
        suffix = "." + name.rsplit(".", 1)[1] if "." in name else ""
        stored = StoredFile(
            file_id, unique_id, kind, content, f"{_FOLDER[kind]}/file_{number}{suffix}", name, mime_type
        )
        self._by_id[file_id] = stored
        self._by_path[stored.path] = stored
        self._by_unique[unique_id] = stored
        return stored

    def by_id(self, file_id: str) -> StoredFile | None:
        return self._by_id.get(file_id)

    def by_unique_id(self, unique_id: str) -> StoredFile | None:
        return self._by_unique.get(unique_id)

    def for_download(self, file_id: str) -> StoredFile:
        """The file getFile may hand out. Raises: BadRequest when unknown or above 20 MB."""
        stored = self._by_id.get(file_id)
        if stored is None:
            raise BadRequest("wrong file_id or the file is temporarily unavailable")
        if len(stored.content) > limits.DOWNLOAD_BYTES:
            raise BadRequest("file is too big")
        return stored

    def by_path(self, path: str) -> StoredFile | None:
        return self._by_path.get(path)
