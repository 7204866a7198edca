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


FAIL = """
import asyncio, logging, sys
import structlog
from runtime.logs import configure_logs

configure_logs("info")

async def fails():
    try:
        raise ValueError("a secret")
    except ValueError:
        raise RuntimeError("a secret cat")

async def forgotten():
    await asyncio.gather(asyncio.create_task(fails()), return_exceptions=True)
    asyncio.create_task(fails())
    await asyncio.sleep(0)

try:
    asyncio.run(fails())
except RuntimeError as error:
    structlog.get_logger("veilrun.test").error("ours", exc_info=True)
    structlog.get_logger("veilrun.test").error("given", exc_info=error)
    logging.getLogger("some.library").exception("theirs")
asyncio.run(forgotten())
"""


def test_at_debug_we_say_more_and_libraries_do_not() -> None:
    code = """
import io, logging, structlog
from PIL import Image
from runtime.logs import configure_logs
from runtime.media import probe

exif = Image.Exif()
exif[270] = "words of a user"
picture = io.BytesIO()
Image.new("RGB", (8, 8)).save(picture, "JPEG", exif=exif)
configure_logs("debug")
probe(picture.getvalue())
structlog.get_logger("veilrun.test").debug("more")
logging.getLogger("some.library").debug("much more")
"""
    assert [json.loads(line)["event"] for line in said_by(code).splitlines()] == ["more"]


def test_an_error_shows_its_class_and_places_and_never_its_words() -> None:
    lines = [json.loads(line) for line in said_by(FAIL).splitlines()]

    assert [line["event"] for line in lines] == ["ours", "given", "theirs", "Task exception was never retrieved"]
    assert {line["error"] for line in lines} == {"RuntimeError"}
    assert all(line["where"].startswith("<string>:12") for line in lines)
    assert "secret" not in str(lines)


def test_a_line_that_cannot_be_written_is_not_quoted() -> None:
    closed = 'closed = open("/dev/null", "w"); closed.close(); logging.getLogger().handlers[0].setStream(closed)'

    said = said_by(FAIL.replace('configure_logs("info")', f'configure_logs("info")\n{closed}'))

    assert said.splitlines()[0] == "a line of the log veilrun.test was lost: ValueError"
    assert "secret" not in said


def said_by(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
