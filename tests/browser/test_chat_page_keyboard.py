"""The chat page without a mouse, and as assistive technology sees it."""

import pytest
from playwright.async_api import Page, expect
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup

from runtime.sandbox.telegram import Chat
from tests.browser.conftest import OpenPage
from tests.sandbox.telegram.samples import picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AGAIN = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again:1")]])


async def focused(page: Page) -> str:
    label: str = await page.evaluate(
        "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
    )
    return label


async def test_the_whole_chain_goes_by_keyboard(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type("/f")
    await page.keyboard.press("Tab")
    await page.keyboard.type("an astronaut")
    await page.keyboard.press("Enter")
    asked = await chat.wait_for(lambda message: message.text == "/f an astronaut")
    sent = await bot.send_photo(
        chat.id, picture(400, 400), caption="an astronaut", reply_to_message_id=asked.message_id, reply_markup=AGAIN
    )
    row = page.locator(f"#message-{sent.message_id}")
    await expect(row).to_be_visible()

    await page.keyboard.press("ArrowUp")
    await expect(row).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Media viewer")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Media viewer")).to_be_hidden()

    for _ in range(6):
        if await focused(page) == "Again":
            break
        await page.keyboard.press("Tab")
    assert await focused(page) == "Again"
    await page.keyboard.press("Enter")
    (_, pressed) = await bot.get_updates(timeout=5)
    assert pressed.callback_query is not None
    await pressed.callback_query.answer()

    await row.focus()
    await page.keyboard.press("r")
    await expect(page.locator("#reply-bar")).to_be_visible()
    await page.keyboard.type("/qwen a t-shirt")
    await page.keyboard.press("Enter")
    reply = await chat.wait_for(lambda message: message.text == "/qwen a t-shirt")
    assert reply.reply_to is not None
    assert reply.reply_to.message_id == sent.message_id


async def test_control_and_arrow_up_replies_and_escape_takes_it_back(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_message(chat.id, "first")
    await bot.send_message(chat.id, "second")
    await expect(page.locator(".row")).to_have_count(2)
    await page.keyboard.press("Control+ArrowUp")
    await expect(page.locator("#reply-bar")).to_contain_text("second")
    await page.keyboard.press("Control+ArrowUp")
    await expect(page.locator("#reply-bar")).to_contain_text("first")
    await page.keyboard.press("Escape")
    await expect(page.locator("#reply-bar")).to_be_hidden()


async def test_every_stop_of_the_tab_key_has_a_name_and_a_visible_focus(
    bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    await bot.send_photo(chat.id, picture(), caption="sea", reply_markup=AGAIN)
    await expect(page.locator(".row")).to_have_count(1)
    await page.evaluate("document.activeElement.blur()")
    stops = []
    for _ in range(14):
        await page.keyboard.press("Tab")
        stop = await page.evaluate(
            """() => {
                const element = document.activeElement;
                const style = getComputedStyle(element);
                const box = element.closest(".composer-box");
                const around = box ? getComputedStyle(box).boxShadow : "none";
                return {
                    name: element.getAttribute("aria-label") ?? element.textContent.trim(),
                    visible: element === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none"
                        || around.includes("0px 0px 0px 2px"),
                };
            }"""
        )
        stops.append(stop)
    assert [stop for stop in stops if not stop["name"] or not stop["visible"]] == []
    names = {stop["name"] for stop in stops}
    assert {"Skip to the message field", "Sandbox", "More", "Open photo: sea", "Again", "Message"} <= names


async def test_the_messages_are_a_log_that_speaks(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    log = page.get_by_role("log", name="Messages")
    await expect(log).to_have_attribute("aria-live", "polite")
    await bot.send_message(chat.id, "hello")
    article = log.get_by_role("article")
    assert (await article.get_attribute("aria-label") or "").startswith("Veilrun, hello")
    await expect(article).to_have_attribute("aria-live", "off")


async def test_menus_walk_by_arrows_and_give_the_focus_back(bot: Bot, open_page: OpenPage) -> None:
    page = await open_page()
    more = page.get_by_role("button", name="More")
    await more.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem").first).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_role("menuitem").last).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(more).to_be_focused()
