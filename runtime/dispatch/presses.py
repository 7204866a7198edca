"""Buttons under messages: Again, Original, Cancel, Send it again. Each is bound to its job, not to the newest one."""

from db import artifacts, deliveries, jobs
from db.jobs import Job
from runtime.chat.buttons import Press, read_press
from runtime.chat.captions import ANSWER_UNITS, shortened
from runtime.dispatch.built_in import UNSENT_STATES, may_cancel
from runtime.dispatch.effects import Answer, Scene
from runtime.dispatch.invoke import again
from runtime.dispatch.update import CallbackQuery


async def press(scene: Scene, query: CallbackQuery) -> None:
    """Do what the button says, and answer it."""
    wanted = read_press(query.data or "")
    chat_id = query.message.chat.id if query.message else None
    words: str | None
    if wanted is None or chat_id is None:
        words = scene.say("dispatch.expired")
    elif not scene.registry.access.allows(query.user.id, chat_id):
        words = scene.say("dispatch.refused")
    elif wanted.action == "send":
        words = await _send_again(scene, wanted.id, chat_id)
    else:
        job = await jobs.get(scene.connection, wanted.id)
        if job is None or job.chat_id != chat_id:
            words = scene.say("dispatch.expired")
        else:
            words = await _press_of_job(scene, wanted, job, query)
    words = shortened(words, ANSWER_UNITS) if words else None
    scene.effects.answer = Answer(query.id, words, alert=words is not None)


async def _press_of_job(scene: Scene, wanted: Press, job: Job, query: CallbackQuery) -> str | None:
    if wanted.action == "cancel":
        return await _cancel(scene, job, query.user.id)
    if wanted.action == "orig":
        return await _original(scene, job, query)
    loaded = scene.registry.commands.get(job.command)
    if loaded is None:
        return scene.say("dispatch.changed", command=job.command)
    return await again(scene, loaded, job, query.user.id)


async def _cancel(scene: Scene, job: Job, user_id: int) -> str | None:
    if not may_cancel(scene, job, user_id):
        return scene.say("dispatch.not_yours")
    if await jobs.cancel(scene.connection, job.id) is None:
        is_on_its_way = job.state in UNSENT_STATES  # if only just now
        return scene.say("dispatch.done_already" if is_on_its_way else "dispatch.nothing_to_cancel")
    scene.effects.jobs_moved = True
    return None


async def _original(scene: Scene, job: Job, query: CallbackQuery) -> str | None:
    made = await artifacts.outputs(scene.connection, job.id)
    if not made or job.chat_id is None:
        return scene.say("dispatch.expired")
    payload = {
        "artifact_ids": [artifact.id for artifact in made],
        "reply_to": query.message.message_id if query.message else None,
    }
    await scene.owe(job.chat_id, "original", payload, job.id)
    return None


async def _send_again(scene: Scene, delivery_id: int, chat_id: int) -> str | None:
    if not await deliveries.reopen(scene.connection, delivery_id, chat_id):
        return scene.say("dispatch.expired")
    scene.effects.deliveries.append(delivery_id)
    return None
