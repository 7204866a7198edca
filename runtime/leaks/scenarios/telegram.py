"""The Bot API with TELEGRAM_VIA=anon: by the exit port, or not at all."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from runtime.api import VeilrunError
from runtime.chat.errors import NotSent, OutcomeUnknown
from runtime.chat.gateway import TelegramGateway, open_gateway
from runtime.chat.messages import Photo, Place
from runtime.leaks.scenarios.scenario import NO_NAMES, Scenario
from runtime.leaks.socks import Drop, Refuse
from runtime.leaks.stage import Stage
from runtime.settings import read_settings

TOKEN = "7000000001:token-of-a-bot-that-is-nowhere-at-all"
OFFICIAL, PLAIN = "https://api.telegram.org", "http://bot-api.example"
CHAT = Place(1)

CALLS: dict[str, Callable[[TelegramGateway], Awaitable[object]]] = {
    "a question": lambda gateway: gateway.username(),
    "a message": lambda gateway: gateway.send_text(CHAT, "text"),
    "a picture": lambda gateway: gateway.send_photo(CHAT, Photo(b"\x89PNG" + bytes(5000), "a.png")),
    "a download": lambda gateway: gateway.download("file"),
}


@contextlib.asynccontextmanager
async def _gateway(stage: Stage, api_url: str) -> AsyncIterator[TelegramGateway]:
    settings = read_settings(
        telegram_bot_token=TOKEN, telegram_api_url=api_url, telegram_via="anon", state_dir=stage.folder.parent
    )
    async with open_gateway(settings) as gateway:
        yield gateway


async def _expect_from_all(stage: Stage, api_url: str, error: type[VeilrunError]) -> None:
    async with _gateway(stage, api_url) as gateway:
        for name, call in CALLS.items():
            await stage.expect(error, call(gateway), name)


async def _calls_and_a_download(stage: Stage) -> None:
    await stage.serve(_bot_api)
    async with _gateway(stage, PLAIN) as gateway:
        for call in CALLS.values():
            await call(gateway)


async def _down(stage: Stage) -> None:
    await stage.socks.stop()
    await _expect_from_all(stage, OFFICIAL, NotSent)


async def _no_daemon(stage: Stage) -> None:
    stage.forget_state()
    await _expect_from_all(stage, OFFICIAL, NotSent)


async def _no_exit_port(stage: Stage) -> None:
    stage.tell_state(has_exit=False)
    await _expect_from_all(stage, OFFICIAL, NotSent)


async def _refused(stage: Stage) -> None:
    stage.socks.answer = Refuse(0x04)
    await _expect_from_all(stage, OFFICIAL, NotSent)


async def _dropped(stage: Stage) -> None:
    stage.socks.answer = Drop()
    await _expect_from_all(stage, OFFICIAL, NotSent)


async def _no_tls_behind(stage: Stage) -> None:
    await stage.serve(_bot_api)
    await _expect_from_all(stage, OFFICIAL, NotSent)


async def _redirected(stage: Stage) -> None:
    await stage.serve(_elsewhere)
    await _expect_from_all(stage, PLAIN, OutcomeUnknown)


async def _bot_api(request: web.Request) -> web.StreamResponse:
    if request.path.startswith("/file/"):
        return web.Response(body=b"content")
    bot = {"id": 1, "is_bot": True, "first_name": "bot", "username": "bot"}
    file = {"file_id": "file", "file_unique_id": "file", "file_path": "photos/a.jpg"}
    message = {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "from": bot}
    results = {"getMe": bot, "getFile": file}
    return web.json_response({"ok": True, "result": results.get(request.path.rpartition("/")[2], message)})


async def _elsewhere(_: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://elsewhere.example/"})


def _via_exit(name: str, play: Callable[[Stage], Awaitable[None]], names: frozenset[str] | None = None) -> Scenario:
    hosts = frozenset({urlsplit(OFFICIAL).hostname or "", urlsplit(PLAIN).hostname or ""})
    return Scenario(f"Bot API through anon: {name}", play, hosts if names is None else names)


SCENARIOS = (
    _via_exit("calls and a download", _calls_and_a_download),
    _via_exit("proxy down", _down, NO_NAMES),
    _via_exit("no daemon on this machine", _no_daemon, NO_NAMES),
    _via_exit("daemon without an exit port", _no_exit_port, NO_NAMES),
    _via_exit("proxy refuses", _refused),
    _via_exit("proxy drops every connection", _dropped),
    _via_exit("no TLS behind the proxy", _no_tls_behind),
    _via_exit("redirect to another host", _redirected),
)
