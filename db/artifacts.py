"""Pictures and videos: what they are, where they are, what they came from. Content is in `blobs` until it expires."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A medium to be remembered. Sizes in bytes, pixels and seconds; digest is SHA-256, hex. token_id: who may fetch it
    over HTTP."""

    kind: Literal["image", "video"]
    media_type: str
    job_id: int | None = None
    parent_id: int | None = None
    position: int = 0
    size_bytes: int | None = None
    digest: str | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    telegram_file_id: str | None = None
    backend: str | None = None
    backend_file: str | None = None
    chat_id: int | None = None
    user_id: int | None = None
    message_id: int | None = None
    media_group_id: str | None = None
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class Artifact(NewArtifact):
    """A row of `artifacts`."""

    id: int = 0


FIELDS = tuple(NewArtifact.__dataclass_fields__)
COLUMNS = ", ".join((*FIELDS, "id"))
QUALIFIED = ", ".join(f"artifacts.{column}" for column in (*FIELDS, "id"))


async def add(connection: AsyncConnection, artifact: NewArtifact, content: bytes | None = None) -> int:
    """Remember the medium, with its content if we hold it. Its new id."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        places = ", ".join(f"%({name})s" for name in FIELDS)
        await cursor.execute(
            f"insert into artifacts ({', '.join(FIELDS)}) values ({places}) returning id",
            {name: getattr(artifact, name) for name in FIELDS},
        )
        artifact_id: int = await cursor.fetchone()  # type: ignore[assignment]
    if content is not None:
        await connection.execute(
            "insert into blobs (artifact_id, content) values (%b, %b)", (artifact_id, content), binary=True
        )
    return artifact_id


async def get(connection: AsyncConnection, artifact_id: int) -> Artifact | None:
    """The artifact, or None if there is none (or it has expired)."""
    return next(iter(await _select(connection, "where id = %s", (artifact_id,))), None)


async def of_token(connection: AsyncConnection, token_id: int, artifact_ids: Sequence[int]) -> list[Artifact]:
    """Those of these artifacts that the token may see and that we hold, in no order."""
    where = """where id = any(%s) and token_id = %s
        and exists (select from blobs where blobs.artifact_id = artifacts.id)"""
    return await _select(connection, where, (list(artifact_ids), token_id))


async def bytes_sent_by(connection: AsyncConnection, token_id: int) -> int:
    """What the pictures that came with this token take."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "select coalesce(sum(size_bytes), 0)::bigint from artifacts where token_id = %s and job_id is null",
            (token_id,),
        )
        found: int | None = await cursor.fetchone()
        return found or 0


async def part(connection: AsyncConnection, artifact_id: int, start: int, length: int) -> bytes:
    """So many bytes of the content from `start` (0 = the first) on; fewer if there are no more, or none are kept."""
    async with connection.cursor(row_factory=scalar_row, binary=True) as cursor:
        await cursor.execute(
            "select substring(content from %s for %s) from blobs where artifact_id = %s",
            (start + 1, length, artifact_id),
        )
        found: bytes | None = await cursor.fetchone()
        return found or b""


async def content(connection: AsyncConnection, artifact_id: int) -> bytes | None:
    """The bytes, or None if we do not hold them."""
    async with connection.cursor(row_factory=scalar_row, binary=True) as cursor:
        await cursor.execute("select content from blobs where artifact_id = %s", (artifact_id,))
        found: bytes | None = await cursor.fetchone()
        return found


async def of_message(connection: AsyncConnection, chat_id: int, message_id: int) -> Artifact | None:
    """The artifact that this chat message shows, newest first if it was seen twice."""
    where = "where chat_id = %s and message_id = %s order by id desc limit 1"
    return next(iter(await _select(connection, where, (chat_id, message_id))), None)


async def of_media_group(connection: AsyncConnection, chat_id: int, media_group_id: str) -> list[Artifact]:
    """The artifacts of one album in this chat, in the order of its messages."""
    where = "where chat_id = %s and media_group_id = %s order by message_id, id"
    return await _select(connection, where, (chat_id, media_group_id))


async def outputs(connection: AsyncConnection, job_id: int) -> list[Artifact]:
    """What the job made, in order."""
    return await _select(connection, "where job_id = %s order by position", (job_id,))


async def inputs(connection: AsyncConnection, job_id: int) -> list[Artifact]:
    """What the job works on, in order."""
    async with connection.cursor(row_factory=class_row(Artifact)) as cursor:
        await cursor.execute(
            f"""select {QUALIFIED} from job_inputs join artifacts on artifacts.id = job_inputs.artifact_id
                where job_inputs.job_id = %s order by job_inputs.position""",
            (job_id,),
        )
        return await cursor.fetchall()


async def shown(
    connection: AsyncConnection, artifact_id: int, *, chat_id: int, message_id: int, file_id: str | None
) -> None:
    """The artifact is in the chat now, as this message; `file_id` is Telegram's name for its copy."""
    await connection.execute(
        """update artifacts set chat_id = %s, message_id = %s, telegram_file_id = coalesce(%s, telegram_file_id)
           where id = %s""",
        (chat_id, message_id, file_id, artifact_id),
    )


async def _select(connection: AsyncConnection, where: str, values: Sequence[object]) -> list[Artifact]:
    async with connection.cursor(row_factory=class_row(Artifact)) as cursor:
        await cursor.execute(f"select {COLUMNS} from artifacts {where}", values)
        return await cursor.fetchall()
