"""The chat page at phone width, under a thumb."""

import pytest
from playwright.async_api import Page, expect
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto

from runtime.sandbox.telegram import Chat, SandboxTelegram
from tests.browser.conftest import PHONE, OpenPage
from tests.sandbox.telegram.samples import film, picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def fits(page: Page) -> bool:
    """Nothing sticks out sideways."""
    return bool(
        await page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth
                && [...document.querySelectorAll(".bubble, .composer, .chat-head > *")].every((element) => {
                    const box = element.getBoundingClientRect();
                    return box.width === 0 || (box.left >= 0 && box.right <= innerWidth);
                })"""
        )
    )


async def test_everything_fits_390_pixels(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page(phone=True)
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton(f"Button {n}", callback_data=str(n)) for n in range(3)]])
    await bot.send_message(chat.id, "w" * 400, reply_markup=keyboard)
    await bot.send_photo(chat.id, picture(1600, 600), caption="wide")
    await bot.send_photo(chat.id, picture(400, 1600), caption="tall")
    await bot.send_media_group(chat.id, [InputMediaPhoto(picture(800, 800))] * 5)
    await bot.send_video(chat.id, film())
    await bot.send_document(chat.id, b"x", filename="a-very-long-file-name-" * 5 + ".txt")
    chat.send("/f " + "x" * 300)
    await expect(page.locator(".row")).to_have_count(7)
    assert await fits(page)
    box = await page.locator("#composer").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= PHONE["height"]


async def test_the_list_of_chats_slides_in_and_out(sandbox: SandboxTelegram, bot: Bot, open_page: OpenPage) -> None:
    group = sandbox.group("Pixel club", [sandbox.user("Alice")])
    page = await open_page(phone=True)
    await page.get_by_role("button", name="All chats").tap()
    await page.locator(".chat-entry", has_text="Pixel club").tap()
    await expect(page.get_by_role("heading", level=1)).to_have_text(group.room.title)
    await expect(page.get_by_label("Message", exact=True)).to_be_in_viewport()


async def test_a_command_is_picked_from_the_menu_by_touch(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page(phone=True)
    await page.get_by_role("button", name="Commands").tap()
    await page.get_by_role("option", name="/qwen").tap()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("/qwen ")
    assert await fits(page)


async def test_a_swipe_to_the_left_replies(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page(phone=True)
    await bot.send_message(chat.id, "swipe me")
    box = await page.locator(".row").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    touch = await page.context.new_cdp_session(page)
    await touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 200, "y": y}]})
    for x in (180, 150, 120):
        await touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y}]})
    await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await expect(page.locator("#reply-bar")).to_contain_text("swipe me")
