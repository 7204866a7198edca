"""Pictures that callers send: looked at before anything is stored, and counted while they are kept."""

import asyncio
import hashlib
from collections.abc import Sequence

from psycopg import AsyncConnection

from db import artifacts
from db.artifacts import Artifact, NewArtifact
from runtime.functions.errors import Fault, Invalid, TooLarge, TooMuchKept, UnsupportedType
from runtime.functions.wanted import IMAGE_BYTES, Image
from runtime.media import BrokenMedium, MediumTooLarge, UnknownMedium, probe

KEPT_BYTES = 512 * 1024 * 1024
"""What the pictures that one token has sent may take in all, until they expire."""


async def looked_at(content: bytes, token_id: int) -> NewArtifact:
    """The picture as it is to be remembered. Raises: TooLarge, UnsupportedType, Invalid."""
    if len(content) > IMAGE_BYTES:
        raise TooLarge(f"a picture has {IMAGE_BYTES // 2**20} MB at most")
    try:
        found = await asyncio.to_thread(probe, content)
    except MediumTooLarge as error:
        raise TooLarge(str(error)) from error
    except UnknownMedium as error:
        raise UnsupportedType(str(error)) from error
    except BrokenMedium as error:
        raise Invalid([Fault("images", str(error))]) from error
    if found.kind != "image":
        raise UnsupportedType("this is a video; send a picture")
    return NewArtifact(
        kind="image",
        media_type=found.media_type,
        size_bytes=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        width=found.width,
        height=found.height,
        token_id=token_id,
    )


async def store(connection: AsyncConnection, found: NewArtifact, content: bytes) -> Artifact:
    """Keep the picture until it expires. Raises: TooMuchKept."""
    if found.token_id is not None:
        kept = await artifacts.bytes_sent_by(connection, found.token_id)
        if kept + len(content) > KEPT_BYTES:
            raise TooMuchKept(
                f"the pictures sent with this token take {kept / 2**20:.0f} MB already, until they expire",
                retry_seconds=3600,
            )
    artifact_id = await artifacts.add(connection, found, content)
    return Artifact(**{name: getattr(found, name) for name in NewArtifact.__slots__}, id=artifact_id)


async def resolve(
    connection: AsyncConnection, token_id: int, images: Sequence[Image], found: Sequence[NewArtifact | None]
) -> list[Artifact]:
    """The pictures of a request as artifacts, in order; what was sent is stored. found: see `looked_at`, None for those
    that are named by number.

    Raises: Invalid if one is not there (any more), or is none of the token's, or no picture; TooMuchKept.
    """
    named = [image.artifact_id for image in images if image.artifact_id is not None]
    known = {one.id: one for one in await artifacts.of_token(connection, token_id, named)} if named else {}
    faults = []
    for number, image in enumerate(images):
        if image.artifact_id is None:
            continue
        artifact = known.get(image.artifact_id)
        if artifact is None:
            faults.append(Fault(f"images[{number}]", f"there is no artifact {image.artifact_id}, or not any more"))
        elif artifact.kind != "image":
            faults.append(Fault(f"images[{number}]", "this is a video; name a picture"))
    if faults:
        raise Invalid(faults)
    sources = []
    for image, one in zip(images, found, strict=True):
        if image.artifact_id is not None:
            sources.append(known[image.artifact_id])
        elif one is not None and image.content is not None:
            sources.append(await store(connection, one, image.content))
    return sources
