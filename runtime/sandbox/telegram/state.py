"""Everything the sandbox remembers: accounts, chats, messages, commands, callbacks, the webhook."""

from __future__ import annotations

import hmac
import itertools
import random
import re
from dataclasses import dataclass, field
from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.chats import GENERAL_TOPIC, Account, ChatMessage, ChatRoom
from runtime.sandbox.telegram.clock import Clock
from runtime.sandbox.telegram.entities import NO_TEXT, FormattedText
from runtime.sandbox.telegram.errors import ApiError, BadRequest, Forbidden
from runtime.sandbox.telegram.events import Events
from runtime.sandbox.telegram.faults import FaultPlan
from runtime.sandbox.telegram.files import FileStore, StoredFile
from runtime.sandbox.telegram.journal import Journal
from runtime.sandbox.telegram.updates import UpdateQueue

_TOKEN = re.compile(r"(?P<id>[1-9]\d{0,15}):[\w-]{8,80}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where updates are posted, as setWebhook left it."""

    url: str
    secret_token: str = ""
    max_connections: int = limits.WEBHOOK_CONNECTIONS
    ip_address: str = ""
    has_custom_certificate: bool = False


@dataclass(slots=True)
class CallbackQuery:
    """A pressed button on its way to an answer. `answer` holds what answerCallbackQuery said."""

    id: str
    sender: Account
    message: ChatMessage
    data: str
    asked_at: float
    answer: dict[str, Any] | None = None


@dataclass(slots=True)
class World:
    """The state behind one bot. Changes are made by the Bot API methods and by the people's actions."""

    clock: Clock
    bot: Account
    token: str | None
    seed: int
    callback_answer_seconds: float
    reads_all_group_messages: bool
    files: FileStore = field(default_factory=FileStore)
    events: Events = field(default_factory=Events)
    journal: Journal = field(default_factory=Journal)
    accounts: dict[int, Account] = field(default_factory=dict)
    rooms: dict[int, ChatRoom] = field(default_factory=dict)
    callbacks: dict[str, CallbackQuery] = field(default_factory=dict)
    commands: dict[tuple[str, str, str, str], list[dict[str, str]]] = field(default_factory=dict)
    profile: dict[tuple[str, str], str] = field(default_factory=dict)
    menu_buttons: dict[int, dict[str, Any]] = field(default_factory=dict)
    webhook: Webhook | None = None
    faults: FaultPlan = field(init=False)
    updates: UpdateQueue = field(init=False)
    polls: int = 0
    last_error_date: int = 0
    last_error_message: str = ""
    _random: random.Random = field(init=False)
    _private_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _token_is_adopted: bool = False

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.faults = FaultPlan(self.seed)
        self.updates = UpdateQueue(self.clock, self._random.randrange(10**8, 9 * 10**8))
        if self.token is not None:
            self._adopt(self.token)

    def now(self) -> int:
        """Unix time in whole seconds, as every `date` of the Bot API."""
        return int(self.clock.time())

    def new_number(self, digits: int) -> int:
        """A number that looks random and is the same for the same seed."""
        return self._random.randrange(10 ** (digits - 1), 10**digits)

    def admit(self, token: str) -> None:
        """Let a token in. Without a fixed one, the first well-formed token names the bot.

        Raises: ApiError 404 for a malformed token, 401 for an unknown one.
        """
        if not _TOKEN.fullmatch(token):
            raise ApiError(404, "Not Found")
        if self.token is not None and not hmac.compare_digest(self.token, token):
            raise ApiError(401, "Unauthorized")
        if not self._token_is_adopted:
            self._adopt(token)

    def _adopt(self, token: str) -> None:
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise ValueError("a bot token looks like 123456789:AAE… (digits, a colon, 35 letters)")
        self.bot.id = int(match["id"])
        self._token_is_adopted = True

    def room(self, chat_id: str) -> ChatRoom:
        """The chat the bot may write to. Raises: BadRequest, Forbidden as the server does for chat_id."""
        if not chat_id:
            raise BadRequest("chat_id is empty")
        if chat_id.startswith("@"):
            room = next((room for room in self.rooms.values() if room.title == chat_id[1:]), None)
        else:
            room = self.rooms.get(int(chat_id)) if re.fullmatch(r"-?\d{1,18}", chat_id) else None
        if room is None:
            raise BadRequest("chat not found")
        return room

    def writable_room(self, chat_id: str) -> ChatRoom:
        """As `room`, and the bot can send there."""
        room = self.room(chat_id)
        if room.migrated_to is not None:
            raise BadRequest("group chat was upgraded to a supergroup chat", {"migrate_to_chat_id": room.migrated_to})
        if room.is_private and room.members[room.id].is_deactivated:
            raise Forbidden("user is deactivated")
        named = "supergroup" if room.kind == "supergroup" else "group"
        if room.is_deleted:
            raise Forbidden("the group chat was deleted")
        if room.bot_status == "kicked":
            raise Forbidden(
                "bot was blocked by the user" if room.is_private else f"bot was kicked from the {named} chat"
            )
        if room.bot_status == "left":
            raise Forbidden(f"bot is not a member of the {named} chat")
        return room

    def message(self, room: ChatRoom, message_id: int, called: str) -> ChatMessage:
        """A message that is still there. Raises: BadRequest "`called` not found"."""
        if message_id <= 0:
            raise BadRequest("message identifier is not specified")
        message = room.messages.get(message_id)
        if message is None or message.is_deleted:
            raise BadRequest(f"{called} not found")
        return message

    def post(
        self,
        room: ChatRoom,
        sender: Account,
        body: FormattedText = NO_TEXT,
        *,
        media: dict[str, Any] | None = None,
        file: StoredFile | None = None,
        service: dict[str, Any] | None = None,
        reply_to: ChatMessage | None = None,
        thread_id: int | None = None,
        inline_keyboard: list[list[dict[str, Any]]] | None = None,
        media_group_id: str | None = None,
        flags: dict[str, Any] | None = None,
    ) -> ChatMessage:
        """Put a message into a chat and show it; the bot's own message ends its chat action.

        Numbers run through all private chats together and through each group alone, as on Telegram.
        """
        message_id = next(self._private_ids) if room.is_private else max(room.messages, default=GENERAL_TOPIC) + 1
        if thread_id is None and reply_to is not None and not room.is_private:
            thread_id = reply_to.thread_id or (None if room.is_forum else reply_to.message_id)
        message = ChatMessage(
            room,
            message_id,
            self.now(),
            sender,
            body,
            media or {},
            file,
            service or {},
            reply_to,
            thread_id,
            inline_keyboard,
            media_group_id,
            None,
            flags or {},
        )
        room.messages[message_id] = message
        if sender is self.bot:
            room.action = None
        self.events.publish("message", room.id, {"message_id": message_id})
        return message

    def changed(self, message: ChatMessage, *, is_edit: bool = True) -> None:
        """Show a message's new content, dated now if it counts as an edit."""
        if is_edit:
            message.edit_date = self.now()
        self.events.publish("edit", message.room.id, {"message_id": message.message_id})

    def delete(self, message: ChatMessage) -> None:
        message.is_deleted = True
        self.events.publish("delete", message.room.id, {"message_id": message.message_id})

    def commands_for(self, room: ChatRoom, user_id: int, language: str) -> list[dict[str, str]]:
        """The menu this user sees in this chat: narrowest scope first, their language before none."""
        chat = str(room.id)
        scopes = [("chat_member", chat, str(user_id)), ("chat", chat, "")]
        scopes.append(("all_private_chats" if room.is_private else "all_group_chats", "", ""))
        scopes.append(("default", "", ""))
        for kind, scope_chat, scope_user in scopes:
            for code in (language, ""):
                menu = self.commands.get((kind, scope_chat, scope_user, code))
                if menu:
                    return menu
        return []
