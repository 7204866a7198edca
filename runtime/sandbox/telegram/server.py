"""The sandbox Bot API server: speaks the Bot API to the bot, and shows a chat page to people."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Self

from aiohttp import web

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.admin import admin_routes
from runtime.sandbox.telegram.attachments import Attachments
from runtime.sandbox.telegram.chats import Account, ChatRoom
from runtime.sandbox.telegram.clock import Clock, SystemClock
from runtime.sandbox.telegram.delivery import Delivery
from runtime.sandbox.telegram.endpoint import BotEndpoint
from runtime.sandbox.telegram.faults import FaultPlan
from runtime.sandbox.telegram.flood import FloodGate
from runtime.sandbox.telegram.journal import Journal
from runtime.sandbox.telegram.methods import Bench
from runtime.sandbox.telegram.page import ChatPage, page_routes
from runtime.sandbox.telegram.people import Group, User
from runtime.sandbox.telegram.state import World


class SandboxTelegram:
    """A Bot API server on loopback with nobody but the people you make.

    token: the one bot token let in, others get 401; None lets any well-formed token in and takes the bot's id from it.
    clock: replace it to run retries and expiry by hand. seed: makes ids and faults repeatable.
    callback_answer_seconds: how long a pressed button waits for its answer.
    reads_all_group_messages: privacy mode off. flood_limits: refuse with 429 what Telegram would call too fast.

    Example:
        async with SandboxTelegram() as telegram:
            api = telegram.base_url
            bot = Bot("123456789:AAEx…", base_url=f"{api}/bot", base_file_url=f"{api}/file/bot")
            alice = telegram.user("Alice")
            alice.private_chat.send("/f an astronaut")
            picture = await alice.private_chat.wait_for(lambda message: message.photo is not None)
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        bot_name: str = "Veilrun",
        bot_username: str = "veilrun_sandbox_bot",
        clock: Clock | None = None,
        seed: int = 7,
        callback_answer_seconds: float = limits.CALLBACK_ANSWER_SECONDS,
        reads_all_group_messages: bool = False,
        flood_limits: bool = False,
    ) -> None:
        bot = Account(7_000_000_001, bot_name, bot_username, is_bot=True)
        self._world = World(clock or SystemClock(), bot, token, seed, callback_answer_seconds, reads_all_group_messages)
        self._attachments = Attachments(self._world.files)
        self._endpoint = BotEndpoint(
            Bench(self._world, self._attachments), FloodGate(self._world.clock) if flood_limits else None
        )
        self._delivery = Delivery(self._world, self._endpoint.perform)
        self._page = ChatPage(self._world, self._attachments, self.user)
        self._runner: web.AppRunner | None = None
        self._address = ""

    @property
    def base_url(self) -> str:
        """http://host:port; the Bot API is at `base_url + "/bot<token>/<method>"`."""
        if not self._address:
            raise RuntimeError("the sandbox is not started")
        return self._address

    @property
    def page_url(self) -> str:
        """Address of the chat page; `?user=bob` looks through another person's eyes."""
        return f"{self.base_url}/"

    @property
    def journal(self) -> Journal:
        """Every Bot API call made so far."""
        return self._world.journal

    @property
    def faults(self) -> FaultPlan:
        """How the sandbox is to misbehave."""
        return self._world.faults

    @property
    def clock(self) -> Clock:
        return self._world.clock

    @property
    def pending_updates(self) -> int:
        """Updates the bot has not acknowledged yet."""
        return len(self._world.updates.pending())

    @property
    def polls(self) -> int:
        """How often the bot has called getUpdates."""
        return self._world.polls

    @property
    def webhook_url(self) -> str | None:
        """Where updates go, None while no webhook is set."""
        return self._world.webhook.url if self._world.webhook else None

    @property
    def last_webhook_error(self) -> str:
        """Why the last delivery failed, "" if none did."""
        return self._world.last_error_message

    async def until(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        """Wait until something is true of the sandbox; looked at after every change. Raises: TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._world.events.waiters.until(lambda: True if condition() else None)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises: OSError when the address is taken."""
        app = web.Application()
        app.add_routes(self._endpoint.routes())
        app.add_routes(page_routes(self._page))
        app.add_routes(admin_routes(self._world))
        app.on_startup.extend([self._endpoint.open, self._page.open])
        app.on_shutdown.extend([self._endpoint.close, self._page.close])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound_port = self._runner.addresses[0][1]
        self._address = f"http://{host}:{bound_port}"
        self._delivery.start()

    async def stop(self) -> None:
        """Close all connections; what the chats hold stays readable."""
        await self._delivery.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def user(self, name: str, language: str = "en") -> User:
        """The person of this name, made at first mention; the same name has the same id in every run."""
        world = self._world
        username = "".join(
            letter for letter in name.lower() if letter.isascii() and (letter.isalnum() or letter == "_")
        )
        for account in world.accounts.values():
            if account.first_name.lower() == name.lower():
                return User(world, self._attachments, account)
        account = Account(_account_id(name, world), name, username, language)
        world.accounts[account.id] = account
        world.events.publish("chats", None)
        return User(world, self._attachments, account)

    def group(self, title: str, members: Sequence[User], *, forum: bool = False) -> Group:
        """A new supergroup with these people and the bot."""
        if not members:
            raise ValueError("a group needs at least one member")
        room_id = -1_000_000_000_000 - self._world.new_number(10)
        room = ChatRoom(room_id, "supergroup", title, {user.id: user.account for user in members}, forum)
        self._world.rooms[room.id] = room
        self._world.events.publish("chats", None)
        return Group(self._world, self._attachments, room)


def _account_id(name: str, world: World) -> int:
    account_id = 100_000_000 + zlib.crc32(name.lower().encode()) % 900_000_000
    while account_id in world.accounts:
        account_id += 1
    return account_id
