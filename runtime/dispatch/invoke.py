"""A command of a plugin: checked, turned into a job, announced."""

import asyncio
from dataclasses import replace

from db import artifacts, jobs
from db.artifacts import Artifact
from db.jobs import Job, NewJob
from runtime.api import BadArgument, Invocation, Seed, Value, Veto
from runtime.dispatch.arguments import Arguments, BadArguments, parse_arguments
from runtime.dispatch.effects import Scene
from runtime.dispatch.inputs import Unusable, gather, keep, media
from runtime.dispatch.update import Message
from runtime.registry import LoadedCommand, PluginFailed

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
    is_album = message.media_group_id is not None and wanted is not None and wanted.high > 1
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
        delay_seconds=ALBUM_SECONDS if is_album else 0.0,
    )
    refusal = await queue(scene, loaded, job, arguments, sources)
    if refusal:
        await scene.reply(message, refusal)


async def again(scene: Scene, loaded: LoadedCommand, before: Job, user_id: int) -> str | None:
    """Queue `before` once more with a fresh seed, for whoever asked. What to say if it cannot be, else None."""
    fresh: dict[str, Value] = {p.name: p.initial() for p in loaded.command.parameters if isinstance(p, Seed)}
    try:
        values = {name: loaded.command.parameter(name).check(value) for name, value in before.arguments.items()}
        arguments = Arguments(values | fresh, before.variant)
        loaded.command.workflow_of(before.variant)
    except (KeyError, BadArgument):
        return scene.say("dispatch.changed", command=loaded.command.name)
    sources = await artifacts.inputs(scene.connection, before.id)
    wanted = loaded.command.image_input
    if wanted and len(sources) < wanted.low:
        return scene.say("dispatch.expired")
    job = NewJob(
        command_id=0,
        command=loaded.command.name,
        arguments=arguments.values,
        variant=before.variant,
        chat_id=before.chat_id,
        user_id=user_id,
        message_id=before.message_id,
        thread_id=before.thread_id,
        language=scene.language,
    )
    return await queue(scene, loaded, job, arguments, sources)


async def queue(
    scene: Scene, loaded: LoadedCommand, job: NewJob, arguments: Arguments, sources: list[Artifact]
) -> str | None:
    """Let the plugins see it, admit it, store it. What to say if it is refused, else None."""
    command = loaded.command
    invocation = Invocation(
        command=command.name,
        arguments=arguments.values,
        variant=arguments.variant,
        inputs=media(sources),
        user_id=job.user_id,
        chat_id=job.chat_id,
    )
    try:
        # in a thread: a plugin that dawdles must not hold up other chats
        invocation = await asyncio.to_thread(scene.registry.before_invoke, invocation)
    except Veto as veto:
        return scene.say("dispatch.vetoed", reason=veto.reason)
    except PluginFailed as failed:
        return scene.say("dispatch.plugin_failed", plugin=failed.plugin)
    per_user = command.limits.per_user
    if per_user is not None and job.user_id is not None:
        unfinished = await jobs.count_open(scene.connection, user_id=job.user_id, command=command.name)
        if unfinished >= per_user:
            return scene.say("dispatch.per_user", command=command.name, count=unfinished)
    job = replace(
        job,
        command_id=scene.command_ids[command.name],
        arguments=invocation.arguments,
        variant=invocation.variant,
        model_set=command.affinity_of(invocation.variant).model_set,
        max_attempts=command.limits.max_attempts,
        dedupe_key=f"update:{scene.bot_id}:{scene.update_id}",
    )
    job_id = await jobs.insert(scene.connection, job, [source.id for source in sources])
    if job_id is not None and job.chat_id is not None:
        await scene.owe(job.chat_id, "status", {}, job_id)
        scene.effects.jobs_moved = True
    return None


async def take_album_photo(scene: Scene, message: Message, user_id: int) -> None:
    """A further photo of an album: it belongs to the job that the album asked for, if that still waits."""
    kept = await keep(scene, message, user_id)
    if kept is None or message.media_group_id is None or kept.kind != "image":
        return
    job = await jobs.of_media_group(scene.connection, message.chat.id, message.media_group_id)
    loaded = scene.registry.commands.get(job.command) if job else None
    if job and loaded and loaded.command.image_input:
        await jobs.add_input(scene.connection, job.id, kept.id, at_most=loaded.command.image_input.high)
