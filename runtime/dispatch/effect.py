"""From one update to its effect, all within the caller's transaction."""

from db import chats
from runtime.chat.blocked import end_chat
from runtime.dispatch import built_in
from runtime.dispatch.command_line import read_command
from runtime.dispatch.effects import Answer, Scene
from runtime.dispatch.inputs import incoming, keep
from runtime.dispatch.invoke import invoke, take_album_photo
from runtime.dispatch.presses import press
from runtime.dispatch.update import MemberUpdated, Message, Update, User


async def take_effect(scene: Scene, update: Update) -> None:
    """Do what the update asks for. An update of a kind that means nothing to this bot does nothing."""
    if update.message is not None:
        await _message(scene, update.message)
    elif update.callback_query is not None:
        await press(scene, update.callback_query)
    elif update.my_chat_member is not None:
        await _membership(scene, update.my_chat_member)


async def apologize(scene: Scene, update: Update) -> None:
    """The update is given up, by a fault of ours: whoever meant this bot with it learns that it was in vain."""
    message, query = update.message, update.callback_query
    if query is not None:
        scene.effects.answer = Answer(query.id, scene.say("dispatch.set_aside"), alert=True)
    elif message is not None and _is_for_us(scene, message):
        await scene.reply(message, scene.say("dispatch.set_aside"))


def _is_for_us(scene: Scene, message: Message) -> bool:
    if message.user is None or not scene.registry.access.allows(message.user.id, message.chat.id):
        return False
    if message.chat.is_private:
        return True
    line = read_command(message.words)
    if line is None:
        return False
    if line.bot is not None:
        return scene.bot_name is not None and scene.is_named(line.bot)
    return line.word in built_in.COMMANDS or scene.registry.resolve(line.word) is not None


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
    if user is None or user.is_bot or chat.kind == "channel" or message.is_automatic_forward:
        return
    line = read_command(message.words)
    if line is not None and line.bot is not None and not scene.is_named(line.bot):
        return  # it is another bot's
    if line is None:
        await _words(scene, message, user)
        return
    loaded = scene.registry.resolve(line.word)
    if loaded is None and line.word not in built_in.COMMANDS and not chat.is_private and line.bot is None:
        return  # in a group it may be meant for another bot
    await _see(scene, message, user)
    if not scene.registry.access.allows(user.id, chat.id):
        await _refuse(scene, message, user)
    elif loaded is not None:
        await invoke(scene, message, user.id, loaded, line.rest, line.word)
    elif line.word in built_in.COMMANDS:
        await built_in.COMMANDS[line.word](scene, message, user.id, line.rest)
    else:
        await scene.reply(message, built_in.unknown(scene, line.word))


async def _words(scene: Scene, message: Message, user: User) -> None:
    """A message without a command: part of an album, a picture for later, or words that need a hint."""
    is_allowed, is_private = scene.registry.access.allows(user.id, message.chat.id), message.chat.is_private
    if is_private:
        await _see(scene, message, user)
    says_something = bool(message.words) or message.has_file  # and is no notice of a pinned message or the like
    if not is_allowed:
        if is_private and says_something:
            await _refuse(scene, message, user)
    elif message.media_group_id is not None:
        if await take_album_photo(scene, message, user.id) and message.photo:  # files have their caption at the end
            await scene.reply(message, _picture_hint(scene))
    elif is_private and says_something:
        shown = incoming(message)
        if shown is not None and shown.kind == "image" and not message.sticker:
            await keep(scene, message, user.id)
            await scene.reply(message, _picture_hint(scene))
        else:
            await scene.reply(message, _words_hint(scene))


def _picture_hint(scene: Scene) -> str:
    takers = [loaded.command for loaded in scene.registry.commands.values() if loaded.command.image_input]
    examples = "\n".join(command.written_example for command in takers)
    return scene.say("dispatch.picture_hint", examples=examples) if takers else _words_hint(scene)


def _words_hint(scene: Scene) -> str:
    commands = [loaded.command for loaded in scene.registry.commands.values()]
    return scene.say("dispatch.words_hint", example=commands[0].written_example if commands else "/help")


async def _see(scene: Scene, message: Message, user: User) -> None:
    await chats.see(scene.connection, message.chat.id, message.chat.kind, user.language_code)


async def _refuse(scene: Scene, message: Message, user: User) -> None:
    """One polite line, at most once an hour. In private it tells the number that the operator needs."""
    if not await chats.refuse(scene.connection, message.chat.id):
        return
    if message.chat.is_private:
        await scene.reply(message, scene.say("dispatch.refused_here", user_id=user.id))
    else:
        await scene.reply(message, scene.say("dispatch.refused"))


async def _membership(scene: Scene, change: MemberUpdated) -> None:
    chat = change.chat
    if not change.new_chat_member.is_here:
        await end_chat(scene.connection, chat.id)
        scene.effects.jobs_moved = True
    elif chat.kind != "channel":
        language = change.user.language_code if change.user and chat.is_private else None
        await chats.see(scene.connection, chat.id, chat.kind, language)
