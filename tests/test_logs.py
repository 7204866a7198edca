"""Logs: one JSON line an event, and never a URL that holds the bot's token."""

import asyncio
import json
import subprocess
import sys

from runtime.sandbox.telegram import SandboxTelegram

TOKEN = "7000000001:token-of-the-bot-in-the-tests-of-logs"

CALL_THE_BOT = """
import asyncio, logging, sys
import telegram, structlog
from runtime.logs import configure_logs

configure_logs(sys.argv[1])

async def call():
    token, url = sys.argv[2:]
    async with telegram.Bot(token, base_url=f"{url}/bot", base_file_url=f"{url}/file/bot") as bot:
        await bot.get_me()
        try:
            await bot.get_file("nonsense")
        except telegram.error.TelegramError:
            pass

asyncio.run(call())
structlog.get_logger("veilrun.test").warning("it happened", job=7)
logging.getLogger("some.library").warning("careful: %s", "now")
"""


async def test_no_level_shows_the_token_of_a_bot_that_makes_calls() -> None:
    async with SandboxTelegram(TOKEN) as telegram:
        for level in ("debug", "info", "warning"):
            done = await asyncio.to_thread(said_by, CALL_THE_BOT, level, TOKEN, telegram.base_url)

            assert TOKEN not in done
            assert TOKEN.partition(":")[2] not in done
            assert "it happened" in done


async def test_lines_are_json_when_nobody_watches_a_terminal() -> None:
    code = CALL_THE_BOT.replace("asyncio.run(call())", "")
    first, second = (json.loads(line) for line in said_by(code, "info").splitlines())

    assert (first["event"], first["job"], first["level"], first["logger"]) == (
        "it happened",
        7,
        "warning",
        "veilrun.test",
    )
    assert (second["event"], second["logger"]) == ("careful: now", "some.library")
    assert first["timestamp"].endswith("Z")


def test_a_child_of_a_silenced_logger_is_silent_too() -> None:
    code = CALL_THE_BOT.replace("asyncio.run(call())", "").replace("some.library", "httpx.anything")
    code += "logging.getLogger('telegram.ext.x').info('https://host/bot123:abc/getMe')\n"
    code += "logging.getLogger('httpcore.connection').debug('https://host/bot123:abc/getMe')\n"

    assert "bot123" not in said_by(code, "debug")


def said_by(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
