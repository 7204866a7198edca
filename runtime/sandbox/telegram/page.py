"""The chat page: one HTML page, its actions, and a stream of what changes in the person's chats."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from runtime.sandbox.telegram.attachments import Attachment, Attachments, MediaHints, MediaKind
from runtime.sandbox.telegram.calls import Call, Upload, read_parts
from runtime.sandbox.telegram.chats import ChatMessage, ChatRoom
from runtime.sandbox.telegram.errors import ApiError
from runtime.sandbox.telegram.events import ChatEvent
from runtime.sandbox.telegram.people import Chat, User
from runtime.sandbox.telegram.state import World

_STATIC = Path(__file__).parent / "static"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_KEEP_ALIVE_SECONDS = 15
_HISTORY = 300


class ChatPage:
    """Serves the page and acts for the person named by `?user=`."""

    def __init__(self, world: World, attachments: Attachments, user: Callable[[str], User]) -> None:
        self._world = world
        self._attachments = attachments
        self._user = user
        self._closing = asyncio.Event()

    async def open(self, app: web.Application) -> None:
        """Begin, or begin again after `close`."""
        self._closing.clear()

    async def close(self, app: web.Application) -> None:
        """Let go of the open streams, so that the server can stop."""
        self._closing.set()

    async def index(self, request: web.Request) -> web.Response:
        return self._asset("index.html")

    async def static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not (_STATIC / name).is_file():
            raise web.HTTPNotFound
        return self._asset(name)

    async def media(self, request: web.Request) -> web.Response:
        """A file as the page shows it; answers Range so that videos can be wound."""
        stored = self._world.files.by_unique_id(request.match_info["unique_id"])
        if stored is None:
            raise web.HTTPNotFound
        headers = {**_HEADERS, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=31536000, immutable"}
        if "download" in request.query:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(stored.name)}"
        shown = stored.mime_type if stored.mime_type.startswith(("image/", "video/")) else "application/octet-stream"
        if shown == "image/svg+xml":
            shown = "application/octet-stream"
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        size = len(stored.content)
        if wanted is None or wanted[0] == "bytes=-":
            return web.Response(body=stored.content, headers=headers, content_type=shown)
        if wanted[1]:
            start, end = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
        else:
            start, end = max(size - int(wanted[2]), 0), size - 1
        if start > end:
            return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return web.Response(status=206, body=stored.content[start : end + 1], headers=headers, content_type=shown)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: first everything as it stands, then each change."""
        user = self._person(request)
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue = self._world.events.subscribe()
        closing = asyncio.create_task(self._closing.wait())
        try:
            await _send(response, "state", self._state(user))
            while not closing.done():
                arrival = asyncio.create_task(queue.get())
                await asyncio.wait({arrival, closing}, timeout=_KEEP_ALIVE_SECONDS, return_when="FIRST_COMPLETED")
                if arrival.done():
                    await self._forward(response, user, arrival.result())
                else:
                    arrival.cancel()
                    await response.write(b": alive\n\n")
        except ConnectionError:
            pass
        finally:
            closing.cancel()
            self._world.events.unsubscribe(queue)
        return response

    async def send(self, request: web.Request) -> web.Response:
        """A message typed on the page: `text`, `reply_to`, `thread_id`, and files as photo, video or document."""
        chat, user = self._chat(request)
        call = Call("send")
        await read_parts(await request.multipart(), call)
        chat.thread_id = call.integer("thread_id") or None
        reply_to = chat.room.messages.get(call.integer("reply_to"))
        text = call.text("text").replace("\r\n", "\n").strip()  # forms send every line break as CRLF
        prepared = [await self._prepared(upload, call.flag("as_files")) for upload in call.uploads.values()]
        if not prepared:
            sent = [chat.send(text, as_user=user, reply_to=reply_to)]
        elif len(prepared) == 1:
            sent = [chat.send_attachment(prepared[0], text, as_user=user, reply_to=reply_to)]
        else:
            sent = chat.send_prepared_album(prepared[:10], text, as_user=user, reply_to=reply_to)
        return web.json_response({"message_ids": [message.message_id for message in sent]}, status=201)

    async def press(self, request: web.Request) -> web.Response:
        chat, user = self._chat(request)
        wanted = await request.json()
        press = chat.press_data(self._message(chat, wanted), str(wanted["data"]), as_user=user)
        return web.json_response({"callback_query_id": press.id}, status=201)

    async def react(self, request: web.Request) -> web.Response:
        chat, user = self._chat(request)
        wanted = await request.json()
        chat.react(self._message(chat, wanted), str(wanted["emoji"]), as_user=user)
        return web.json_response({})

    async def delete(self, request: web.Request) -> web.Response:
        chat, _ = self._chat(request)
        chat.delete(self._message(chat, await request.json()))
        return web.json_response({})

    async def block(self, request: web.Request) -> web.Response:
        chat, _ = self._chat(request)
        if (await request.json())["blocked"]:
            chat.block()
        else:
            chat.unblock()
        return web.json_response({})

    def _asset(self, name: str) -> web.Response:
        kind = _TYPES[name.rsplit(".", 1)[1]]
        return web.Response(
            text=(_STATIC / name).read_text("utf-8"), headers=_HEADERS, content_type=kind, charset="utf-8"
        )

    def _person(self, request: web.Request) -> User:
        name = request.query.get("user", "").strip()[:32] or "Alice"
        return self._user(name[:1].upper() + name[1:])

    def _chat(self, request: web.Request) -> tuple[Chat, User]:
        _refuse_foreign_pages(request)
        user = self._person(request)
        room = self._world.rooms.get(int(request.match_info["chat_id"]))
        if room is None or user.id not in room.members:
            raise web.HTTPNotFound
        return Chat(self._world, self._attachments, room), user

    def _message(self, chat: Chat, wanted: dict[str, Any]) -> ChatMessage:
        message = chat.room.messages.get(int(wanted["message_id"]))
        if message is None or message.is_deleted:
            raise web.HTTPNotFound
        return message

    async def _prepared(self, upload: Upload, as_file: bool) -> Attachment:
        kind: MediaKind = "document"
        if not as_file and upload.mime_type.startswith(("image/png", "image/jpeg", "image/webp")):
            kind = "photo"
        elif not as_file and upload.mime_type.startswith("video/"):
            kind = "video"
        return await self._attachments.from_upload(upload, kind, MediaHints())

    async def _forward(self, response: web.StreamResponse, user: User, event: ChatEvent) -> None:
        if event.audience not in (None, user.id):
            return
        if event.chat_id is None:
            await _send(response, "state", self._state(user))
            return
        room = self._world.rooms[event.chat_id]
        if user.id not in room.members:
            return
        payload = {"chat_id": room.id, **event.payload}
        if event.kind in ("message", "edit"):
            payload["message"] = self._shown(room.messages[event.payload["message_id"]])
        await _send(response, event.kind, payload)

    def _state(self, user: User) -> dict[str, Any]:
        world = self._world
        return {
            "me": user.account.to_json(),
            "bot": world.bot.to_json(),
            "people": [account.first_name for account in world.accounts.values()],
            "bot_connected": world.webhook is not None or world.polls > 0,
            "chats": [self._shown_chat(room, user) for room in world.rooms.values() if user.id in room.members],
        }

    def _shown_chat(self, room: ChatRoom, user: User) -> dict[str, Any]:
        action = room.action
        left = action.until - self._world.clock.time() if action else 0.0
        shown = [message for message in room.messages.values() if not message.is_deleted]
        return {
            **room.to_json(),
            "bot_status": room.bot_status,
            "members": len(room.members) + 1,
            "topics": [{"id": number, "title": title} for number, title in room.topics.items()],
            "commands": self._world.commands_for(room, user.id, user.account.language),
            "action": {"action": action.name, "seconds": left} if action and left > 0 else None,
            "messages": [self._shown(message) for message in shown[-_HISTORY:]],
        }

    def _shown(self, message: ChatMessage) -> dict[str, Any]:
        bot_id = self._world.bot.id
        counted: dict[str, list[int]] = {}
        for account_id, reactions in message.reactions.items():
            for reaction in reactions:
                counted.setdefault(reaction["emoji"], []).append(account_id)
        return {
            **message.to_json(),
            "from_bot": message.sender.id == bot_id,
            "reactions": [{"emoji": emoji, "by": accounts} for emoji, accounts in counted.items()],
        }


