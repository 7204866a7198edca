"""A command of a plugin: checked, turned into a job, announced."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import structlog

from db import artifacts, jobs
from db.artifacts import Artifact
from db.jobs import Job, NewJob
from runtime.api import BadArgument, Invocation, Seed, Value, Veto
from runtime.dispatch.admission import Refusal, refusal_of, unique_key
from runtime.dispatch.arguments import BadArguments, parse_arguments
from runtime.dispatch.effects import Scene
from runtime.dispatch.inputs import Unusable, check_usable, gather, keep, may_grow, media
from runtime.dispatch.update import Message
from runtime.registry import LoadedCommand, PluginFailed
from runtime.scheduler.size_class import size_class

log = structlog.get_logger("veilrun.dispatch")

ALBUM_SECONDS = 1.0
"""How long a job waits for the rest of its album: each photo comes as an update of its own."""

HOOKS_SECONDS = 5.0
"""How long the plugins' `before_invoke` may take, all together: the chat's next message waits for it."""


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
    refusal = await queue(scene, loaded, job, sources, by_chance=arguments.by_chance)
    if refusal:
        await scene.reply(message, refusal.text, about=refusal.about)


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
    refusal = await queue(scene, loaded, job, sources, by_chance=fresh.keys(), is_repeated=True)
    return refusal.text if refusal else None


async def queue(
    scene: Scene,
    loaded: LoadedCommand,
    job: NewJob,
    sources: list[Artifact],
    *,
    by_chance: Collection[str] = (),
    is_repeated: bool = False,
) -> Refusal | None:
    """Admit it, let the plugins see it, store it. What to say if it is refused, else None.

    by_chance: parameters whose value nobody chose. is_repeated: the plugins have amended these arguments before; they
    may veto, but not amend once more.
    """
    command = loaded.command
    if command.limits.unique:
        job = replace(job, unique_key=unique_key(job, sources, by_chance))
    refusal = await refusal_of(scene, command.limits, job)
    if refusal is not None:
        return refusal
    try:
        amended = await _amended(scene, job, sources)
    except Veto as veto:
        return Refusal(
            scene.say("dispatch.vetoed", reason=veto.reason.strip()) or scene.say("dispatch.vetoed_silently")
        )
    except PluginFailed as failed:
        log.warning("invocation refused", plugin=failed.plugin, hook="before_invoke")
        return Refusal(scene.say("dispatch.plugin_failed", plugin=failed.plugin))
    except TimeoutError:
        log.warning("plugins took too long", hook="before_invoke", seconds=HOOKS_SECONDS)
        return Refusal(scene.say("dispatch.plugins_slow"))
    if not is_repeated:
        job = replace(job, arguments=amended.arguments, variant=amended.variant)
    job = replace(
        job,
        command_id=scene.command_ids[command.name],
        model_set=command.affinity_of(job.variant).model_set,
        size_class=size_class(command, job.arguments, variant=job.variant, inputs=media(sources)),
        max_attempts=command.limits.max_attempts,
        priority=loaded.priority,
        dedupe_key=f"update:{scene.bot_id}:{scene.update_id}",
    )
    job_id = await jobs.insert(scene.connection, job, [source.id for source in sources])
    if job_id is not None and job.chat_id is not None:
        await scene.owe(job.chat_id, "status", {}, job_id)
        scene.effects.job_waits(job.delay_seconds)
    return None


async def _amended(scene: Scene, job: NewJob, sources: list[Artifact]) -> Invocation:
    """The call as the plugins let it pass. Raises: Veto, PluginFailed, TimeoutError."""
    invocation = Invocation(
        command=job.command,
        arguments=job.arguments,
        variant=job.variant,
        inputs=media(sources),
        user_id=job.user_id,
        chat_id=job.chat_id,
    )
    async with asyncio.timeout(HOOKS_SECONDS):
        # in a thread: a plugin that dawdles must not hold up other chats
        return await asyncio.to_thread(scene.registry.before_invoke, invocation)


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
