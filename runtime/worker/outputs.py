"""What a run made, as it is kept and sent: measured and without metadata, which holds the prompt."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.api import Medium
from runtime.comfyui import Output, OutputFile
from runtime.media import probe, strip_metadata


@dataclass(frozen=True, slots=True)
class Made:
    """One result. backend_file: its place on the backend, None if it was sent and never written; as LoadImage takes it
    ("job/1/u.png [output]"). `suffix` begins with a dot.
    """

    medium: Medium
    digest: str
    backend_file: str | None
    suffix: str
    content: bytes = field(repr=False)


async def finish(outputs: Sequence[Output]) -> list[Made]:
    """The results in order. Raises: MediaError if the backend wrote something that is neither picture nor video."""
    return [await asyncio.to_thread(_finish, output) for output in outputs]


def _finish(output: Output) -> Made:
    content = strip_metadata(output.content)
    found = probe(content)
    medium = Medium(
        kind=found.kind,
        media_type=found.media_type,
        size_bytes=len(content),
        width=found.width,
        height=found.height,
        duration_seconds=found.duration_seconds,
    )
    return Made(medium, hashlib.sha256(content).hexdigest(), _place(output.file), found.suffix, content)


def _place(file: OutputFile) -> str | None:
    if not file.filename:
        return None
    path = f"{file.subfolder}/{file.filename}" if file.subfolder else file.filename
    return f"{path} [{file.type}]"
