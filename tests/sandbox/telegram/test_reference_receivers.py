"""Webhook receivers written by others accept what the sandbox delivers, and answer through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiogram import Bot as AiogramBot
from aiogram import Dispatcher
from aiogram.types import CallbackQuery, Message
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web
from telegram import Bot, Update
from telegram.ext import Application, CommandHandler, ContextTypes

from runtime.sandbox.telegram import Chat, SandboxTelegram
from tests.sandbox.telegram.conftest import TOKEN
from tests.sandbox.telegram.samples import picture

SECRET = "reference-secret"


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


def aiogram_app(bot: AiogramBot, dispatcher: Dispatcher, **options: Any) -> web.Application:
    app = web.Application()
    SimpleRequestHandler(dispatcher, bot, secret_token=SECRET, **options).register(app, path="/hook")
    return app


async def test_aiogram_answers_in_the_body_of_its_acknowledgement(aiogram_bot: AiogramBot, chat: Chat) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def answer(message: Message) -> Any:
        return message.reply(f"you said {message.text}")

    app = aiogram_app(aiogram_bot, dispatcher, handle_in_background=False)
    async with serving(app) as url:
        await aiogram_bot.set_webhook(url, secret_token=SECRET)
        asked = chat.send("/f a fox")
        reply = await chat.wait_for(lambda message: message.from_bot)
    assert reply.text == "you said /f a fox"
    assert reply.reply_to is asked


async def test_aiogram_handles_photos_and_buttons_in_the_background(aiogram_bot: AiogramBot, chat: Chat) -> None:
    dispatcher = Dispatcher()
    seen: asyncio.Queue[str] = asyncio.Queue()

    @dispatcher.message()
    async def photo(message: Message) -> None:
        assert message.photo is not None
        await seen.put(f"photo {message.photo[-1].width}")

    @dispatcher.callback_query()
    async def pressed(query: CallbackQuery) -> None:
        await query.answer("started")
        await seen.put(f"button {query.data}")

    async with serving(aiogram_app(aiogram_bot, dispatcher)) as url:
        await aiogram_bot.set_webhook(url, secret_token=SECRET)
        chat.send_photo(picture(500, 400), "/qwen a hat")
        assert await asyncio.wait_for(seen.get(), 10) == "photo 500"
        keyboard = {"inline_keyboard": [[{"text": "Again", "callback_data": "again:1"}]]}
        await aiogram_bot.send_message(chat.id, "done", reply_markup=keyboard)  # type: ignore[arg-type]
        press = chat.press(chat.messages[-1], "Again")
        assert (await press.answered())["text"] == "started"
        assert await asyncio.wait_for(seen.get(), 10) == "button again:1"


async def test_aiogram_turns_a_wrong_secret_away_and_the_update_stays(
    sandbox: SandboxTelegram, aiogram_bot: AiogramBot, chat: Chat
) -> None:
    async with serving(aiogram_app(aiogram_bot, Dispatcher())) as url:
        await aiogram_bot.set_webhook(url, secret_token="wrong")
        chat.send("hello")
        await sandbox.until(lambda: sandbox.last_webhook_error != "")
    assert sandbox.last_webhook_error == "Wrong response from the webhook: 401 Unauthorized"
    assert sandbox.pending_updates == 1


async def test_python_telegram_bot_runs_an_application_on_the_webhook(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat
) -> None:
    """The custom webhook of its documentation: the body goes through Update.de_json into the update queue."""
    application = (
        Application.builder()
        .token(TOKEN)
        .base_url(f"{sandbox.base_url}/bot")
        .base_file_url(f"{sandbox.base_url}/file/bot")
        .updater(None)
        .build()
    )

    async def paint(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_message is not None
        await update.effective_message.reply_photo(picture(), caption=" ".join(context.args or []))

    application.add_handler(CommandHandler("f", paint))

    async def hook(request: web.Request) -> web.Response:
        assert request.headers["X-Telegram-Bot-Api-Secret-Token"] == SECRET
        await application.update_queue.put(Update.de_json(await request.json(), application.bot))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hook)
    async with serving(app) as url, application:
        await application.start()
        await bot.set_webhook(url, secret_token=SECRET)
        chat.send("/f@veilrun_sandbox_bot an astronaut")
        shown = await chat.wait_for(lambda message: message.photo is not None)
        await application.stop()
    assert shown.caption == "an astronaut"
