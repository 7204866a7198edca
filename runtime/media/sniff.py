"""What a file is, by its first bytes. A name or a declared media type proves nothing."""

_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_MATROSKA = b"\x1aE\xdf\xa3"

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
}
"""File name endings, for those media types that get sent on."""


def sniff(content: bytes) -> str | None:
    """The media type, such as "image/png" or "video/mp4", or None if the bytes are of no known kind."""
    for magic, media_type in _PICTURES:
        if content.startswith(magic):
            return media_type
    if content[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}.get(content[8:12])
    if content[4:8] == b"ftyp":
        return _sniff_boxes(content)
    if content.startswith(_MATROSKA):
        return "video/webm" if b"webm" in content[:64] else "video/x-matroska"
    return None


def _sniff_boxes(content: bytes) -> str:
    size = min(int.from_bytes(content[:4], "big"), 256)
    brands = {content[8:12], *(content[start : start + 4] for start in range(16, size - 3, 4))}
    if brands & {b"avif", b"avis"}:
        return "image/avif"
    if brands & _HEIC_BRANDS:
        return "image/heic"
    return "video/quicktime" if content[8:12] == b"qt  " else "video/mp4"
