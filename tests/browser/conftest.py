"""A real Chromium looking at a real sandbox. Tests here share one event loop and one browser."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, ViewportSize, async_playwright
from telegram import Bot, BotCommand

from runtime.sandbox.telegram import Chat, SandboxTelegram

TOKEN = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = ViewportSize(width=1280, height=860)
PHONE = ViewportSize(width=390, height=844)

OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(playwright: Playwright) -> AsyncIterator[Browser]:
    """One browser for all tests; each test gets contexts of its own."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield browser
    await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox() -> AsyncIterator[SandboxTelegram]:
    async with SandboxTelegram(TOKEN) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="session")
async def bot(sandbox: SandboxTelegram) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=f"{sandbox.base_url}/bot", base_file_url=f"{sandbox.base_url}/file/bot") as bot:
        await bot.set_my_commands(
            [
                BotCommand("f", "Text to image"),
                BotCommand("flux", "Text to image, long name"),
                BotCommand("qwen", "Edit a picture in words"),
                BotCommand("help", "All commands"),
            ]
        )
        yield bot


@pytest.fixture
def chat(sandbox: SandboxTelegram) -> Chat:
    return sandbox.user("Alice").private_chat


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(chromium: Browser, sandbox: SandboxTelegram) -> AsyncIterator[OpenPage]:
    """Open the chat page; afterwards nothing may have been logged as an error or asked of another host."""
    contexts = []
    errors: list[str] = []
    strangers: list[str] = []

    async def open_page(user: str = "", *, phone: bool = False, dark: bool = False, calm: bool = True) -> Page:
        context = await chromium.new_context(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if calm else "no-preference",
            is_mobile=phone,
            has_touch=phone,
            accept_downloads=True,
        )
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(8000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda sent: strangers.append(sent.url) if _is_strange(sent.url, sandbox) else None)
        await page.goto(f"{sandbox.page_url}?user={user}" if user else sandbox.page_url)
        await page.wait_for_selector(".empty, .row")
        return page

    yield open_page
    for context in contexts:
        await context.close()
    expected = (
        "net::ERR_CONNECTION_REFUSED",
        "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
        "net::ERR_EMPTY_RESPONSE",
        "400 (Bad Request)",
    )
    assert [error for error in errors if not any(known in error for known in expected)] == []
    assert strangers == []


def _is_strange(url: str, sandbox: SandboxTelegram) -> bool:
    return not url.startswith((sandbox.page_url, "blob:", "data:"))
