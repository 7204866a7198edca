"""From one update to its effect, all within the caller's transaction."""

from db import chats, jobs
from runtime.chat.texts import text
from runtime.dispatch import built_in
from runtime.dispatch.command_line import read_command
from runtime.dispatch.effects import Scene
from runtime.dispatch.inputs import incoming, keep
from runtime.dispatch.invoke import invoke, take_album_photo
from runtime.dispatch.presses import press
from runtime.dispatch.update import MemberUpdated, Message, Update, User

HERE = frozenset({"creator", "administrator", "member", "restricted"})


async def take_effect(scene: Scene, update: Update) -> None:
    """Do what the update asks for. An update of a kind that means nothing to this bot does nothing."""
    if update.message is not None:
        await _message(scene, update.message)
    elif update.callback_query is not None:
        await press(scene, update.callback_query)
    elif update.my_chat_member is not None:
        await _membership(scene, update.my_chat_member)


def writer(update: Update) -> User | None:
    """Who caused the update, if anybody did."""
    for part in (update.message, update.callback_query, update.my_chat_member):
        if part is not None:
            return part.user
    return None


async def _message(scene: Scene, message: Message) -> None:
    chat, user = message.chat, message.user
    if message.migrate_to_chat_id is not None:
        await chats.migrate(scene.connection, chat.id, message.migrate_to_chat_id)
        return
    if user is None or user.is_bot or chat.type == "channel":
        return
    line = read_command(message.words)
    if line is not None and line.bot is not None and line.bot.casefold() != (await scene.username()).casefold():
        return  # it is another bot's
    if line is None:
        await _words(scene, message, user.id)
        return
    loaded = scene.registry.resolve(line.word)
    if loaded is None and line.word not in built_in.COMMANDS and not chat.is_private and line.bot is None:
        return  # in a group it may be meant for another bot
    await _see(scene, message, user)
    if not scene.registry.access.allows(user.id, chat.id):
        await _refuse(scene, message)
    elif loaded is not None:
        await invoke(scene, message, user.id, loaded, line.rest, line.word)
    elif line.word in built_in.COMMANDS:
        await built_in.COMMANDS[line.word](scene, message, user.id, line.rest)
    else:
        await scene.reply(message, built_in.unknown(scene, line.word))


async def _words(scene: Scene, message: Message, user_id: int) -> None:
    """A message without a command: part of an album, a picture for later, or words that need a hint."""
    if not scene.registry.access.allows(user_id, message.chat.id):
        if message.chat.is_private and message.user is not None:
            await _see(scene, message, message.user)
            await _refuse(scene, message)
        return
    shows = incoming(message, user_id)
    if message.media_group_id is not None:
        await take_album_photo(scene, message, user_id)
    elif not message.chat.is_private:
        return
    elif shows is not None and shows.kind == "image":
        if message.user is not None:
            await _see(scene, message, message.user)
        await keep(scene, message, user_id)
        takers = [loaded.command for loaded in scene.registry.commands.values() if loaded.command.image_input]
        if takers:
            await scene.reply(message, scene.say("dispatch.picture_hint", example=takers[0].written_example))
    elif message.words:
        if message.user is not None:
            await _see(scene, message, message.user)
        commands = [loaded.command for loaded in scene.registry.commands.values()]
        example = commands[0].written_example if commands else "/help"
        await scene.reply(message, scene.say("dispatch.words_hint", example=example))


async def _see(scene: Scene, message: Message, user: User) -> None:
    await chats.see(scene.connection, message.chat.id, message.chat.type, user.language_code)


async def _refuse(scene: Scene, message: Message) -> None:
    if await chats.refuse(scene.connection, message.chat.id):
        await scene.reply(message, text("dispatch.refused", scene.language))


async def _membership(scene: Scene, change: MemberUpdated) -> None:
    chat = change.chat
    if change.new_chat_member.status in HERE:
        if chat.type in ("private", "group", "supergroup"):
            await chats.see(scene.connection, chat.id, chat.type, change.user.language_code if change.user else None)
        return
    await chats.block(scene.connection, chat.id)
    for job_id in await chats.open_jobs(scene.connection, chat.id):
        await jobs.cancel(scene.connection, job_id)
    scene.effects.jobs_moved = True
