"""What a run made, as it is kept and sent: measured and without metadata, which holds the prompt."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.api import Medium
from runtime.comfyui import Output
from runtime.media import probe, strip_metadata


@dataclass(frozen=True, slots=True)
class Made:
    """One result. backend_file: its path below the backend's output folder. `suffix` begins with a dot."""

    medium: Medium
    digest: str
    backend_file: str
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
    file = output.file
    path = f"{file.subfolder}/{file.filename}" if file.subfolder else file.filename
    return Made(medium, hashlib.sha256(content).hexdigest(), path, found.suffix, content)
