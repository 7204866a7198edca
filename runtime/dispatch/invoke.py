"""A command written in a chat: read, turned into a job, announced."""

import math
from collections.abc import Collection
from dataclasses import replace

from db import artifacts, jobs
from db.artifacts import Artifact
from db.jobs import Job, NewJob
from runtime.api import BadArgument, Seed, Value
from runtime.dispatch.arguments import BadArguments, parse_arguments
from runtime.dispatch.effects import Scene
from runtime.dispatch.inputs import Unusable, check_usable, gather, keep, may_grow
from runtime.dispatch.refusals import (
    InWorkAlready,
    NotQueued,
    PluginBroken,
    QueueFull,
    TooManyOfCommand,
    TooManyWaiting,
    Vetoed,
)
from runtime.dispatch.update import Message
from runtime.registry import LoadedCommand

ALBUM_SECONDS = 1.0
"""How long a job waits for the rest of its album: each photo comes as an update of its own."""


async def invoke(scene: Scene, message: Message, user_id: int, loaded: LoadedCommand, rest: str, word: str) -> None:
    """Queue the job that `/word rest` asks for, or say in one line why not."""
    try:
        arguments = parse_arguments(loaded.command, rest)
        wanted = loaded.command.image_input
        sources = await gather(scene, message, user_id, wanted, word) if wanted else []
    except (BadArguments, Unusable) as refused:
        await scene.reply(message, str(refused))
        return
    job = NewJob(
        command_id=0,
        command=loaded.command.name,
        arguments=arguments.values,
        variant=arguments.variant,
        chat_id=message.chat.id,
        user_id=user_id,
        message_id=message.message_id,
        thread_id=message.topic,
        media_group_id=message.media_group_id,
        language=scene.language,
        delay_seconds=max(arguments.delay_seconds, ALBUM_SECONDS if may_grow(message, wanted) else 0.0),
    )
    try:
        await _queue(scene, loaded, job, sources, by_chance=arguments.by_chance)
    except NotQueued as refused:
        about = refused.twin.message_id if isinstance(refused, InWorkAlready) else None
        await scene.reply(message, _told(scene, refused), about=about)


async def again(scene: Scene, loaded: LoadedCommand, before: Job, user_id: int) -> str | None:
    """Queue `before` once more with a fresh seed, for whoever asked. What to say if it cannot be, else None."""
    command = loaded.command
    fresh: dict[str, Value] = {p.name: p.initial() for p in command.parameters if isinstance(p, Seed)}
    try:
        values = {name: command.parameter(name).check(value) for name, value in before.arguments.items()}
        command.workflow_of(before.variant)
    except (KeyError, BadArgument):
        return scene.say("dispatch.changed", command=command.name)
    sources = await artifacts.inputs(scene.connection, before.id)
    if command.image_input and len(sources) < command.image_input.low:
        return scene.say("dispatch.expired")
    job = NewJob(
        command_id=0,
        command=command.name,
        arguments=values | fresh,
        variant=before.variant,
        chat_id=before.chat_id,
        user_id=user_id,
        message_id=before.message_id,
        thread_id=before.thread_id,
        language=scene.language,
    )
    try:
        await _queue(scene, loaded, job, sources, by_chance=fresh.keys(), is_repeated=True)
    except NotQueued as refused:
        return _told(scene, refused)
    return None


async def _queue(
    scene: Scene,
    loaded: LoadedCommand,
    job: NewJob,
    sources: list[Artifact],
    *,
    by_chance: Collection[str],
    is_repeated: bool = False,
) -> None:
    """Queue it and owe the chat its status message. Raises: NotQueued of every kind."""
    job = replace(job, dedupe_key=f"update:{scene.bot_id}:{scene.update_id}")
    job_id = await scene.intake.queue(loaded, job, sources, by_chance=by_chance, is_repeated=is_repeated)
    if job_id is not None and job.chat_id is not None:
        await scene.owe(job.chat_id, "status", {}, job_id)
        scene.effects.job_waits(job.delay_seconds)


def _told(scene: Scene, refused: NotQueued) -> str:
    """Why it was refused, in one line for its user."""
    match refused:
        case TooManyOfCommand():
            return scene.say("refusal.per_user", command=refused.command, count=refused.count)
        case TooManyWaiting():
            return scene.say("refusal.queued_per_user", count=refused.count)
        case InWorkAlready():
            return scene.say("refusal.unique", command=refused.twin.command)
        case QueueFull():
            minutes = math.ceil(refused.seconds / 60) or 1
            return scene.say("refusal.queued", count=refused.count, minutes=minutes)
        case Vetoed():
            return scene.say("dispatch.vetoed", reason=refused.reason) or scene.say("dispatch.vetoed_silently")
        case PluginBroken():
            return scene.say("dispatch.plugin_failed", plugin=refused.plugin)
        case _:
            return scene.say("dispatch.plugins_slow")


async def take_album_photo(scene: Scene, message: Message, user_id: int) -> bool:
    """A further photo of an album: it belongs to the job that the album asked for, if that still waits.

    In a private chat photos are remembered before there is a job: the command may stand under the last one. True for
    the first of those.
    """
    if message.media_group_id is None:
        return False
    job = await jobs.of_media_group(scene.connection, message.chat.id, message.media_group_id)
    if job is None and not message.chat.is_private:
        return False
    kept = await keep(scene, message, user_id)
    if job is None:
        album = await artifacts.of_media_group(scene.connection, message.chat.id, message.media_group_id)
        return len(album) == 1
    loaded = scene.registry.commands.get(job.command)
    if kept is not None and loaded is not None and loaded.command.image_input is not None:
        try:
            check_usable(scene, kept, job.command)
        except Unusable as refused:
            await scene.reply(message, str(refused))
        else:
            await jobs.add_input(scene.connection, job.id, kept.id, at_most=loaded.command.image_input.high)
    return False
