"""The main job as a newcomer sees it: real processes and database behind the chat page, Chromium in front of it."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.sandbox.telegram import SandboxTelegram
from tests.browser.conftest import OpenPage
from tests.conftest import Database
from tests.e2e.deployment import Deployment, deployed, registry_text

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PACE = Pace(load_seconds=0.2, step_seconds=0.7, film_step_seconds=0.05)  # status messages change once a second
RENDER_MILLISECONDS = 30_000.0


@pytest_asyncio.fixture(loop_scope="session")
async def deployment(database: Database, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with (
        SandboxComfyUI(pace=PACE) as comfyui,
        deployed(database.dsn, tmp_path, registry=registry_text([comfyui]), comfyui=comfyui) as running,
    ):
        yield running


@pytest.fixture
def sandbox(deployment: Deployment) -> SandboxTelegram:
    """The one that the deployment talks to, for `open_page`."""
    return deployment.telegram


async def type_message(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


def answers(page: Page) -> Locator:
    """The bot's messages."""
    return page.locator(".row:not(.is-out)")


async def shown(row: Locator) -> None:
    """The picture of a message is there and has loaded."""
    picture = row.locator(".media img").first
    await expect(picture).to_be_visible(timeout=RENDER_MILLISECONDS)
    await expect(picture).to_have_js_property("complete", True)
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


async def photographed(page: Page, name: str) -> None:
    """Keep a screenshot if VEILRUN_SCREENSHOTS names a folder."""
    if folder := os.environ.get("VEILRUN_SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def test_a_command_becomes_a_picture_and_the_next_command_edits_it(
    deployment: Deployment, open_page: OpenPage
) -> None:
    page = await open_page(calm=False)
    phone = await open_page(phone=True)

    await type_message(page, "/f an astronaut on a beach")
    status = answers(page).filter(has_text=re.compile("▰"))
    await expect(status).to_contain_text(re.compile(r"▰▱* \d+ % · .*step \d/4"))
    await expect(status.get_by_role("button", name="Cancel")).to_be_visible()
    await photographed(page, "progress")
    await photographed(phone, "progress-phone")

    first = answers(page).filter(has=page.locator(".media img")).nth(0)
    await shown(first)
    await expect(status).to_have_count(0)
    await expect(first.locator(".words")).to_contain_text("an astronaut on a beach")
    await expect(first.get_by_role("button", name="Again")).to_be_visible()
    await expect(first.get_by_role("button", name="Original")).to_be_visible()

    await type_message(page, "/qwen put a t-shirt with a swan on him")
    edited = answers(page).filter(has=page.locator(".media img")).nth(1)
    await shown(edited)
    await expect(edited.locator(".words")).to_contain_text("put a t-shirt with a swan on him")
    await expect(answers(page)).to_have_count(2)
    await photographed(page, "chain")
    await photographed(phone, "chain-phone")
    assert deployment.comfyui.uploads  # the first picture went into the second graph


async def test_the_buttons_under_a_picture_do_what_they_say(deployment: Deployment, open_page: OpenPage) -> None:
    page = await open_page()
    await type_message(page, "/f a red fox --size 512x512 --seed 7")
    first = answers(page).filter(has=page.locator(".media img")).nth(0)
    await shown(first)

    await first.get_by_role("button", name="Original").click()
    original = page.get_by_role("link", name=re.compile(r"Download flux-7.*\.png"))
    await expect(original).to_be_visible(timeout=RENDER_MILLISECONDS)
    await first.get_by_role("button", name="Again").click()
    await shown(answers(page).filter(has=page.locator(".media img")).nth(1))
    await photographed(page, "buttons")

    deployment.comfyui.faults.hold = {"sampler"}
    await type_message(page, "/f a blue fox --size 512x512")
    await deployment.comfyui.wait_for(lambda server: server.held == {"sampler"}, 20)
    await page.get_by_role("button", name="Cancel").click()
    await expect(answers(page).last).to_contain_text("✖️ Cancelled", timeout=RENDER_MILLISECONDS)
    await deployment.comfyui.wait_for(lambda server: server.running is None)
    await photographed(page, "cancelled")


async def test_a_video_plays_and_several_pictures_come_as_an_album(deployment: Deployment, open_page: OpenPage) -> None:
    page = await open_page(calm=False)
    phone = await open_page(phone=True)

    await type_message(page, "/sd3 a lighthouse at dusk --n 3 --size 512x512 --steps 4")
    cells = page.locator(".album .cell img")
    await expect(cells).to_have_count(3, timeout=RENDER_MILLISECONDS)
    await photographed(page, "album")
    await photographed(phone, "album-phone")

    await type_message(page, "/wan a wave breaking --size 320x320 --seconds 1")
    await page.locator(".media video").wait_for(timeout=RENDER_MILLISECONDS)
    await page.wait_for_function("() => document.querySelector('.media video').currentTime > 0.1")
    await photographed(page, "video")
    await photographed(phone, "video-phone")


async def test_help_and_a_mistake_are_answered_in_place(deployment: Deployment, open_page: OpenPage) -> None:
    page = await open_page()
    for words, answer in (
        ("/start", "Try:"),
        ("/help", "Commands:"),
        ("/help flux", "--steps"),
        ("/f", "Example: /f"),
        ("/f fox --steps 900", "--steps"),
        ("/flx fox", "Did you mean /flux?"),
        ("/qwen a hat", "needs a picture"),
        ("/status", "no unfinished jobs"),
        ("/cancel", "nothing to cancel"),
    ):
        await type_message(page, words)
        await expect(answers(page).last).to_contain_text(answer)
        await expect(answers(page).last).to_be_in_viewport(ratio=0.9)
    await photographed(page, "help")
    phone = await open_page(phone=True)
    await phone.get_by_text("Did you mean").scroll_into_view_if_needed()
    await photographed(phone, "help-phone")
