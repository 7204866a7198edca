"""What the head of an answer to GET /view says of the file, and of the part of it that follows."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_REPR_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


class _Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class FileHead:
    """first, end: which bytes follow, `end` excluded; None if that was not told. total: bytes of the whole file.

    etag: names the file's version, "" if the server names none. digest: SHA-256 of the whole, or None.
    """

    is_part: bool
    first: int
    end: int | None
    total: int | None
    etag: str
    media_type: str
    digest: bytes | None

    @classmethod
    def of(cls, answer: _Answer) -> "FileHead":
        """Of an answer 200 (the whole file) or 206 (a part, RFC 9110 §14.4)."""
        headers = answer.headers
        announced = headers.get("Content-Length", "")
        first, end = 0, int(announced) if announced.isdigit() else None
        total = end
        if answer.status == 206:
            first, end, total = _part(headers.get("Content-Range", ""), end)
        return cls(
            is_part=answer.status == 206,
            first=first,
            end=end,
            total=total,
            etag=headers.get("ETag", ""),
            media_type=headers.get("Content-Type", "").partition(";")[0].strip(),
            digest=_digest(headers.get("Repr-Digest", "")),
        )

    def is_of(self, other: "FileHead") -> bool:
        """Whether the two are parts of one version of the file."""
        return self.etag == other.etag and (self.total == other.total or None in (self.total, other.total))


def _part(content_range: str, length: int | None) -> tuple[int, int | None, int | None]:
    found = _CONTENT_RANGE.fullmatch(content_range.strip())
    if found is None:
        return -1, length, None
    first, last, total = found.groups()
    return int(first), int(last) + 1, None if total == "*" else int(total)


def _digest(header: str) -> bytes | None:
    """RFC 9530: `sha-256=:<base64>:`, perhaps among others."""
    found = _REPR_DIGEST.search(header)
    if found is None:
        return None
    try:
        return base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return None
