"""Acting as the people in the chats: what tests and the chat page do on their behalf.

Actions take effect at once and are plain calls; only waiting is awaited.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from runtime.sandbox.telegram.attachments import Attachment, Attachments, MediaKind
from runtime.sandbox.telegram.calls import Upload
from runtime.sandbox.telegram.chats import Account, ChatMessage, ChatRoom
from runtime.sandbox.telegram.entities import NO_TEXT, FormattedText, detect, format_caption, format_message
from runtime.sandbox.telegram.state import CallbackQuery, World
from runtime.sandbox.telegram.utf16 import utf16_slice


class Press:
    """A pressed inline button."""

    def __init__(self, world: World, query: CallbackQuery) -> None:
        self._world = world
        self.query = query

    @property
    def id(self) -> str:
        return self.query.id

    async def answered(self, timeout: float = 10.0) -> dict[str, Any]:
        """What answerCallbackQuery said: text, show_alert, url. Raises: TimeoutError."""
        async with asyncio.timeout(timeout):
            return await self._world.events.waiters.until(lambda: self.query.answer)


class Chat:
    """A chat as one sees it on a phone: send, press, reply, wait."""

    def __init__(self, world: World, attachments: Attachments, room: ChatRoom, thread_id: int | None = None) -> None:
        self._world = world
        self._attachments = attachments
        self.room = room
        self.thread_id = thread_id

    @property
    def id(self) -> int:
        return self.room.id

    @property
    def messages(self) -> list[ChatMessage]:
        """What the chat shows now, oldest first, deleted messages left out."""
        return [
            message
            for message in self.room.messages.values()
            if not message.is_deleted and (self.thread_id is None or message.thread_id == self.thread_id)
        ]

    @property
    def action(self) -> str | None:
        """ "upload_photo" and the like while the bot shows it, else None."""
        action = self.room.action
        return action.name if action and action.until > self._world.clock.time() else None

    def send(self, text: str, *, as_user: User | None = None, reply_to: ChatMessage | None = None) -> ChatMessage:
        """Say something; commands get their entity. Raises: BadRequest when the text is empty or too long."""
        return self._say(self._author(as_user), format_message(text), reply_to=reply_to)

    def send_photo(
        self, content: bytes, caption: str = "", *, as_user: User | None = None, reply_to: ChatMessage | None = None
    ) -> ChatMessage:
        """Send a picture; it is re-encoded as Telegram does. Raises: BadRequest when it is no usable image."""
        return self._attach(content, "photo.jpg", "photo", caption, as_user, reply_to)

    def send_document(
        self,
        content: bytes,
        name: str,
        caption: str = "",
        *,
        as_user: User | None = None,
        reply_to: ChatMessage | None = None,
    ) -> ChatMessage:
        """Send a file as it is."""
        return self._attach(content, name, "document", caption, as_user, reply_to)

    def send_video(
        self, content: bytes, caption: str = "", *, as_user: User | None = None, reply_to: ChatMessage | None = None
    ) -> ChatMessage:
        """Send a video."""
        return self._attach(content, "video.mp4", "video", caption, as_user, reply_to)

    def send_album(
        self,
        pictures: Sequence[bytes],
        caption: str = "",
        *,
        as_user: User | None = None,
        reply_to: ChatMessage | None = None,
    ) -> list[ChatMessage]:
        """Send 2 to 10 pictures as one album; each arrives as an update of its own, the caption with the first."""
        attachments = [self._attachments.make(Upload("photo.jpg", content, ""), "photo") for content in pictures]
        return self.send_prepared_album(attachments, caption, as_user=as_user, reply_to=reply_to)

    def send_prepared_album(
        self,
        attachments: Sequence[Attachment],
        caption: str,
        *,
        as_user: User | None = None,
        reply_to: ChatMessage | None = None,
    ) -> list[ChatMessage]:
        """As `send_album`, for media that are already prepared."""
        if not 2 <= len(attachments) <= 10:
            raise ValueError(f"an album has 2 to 10 media, not {len(attachments)}")
        group = str(self._world.new_number(17))
        author = self._author(as_user)
        captions = [format_caption(caption), *[NO_TEXT] * (len(attachments) - 1)]
        return [
            self._say(author, body, attachment, reply_to, group)
            for attachment, body in zip(attachments, captions, strict=True)
        ]

    def send_attachment(
        self,
        attachment: Attachment,
        caption: str = "",
        *,
        as_user: User | None = None,
        reply_to: ChatMessage | None = None,
    ) -> ChatMessage:
        """Send a medium that is already prepared."""
        return self._say(self._author(as_user), format_caption(caption), attachment, reply_to)

    def edit(self, message: ChatMessage, text: str) -> None:
        """Change one's own text or caption; the bot gets an edited_message."""
        message.body = format_caption(text) if message.media else format_message(text)
        self._world.changed(message)
        if self._bot_hears(message):
            self._world.updates.put("edited_message", message.to_json(), ("chat", self.id), self.id)

    def press(self, message: ChatMessage, button_text: str, *, as_user: User | None = None) -> Press:
        """Press a callback button of a message by its text. Raises: LookupError naming the buttons there are."""
        for row in message.inline_keyboard or []:
            for button in row:
                if button["text"] == button_text and "callback_data" in button:
                    return self.press_data(message, button["callback_data"], as_user=as_user)
        raise LookupError(f"no callback button {button_text!r}; the message has {message.buttons}")

    def press_data(self, message: ChatMessage, data: str, *, as_user: User | None = None) -> Press:
        """Press the button that carries `data`."""
        world, author = self._world, self._author(as_user)
        query = CallbackQuery(str(world.new_number(18)), author, message, data, world.clock.time())
        world.callbacks[query.id] = query
        payload = {
            "id": query.id,
            "from": author.to_json(),
            "message": message.to_json(),
            "chat_instance": str(zlib.crc32(str(self.id).encode()) * 10**9),
            "data": data,
        }
        world.updates.put("callback_query", payload, ("user", author.id), self.id)
        return Press(world, query)

    def react(self, message: ChatMessage, emoji: str, *, as_user: User | None = None) -> None:
        """Set or clear ("") one's reaction; the bot hears of it if it asked for message_reaction."""
        author = self._author(as_user)
        old = message.reactions.pop(author.id, [])
        new = [{"type": "emoji", "emoji": emoji}] if emoji else []
        if new:
            message.reactions[author.id] = new
        self._world.changed(message, is_edit=False)
        payload = {
            "chat": self.room.to_json(),
            "message_id": message.message_id,
            "user": author.to_json(),
            "date": self._world.now(),
            "old_reaction": old,
            "new_reaction": new,
        }
        self._world.updates.put("message_reaction", payload, ("chat", self.id), self.id)

    def delete(self, message: ChatMessage) -> None:
        """Delete for everybody; bots are not told."""
        self._world.delete(message)

    def block(self) -> None:
        """Block the bot (in a group: remove it); it gets my_chat_member, then 403 on every send."""
        self._set_bot_status("kicked")

    def unblock(self) -> None:
        """Let the bot in again."""
        self._set_bot_status("member")

    async def wait_for(
        self,
        predicate: Callable[[ChatMessage], bool],
        *,
        timeout: float = 10.0,
        after: ChatMessage | None = None,
    ) -> ChatMessage:
        """The first message shown that fits, looked for now and after every change; edits count.

        after: only messages that came later than this one. Raises: TimeoutError listing what the chat shows.
        """

        def find() -> ChatMessage | None:
            start = after.message_id if after else 0
            shown = (message for message in self.messages if message.message_id > start)
            return next((message for message in shown if predicate(message)), None)

        try:
            async with asyncio.timeout(timeout):
                return await self._world.events.waiters.until(find)
        except TimeoutError as expired:
            raise TimeoutError(f"no such message within {timeout} s; the chat shows:\n{self.transcript()}") from expired

    async def wait_until(self, condition: Callable[[Chat], bool], *, timeout: float = 10.0) -> None:
        """Wait until something is true of the whole chat, such as a message being gone. Raises: TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._world.events.waiters.until(lambda: True if condition(self) else None)

    def transcript(self) -> str:
        """The chat as plain lines, for error messages."""
        return "\n".join(
            f"  {message.message_id} {message.sender.first_name}: "
            f"{message.body.text}{' [' + ', '.join(message.media) + ']' if message.media else ''}"
            f"{' ' + str(message.buttons) if message.buttons else ''}"
            for message in self.messages
        )

    def _attach(
        self,
        content: bytes,
        name: str,
        kind: MediaKind,
        caption: str,
        as_user: User | None,
        reply_to: ChatMessage | None,
    ) -> ChatMessage:
        attachment = self._attachments.make(Upload(name, content, ""), kind)
        return self.send_attachment(attachment, caption, as_user=as_user, reply_to=reply_to)

    def _say(
        self,
        author: Account,
        body: FormattedText,
        attachment: Attachment | None = None,
        reply_to: ChatMessage | None = None,
        media_group_id: str | None = None,
    ) -> ChatMessage:
        message = self._world.post(
            self.room,
            author,
            body,
            media=attachment.media if attachment else None,
            file=attachment.file if attachment else None,
            reply_to=reply_to,
            thread_id=self.thread_id,
            media_group_id=media_group_id,
        )
        if self._bot_hears(message):
            self._world.updates.put("message", message.to_json(), ("chat", self.id), self.id)
        return message

    def _bot_hears(self, message: ChatMessage) -> bool:
        """Privacy mode: in groups a bot gets commands meant for it, replies to it and mentions of it."""
        if self.room.bot_status not in ("member", "administrator"):
            return False
        if (
            self.room.is_private
            or self._world.reads_all_group_messages
            or self.room.bot_status == "administrator"
            or (message.reply_to is not None and message.reply_to.from_bot)
        ):
            return True
        username = f"@{self._world.bot.username}".lower()
        for entity in detect(message.body.text):
            words = utf16_slice(message.body.text, entity["offset"], entity["length"]).lower()
            if entity["type"] == "bot_command" and ("@" not in words or words.endswith(username)):
                return True
            if entity["type"] == "mention" and words == username:
                return True
        return False

    def _set_bot_status(self, status: str) -> None:
        world, old = self._world, self.room.bot_status
        self.room.bot_status = status
        actor = self._author(None)

        def member(state: str) -> dict[str, Any]:
            shown = {"status": state, "user": world.bot.to_json()}
            return {**shown, "until_date": 0} if state == "kicked" else shown

        payload = {
            "chat": self.room.to_json(),
            "from": actor.to_json(),
            "date": world.now(),
            "old_chat_member": member(old),
            "new_chat_member": member(status),
        }
        world.updates.put("my_chat_member", payload, ("chat", self.id), self.id)
        world.events.publish("status", self.id, {"bot_status": status})

    def _author(self, user: User | None) -> Account:
        return user.account if user else next(iter(self.room.members.values()))


class Group(Chat):
    """A supergroup with the bot in it."""

    def topic(self, title: str) -> Chat:
        """Open a forum topic. Raises: ValueError when the group has no topics."""
        if not self.room.is_forum:
            raise ValueError(f"{self.room.title} is no forum")
        opened = self._world.post(
            self.room, self._author(None), service={"forum_topic_created": {"name": title, "icon_color": 7322096}}
        )
        opened.thread_id = opened.message_id
        self.room.topics[opened.message_id] = title
        return Chat(self._world, self._attachments, self.room, opened.message_id)

    def upgrade(self, new_id: int) -> Group:
        """Move the chat to a new id, as when a basic group becomes a supergroup."""
        room = ChatRoom(new_id, "supergroup", self.room.title, self.room.members, self.room.is_forum)
        self.room.migrated_to = new_id
        self._world.rooms[new_id] = room
        return Group(self._world, self._attachments, room)


class User:
    """Somebody with a phone, and a private chat with the bot."""

    def __init__(self, world: World, attachments: Attachments, account: Account) -> None:
        self._world = world
        self.account = account
        room = world.rooms.get(account.id)
        if room is None:
            room = world.rooms[account.id] = ChatRoom(account.id, "private", "", {account.id: account})
        self.private_chat = Chat(world, attachments, room)

    @property
    def id(self) -> int:
        return self.account.id

    def deactivate(self) -> None:
        """Delete the account: sends to it answer 403 "user is deactivated"."""
        self.account.is_deactivated = True