def page_routes(page: ChatPage) -> list[web.RouteDef]:
    """Everything the page asks for; none of it is part of the Bot API."""
    chat = "/sandbox/chats/{chat_id:-?[0-9]+}"
    return [
        web.get("/", page.index),
        web.get("/sandbox/static/{name:[a-z_]+\\.(?:js|css|svg)}", page.static),
        web.get("/sandbox/media/{unique_id:[\\w-]+}", page.media),
        web.get("/sandbox/events", page.events),
        web.post(f"{chat}/messages", _refusals_shown(page.send)),
        web.post(f"{chat}/press", _refusals_shown(page.press)),
        web.post(f"{chat}/react", _refusals_shown(page.react)),
        web.post(f"{chat}/delete", _refusals_shown(page.delete)),
        web.post(f"{chat}/block", _refusals_shown(page.block)),
    ]


def _refusals_shown(handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except ApiError as refused:
            return web.json_response({"error": refused.description}, status=refused.code)
        except (KeyError, ValueError) as broken:
            return web.json_response({"error": f"not understood: {broken}"}, status=400)
        return response

    return handle


def _refuse_foreign_pages(request: web.Request) -> None:
    """A page of another origin open in the same browser must not act here."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden


async def _send(response: web.StreamResponse, kind: str, payload: dict[str, Any]) -> None:
    data = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    await response.write(f"event: {kind}\ndata: {data}\n\n".encode())
