"""When a user blocks the bot, or a group throws it out."""

from psycopg import AsyncConnection

from db import chats, jobs


async def end_chat(connection: AsyncConnection, chat_id: int) -> None:
    """Nothing can arrive there any more: what runs for this chat is stopped, what is owed to it is dropped."""
    await chats.block(connection, chat_id)
    for job_id in await chats.open_jobs(connection, chat_id):
        await jobs.cancel(connection, job_id)
