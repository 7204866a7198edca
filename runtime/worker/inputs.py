"""The pictures that a job works on: fetched from where they are, checked, and made fit for ComfyUI."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from psycopg import AsyncConnection

from db import artifacts
from runtime.api import Command, VeilrunError
from runtime.chat.errors import FileTooBig, Refused
from runtime.media import Picture, prepare_picture


class InputGone(VeilrunError):
    """A picture that the job needs is not there any more. The text is for the user."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a job: its content if we hold it, else Telegram's id of the file; neither if it has expired."""

    artifact_id: int
    file_id: str | None
    content: bytes | None = field(repr=False)


class FileSource(Protocol):
    """Where the content of Telegram's files comes from: the gateway."""

    async def download(self, file_id: str) -> bytes:
        """The content. Raises: TelegramFailed."""
        ...


async def find_inputs(connection: AsyncConnection, job_id: int) -> list[Input]:
    """The inputs of the job, in order."""
    return [
        Input(artifact.id, artifact.telegram_file_id, await artifacts.content(connection, artifact.id))
        for artifact in await artifacts.inputs(connection, job_id)
    ]


async def fetch_inputs(inputs: Sequence[Input], files: FileSource) -> list[bytes]:
    """The content of each input. Raises: InputGone, TelegramFailed."""
    contents = []
    for given in inputs:
        if given.content is not None:
            contents.append(given.content)
        elif given.file_id is not None:
            contents.append(await _download(given.file_id, files))
        else:
            raise InputGone("The picture is not kept any more. Please send it again.")
    return contents


async def _download(file_id: str, files: FileSource) -> bytes:
    try:
        return await files.download(file_id)
    except FileTooBig:
        raise
    except Refused as error:
        raise InputGone("Telegram does not give the picture out any more. Please send it again.") from error


async def prepare_inputs(command: Command, contents: Sequence[bytes]) -> list[Picture]:
    """The pictures as they are uploaded: decoded once, upright, without metadata.

    Raises: InputGone if the command needs more pictures than there are, MediaError.
    """
    wanted = command.image_input
    low = wanted.low if wanted else 0
    if len(contents) < low:
        raise InputGone(
            f"/{command.name} needs {'a picture' if low == 1 else f'{low} pictures'}. Please send it again."
        )
    return [await asyncio.to_thread(prepare_picture, content) for content in contents]
