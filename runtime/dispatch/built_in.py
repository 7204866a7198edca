"""The commands that are veilrun's own: /start, /help, /cancel, /status."""

import difflib

from db import jobs, reports
from db.jobs import OPEN_STATES, Job, State
from runtime.api import Command, Text
from runtime.chat.progress_bar import Progress, percent
from runtime.chat.spoken import spoken
from runtime.chat.status_line import SOON_SECONDS, place_in_line, shown_eta
from runtime.chat.texts import text
from runtime.dispatch.effects import Scene
from runtime.dispatch.update import Message

UNSENT_STATES: tuple[State, ...] = (*OPEN_STATES, "collected")

ALL = ("all", "alle")
"""What stands after /cancel for every job."""


async def start(scene: Scene, message: Message, user_id: int, rest: str) -> None:
    """Say what the bot does."""
    commands = _commands(scene)
    examples = "\n".join(command.written_example for command in commands)
    key = "dispatch.welcome" if commands else "dispatch.welcome_empty"
    await scene.reply(message, scene.say(key, examples=examples))


async def help_(scene: Scene, message: Message, user_id: int, rest: str) -> None:
    """List the commands, or explain the one that is named."""
    word = rest.lstrip("/").split(maxsplit=1)[0] if rest.lstrip("/").strip() else ""
    if not word:
        lines = "\n".join(f"{_names(command)} · {command.summary}" for command in _commands(scene))
        await scene.reply(message, scene.say("dispatch.help", commands=lines))
        return
    loaded = scene.registry.resolve(word)
    words = unknown(scene, word) if loaded is None else explained(loaded.command, scene.language)
    await scene.reply(message, words)


async def cancel(scene: Scene, message: Message, user_id: int, rest: str) -> None:
    """Stop the job replied to, else the user's newest that is not over; with `all`, every one here. Nobody else's."""
    chat_id, replied = message.chat.id, message.replied
    if rest.strip().casefold() in ALL:
        await _cancel_all(scene, message, user_id)
        return
    if replied is not None:
        meant = await jobs.of_message(scene.connection, chat_id, replied.message_id, UNSENT_STATES)
    else:
        meant = await jobs.newest(scene.connection, states=UNSENT_STATES, chat_id=chat_id, user_id=user_id)
    # one that is being stopped already comes after the others, one that is done comes last
    meant = sorted(meant, key=lambda job: (job.is_over, job.cancel_requested))
    mine = [job for job in meant if may_cancel(scene, job, user_id)]
    if meant and not mine:
        await scene.reply(message, scene.say("dispatch.not_yours"))
        return
    state = await jobs.cancel(scene.connection, mine[0].id) if mine else None
    if state is None:
        await scene.reply(message, scene.say("dispatch.done_already" if mine else "dispatch.nothing_to_cancel"))
        return
    scene.effects.jobs_moved = True
    key = "dispatch.cancelled" if state == "cancelled" else "dispatch.cancelling"
    await scene.reply(message, scene.say(key, command=mine[0].command))


async def _cancel_all(scene: Scene, message: Message, user_id: int) -> None:
    mine = await jobs.newest(scene.connection, states=OPEN_STATES, chat_id=message.chat.id, user_id=user_id, limit=1000)
    count = sum([await jobs.cancel(scene.connection, job.id) is not None for job in mine])
    scene.effects.jobs_moved = True
    key = "dispatch.cancelled_all" if count else "dispatch.nothing_to_cancel"
    await scene.reply(message, scene.say(key, count=count))


def may_cancel(scene: Scene, job: Job, user_id: int) -> bool:
    """Only who started it, and the operators."""
    return job.user_id == user_id or scene.registry.access.is_admin(user_id)


async def status(scene: Scene, message: Message, user_id: int, rest: str) -> None:
    """Show the user's unfinished jobs in this chat, and how busy the GPUs are."""
    mine = await jobs.newest(scene.connection, states=OPEN_STATES, chat_id=message.chat.id, user_id=user_id, limit=20)
    lines = [await _line(scene, job) for job in reversed(mine)] or [scene.say("dispatch.no_jobs")]
    await scene.reply(message, "\n".join([*lines, "", await _fleet(scene)]))


async def _fleet(scene: Scene) -> str:
    busy = await reports.busy(scene.connection)
    return scene.say("dispatch.fleet", ready=busy.ready, all=busy.backends, waiting=busy.waiting, running=busy.running)


async def _line(scene: Scene, job: Job) -> str:
    """Where the job is, and when it will be done, if that is known."""
    where, eta = await _where(scene, job), shown_eta(job)
    return where if eta is None else scene.say("dispatch.job_eta", line=where, eta=eta.words(scene.language))


async def _where(scene: Scene, job: Job) -> str:
    if job.state == "queued" and job.due_seconds > SOON_SECONDS and job.attempt == 0:
        return scene.say("dispatch.job_later", command=job.command, time=spoken(job.due_seconds, scene.language))
    if job.state == "queued":
        position = await jobs.position(scene.connection, job.id)
        return scene.say("dispatch.job_waits", command=job.command, position=place_in_line(position or 1))
    if job.state == "placed":
        return scene.say("dispatch.job_starts", command=job.command)
    progress = Progress.read(job.progress or {})
    if progress.fraction == 0:
        return scene.say("dispatch.job_starts", command=job.command)
    return scene.say("dispatch.job_runs", command=job.command, percent=percent(progress.fraction))


COMMANDS = {"start": start, "help": help_, "cancel": cancel, "status": status}


def unknown(scene: Scene, word: str) -> str:
    """There is no such command: one line, with the nearest that there is."""
    names = [name for c in _commands(scene) for name in (c.name, *c.aliases)] + list(COMMANDS)
    close = difflib.get_close_matches(word.lower(), names, 1)
    if close:
        return scene.say("dispatch.unknown_near", command=word[:32], near=close[0])
    return scene.say("dispatch.unknown", command=word[:32])


def explained(command: Command, language: str | None) -> str:
    """All about one command: how it is written, every option, an example."""
    lines = [f"{_names(command)} · {command.summary}", ""]
    for parameter in command.parameters:
        usage = f"<{parameter.name}>" if isinstance(parameter, Text) and parameter.positional else parameter.usage
        lines.append(f"{usage} · {parameter.summary}" if parameter.summary else usage)
    lines += [f"--{variant.name} · {variant.summary}" for variant in command.variants]
    lines += [text("dispatch.option_later", language)]
    lines += ["", text("dispatch.example", language, example=command.written_example)]
    return "\n".join(lines)


def _names(command: Command) -> str:
    return " ".join(f"/{name}" for name in sorted((command.name, *command.aliases), key=len))


def _commands(scene: Scene) -> list[Command]:
    return [loaded.command for loaded in scene.registry.commands.values()]
